"""Data for a model that exists already: texts to answer, and other labelled files to score."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from kft.data.tables import Columns, Examples, guess_columns, read_table, refuse_rejected, to_examples
from kft.errors import DataError
from kft.recipe.schema import DataSpec


def read_texts(source: Path | pd.DataFrame, *, column: str) -> list[str]:
    """Returns the texts of a table, in order.

    Args:
        source: A csv, tsv or jsonl file, a .txt file with one text a line, or a DataFrame.
        column: The text column the model was trained with; a table with one column needs no name.

    Raises:
        DataError: The file cannot be read, has no such column, or a text is empty.
    """
    where = str(source) if isinstance(source, Path) else "the DataFrame"
    if isinstance(source, Path) and source.suffix.lower() == ".txt":
        texts = _read_lines(source)
    else:
        frame = read_table(source)
        named = column if len(frame.columns) > 1 else str(frame.columns[0])
        if named not in frame.columns:
            raise DataError(
                f"no text column {named!r}",
                where=where,
                received="columns " + ", ".join(map(str, frame.columns)),
                expected=f"the column the model was trained with, {named!r}",
                next_step=f"rename the column that holds the texts to {named!r}",
            )
        texts = ["" if value is None or value != value else str(value) for value in frame[named]]
    require_texts(texts, where)
    return texts


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
) -> tuple[Examples, str]:
    """Reads another labelled table with the columns a run was trained with.

    Args:
        source: A file or a DataFrame.
        spec: The recipe's data part, for bins, groups and the rule for unusable rows.
        text: The text column.
        label: The label column.
        labels: The labels the model knows.

    Returns:
        The examples, and what the table is called.

    Raises:
        DataError: The table cannot be used, or holds labels the model does not know.
    """
    name = source.name if isinstance(source, Path) else "dataframe"
    frame = read_table(source, columns=spec.columns)
    columns: Columns = guess_columns(frame, text=text, label=label, where=name)
    examples, rejected = to_examples(frame, spec, name=name, columns=columns)
    refuse_rejected(rejected, spec)
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
    return examples, name


def _read_lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise DataError("the file is not UTF-8", where=f"{path}, byte {error.start}", expected="UTF-8") from None
