"""Data for a model that exists already: texts to answer, and other labelled files to score."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import pandas as pd

from kft.data.tables import (
    TEXT_NAMES,
    Columns,
    Examples,
    as_text,
    guess_columns,
    read_table,
    refuse_rejected,
    to_examples,
)
from kft.errors import DataError
from kft.recipe.schema import DataSpec


def read_texts(source: Path | pd.DataFrame, *, column: str) -> list[str]:
    """Returns the texts of a table, in order.

    Args:
        source: A csv, tsv or jsonl file, a .txt file with one text a line, or a DataFrame.
        column: The text column the model was trained with; where there is one column, a usual name will do.

    Raises:
        DataError: The file cannot be read, has no such column, or a text is empty.
    """
    where = str(source) if isinstance(source, Path) else "the DataFrame"
    if isinstance(source, Path) and source.suffix.lower() == ".txt":
        texts = _read_lines(source)
    else:
        frame = read_table(source)
        only = str(frame.columns[0]) if len(frame.columns) == 1 else None
        named = only if only is not None and only.strip().lower() in TEXT_NAMES else column
        if named not in frame.columns:
            raise DataError(
                f"no text column {named!r}",
                where=where,
                received="columns " + ", ".join(map(str, frame.columns)),
                expected=f"the column the model was trained with, {named!r}",
                next_step=f"name the column that holds the texts {named!r} in the first line",
            )
        texts = as_texts(frame[named])
    require_texts(texts, where)
    return texts


def as_texts(values: Iterable[object]) -> list[str]:
    """Returns values as texts; what is missing is empty.

    Example:
        >>> as_texts(["one", None, 2])
        ['one', '', '2']
    """
    return [as_text(value) for value in values]


def split_lines(text: str) -> list[str]:
    r"""Returns the lines of a text; only line breaks part them, not the other characters Python knows as such.

    Example:
        >>> split_lines("one\r\ntwo\x0cstill two\n")
        ['one', 'two\x0cstill two']
    """
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    return lines[:-1] if lines[-1] == "" else lines


def require_texts(texts: Sequence[str], where: str) -> None:
    """Refuses empty texts: an answer to nothing would look like any other.

    Raises:
        DataError: There is no text at all, or one of them is empty; names the first rows.
    """
    if not texts:
        raise DataError("there is nothing to answer", where=where, expected="at least one text")
    empty = [position + 1 for position, text in enumerate(texts) if not text.strip()]
    if empty:
        raise DataError(
            f"{len(empty)} of {len(texts)} texts are empty",
            where=f"{where}, row {', '.join(map(str, empty[:5]))}" + (" ..." if len(empty) > 5 else ""),
            expected="a text in every row",
            next_step="leave these rows out",
        )


def load_labelled(
    source: Path | pd.DataFrame, spec: DataSpec, *, text: str, label: str, labels: Sequence[str]
) -> tuple[Examples, str, tuple[str, ...]]:
    """Reads another labelled table with the columns a run was trained with.

    Args:
        source: A file or a DataFrame.
        spec: The recipe's data part, for bins, groups and the rule for unusable rows.
        text: The text column.
        label: The label column.
        labels: The labels the model knows.

    Returns:
        The examples, what the table is called, and what a person should know of the reading.

    Raises:
        DataError: The table cannot be used, or holds labels the model does not know.
    """
    name = source.name if isinstance(source, Path) else "dataframe"
    frame = read_table(source, columns=spec.columns)
    columns: Columns = guess_columns(frame, text=text, label=label, where=name)
    notes = []
    for key, column in (("id", spec.id), ("group", spec.group.column if spec.group else None)):
        if column is not None and column not in frame.columns:
            spec = spec.model_copy(update={key: None})
            lost = "intervals are not by group" if key == "group" else "rows are named by file and number"
            notes.append(f"note       {name} has no column {column!r}: {lost}")
    examples, rejected = to_examples(frame, spec, name=name, columns=columns)
    refuse_rejected(rejected, spec)
    if not examples.texts:
        raise DataError("no row can be scored", where=name, expected="rows with a text and a label")
    if rejected:
        notes.append(f"left out   {len(rejected):,} rows that cannot be used, the first in row {rejected[0].row}")
    assert examples.labels is not None
    unknown = sorted(set(examples.labels) - set(labels))
    if unknown:
        raise DataError(
            "labels the model does not know",
            where=f"{name}, column {label!r}",
            received=", ".join(map(repr, unknown[:5])),
            expected="one of " + ", ".join(labels[:10]) + (" ..." if len(labels) > 10 else ""),
            next_step="mend the labels, or train with examples of them",
        )
    return examples, name, tuple(notes)


def _read_lines(path: Path) -> list[str]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            return split_lines(file.read())
    except UnicodeDecodeError as error:
        raise DataError("the file is not UTF-8", where=f"{path}, byte {error.start}", expected="UTF-8") from None
