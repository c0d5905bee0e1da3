"""The details of a finding as a page shows them.

What a check puts there is plain JSON, and its form says how it is read:

- a list as long as the finding's rows runs along them: a column of their table;
- where such a list holds ids, each row is shown beside the one that it names;
- ``pairs`` are two ids each and what is said of them, or two classes and their figures;
- ``points`` are a curve: ``n``, ``value`` and, where known, ``low``, ``high`` and ``forecast``; ``metric`` names it;
- anything else is a figure, or a table of figures.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kft.records.findings import Finding
from kft.report.examples import MASKED, ExampleIndex
from kft.report.html import number
from kft.report.plots import Point

PAIRS, POINTS, METRIC = "pairs", "points", "metric"
FOR_PROGRAMS = ("kind", "split", "strength")
"""Single values that the message says in words, or that say nothing without the code; findings.json has them."""
SAID_AS = {"threshold": "listed from"}
MOST_ROWS = 200
"""Of a table of figures; what is more is counted."""


@dataclass(frozen=True)
class Grid:
    """A table of figures.

    Attributes:
        title: What it shows.
        columns: Titles; empty where there are none.
        rows: One value a column.
        left_out: How many more rows there are.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]
    left_out: int = 0

    @property
    def numeric(self) -> tuple[bool, ...]:
        """Whether each column holds numbers, which stand to the right."""
        return tuple(
            all(isinstance(cell, int | float | None) for cell in column) for column in zip(*self.rows, strict=True)
        )


def make_grid(title: str, columns: Iterable[str], rows: Sequence[tuple[Any, ...]]) -> Grid:
    """Returns a table with at most so many rows as a page bears."""
    return Grid(title, tuple(columns), tuple(rows[:MOST_ROWS]), max(0, len(rows) - MOST_ROWS))


@dataclass(frozen=True)
class RowTable:
    """The rows of a finding.

    Attributes:
        ids: Of the one or two examples of each row.
        columns: What the check says of each, by title.
    """

    ids: tuple[tuple[str, ...], ...]
    columns: Mapping[str, Sequence[Any]]


def rows_of(finding: Finding, index: ExampleIndex) -> RowTable:
    """Returns the rows of a finding, each beside the other one that it is about, where there is one.

    A column that repeats the labels, which are shown anyway, is left out.

    Args:
        finding: What was found.
        index: Knows the examples.
    """
    pairs = _example_pairs(finding, index)
    if pairs:
        said = [" ".join(number(value) for value in more) for _, _, more in pairs]
        columns: dict[str, Sequence[Any]] = {"how alike": said} if any(said) else {}
        return RowTable(tuple((first, second) for first, second, _ in pairs), columns)
    columns = {key: value for key, value in finding.details.items() if _runs_along(finding, key, value)}
    partner = next((key for key, ids in columns.items() if all(isinstance(i, str) and i in index for i in ids)), None)
    groups = (
        [(row,) for row in finding.rows]
        if partner is None
        else list(zip(finding.rows, columns.pop(partner), strict=True))
    )
    labels = [[index.label(identifier) for identifier in group] for group in groups]
    told = {
        title_of(key): values
        for key, values in columns.items()
        if not all(str(value) in known for value, known in zip(values, labels, strict=True))
    }
    return RowTable(tuple(groups), told)


def _runs_along(finding: Finding, key: str, value: Any) -> bool:
    fits = isinstance(value, list | tuple) and len(value) == len(finding.rows) > 0
    return fits and key not in (MASKED, PAIRS, POINTS) and not any(isinstance(each, Mapping) for each in value)


def _example_pairs(finding: Finding, index: ExampleIndex) -> list[tuple[str, str, list[Any]]]:
    """Returns ``pairs`` where they are of examples: both ids, and what is said of them."""
    pairs = [
        list(each.values()) if isinstance(each, Mapping) else list(each) for each in finding.details.get(PAIRS, ())
    ]
    known = all(len(pair) >= 2 and str(pair[0]) in index and str(pair[1]) in index for pair in pairs)
    return [(str(pair[0]), str(pair[1]), pair[2:]) for pair in pairs] if known else []


def grids_of(finding: Finding, index: ExampleIndex) -> list[Grid]:
    """Returns what is a table of figures, with pairs of classes among it."""
    grids = [
        _grid(title_of(key), value)
        for key, value in finding.details.items()
        if not _runs_along(finding, key, value)
        and key != MASKED
        and not (key == PAIRS and _example_pairs(finding, index))
    ]
    return [grid for grid in grids if grid is not None]


def _grid(title: str, value: Any) -> Grid | None:
    if isinstance(value, Mapping) and value:
        if all(isinstance(each, Mapping) for each in value.values()):
            columns = _keys(value.values())
            rows = [(name, *(each.get(column) for column in columns)) for name, each in value.items()]
            return make_grid(title, ("", *map(title_of, columns)), rows)
        return make_grid(title, (), list(value.items()))
    if isinstance(value, list | tuple) and value:
        if all(isinstance(each, Mapping) for each in value):
            columns = _keys(value)
            return make_grid(title, map(title_of, columns), [tuple(map(each.get, columns)) for each in value])
        if all(isinstance(each, list | tuple) and len(each) == len(value[0]) for each in value):
            return make_grid(title, (), [tuple(each) for each in value])
    return None


def _keys(each: Iterable[Mapping[str, Any]]) -> list[str]:
    return list(dict.fromkeys(key for one in each for key in one))


def figures_of(finding: Finding) -> dict[str, Any]:
    """Returns what is one value, or a list of them.

    Example:
        >>> figures_of(Finding("x", "note", "m", "a", 0, (), {"share_cut": 0.5, "counts": {"a": 1}}))
        {'share cut': 0.5}
        >>> figures_of(Finding("x", "note", "m", "a", 0, (), {"split": "valid", "threshold": 5}))
        {'listed from': 5}
    """
    return {
        title_of(key): value
        for key, value in finding.details.items()
        if not _runs_along(finding, key, value)
        and key not in (MASKED, PAIRS, POINTS, *FOR_PROGRAMS)
        and not (key == METRIC and POINTS in finding.details)
        and _grid("", value) is None
        and value not in ([], (), {}, "")
    }


def points_of(finding: Finding) -> list[Point]:
    """Returns the points of a curve, in the order of ``n``; none where there is no curve."""
    points = finding.details.get(POINTS, ())
    fits = len(points) > 1 and all(isinstance(each, Mapping) and {"n", "value"} <= set(each) for each in points)
    if not fits:
        return []
    found = [
        Point(each["n"], each["value"], each.get("low"), each.get("high"), bool(each.get("forecast")))
        for each in points
    ]
    return sorted(found, key=lambda each: each.n)


def title_of(key: str) -> str:
    """Returns a key as words.

    Example:
        >>> title_of("suggested_label")
        'suggested label'
    """
    return SAID_AS.get(key, key.replace("_", " "))
