"""Tables of labelled examples: reading them, turning rows into examples."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from kft.data.class_folders import find_by_class
from kft.data.clean import clean_cell
from kft.data.columns import require_column
from kft.data.dialects import PLAIN, Dialect
from kft.data.documents import DOCUMENT, holds_documents, read_documents
from kft.data.examples import Columns, Examples, Input, RejectedRow
from kft.data.forms import FileContent, read_form
from kft.data.image_paths import find_files
from kft.data.images import check_images
from kft.data.passages import as_passages
from kft.data.reading import Table
from kft.data.shares import Shares
from kft.errors import DataError
from kft.recipe.schema import DataSpec, GroupSpec
from kft.tasks.cells import as_objects, as_text, text_problem
from kft.tasks.judgements import Judgements
from kft.tasks.registry import sibling
from kft.tasks.spans import joined
from kft.tasks.task import LabelColumn, Task

MEND_IDS = "mend the ids, or leave data.id out to use file and row number"
IMAGE, LABEL = "image", "label"
"""The columns of a folder of images, as ``read_source`` returns it."""


@dataclass(frozen=True)
class Rows:
    """A part that was read.

    Attributes:
        name: What it is called in ids.
        frame: Its rows; the index is each row's number, from 0.
        folder: Where relative paths of images start.
        numbered: Whether rows have numbers for ids where images elsewhere have their paths.
        notes: What was guessed in reading it, one sentence each.
        form: Empty where the file is a table with these rows; else what it is; see ``kft.data.forms.FileContent``.
        table: How its file is written; None where no file is a table as it is.
        holds: What the columns hold that its labels are made of; see ``kft.data.soft_columns``. Empty where one does.
    """

    name: str
    frame: pd.DataFrame
    folder: Path = Path()
    numbered: bool = False
    notes: tuple[str, ...] = ()
    form: str = ""
    table: Table | None = None
    holds: str = ""


def read_source(
    source: Path | pd.DataFrame,
    task: Task,
    *,
    dialect: Dialect = PLAIN,
    unlabelled: bool = False,
) -> FileContent:
    """Reads a table of whatever form, or a folder with one subfolder a class: of images, or of documents.

    Args:
        source: A file, a folder or a DataFrame.
        task: What is read.
        dialect: What is known of how files are written.
        unlabelled: Whether rows without a label stay.

    Raises:
        DataError: It cannot be read, or is a folder where a table is wanted.
    """
    if isinstance(source, pd.DataFrame) or not source.is_dir():
        return read_form(source, task, dialect=dialect, unlabelled=unlabelled)
    if not task.reads.files:
        return _documents(source, task)
    return FileContent(
        pd.DataFrame(find_by_class(source), columns=pd.Index([IMAGE, LABEL], dtype=object), dtype=object)
    )


def _documents(folder: Path, task: Task) -> FileContent:
    """Reads a folder of documents by class.

    Raises:
        DataError: It holds none, or the task wants more than one text and its class.
    """
    if task.reads.pairs or not task.kind.one_class or not holds_documents(folder):
        raise DataError(
            "a folder where a table is wanted",
            where=str(folder),
            received=f"a folder, for {task.name}",
            expected="a csv, tsv, jsonl or parquet file; for one class a text also a folder of documents by class",
            next_step="name the file, or *.csv for all in it, or set task: image-classification for a folder of images",
        )
    frame = read_documents(folder)
    count = Counter(Path(path).suffix.lower() for path in frame[DOCUMENT])
    note = f"{len(frame):,} documents: " + ", ".join(f"{number:,} {suffix}" for suffix, number in count.most_common())
    return FileContent(frame, (note,), DOCUMENT)


def image_folder(source: Path | pd.DataFrame, base: Path) -> Path:
    """Returns where a source's relative image paths start: the folder itself, or the one a table lies in."""
    if isinstance(source, pd.DataFrame):
        return base
    return source if source.is_dir() else source.parent


