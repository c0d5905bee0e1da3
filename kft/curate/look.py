"""Looks at a table or a folder of images for the first time: what could be learnt from it, and what is amiss."""

from __future__ import annotations

import os
import re
import shlex
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from kft.data.columns import guess_columns
from kft.data.examples import Columns, Wanted
from kft.data.image_folders import SplitFolders, splits_beside
from kft.data.image_paths import find_files
from kft.data.images import SUFFIXES
from kft.data.parts import name_parts, open_source, read_parts, whole
from kft.data.tables import Rows
from kft.errors import DataError
from kft.recipe.schema import DataSpec
from kft.recipe.sources import TFDS, is_glob
from kft.tasks.cells import as_text
from kft.tasks.inputs import IMAGE_NAMES
from kft.tasks.registry import TASKS, first_task, sibling
from kft.tasks.spans import joined
from kft.tasks.task import LabelColumn, Task

FEW_ROWS = 10
"""Below so many rows a class, a measured accuracy says little about that class."""
MANY_NUMBERS = 20
"""So many different numbers among the labels are a scale rather than names of classes."""

LONG_NAME = 50
"""Characters; a longer name of a column is rather a text."""

NOTHING = Wanted()


@dataclass(frozen=True)
class Look:
    """What a table or a folder holds.

    Attributes:
        source: As the person wrote it.
        path: The file or folder; None where the source is several, or rows of tensorflow-datasets.
        folders: Whether it is a folder of images by class.
        task: What could be learnt from it.
        rows: How many rows or images.
        columns: Those of inputs and labels.
        counts: Rows of each label, most frequent first; empty for numbers.
        examples: One input of each label.
        numbers: The labels, where they are numbers.
        median_words: Median words a text; 0 for images.
        valid: A folder beside it that is plainly the valid split; None where none is.
        test: A file or folder beside it that is plainly the test split, as a path or a source; None where none is.
        encoding: Of files that are not UTF-8.
        warnings: What to look at before training.
    """

    source: str
    path: Path | None
    folders: bool
    task: Task
    rows: int
    columns: Columns
    counts: dict[str, int]
    examples: dict[str, str]
    numbers: tuple[float, ...]
    median_words: float
    valid: Path | None
    test: Path | str | None
    encoding: str | None
    warnings: tuple[str, ...]

    def largest(self, most: int) -> list[tuple[str, int, str]]:
        """Returns label, rows and a shortened example for the most frequent labels."""
        shown = [(name, count, shorten(self.examples[name], 60)) for name, count in self.counts.items()]
        if len(shown) > most:
            rest = sum(count for _, count, _ in shown[most - 1 :])
            shown = [*shown[: most - 1], (f"{len(shown) - most + 1} more", rest, "")]
        return shown

    def summary(self) -> Iterator[tuple[str, str]]:
        """Yields what was found, as a title and a line."""
        yield "task", f"{self.task.name}: {self.task.about}"
        if not self.folders:
            words = f", median {self.median_words:.0f} words"
            reads = self.task.reads
            yield reads.columns[0], f"column {self.columns.text!r}" + ("" if reads.files else words)
        if self.columns.pair:
            yield "text_pair", f"column {self.columns.pair!r}"
        place = "the names of the folders" if self.folders else f"column {self.columns.label!r}"
        if self.numbers:
            low, middle, high = np.percentile(self.numbers, [0, 50, 100])
            yield "label", f"{place}, numbers from {low:g} to {high:g}, median {middle:g}"
        else:
            noun = "classes" if self.task.kind.one_class else "labels"
            yield "label", f"{place}, {len(self.counts)} {noun}, smallest {min(self.counts.values())} rows"

    def as_dict(self) -> dict[str, Any]:
        """Returns what ``kft init --json`` prints."""
        return {
            "task": self.task.name,
            "rows": self.rows,
            "text": self.columns.text,
            "label": self.columns.label,
            "labels": self.counts,
            "median_words": self.median_words,
            "warnings": list(self.warnings),
        }


