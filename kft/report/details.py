"""The details of a finding as a page shows them.

What a check puts there is plain JSON, and its form says how it is read:

- a list as long as the finding's rows runs along them: a column of their table;
- ``pairs`` are two ids each and what is said of them, or two classes and their figures;
- ``points`` are a curve: ``n``, ``value`` and, where known, ``low``, ``high`` and ``forecast``;
- anything else is a figure, or a table of figures.
"""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kft.audit.finding import Finding
from kft.report.examples import MASKED

PAIRS, POINTS = "pairs", "points"


@dataclass(frozen=True)
class Grid:
    """A table of figures.

    Attributes:
        title: What it shows.
        columns: Titles; empty where there are none.
        rows: One value a column.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]

    @property
    def numeric(self) -> tuple[bool, ...]:
        """Whether each column holds numbers, which stand to the right."""
        return tuple(
            all(isinstance(cell, int | float | None) for cell in column) for column in zip(*self.rows, strict=True)
        )


def columns_of(finding: Finding) -> dict[str, Sequence[Any]]:
    """Returns the lists that run along the rows, by title.

    Example:
        >>> columns_of(Finding("x", "note", "m", "a", 0, ("a", "b"), {"suggested_label": ["p", "q"], "k": [1]}))
        {'suggested label': ['p', 'q']}
    """
    return {title_of(key): value for key, value in finding.details.items() if _runs_along(finding, key, value)}


def _runs_along(finding: Finding, key: str, value: Any) -> bool:
    fits = isinstance(value, (list, tuple)) and len(value) == len(finding.rows) > 0
    return fits and key not in (MASKED, PAIRS, POINTS) and not any(isinstance(each, Mapping) for each in value)


def example_pairs(finding: Finding, ids: Container[str]) -> list[tuple[str, str, str]]:
    """Returns pairs of examples: both ids, and what is said of them; none where the pairs are of classes."""
    pairs = [_pair(each) for each in finding.details.get(PAIRS, ())]
    if not all(first in ids and second in ids for first, second, _ in pairs):
        return []
    return [(first, second, ", ".join(_said(name, value) for name, value in more)) for first, second, more in pairs]


def _said(name: str, value: Any) -> str:
    from kft.report.html import number

    return f"{name} {number(value)}" if name else number(value)


def _pair(given: Any) -> tuple[str, str, list[tuple[str, Any]]]:
    named = given.items() if isinstance(given, Mapping) else (("", value) for value in given)
    (_, first), (_, second), *more = [(title_of(name), value) for name, value in named]
    return str(first), str(second), more


def grids_of(finding: Finding, ids: Container[str]) -> list[Grid]:
    """Returns what is a table of figures, with pairs of classes among it."""
    found = []
    for key, value in finding.details.items():
        if _runs_along(finding, key, value) or key == MASKED or (key == PAIRS and example_pairs(finding, ids)):
            continue
        grid = _grid(title_of(key), value)
        if grid is not None:
            found.append(grid)
    return found


def _grid(title: str, value: Any) -> Grid | None:
    if isinstance(value, Mapping) and value:
        inner = list(value.values())
        if all(isinstance(each, Mapping) for each in inner):
            columns = tuple(dict.fromkeys(name for each in inner for name in each))
            rows = tuple((name, *(each.get(column) for column in columns)) for name, each in value.items())
            return Grid(title, ("", *map(title_of, columns)), rows)
        return Grid(title, (), tuple(value.items()))
    if isinstance(value, (list, tuple)) and value:
        if all(isinstance(each, Mapping) for each in value):
            columns = tuple(dict.fromkeys(name for each in value for name in each))
            rows = tuple(tuple(each.get(column) for column in columns) for each in value)
            return Grid(title, tuple(map(title_of, columns)), rows)
        if all(isinstance(each, (list, tuple)) for each in value):
            return Grid(title, (), tuple(map(tuple, value)))
    return None


def figures_of(finding: Finding) -> dict[str, Any]:
    """Returns what is one value, or a list of them.

    Example:
        >>> figures_of(Finding("x", "note", "m", "a", 0, (), {"share_cut": 0.5, "counts": {"a": 1}}))
        {'share cut': 0.5}
    """
    return {
        title_of(key): value
        for key, value in finding.details.items()
        if not _runs_along(finding, key, value)
        and key not in (MASKED, PAIRS, POINTS)
        and _grid("", value) is None
        and value not in ([], (), {}, "")
    }


def points_of(finding: Finding) -> list[Mapping[str, Any]]:
    """Returns the points of a curve, in the order of ``n``; none where there is no curve."""
    points = finding.details.get(POINTS, ())
    fits = len(points) > 1 and all(isinstance(each, Mapping) and {"n", "value"} <= set(each) for each in points)
    return sorted(points, key=lambda each: each["n"]) if fits else []


def title_of(key: str) -> str:
    """Returns a key as words.

    Example:
        >>> title_of("suggested_label")
        'suggested label'
    """
    return key.replace("_", " ")