def to_examples(
    rows: Rows, spec: DataSpec, *, task: Task, columns: Columns, opened: int | None = None
) -> tuple[Examples, tuple[RejectedRow, ...]]:
    """Turns rows into examples; rows without a usable input or label are named instead.

    Args:
        rows: From ``read_parts``.
        spec: Bins, id column, groups.
        task: Says what an input and a label are.
        columns: From ``guess_columns``.
        opened: How many images are opened, spread over all, to see whether they can be; default: each.

    Raises:
        DataError: The id or group column is missing, ids repeat, or a group's pattern does not match.

    Example:
        >>> from kft.tasks.registry import TASKS
        >>> frame = pd.DataFrame({"text": ["fine", " "], "label": ["good", "bad"]})
        >>> task, columns = TASKS.get("text-classification"), Columns("text", "label")
        >>> examples, rejected = to_examples(
        ...     Rows("a.csv", frame), DataSpec(train="a.csv"), task=task, columns=columns
        ... )
        >>> examples.ids.tolist(), [(row.id, row.reason) for row in rejected]
        (['a.csv:1'], [('a.csv:2', 'empty text')])
    """
    frame, labelling = rows.frame, task.kind.labels
    ids = row_ids(rows, spec, task=task, columns=columns)
    groups = row_groups(frame, spec.group, rows.name)
    texts, raw_labels = list(frame[columns.text]), list(frame[columns.label])
    seconds = list(frame[columns.pair]) if columns.pair else [None] * len(frame)
    settled = labelling.settle(LabelColumn(raw_labels, texts, f"{rows.name}, column {columns.label!r}"), spec)
    kept, inputs, labels, rejected = [], [], [], []
    names: dict[str, str] = {}
    read, notes = _read_inputs(task, (texts, seconds), rows.folder, spec, opened)
    for row, ((given, reason), text, raw) in enumerate(zip(read, texts, raw_labels, strict=True)):
        label, problem = (None, "") if reason else labelling.parse(raw, text, settled)
        if reason or problem:
            rejected.append(RejectedRow(ids[row], rows.name, int(frame.index[row]) + 1, reason or problem))
        else:
            kept.append(row)
            inputs.append(given)
            labels.append(names.setdefault(label, label) if isinstance(label, str) else label)  # one object a name
    if task.reads.files and spec.id is None and not rows.numbered:
        kept, inputs, labels, joined_rows = _one_row_an_image(
            rows, task, kept, inputs, labels, dated=spec.time is not None
        )
        notes = (*notes, *joined_rows)
    examples = Examples(
        ids=as_objects([ids[row] for row in kept]),
        inputs=inputs,
        labels=as_objects(labels),
        groups=None if groups is None else as_objects([groups[row] for row in kept]),
        columns=_other_columns(frame, spec, rows.name, kept),
        notes=(*rows.notes, *notes),
        shares=_shares([raw_labels[row] for row in kept]),
    )
    return examples, tuple(rejected)


def _shares(cells: Sequence[Any]) -> Shares | None:
    judged = [cell for cell in cells if isinstance(cell, Judgements)]
    return Shares.of_judgements(judged) if judged else None


def _read_inputs(
    task: Task, sides: tuple[Sequence[Any], Sequence[Any]], folder: Path, spec: DataSpec, opened: int | None
) -> tuple[list[tuple[Input, str]], tuple[str, ...]]:
    """Returns what the model reads of each row and an empty reason, or a reason why it cannot be read; and notes."""
    cells, seconds = sides
    if task.reads.files:
        found = find_files([as_text(cell) for cell in cells], folder)
        empty = [text_problem(cell).replace("text", "image path") for cell in cells]
        checked = check_images(found.paths, opened)
        problems = [e or p or c for e, p, c in zip(empty, found.problems, checked, strict=True)]
        return list(zip(found.paths, problems, strict=True)), found.notes
    return _read_texts(task, cells, seconds, spec), ()


def _read_texts(task: Task, cells: Sequence[Any], seconds: Sequence[Any], spec: DataSpec) -> list[tuple[Input, str]]:
    cells, seconds = ([clean_cell(cell, spec) for cell in column] for column in (cells, seconds))
    if task.reads.pairs:
        pairs = list(zip(cells, seconds, strict=True))
        return [
            (
                (as_text(first), as_text(second)),
                text_problem(first) or text_problem(second).replace("text", "second text", 1),
            )
            for first, second in pairs
        ]
    texts = [joined(cell) for cell in cells] if task.kind.learning.per_token else cells
    return [(as_text(text), text_problem(text)) for text in texts]


