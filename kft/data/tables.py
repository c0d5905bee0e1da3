"""Tables of labelled examples: finding their columns, turning rows into examples."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from kft.data.clean import clean_cell
from kft.data.examples import Columns, Examples, Input, RejectedRow
from kft.data.images import check_images, find_images
from kft.data.reading import read_table as read_table
from kft.errors import DataError
from kft.recipe.schema import DataSpec, GroupSpec
from kft.registry import nearest
from kft.tasks.cells import as_objects, as_text, text_problem
from kft.tasks.spans import joined
from kft.tasks.task import Task

# fmt: off
TEXT_NAMES = (
    "text", "body", "sentence", "content", "review", "question", "message", "comment", "description",
    "utterance", "query", "ticket", "document", "note", "abstract", "tweet", "prompt", "input",
)
PAIR_NAMES = ("text_pair", "text2", "text_b", "sentence2", "question2", "second", "hypothesis", "answer", "reply")
FIRST_NAMES = ("text1", "text_a", "sentence1", "question1", "first", "premise")
IMAGE_NAMES = ("image", "path", "file", "filename", "file_name", "image_path", "photo", "picture")
LABEL_NAMES = (
    "label", "labels", "category", "class", "target", "intent", "queue", "sentiment", "topic", "tag",
    "rating", "score", "stars", "department", "outcome", "spans", "tags", "ner_tags", "entities",
)
# fmt: on


MEND_IDS = "mend the ids, or leave data.id out to use file and row number"
IMAGE, LABEL = "image", "label"
"""The columns of a folder of images, as ``read_source`` returns it."""


def read_source(
    source: Path | pd.DataFrame,
    task: Task,
    *,
    columns: Sequence[str] | None = None,
    encoding: str | None = None,
    labelled: bool = True,
) -> pd.DataFrame:
    """Reads a table, or, for tasks on images, a folder with one subfolder a class.

    Args:
        source: A file, a folder or a DataFrame.
        task: What is read.
        columns: Column names of a file without a header.
        encoding: Of a file that is not UTF-8.
        labelled: False takes all images of a folder, whatever subfolder they lie in.

    Raises:
        DataError: It cannot be read, or is a folder where a table is wanted.
    """
    if isinstance(source, pd.DataFrame) or not source.is_dir():
        return read_table(source, columns=columns, encoding=encoding)
    if task.modality != "image":
        raise DataError(
            "a folder where a table is wanted",
            where=str(source),
            received=f"a folder, for {task.name}",
            expected="a csv, tsv, jsonl or parquet file",
            next_step="name the file, or *.csv for all in it, or set task: image-classification for a folder of images",
        )
    return pd.DataFrame(find_images(source), columns=pd.Index([IMAGE, LABEL], dtype=object), dtype=object)


def image_folder(source: Path | pd.DataFrame, base: Path) -> Path:
    """Returns where a source's relative image paths start: the folder itself, or the one a table lies in."""
    if isinstance(source, pd.DataFrame):
        return base
    return source if source.is_dir() else source.parent


def guess_columns(
    frame: pd.DataFrame,
    *,
    text: str | None = None,
    label: str | None = None,
    where: str,
    besides: Sequence[str] = (),
    task: Task | None = None,
    pair: str | None = None,
) -> Columns:
    """Finds the columns of inputs and labels.

    Named columns must be there. Otherwise usual names are looked for; then the column with the longest values
    is the text, and the label is the one with the fewest different values, if they repeat: two rows a value
    on average.

    Args:
        frame: From ``read_table``.
        text: The text column, or that of image paths, if it is known.
        label: Likewise.
        where: The table, for messages.
        besides: Columns that are never guessed, such as those of the id and the group.
        task: What is looked for; default: texts of one class each.
        pair: The column of second texts, if it is known.

    Raises:
        DataError: A named column is missing, or nothing can be guessed.

    Example:
        >>> frame = pd.DataFrame({"body": ["It broke.", "It works.", "Hello"], "queue": ["a", "b", "a"]})
        >>> guess_columns(frame, label="queue", where="tickets.csv")
        Columns(text='body', label='queue', guessed=('text',), pair=None)
    """
    names = [str(name) for name in frame.columns]
    image = task is not None and task.modality == "image"
    pairs = task is not None and task.modality == "text-pair"
    key = "image" if image else "text"
    known = ((key, text), ("text_pair", pair), ("label", label))
    for name, wanted in known:
        if wanted is not None:
            require_column(frame, wanted, f"data.{name}", where, expected=f"the {name} column")
    if len(names) < 2:
        raise DataError(
            "one column is not enough",
            where=where,
            received="column " + ", ".join(map(repr, names)),
            expected=f"a column of {key}s and a column of labels",
            next_step="check the separator: csv wants commas, tsv tabs",
        )
    _require_apart(known, names, where)
    guessed = tuple(name for name, wanted in known if wanted is None and (name != "text_pair" or pairs))
    free = [name for name in names if name not in besides]
    if pairs and pair is None:
        pair = _guess_pair(frame, [name for name in free if name not in (text, label)], where)
    rest = [name for name in free if name not in (pair, label)]
    if text is None:
        text = _guess_image(frame, rest, where) if image else _guess_text(frame, rest, where, FIRST_NAMES * pairs)
    if label is None:
        repeats = task is None or task.kind.name == "classes"
        label = _guess_label(frame, [name for name in free if name not in (text, pair)], where, repeats=repeats)
    return Columns(text, label, guessed, pair)


