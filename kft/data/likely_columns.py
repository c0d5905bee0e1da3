"""Columns that look like soft labels, where nobody has named a column of labels."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence

import pandas as pd

from kft.data.columns import LABEL_NAMES
from kft.data.soft_columns import OFF
from kft.tasks.decimals import as_number
from kft.tasks.inputs import FIRST_NAMES, IMAGE_NAMES, PAIR_NAMES
from kft.tasks.spelling import spelled

MOST_CLASSES = 100
"""Annotators' columns with more different values are hardly classes."""


def find_soft_columns(frame: pd.DataFrame, besides: Sequence[str | None] = ()) -> tuple[str, ...]:
    """Returns columns that look like shares of classes, or like annotators' votes; none where one has a usual name.

    Shares are all columns of numbers, not all whole, whose rows add up to 1 or 100. Votes are columns whose names
    differ by a number at their end, and that hold the same words.

    Args:
        frame: The table.
        besides: Columns that are known to be something else.

    Example:
        >>> find_soft_columns(pd.DataFrame({"text": ["a", "b"], "good": ["0.7", "0"], "bad": ["0.3", "1"]}))
        ('good', 'bad')
        >>> find_soft_columns(pd.DataFrame({"text": ["a", "b"], "rater1": ["yes", "no"], "rater2": ["no", "yes"]}))
        ('rater1', 'rater2')
    """
    other = {*FIRST_NAMES, *PAIR_NAMES, *IMAGE_NAMES}
    names = [str(name) for name in frame.columns if name not in besides and str(name).strip().lower() not in other]
    if any(name.strip().lower() in LABEL_NAMES for name in names):
        return ()
    cells = {name: [spelled(cell) for cell in frame[name]] for name in names if name.strip()}
    return _shares(cells) or _votes(cells)


def _shares(cells: dict[str, list[str]]) -> tuple[str, ...]:
    numbers = {name: [as_number(cell) for cell in column] for name, column in cells.items()}
    found = {name: column for name, column in numbers.items() if all(map(math.isfinite, column))}
    values = [value for column in found.values() for value in column]
    if len(found) < 2 or min(values) < 0 or all(value.is_integer() for value in values):
        return ()
    sums = [sum(row) for row in zip(*found.values(), strict=True)]
    whole = 1 if abs(sums[0] - 1) <= OFF else 100
    return tuple(found) if all(abs(total / whole - 1) <= OFF for total in sums) else ()


def _votes(cells: dict[str, list[str]]) -> tuple[str, ...]:
    for several in _series(cells):
        words = not any(math.isfinite(as_number(value)) for name in several for value in cells[name] if value)
        if words:
            return several
    return ()


def _series(cells: dict[str, list[str]]) -> Iterator[tuple[str, ...]]:
    """Yields columns whose names differ by a number at their end, and that hold the same few values."""
    series: dict[str, list[str]] = {}
    for name in cells:
        stem = re.sub(r"\d+$", "", name)
        if stem != name:
            series.setdefault(stem, []).append(name)
    for several in series.values():
        values = [set(cells[name]) - {""} for name in several]
        together = set().union(*values)
        alike = all(2 * len(own) >= len(together) for own in values)
        if len(several) > 1 and alike and 2 <= len(together) <= min(MOST_CLASSES, len(cells[several[0]])):
            yield tuple(several)


def find_alike(frame: pd.DataFrame, label: str) -> tuple[str, ...]:
    """Returns the columns that look like other annotators' beside a column of labels, that one among them.

    Numbers too: whether they are ratings is for a person to say.

    Example:
        >>> frame = pd.DataFrame({"text": ["a", "b", "c"], "rater1": [1, 5, 1], "rater2": [2, 5, 1]})
        >>> find_alike(frame, "rater1"), find_alike(frame, "text")
        (('rater1', 'rater2'), ())
    """
    cells = {str(name): [spelled(cell) for cell in frame[name]] for name in frame.columns}
    return next((several for several in _series(cells) if label in several), ())