def row_texts(cells: Iterable[Any], spec: DataSpec) -> list[tuple[str, str]]:
    """Returns the text of each cell as a model reads it, and an empty reason or why it cannot be read.

    Example:
        >>> row_texts(["fine", " "], DataSpec(train="a.csv"))
        [('fine', ''), (' ', 'empty text')]
    """
    return [(as_text(text), text_problem(text)) for text in (clean_cell(cell, spec) for cell in cells)]


def _one_row_an_image(
    rows: Rows, task: Task, kept: list[int], inputs: list[Input], labels: list[Any], *, dated: bool
) -> tuple[list[int], list[Input], list[Any], tuple[str, ...]]:
    """Joins the labels of an image that stands in several rows, where an image can have several and has no date.

    Raises:
        DataError: It can have one label alone.
    """
    places: dict[str, list[int]] = {}
    for place, given in enumerate(inputs):
        places.setdefault(str(given), []).append(place)
    several = {path: found for path, found in places.items() if len(found) > 1}
    if not several:
        return kept, inputs, labels, ()
    count = sum(map(len, several.values()))
    said = f"{len(several):,} images are in {count:,} rows" if len(several) > 1 else f"one image is in {count} rows"
    path, found = next(iter(several.items()))
    shown = f"{os.path.relpath(path, rows.folder)} with {', '.join(str(labels[place]) for place in found[:4])}"
    if task.kind.labels.form == "set" and not dated:
        firsts = [found[0] for found in places.values()]
        union = [tuple(sorted({name for place in found for name in labels[place]})) for found in places.values()]
        note = f"{said}, one row a label: their labels are joined, {shown}"
        return [kept[place] for place in firsts], [inputs[place] for place in firsts], union, (note,)
    differ = sum(len({str(labels[place]) for place in found}) > 1 for found in several.values())
    other = sibling(task, "set")
    raise DataError(
        said,
        where=rows.name,
        received=shown + (f"; {differ:,} of them with different labels" if differ else ", always with one label"),
        expected="one row an image",
        next_step=f"set task: {other.name}, which joins the labels of an image's rows"
        if differ and other
        else "take the repeated rows out, or name a column of ids with data.id",
    )


def row_ids(rows: Rows, spec: DataSpec, *, task: Task, columns: Columns) -> list[str]:
    """Returns the id of each row: from the id column, an image's path, or file and row number; see ``to_examples``.

    Raises:
        DataError: The id column is missing, or its ids repeat, are empty or cannot be printed.

    Example:
        >>> frame = pd.DataFrame({"text": ["fine", "bad"], "label": ["good", "bad"]})
        >>> from kft.tasks.registry import TASKS
        >>> task, columns = TASKS.get("text-classification"), Columns("text", "label")
        >>> row_ids(Rows("a.csv", frame), DataSpec(train="a.csv"), task=task, columns=columns)
        ['a.csv:1', 'a.csv:2']
    """
    frame, name = rows.frame, rows.name
    if spec.id is None and task.reads.files and not rows.numbered:  # an image is known by its path
        return [f"{name}/{as_text(value).strip()}" for value in frame[columns.text]]
    if spec.id is None and rows.form == DOCUMENT:
        return [f"{name}/{path}" for path in frame[DOCUMENT]]
    if spec.id is None:
        return [f"{name}:{row + 1}" for row in frame.index]
    require_column(frame, spec.id, "data.id", name, expected="the id column")
    ids = [as_text(value).strip() for value in frame[spec.id]]
    refuse_repeated(ids, name, spec)
    # The split's hash and its files separate ids by tabs and line breaks.
    broken = next((value for value in ids if not value.isprintable()), None)
    if broken is not None:
        raise DataError(
            "an id holds a character that cannot be printed",
            where=f"{name}, column {spec.id!r}",
            received=repr(broken)[:80],
            expected="ids without tabs and line breaks",
            next_step=MEND_IDS,
        )
    return ids


def refuse_repeated(ids: Sequence[str], name: str, spec: DataSpec) -> None:
    """Refuses ids that are empty or stand for two rows.

    Raises:
        DataError: Counts them and names the first.

    Example:
        >>> refuse_repeated(["a", "b"], "a.csv", DataSpec(train="a.csv", id="key"))
    """
    empty = [row + 1 for row, value in enumerate(ids) if not value]
    repeated = [f"{value} ({count} times)" for value, count in Counter(ids).items() if value and count > 1]
    if empty or repeated:
        received = [f"{len(empty)} empty, first in row {empty[0]}"] if empty else []
        more = f" and {len(repeated) - 5} more" if len(repeated) > 5 else ""
        raise DataError(
            "ids must be unique and not empty",
            where=name if spec.id is None else f"{name}, column {spec.id!r}",
            received=", ".join([*received, *repeated[:5]]) + more,
            expected="one id a row",
            next_step=MEND_IDS,
        )