def _require_apart(known: Sequence[tuple[str, str | None]], names: Sequence[str], where: str) -> None:
    seen: dict[str, str] = {}
    for key, column in known:
        if column is not None and seen.setdefault(column, key) != key:
            raise DataError(
                f"{seen[column]} and {key} are the same column",
                where=where,
                received=f"{column!r} for both",
                expected="two columns of: " + ", ".join(names),
                next_step=f"set data.{key} in the recipe or --set data.{key}=COLUMN",
            )


def _usual(names: Sequence[str], usual: Sequence[str]) -> str | None:
    by_lower = {name.strip().lower(): name for name in reversed(names)}
    return next((by_lower[name] for name in usual if name in by_lower), None)


def _guess_pair(frame: pd.DataFrame, names: Sequence[str], where: str) -> str:
    found = _usual(names, PAIR_NAMES)
    if found is None:
        raise _cannot_guess("text_pair", frame, where, "a column of second texts")
    return found


def _guess_image(frame: pd.DataFrame, names: Sequence[str], where: str) -> str:
    found = _usual(names, IMAGE_NAMES)
    if found is None:
        raise _cannot_guess("image", frame, where, "a column of image paths")
    return found


def _guess_text(frame: pd.DataFrame, names: Sequence[str], where: str, usual: Sequence[str] = ()) -> str:
    lengths = {name: sum(len(v) for v in frame[name] if isinstance(v, (str, list))) for name in names}
    with_text = [name for name in names if lengths[name]]
    # What has a usual label name is the text only where nothing else is left.
    fit = [name for name in with_text if name.strip().lower() not in LABEL_NAMES] or with_text
    found = _usual(with_text, (*usual, *TEXT_NAMES)) or max(fit, key=lambda name: lengths[name], default=None)
    if found is None:
        raise _cannot_guess("text", frame, where, "a column of texts")
    return found


