"""Tables with one column for each label: 1 and 0, yes and no, or an x, in the place of names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from kft.data.columns import LABEL_NAMES, require_column
from kft.tasks.cells import Unreadable, as_objects, as_text
from kft.tasks.inputs import FIRST_NAMES, IMAGE_NAMES, PAIR_NAMES
from kft.tasks.marks import is_mark, read_mark
from kft.tasks.spelling import spelled

UNKNOWN = "-1"
"""What stands in such a column where nobody has judged: the row is unusable, and the column is one all the same."""


def join_columns(frame: pd.DataFrame, columns: Sequence[str], name: str, where: str) -> pd.DataFrame:
    """Returns a table with one column more: the list of those of ``columns`` in which a row says yes.

    An empty cell says no where no cell of these columns does; where some do, nobody knows what it says, and the row is
    unusable. So is one with something else than yes and no.

    Args:
        frame: The table.
        columns: One for each label.
        name: Of the new column.
        where: The table, for messages.

    Raises:
        DataError: One of the columns is missing.

    Example:
        >>> frame = pd.DataFrame({"text": ["a", "b"], "praise": ["1", "0"], "blame": [True, False]})
        >>> join_columns(frame, ["praise", "blame"], "labels", "a.csv")["labels"].tolist()
        [['praise', 'blame'], []]
    """
    for column in columns:
        require_column(frame, column, "data.label", where, expected="a column of yes and no for each label")
    cells = {column: list(frame[column]) for column in columns}
    blank = not any(_says(cell) is False for column in columns for cell in cells[column])
    joined = [_names(row, columns, blank=blank) for row in zip(*cells.values(), strict=True)]
    return frame.assign(**{name: as_objects(joined)})


def _says(cell: Any) -> bool | None:
    try:
        return read_mark(cell)
    except ValueError:
        return None


def _names(row: Sequence[Any], columns: Sequence[str], *, blank: bool) -> list[str] | Unreadable:
    names = []
    for column, cell in zip(columns, row, strict=True):
        try:
            said = read_mark(cell)
        except ValueError as error:
            return Unreadable(f"a label's column says neither yes nor no: {column!r} holds {error}")
        if said is None and not blank:
            return Unreadable(f"a label's column is empty where others say no: {column!r}")
        if said:
            names.append(column)
    return names


def find_label_columns(frame: pd.DataFrame, besides: Sequence[str | None] = ()) -> tuple[str, ...]:
    """Returns the columns that look like one for each label; none where a column has a label's usual name.

    Args:
        frame: The table.
        besides: Columns that are known to be something else.

    Example:
        >>> frame = pd.DataFrame({"text": ["a", "b"], "praise": ["1", "0"], "blame": ["0", "1"]})
        >>> find_label_columns(frame)
        ('praise', 'blame')
    """
    found = mark_columns(frame, besides)
    usual = [name for name in frame.columns if str(name).strip().lower() in LABEL_NAMES and name not in found]
    return found if len(found) > 1 and not usual else ()


def mark_columns(frame: pd.DataFrame, besides: Sequence[str | None] = ()) -> tuple[str, ...]:
    """Returns the columns that say yes or no in each row, and not yes in all of them.

    Example:
        >>> mark_columns(pd.DataFrame({"text": ["a", "b"], "seen": ["x", ""], "empty": ["", ""]}))
        ('seen',)
    """
    other = {*FIRST_NAMES, *PAIR_NAMES, *IMAGE_NAMES}
    names = [str(name) for name in frame.columns if name not in besides and str(name).strip().lower() not in other]
    return tuple(name for name in names if name.strip() and _is_one(list(frame[name])))


def _is_one(cells: Sequence[Any]) -> bool:
    if not all(is_mark(cell) or spelled(cell) == UNKNOWN for cell in cells):
        return False
    said = set(map(_says, cells))
    return False in said or said == {True, None}


def written_marks(frame: pd.DataFrame, columns: Sequence[str], names: Sequence[str]) -> dict[str, Any]:
    """Returns what a row with these labels has in each column, written as the other rows write it.

    Example:
        >>> written_marks(pd.DataFrame({"a": ["yes", "no"], "b": ["x", ""]}), ["a", "b"], ["a"])
        {'a': 'yes', 'b': ''}
    """
    wanted = {column: spelled(column) in names for column in columns}
    return {
        column: next((cell for cell in frame[column] if _like(cell, yes)), "1" if yes else "0")
        for column, yes in wanted.items()
    }


def _like(cell: Any, yes: bool) -> bool:
    return _says(cell) is yes or (not yes and is_mark(cell) and not as_text(cell).strip())