def look_at(
    source: str,
    *,
    base: Path,
    locate: Callable[[str, Path], Path],
    task: str | None = None,
    named: Wanted = NOTHING,
    encoding: str | None = None,
) -> Look:
    """Reads a table or a folder, guesses its columns and counts its labels.

    Args:
        source: As the person wrote it.
        base: Where a relative path starts.
        locate: Finds the file or folder.
        task: What is to be learnt; default: one class an image where there are images, else one class a text.
        named: The columns that are known.
        encoding: Of files that are not UTF-8.

    Raises:
        DataError: It cannot be read, has no such columns, or cannot be learnt from.
    """
    parts = open_source(source, base, locate)
    paths = [part.table for part in parts if isinstance(part.table, Path)]
    folders = bool(paths) and all(path.is_dir() for path in paths)
    spec = DataSpec(train=source, encoding=encoding)
    wanted = TASKS.get(task) if task else first_task(files=True)
    with _splits_as_commands(source, base):
        rows = read_parts(parts, name_parts(parts), spec, task=wanted, base=base)
    frame = whole(rows)
    if task is None and not (folders or names_images(rows)):
        wanted = first_task(files=False)
    columns = guess_columns(frame, named, where=source, task=wanted)
    inputs = [as_text(joined(value)) for value in frame[columns.text]]
    labels = LabelColumn(list(frame[columns.label]), list(frame[columns.text]), f"{source}, column {columns.label!r}")
    parsed = _parse_labels(labels, frame, wanted, source)
    examples: dict[str, str] = {}
    counts: Counter[str] = Counter()
    for (found, problem), given in zip(parsed, inputs, strict=True):
        for name in () if problem else dict.fromkeys(wanted.kind.labels.names(found)):
            counts[name] += 1
            examples.setdefault(name, given)
    problems = [problem for _, problem in parsed]
    problems += [
        "empty input" for given, (_, problem) in zip(inputs, parsed, strict=True) if not (given.strip() or problem)
    ]
    beside, lacking = splits_beside(paths[0]) if folders and len(paths) == 1 else ({}, [])
    warnings = (
        *_header(columns),
        *lacking,
        *(note for part in rows for note in part.notes),
        *wanted.kind.labels.notes(labels, spec),
        *_several_rows(rows, columns, source, wanted),
        *_warnings(wanted, inputs, counts, problems),
        *_other_tasks(wanted, list(frame[columns.label]), counts, source),
    )
    return Look(
        source=source,
        path=paths[0] if paths and not is_glob(source) else None,
        folders=folders,
        task=wanted,
        rows=len(frame),
        columns=columns,
        counts=dict(counts.most_common()),
        examples=examples,
        numbers=() if counts else tuple(found for found, problem in parsed if not problem),
        median_words=0.0 if wanted.reads.files else float(np.median([len(text.split()) for text in inputs])),
        valid=beside.get("valid"),
        test=_other_split(source, base) if source.startswith(TFDS) else beside.get("test") or _test_beside(paths),
        encoding=encoding,
        warnings=warnings,
    )


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


def _parse_labels(labels: LabelColumn, frame: pd.DataFrame, task: Task, source: str) -> list[tuple[Any, str]]:
    """Returns each row's label and what is wrong with it.

    Raises:
        DataError: Nothing can be learnt from these labels.
    """
    labelling = task.kind.labels
    spec = labelling.settle(labels, DataSpec(train=source))
    parsed = [labelling.parse(cell, given, spec) for cell, given in zip(labels.cells, labels.texts, strict=True)]
    found = [label for label, problem in parsed if not problem]
    lack = labelling.lack(labelling.space(found)) if found else f"no label in any of {len(frame):,} rows"
    if lack:
        raise DataError(
            lack,
            where=labels.where,
            received=next((problem for _, problem in parsed if problem), None) or as_text(labels.cells[0])[:80],
            expected=f"labels for {task.name}",
            next_step=f"kft init {source} --label COLUMN, with one of: {', '.join(map(str, frame.columns))}",
        )
    return parsed