def _guess_label(frame: pd.DataFrame, names: Sequence[str], where: str, *, repeats: bool = True) -> str:
    found = _usual(names, LABEL_NAMES)
    if found is None and not repeats and len(names) == 1:
        return names[0]
    if found is None:
        different = {name: frame[name].astype(str).nunique() for name in names}
        fit = [name for name in names if 2 <= different[name] <= len(frame) // 2]
        found = min(fit, key=lambda name: different[name], default=None)
    if found is None:
        raise _cannot_guess("label", frame, where, "a column with at least two different values that repeat")
    return found


def _cannot_guess(key: str, frame: pd.DataFrame, where: str, expected: str) -> DataError:
    return DataError(
        f"no column looks like the {key}",
        where=where,
        received="columns " + ", ".join(map(str, frame.columns)),
        expected=expected,
        next_step=f"set data.{key} in the recipe or --set data.{key}=COLUMN",
    )


def require_column(frame: pd.DataFrame, column: str, key: str, where: str, *, expected: str) -> None:
    """Refuses a table without a column that the recipe names.

    Args:
        frame: The table.
        column: Its name.
        key: The recipe's key for it.
        where: What the table is called.
        expected: What the column holds.

    Raises:
        DataError: Suggests the nearest name.
    """
    names = [str(name) for name in frame.columns]
    if column not in names:
        hint = nearest(column, names)
        raise DataError(
            f"no column {column!r}" + (f"; did you mean {hint!r}?" if hint else ""),
            where=where,
            received="columns " + ", ".join(names),
            expected=expected,
            next_step=f"set {key} in the recipe or --set {key}={hint or 'COLUMN'}",
        )


def to_examples(
    frame: pd.DataFrame,
    spec: DataSpec,
    *,
    task: Task,
    name: str,
    columns: Columns,
    folder: Path | None = None,
    labelled: bool = True,
    numbered: bool = False,
) -> tuple[Examples, tuple[RejectedRow, ...]]:
    """Turns rows into examples; rows without a usable input or label are named instead.

    Args:
        frame: From ``read_table``.
        spec: Bins, id column, groups.
        task: Says what an input and a label are.
        name: What the table is called in ids: ``name:row``, rows counting from 1.
        columns: From ``guess_columns``.
        folder: Where relative paths of images start.
        labelled: False for inputs alone: no label column is looked at, and ``labels`` is None.
        numbered: True names images by their rows, as texts are, and not by their paths.

    Raises:
        DataError: The id or group column is missing, ids repeat, or a group's pattern does not match.

    Example:
        >>> from kft.tasks.registry import TASKS
        >>> frame = pd.DataFrame({"text": ["fine", " "], "label": ["good", "bad"]})
        >>> examples, rejected = to_examples(
        ...     frame,
        ...     DataSpec(train="a.csv"),
        ...     task=TASKS.get("text-classification"),
        ...     name="a.csv",
        ...     columns=Columns("text", "label"),
        ... )
        >>> examples.ids.tolist(), [(row.id, row.reason) for row in rejected]
        (['a.csv:1'], [('a.csv:2', 'empty text')])
    """
    ids = row_ids(frame, spec, task=task, name=name, columns=columns, numbered=numbered)
    groups = _groups(frame, spec.group, name)
    cells = list(frame[columns.text])
    seconds = list(frame[columns.pair]) if columns.pair else [None] * len(frame)
    raw_labels = list(frame[columns.label]) if labelled else [None] * len(frame)
    settled = task.kind.settle(raw_labels, spec) if labelled else spec
    kept, inputs, labels, rejected = [], [], [], []
    read = _read_inputs(task, cells, seconds, folder, spec)
    for row, ((given, reason), cell, raw) in enumerate(zip(read, cells, raw_labels, strict=True)):
        label, problem = task.kind.parse(raw, cell, settled) if labelled and not reason else (None, "")
        if reason or problem:
            rejected.append(RejectedRow(ids[row], name, int(frame.index[row]) + 1, reason or problem))
        else:
            kept.append(row)
            inputs.append(given)
            labels.append(label)
    examples = Examples(
        ids=as_objects([ids[row] for row in kept]),
        inputs=inputs,
        labels=as_objects(labels) if labelled else None,
        groups=None if groups is None else as_objects([groups[row] for row in kept]),
        columns=_other_columns(frame, spec, name, kept),
    )
    return examples, tuple(rejected)


def _read_inputs(
    task: Task, cells: Sequence[Any], seconds: Sequence[Any], folder: Path | None, spec: DataSpec
) -> list[tuple[Input, str]]:
    """Returns what the model reads of each row and an empty reason, or a reason why it cannot be read."""
    if task.modality == "image":
        paths = [(folder or Path()) / as_text(cell) for cell in cells]
        empty = [text_problem(cell).replace("text", "image path") for cell in cells]
        return list(zip(paths, (e or c for e, c in zip(empty, check_images(paths), strict=True)), strict=True))
    cells, seconds = ([clean_cell(cell, spec) for cell in column] for column in (cells, seconds))
    if task.modality == "text-pair":
        pairs = list(zip(cells, seconds, strict=True))
        return [
            (
                (as_text(first), as_text(second)),
                text_problem(first) or text_problem(second).replace("text", "second text", 1),
            )
            for first, second in pairs
        ]
    texts = [joined(cell) for cell in cells] if task.kind.per_token else cells
    return [(as_text(text), text_problem(text)) for text in texts]


def row_ids(
    frame: pd.DataFrame, spec: DataSpec, *, task: Task, name: str, columns: Columns, numbered: bool = False
) -> list[str]:
    """Returns the id of each row: from the id column, an image's path, or file and row number; see ``to_examples``.

    Raises:
        DataError: The id column is missing, or its ids repeat, are empty or cannot be printed.

    Example:
        >>> frame = pd.DataFrame({"text": ["fine", "bad"], "label": ["good", "bad"]})
        >>> from kft.tasks.registry import TASKS
        >>> task, columns = TASKS.get("text-classification"), Columns("text", "label")
        >>> row_ids(frame, DataSpec(train="a.csv"), task=task, name="a.csv", columns=columns)
        ['a.csv:1', 'a.csv:2']
    """
    if spec.id is None and task.modality == "image" and not numbered:  # an image is known by its path
        return [f"{name}/{as_text(value).strip()}" for value in frame[columns.text]]
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


def _groups(frame: pd.DataFrame, group: GroupSpec | None, name: str) -> list[str] | None:
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
    for key, columns in (("slices", spec.slices), ("sensitive", spec.sensitive)):
        for column in columns:
            require_column(frame, column, f"data.{key}", name, expected=f"a column named in data.{key}")
            cells = list(frame[column])
            found[column] = as_objects([as_text(cells[row]).strip() for row in rows])
    return found


def refuse_rejected(rejected: Sequence[RejectedRow], spec: DataSpec) -> None:
    """Stops at rows that cannot be used, unless the recipe says to leave them out.

    Raises:
        DataError: Counts them by reason and names the first five.

    Example:
        >>> refuse_rejected([], DataSpec(train="a.csv"))
    """
    if not rejected or spec.unusable_rows == "skip":
        return
    counts = Counter(row.reason.split(":")[0] for row in rejected)
    raise DataError(
        f"{len(rejected)} row{'s' if len(rejected) > 1 else ''} cannot be used: "
        + ", ".join(f"{reason} ({count})" for reason, count in counts.most_common()),
        where=", ".join(map(_place, rejected[:5])) + (" ..." if len(rejected) > 5 else ""),
        received=rejected[0].reason,
        expected="a text and a label in every row",
        next_step="mend them, or --set data.unusable_rows=skip leaves them out, listed in findings.json",
    )


def _place(row: RejectedRow) -> str:
    place = f"{row.source}:{row.row}"
    return place if row.id == place else f"{row.id} ({place})"