def row_groups(frame: pd.DataFrame, group: GroupSpec | None, name: str) -> list[str] | None:
    """Returns the group of each row; None where the recipe names none.

    Raises:
        DataError: The column is missing, or a row has no group.

    Example:
        >>> row_groups(pd.DataFrame({"shop": ["a-1", "b-1"]}), GroupSpec(column="shop", pattern="^(.)"), "a.csv")
        ['a', 'b']
    """
    if group is None:
        return None
    require_column(frame, group.column, "data.group", name, expected="the group column")
    values = [as_text(value).strip() for value in frame[group.column]]
    found: list[str] = values
    if group.pattern is not None:
        matches = [re.search(group.pattern, value) for value in values]
        found = [(match.group(1) or "") if match else "" for match in matches]
    # Rows without a group would silently become one group, or be torn apart.
    missed = [row for row, value in enumerate(found) if not value]
    if missed:
        pattern = group.pattern
        problem = "do not match the pattern" if pattern else "lack a group"
        raise DataError(
            f"{len(missed)} of {len(values)} rows {problem}",
            where=f"{name}, column {group.column!r}, row {missed[0] + 1}",
            received=repr(values[missed[0]])[:80],
            expected=f"a match of {pattern}" if pattern else "a group in every row",
            next_step="mend data.group.pattern in the recipe" if pattern else "mend these cells",
        )
    return found


def _other_columns(frame: pd.DataFrame, spec: DataSpec, name: str, rows: Sequence[int]) -> dict[str, np.ndarray]:
    found = {}
    negative = () if spec.negative is None else (spec.negative,)
    context = () if spec.context is None else (spec.context,)
    named = {"slices": spec.slices, "sensitive": spec.sensitive, "negative": negative, "context": context}
    for key, columns in named.items():
        for column in columns:
            require_column(frame, column, f"data.{key}", name, expected=f"a column named in data.{key}")
            cells = list(frame[column])
            as_cell = as_passages if key == "context" else as_text
            found[column] = as_objects([as_cell(cells[row]).strip() for row in rows])
    return found


def refuse_rejected(
    rejected: Sequence[RejectedRow],
    spec: DataSpec,
    next_step: str = "mend them, or --set data.unusable_rows=skip leaves them out, listed in findings.json",
) -> None:
    """Stops at rows that cannot be used, unless the recipe says to leave them out.

    Raises:
        DataError: Counts them by reason and names the first five.

    Example:
        >>> refuse_rejected([], DataSpec(train="a.csv"))
    """
    if rejected and spec.unusable_rows != "skip":
        raise unusable(f"{len(rejected)} row{'s' if len(rejected) > 1 else ''} cannot be used", rejected, next_step)


def unusable(problem: str, rejected: Sequence[RejectedRow], next_step: str) -> DataError:
    """Returns the error that says why rows cannot be used: counted by reason, with an example of each.

    Args:
        problem: How many they are.
        rejected: At least one.
        next_step: What to do.

    Example:
        >>> unusable("no row can be used", [RejectedRow("a.csv:1", "a.csv", 1, "empty text")], "mend it").problem
        'no row can be used: empty text (1)'
    """
    counts = Counter(row.reason.split(":")[0] for row in rejected)
    firsts = {row.reason.split(":")[0]: row.reason for row in reversed(rejected)}
    return DataError(
        f"{problem}: " + ", ".join(f"{reason} ({count})" for reason, count in counts.most_common()),
        where=", ".join(map(_place, rejected[:5])) + (" ..." if len(rejected) > 5 else ""),
        received=", ".join(firsts[reason] for reason, _ in counts.most_common(3)),
        expected="an input that can be read and a label, in every row",
        next_step=next_step,
    )


def _place(row: RejectedRow) -> str:
    place = f"{row.source}:{row.row}"
    return place if row.id == place else f"{row.id} ({place})"
