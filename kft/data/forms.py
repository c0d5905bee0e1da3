"""What a file holds, whatever its form: a table as it is, one word a row, or what an annotation tool has exported."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from kft.data.columns import LABEL_NAMES
from kft.data.dialects import PLAIN, Dialect
from kft.data.exports import take_out
from kft.data.json_rows import read_json, refuse_unread
from kft.data.labelling import as_drawn
from kft.data.reading import Table, load_text, open_table
from kft.data.sentences import MAYBE, MOSTLY, SUFFIXES, group_words, has_sentences, is_tag, read_sentences
from kft.errors import DataError
from kft.tasks.cells import as_objects, as_text
from kft.tasks.span_cells import cell_values, parse_list, raw_spans
from kft.tasks.task import Task

_PRINTED = re.compile(r"\s*[\[(]\s*['\"]")
SENTENCES = "sentences"
FIRST = 20
"""So many rows tell what a column holds."""


@dataclass(frozen=True)
class FileContent:
    """A file that was read.

    Attributes:
        frame: Its rows; the index is each row's number, from 0.
        notes: What was found about its form, and what was left out; one sentence each.
        name: Empty where the file is a table with these rows; else what it is, and its rows are not the file's.
        table: How the file is written, where it is a table.
    """

    frame: pd.DataFrame
    notes: tuple[str, ...] = ()
    name: str = ""
    table: Table | None = None


def read_form(
    source: Path | pd.DataFrame,
    task: Task,
    *,
    dialect: Dialect = PLAIN,
    unlabelled: bool = False,
) -> FileContent:
    """Reads a file or takes a DataFrame, and finds the texts and labels in it, whatever its form.

    Args:
        source: A file that ``read_table`` reads; or JSON, CoNLL and its relatives, exports of annotation tools.
        task: What is wanted of it.
        dialect: What is known of how files are written.
        unlabelled: Whether rows without a label stay.

    Raises:
        DataError: It cannot be read, or is of a form that is known and not read.
    """
    where = "the DataFrame" if isinstance(source, pd.DataFrame) else str(source)
    form = _read_file(source, task, dialect) if isinstance(source, Path) else FileContent(open_table(source).frame)
    if task.reads.files or form.name == SENTENCES:
        return form
    export = take_out(form.frame, task, where, unlabelled=unlabelled)
    if export is not None:
        form = FileContent(export.frame, (*form.notes, *export.notes), export.tool)
    if not task.kind.learning.per_token:
        return form
    sentences = group_words(form.frame, where) if export is None else None
    if sentences is not None:
        return _said(sentences, form.notes)
    return replace(form, frame=_with_lists(form.frame, where))


def _read_file(path: Path, task: Task, dialect: Dialect) -> FileContent:
    refuse_unread(path)
    suffix, tagging = path.suffix.lower(), task.kind.learning.per_token
    if suffix in SUFFIXES and not tagging:
        raise DataError(
            "a file of words and their tags",
            where=str(path),
            received=f"{path.name}, for {task.name}",
            expected="a task that tags words",
            next_step="kft init FILE --task token-tagging, or task: token-tagging in the recipe",
        )
    if suffix in (".json", ".jsonl", *SUFFIXES) or (tagging and suffix in MAYBE):
        loaded = load_text(path, dialect.encoding)
        said = (loaded.note,) if loaded.note else ()
        if suffix == ".json" or (suffix == ".jsonl" and loaded.text.lstrip()[:1] == "["):
            return FileContent(read_json(loaded.text, path), said, "JSON")
        if suffix != ".jsonl":
            sentences = read_sentences(loaded.text, path, dialect.columns)
            if sentences is not None:
                return _said(sentences, said)
    table = open_table(path, dialect)
    frame = as_drawn(table.frame) if table.separator else table.frame
    return FileContent(frame, table.notes, table=table)


def _said(frame: pd.DataFrame, notes: tuple[str, ...] = ()) -> FileContent:
    listed = [name for name in frame.columns if isinstance(frame[name].iloc[0], list)]
    words = sum(map(len, frame[listed[0]]))
    note = f"one word a row: {words:,} words in {len(frame):,} sentences, columns {', '.join(map(str, frame.columns))}"
    return FileContent(frame, (*notes, note), SENTENCES)


def _with_lists(frame: pd.DataFrame, where: str) -> pd.DataFrame:
    """Returns a table in which lists of words are lists, not arrays or lists that somebody printed.

    Raises:
        DataError: A column holds printed lists, and one of them cannot be read.
    """
    changed: dict[str, np.ndarray] = {}
    for name in frame.columns:
        cells = list(frame[name])
        if any(isinstance(cell, np.ndarray) for cell in cells):
            cells = [cell.tolist() if isinstance(cell, np.ndarray) else cell for cell in cells]
            changed[name] = as_objects(cells)
        printed = [isinstance(cell, str) and bool(_PRINTED.match(cell)) for cell in cells]
        if sum(printed) >= MOSTLY * len(cells) and all(map(_is_printed, cells)):
            changed[name] = as_objects([_list_of(cell, row, where, name) for row, cell in enumerate(cells, 1)])
    return frame.assign(**changed) if changed else frame


def _is_printed(cell: Any) -> bool:
    text = as_text(cell).strip() if isinstance(cell, str) else ""
    return not text or (text[0] in "[(" and text[-1] in "])")


def _list_of(cell: Any, row: int, where: str, name: str) -> list[Any]:
    try:
        found = parse_list(cell) if as_text(cell).strip() else []
        if isinstance(found, (list, tuple)):
            return list(found)
        problem = "it is not a list"
    except ValueError as error:
        problem = str(error).removeprefix("label ")
    raise DataError(
        "a column holds printed lists, and one cannot be read",
        where=f"{where}, column {name!r}, row {row}",
        received=f"{as_text(cell)[:60]}: {problem}",
        expected="a list as JSON or Python writes it: ['a', 'b']",
        next_step="save the table as jsonl or parquet, which keep lists",
    )


def looks_tagged(frame: pd.DataFrame) -> bool:
    """Whether a column of a usual name holds spans, or one tag a word beside as many words.

    Example:
        >>> looks_tagged(pd.DataFrame({"text": ["Ada left"], "label": [[[0, 3, "PER"]]]}))
        True
    """
    frame = frame[:FIRST]
    names = [name for name in frame.columns if str(name).strip().lower() in LABEL_NAMES]
    return has_sentences(frame) or any(
        _holds_spans(list(frame[name][:FIRST])) or _holds_tags(frame, name) for name in names
    )


def _holds_spans(cells: Sequence[Any]) -> bool:
    found = 0
    for cell in cells:
        try:
            values = cell_values(cell) if not isinstance(cell, str) or cell.lstrip()[:1] in ("[", "{") else []
            found += bool(raw_spans(values))
        except (ValueError, TypeError, AttributeError):
            return False
    return found > 0


def _lists_of(cells: Sequence[Any], *, words: bool) -> list[list[Any]] | None:
    """Returns cells as lists; None where one is none. Plain texts are separated by white space."""
    found = []
    for cell in cells:
        try:
            values = cell_values(cell)
        except (ValueError, TypeError):
            return None
        if isinstance(cell, str) and not words and not _PRINTED.match(cell) and not all(map(is_tag, values)):
            return None
        found.append(values)
    return found


def _holds_tags(frame: pd.DataFrame, name: str) -> bool:
    tags = _lists_of(list(frame[name]), words=False)
    if tags is None or not any(len(each) > 1 for each in tags) or not all(_are_names(each) for each in tags):
        return False
    others = (_lists_of(list(frame[other]), words=True) for other in frame.columns if other != name)
    return any(other is not None and list(map(len, other)) == list(map(len, tags)) for other in others)


def _are_names(values: Sequence[Any]) -> bool:
    return not any(isinstance(value, (list, tuple, dict)) for value in values)
