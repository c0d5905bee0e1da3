"""Answers as a file that people and programs read: one row an input, its own columns beside the answer."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from kft.data.labelling import FIELDS
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
OTHER_TABLES = (".tsv", ".xlsx", ".xls", ".ods", ".parquet", ".feather", ".arrow")
"""Endings of tables that are not written: nothing would read JSON lines under such a name."""


def require_ending(path: Path) -> None:
    """Refuses a file whose ending promises what is not written there.

    Raises:
        UsageError: It is one of another kind of table.
    """
    if path.suffix.lower() in OTHER_TABLES:
        raise UsageError(
            "answers are written as a csv table, or as JSON lines",
            where=f"-o {path}",
            received=path.suffix,
            expected=".csv or .jsonl",
            next_step=f"-o {path.with_suffix('.csv')}",
        )


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
    """Writes answers as they come, as ``AnswerRows`` does; whole or not at all.

    Args:
        path: The file: a table where the name ends in .csv, JSON lines else.
        table: The input's columns, one row an answer.
        answers: In the order of the rows.

    Raises:
        StorageError: The disk is full or the folder cannot be written.
    """
    with writing(path, elsewhere="choose another -o FILE") as file:
        rows = AnswerRows(file, path, [str(name) for name in table.columns])
        rows.add(table_rows(table), answers)
        rows.end()


class AnswerRows:
    """Rows of a file of answers: the input's columns, then the answer's fields.

    A column of the input with the name of a field becomes ``input_<name>``: the label of a file that was labelled
    already, say. Where there is no answer, JSON lines have ``null`` and a table has empty cells after the input's.

    Args:
        file: Open for writing.
        path: A table where the name ends in .csv, JSON lines else.
        columns: Of the input.
        fields: Of an answer, where rows are in the file already; empty: the first answer tells.
    """

    def __init__(self, file: IO[bytes], path: Path, columns: Sequence[str], fields: Sequence[str] = ()) -> None:
        self._file, self._is_table, self._columns = file, path.suffix.lower() == ".csv", columns
        self.fields: tuple[str, ...] = tuple(fields)
        self._names = _apart(columns, fields) if fields else []
        self._held: list[tuple[Any, ...]] = []

    def add(self, rows: Iterable[tuple[Any, ...]], answers: Iterable[Answer | None]) -> None:
        """Writes rows with their answers, None where there is none; holds them back until one answer has come."""
        for cells, answer in zip(rows, answers, strict=True):
            if not self.fields:
                if answer is None:
                    self._held.append(cells)
                    continue
                self._begin(tuple(as_document(answer)))
            self._write(cells, answer)

    def end(self) -> None:
        """Writes what was held back."""
        if not self.fields:
            self._begin(FIELDS)  # no row has an answer

    def _begin(self, fields: tuple[str, ...]) -> None:
        self.fields, self._names = fields, _apart(self._columns, fields)
        if self._is_table:
            self._put_table((*self._names, *fields))
        for cells in self._held:
            self._write(cells, None)
        self._held.clear()

    def _write(self, cells: tuple[Any, ...], answer: Answer | None) -> None:
        if self._is_table:
            none = ("",) * len(self.fields)
            said = {} if answer is None else as_document(answer)
            found = none if answer is None else tuple(_cell(said[name]) for name in self.fields)
            self._put_table((*map(_cell, cells), *found))
            return
        own = {name: _plain(cell) for name, cell in zip(self._names, cells, strict=True)}
        line = None if answer is None else own | as_document(answer)
        self._file.write((json.dumps(line, ensure_ascii=False, default=str) + "\n").encode("utf-8", "backslashreplace"))

    def _put_table(self, cells: Sequence[str]) -> None:
        text = io.StringIO(newline="")
        row_writer(text)(cells)
        self._file.write(text.getvalue().encode("utf-8", "backslashreplace"))


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


def table_rows(table: pd.DataFrame) -> Iterator[tuple[Any, ...]]:
    """Yields the cells of each row."""
    if not len(table.columns):
        return iter([()] * len(table))
    return table.itertuples(index=False, name=None)


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
