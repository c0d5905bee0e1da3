"""Reads a table or a folder for the first time, as training will: task, columns and labels are found on the way."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from kft.curate.likely_labels import choose_label_columns
from kft.curate.likely_task import are_words, tagging, task_of_labels, task_of_tables
from kft.curate.written import chats_in
from kft.data.class_folders import SplitFolders
from kft.data.columns import guess_columns
from kft.data.dialects import Dialect
from kft.data.documents import holds_documents
from kft.data.examples import Columns, NamedColumns
from kft.data.headers import drafted_columns, like_a_row
from kft.data.parts import SourceTable, name_parts, read_parts, require_separated, whole
from kft.data.tables import Rows
from kft.recipe.schema import DataSpec
from kft.tasks.registry import TASKS, first_task
from kft.tasks.task import Task


@dataclass(frozen=True)
class FirstReading:
    """A table or a folder as training will read it.

    Attributes:
        rows: Of each part.
        spec: How they are read.
        task: What is to be learnt.
        columns: By what they are for.
        labels: Several columns that make one label; none where one does.
        chats: The column of chats; None where there is none.
        headless: Why the first row is taken for data; empty where it names the columns.
    """

    rows: Sequence[Rows]
    spec: DataSpec
    task: Task
    columns: Columns
    labels: tuple[str, ...]
    chats: str | None
    headless: str


def read_first(
    parts: Sequence[SourceTable], source: str, base: Path, task: str | None, named: NamedColumns, dialect: Dialect
) -> FirstReading:
    """Reads what there is, as often as what was found says that it is to be read otherwise.

    Args:
        parts: Of the source.
        source: As the person wrote it.
        base: Where a relative path starts.
        task: What is to be learnt; None: what suits the data.
        named: The columns that are known.
        dialect: What is known of how files are written.

    Raises:
        DataError: It cannot be read, or has no such columns.
    """
    paths = [part.table for part in parts if isinstance(part.table, Path)]
    folders = bool(paths) and all(path.is_dir() for path in paths)
    spec = DataSpec(train=source, encoding=dialect.encoding, separator=dialect.separator, unusable_rows="skip")
    require_separated(parts, spec)
    words = any(map(are_words, paths))
    images = any(path.is_dir() and not holds_documents(path) for path in paths)
    wanted = TASKS.get(task) if task else tagging() if words else first_task(files=images)
    with _splits_as_commands(source, base):
        rows = read_parts(parts, name_parts(parts), spec, task=wanted, base=base)
        if task is None and not (folders or images or words):
            wanted = task_of_tables(rows, named)
            rows = read_parts(parts, name_parts(parts), spec, task=wanted, base=base) if wanted == tagging() else rows
    chats = chats_in(whole(rows)) if wanted.kind.writes and named.text is None else None
    if chats is not None:
        spec = spec.model_copy(update={"messages": chats})
        rows = read_parts(parts, name_parts(parts), spec, task=wanted, base=base)
    wanted, labels = choose_label_columns(whole(rows), wanted, named, asked=task is not None)
    if labels:
        spec = spec.model_copy(update={"label": labels})
        named = replace(named, label=spec.label_column)
        rows = read_parts(parts, name_parts(parts), spec, task=wanted, base=base)
        spec = spec.model_copy(update={"label_columns_hold": rows[0].holds})  # also of the files beside it
    frame = whole(rows)
    columns = guess_columns(frame, named, where=source, task=wanted)
    headless = like_a_row(rows, columns)
    if headless:
        spec = spec.model_copy(update={"columns": drafted_columns(rows, columns)})
        rows = read_parts(parts, name_parts(parts), spec, task=wanted, base=base)
        frame = whole(rows)
        columns = guess_columns(frame, NamedColumns(), where=source, task=wanted)
    columns = replace(columns, holds=rows[0].holds)
    wanted = wanted if task else task_of_labels(frame[columns.label], wanted) if columns.label in frame else wanted
    return FirstReading(rows, spec, wanted, columns, labels, chats, headless)


@contextmanager
def _splits_as_commands(source: str, base: Path) -> Iterator[None]:
    """Says which folder to look at instead, where one of splits was named."""
    try:
        yield
    except SplitFolders as error:
        train = (*error.folders.get("train", ()),)
        if len(train) == 1:
            shown = os.path.relpath(train[0], base) if not Path(source).is_absolute() else str(train[0])
            others = [path.name for role in ("valid", "test") for path in error.folders.get(role, ())]
            beside = f", which finds {' and '.join(others)} beside it" if others else ""
            error.next_step = f"kft init {shlex.quote(shown)} -o recipe.yaml{beside}"
        raise