def names_images(rows: Sequence[Rows]) -> bool:
    """Whether a table has a column, of a usual name, of image paths: by their endings, or because they are there."""
    for part in rows:
        for name in part.frame.columns:
            if str(name).strip().lower() in IMAGE_NAMES:
                cells = [as_text(value) for value in part.frame[name][:FEW_ROWS]]
                if any(cell.lower().strip().endswith(SUFFIXES) for cell in cells):
                    return True
                found = find_files(cells, part.folder)
                if any(path.suffix.lower() in SUFFIXES and path.is_file() for path in found.paths):
                    return True
    return False


def _several_rows(rows: Sequence[Rows], columns: Columns, source: str, task: Task) -> Iterator[str]:
    """What to say of images that stand in several rows each."""
    images = [f"{part.name}/{as_text(value).strip()}" for part in rows for value in part.frame[columns.text]]
    repeated = [count for count in Counter(images).values() if count > 1]
    other = sibling(task, "set")
    if task.reads.files and task.kind.one_class and repeated and other:
        yield (
            f"{len(repeated):,} images stand in {sum(repeated):,} rows: where each row is a label, "
            f"kft init {source} --task {other.name}"
        )


def _header(columns: Columns) -> Iterator[str]:
    """A first line of data where names are wanted."""
    for name in (columns.text, columns.label):
        if _is_number(name) or len(name) > LONG_NAME:
            yield (
                f"the column name {shorten(name, 40)!r} looks like a row: where a file has no header, "
                "data.columns names its columns"
            )
            return


def _warnings(task: Task, inputs: Sequence[str], counts: Counter[str], problems: Sequence[str]) -> Iterator[str]:
    unusable = [problem for problem in problems if problem]
    if unusable:
        yield (f"{len(unusable):,} rows cannot be used ({unusable[0]}): mend them, or set data.unusable_rows: skip")
    small = [name for name, count in counts.items() if count < FEW_ROWS]
    if small:
        yield f"{len(small)} labels have fewer than {FEW_ROWS} rows: {', '.join(small[:5])}"
    repeated = len(inputs) - len(set(inputs))
    if repeated and not task.reads.pairs:
        yield f"{repeated:,} {task.reads.medium}s stand there more than once; copies on both sides of a split flatter"


def _other_tasks(task: Task, cells: Sequence[Any], counts: Counter[str], source: str) -> Iterator[str]:
    """What the labels look like that one class an example does not fit."""
    if not task.kind.one_class:
        return
    numbers, several, spans = (sibling(task, form) for form in ("number", "set", "spans"))
    if len(counts) > MANY_NUMBERS and all(_is_number(name) for name in counts):
        other = f"kft init {source} --task {numbers.name}, or " if numbers else ""
        yield f"the labels are numbers: {other}data.bins turns them into classes"
    lists = sum(isinstance(cell, (list, tuple)) or bool(re.search(r"[|;]|^\s*\[", as_text(cell))) for cell in cells)
    if several and lists > len(cells) / 10:
        other = f", or {spans.name} for spans" if spans else ""
        yield f"{lists:,} labels look like lists: kft init {source} --task {several.name}{other}"


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _other_split(source: str, base: Path) -> str | None:
    """The split ``test`` of the same data set, where there is one and all of ``train`` was looked at."""
    from kft.data.tfds import split_names

    place, _, split = source.partition("?")
    return f"{place}?split=test" if split == "split=train" and "test" in split_names(source, base) else None


def _test_beside(paths: Sequence[Path]) -> Path | None:
    path = paths[0]
    if path.is_dir() or len(paths) > 1 or "train" not in path.stem:
        return None
    other = path.with_name(path.stem.replace("train", "test") + path.suffix)
    return other if other.exists() else None


def shorten(text: str, width: int) -> str:
    """Returns a text on one line of at most so many characters."""
    line = " ".join(text.split())
    return line if len(line) <= width else line[: width - 3] + "..."
