"""Answers as a file that people and programs read: one row an input, its own columns beside the answer."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from kft.errors import UsageError
from kft.records.csv_file import row_writer
from kft.records.document import as_document
from kft.records.files import writing
from kft.registry import nearest
from kft.tasks.cells import as_text

if TYPE_CHECKING:
    import pandas as pd

    from kft.tasks.task import Answer

DIGITS = 6
"""Significant digits of a number in a table; JSON lines hold all of them."""
FIELDS = ("label", "confidence", "abstain", "probabilities")
"""What a table's columns are called where no row has an answer."""


def keep_columns(table: pd.DataFrame, columns: Sequence[str] | None, where: str) -> pd.DataFrame:
    """Returns the columns of an input that are written beside the answers.

    Args:
        table: The input's columns.
        columns: Their names, in the order wanted; None is all of them.
        where: The input, for the message.

    Raises:
        UsageError: The input has no such column.
    """
    if columns is None:
        return table
    known = [str(name) for name in table.columns]
    for name in columns:
        if name not in known:
            hint = nearest(name, known)
            raise UsageError(
                f"no column {name!r} to keep" + (f"; did you mean {hint!r}?" if hint else ""),
                where=f"--columns, {where}",
                received=name,
                expected="some of " + ", ".join(known[:20]),
            )
    return table[list(columns)]


def write_answers(path: Path, table: pd.DataFrame, answers: Iterable[Answer | None]) -> None:
    """Writes answers as they come, as a table where the name ends in .csv and as JSON lines else; whole or not at all.

    A row holds the input's columns, then the answer's fields. A column of the input with the name of a field becomes
    ``input_<name>``: the label of a file that was labelled already, say. Where there is no answer, JSON lines have
    ``null`` and a table has empty cells after the input's.

    Args:
        path: The file.
        table: The input's columns, one row an answer.
        answers: In the order of the rows.

    Raises:
        StorageError: The disk is full or the folder cannot be written.
    """
    written = iter(answers)
    leading: list[Answer | None] = []
    fields: tuple[str, ...] = FIELDS
    for answer in written:
        leading.append(answer)
        if answer is not None:
            fields = tuple(as_document(answer))
            break
    names = _apart([str(name) for name in table.columns], fields)
    rows = zip(_rows(table), chain(leading, written), strict=True)
    is_table = path.suffix.lower() == ".csv"
    with writing(path, elsewhere="choose another -o FILE") as file:
        if is_table:
            _write_table(file, (*names, *fields), rows, len(fields))
        else:
            _write_lines(file, names, rows)


def _apart(names: Sequence[str], fields: Sequence[str]) -> list[str]:
    """Returns the names of an input's columns, none of which is that of a field or of another column.

    Example:
        >>> _apart(["text", "label"], ["label", "confidence"])
        ['text', 'input_label']
    """
    taken = {*fields, *(name for name in names if name not in fields)}
    found = []
    for name in names:
        other = name
        while other in taken and name in fields:
            other = f"input_{other}"
        taken.add(other)
        found.append(other)
    return found


def _rows(table: pd.DataFrame) -> Iterator[tuple[Any, ...]]:
    if not len(table.columns):
        return iter([()] * len(table))
    return table.itertuples(index=False, name=None)


Rows = Iterable[tuple[tuple[Any, ...], "Answer | None"]]


def _write_lines(file: IO[bytes], names: Sequence[str], rows: Rows) -> None:
    for cells, answer in rows:
        own = {name: _plain(cell) for name, cell in zip(names, cells, strict=True)}
        line = None if answer is None else own | as_document(answer)
        file.write((json.dumps(line, ensure_ascii=False, default=str) + "\n").encode("utf-8", "backslashreplace"))


def _write_table(file: IO[bytes], header: Sequence[str], rows: Rows, fields: int) -> None:
    text = io.TextIOWrapper(file, encoding="utf-8", errors="backslashreplace", newline="", write_through=True)
    write = row_writer(text)
    write(header)
    for cells, answer in rows:
        found = ("",) * fields if answer is None else tuple(map(_cell, as_document(answer).values()))
        write((*map(_cell, cells), *found))
    text.detach()  # the file is not this function's to close


def _cell(value: Any) -> str:
    """Returns a value as a person reads it in a table.

    Example:
        >>> _cell(0.93287641), _cell(["a", "b"]), _cell(None), _cell({"a": 0.00012345678})
        ('0.932876', '["a", "b"]', '', '{"a": 0.000123457}')
    """
    if isinstance(value, float):
        return as_text(value) and f"{value:.{DIGITS}g}"
    if isinstance(value, (Mapping, list, tuple, np.ndarray, bool)):
        return json.dumps(_each(_plain(value), _rounded), ensure_ascii=False, default=str)
    return as_text(value)


def _rounded(value: Any) -> Any:
    return float(f"{value:.{DIGITS}g}") if isinstance(value, float) else value


def _plain(value: Any) -> Any:
    """Returns a cell of a table as JSON has it; what is missing is null."""
    if isinstance(value, np.ndarray):
        return [_plain(each) for each in value.tolist()]
    if isinstance(value, np.generic):
        return _plain(value.item())
    if isinstance(value, (Mapping, list, tuple)):
        return _each(value, _plain)
    if isinstance(value, (str, bool, int)):
        return value
    if isinstance(value, float):
        return value if np.isfinite(value) else None
    return as_text(value) or None


def _each(value: Any, change: Callable[[Any], Any]) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _each(each, change) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_each(each, change) for each in value]
    return change(value)
