"""Looks at a table, or a folder of files by class, for the first time: what could be learnt, and what is amiss."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from kft.characters import several, shorten
from kft.curate.beside import OtherSplits, Train, find_beside
from kft.curate.first_reading import read_first
from kft.curate.likely_labels import about_guess, about_label_columns
from kft.curate.likely_task import is_number, other_tasks
from kft.curate.proposals import Proposals, propose
from kft.curate.written import about_responses
from kft.data.dialects import PLAIN, SIGNS, Dialect, dialect_of
from kft.data.examples import Columns, Examples, NamedColumns, RejectedRow
from kft.data.parts import is_pattern, open_source, parts_to_examples, whole
from kft.data.soft_columns import SAID
from kft.data.tables import Rows, unusable
from kft.errors import DataError
from kft.recipe.schema import DataSpec
from kft.recipe.sources import TFDS
from kft.tasks.cells import as_text
from kft.tasks.task import Task

FEW_ROWS = 10
"""Below so many rows a class, a measured accuracy says little about that class."""
LONG_NAME = 50
"""Characters; a longer name of a column is rather a text."""
MOST_OPENED = 1000
"""Of more images, so many are opened, spread over all."""
SAMPLE = 1000
"""Texts whose tokens are counted, spread over all."""

NOTHING = NamedColumns()


@dataclass(frozen=True)
class Look:
    """What a table or a folder holds, read as training will read it.

    Attributes:
        source: As the person wrote it.
        path: The file or folder; None where the source is several, or rows of tensorflow-datasets.
        folders: Whether it is a folder of images or documents by class.
        task: What could be learnt from it.
        rows: How many rows or images.
        usable: How many of them training can use.
        columns: Those of inputs and labels.
        labels: The columns that make a label together; none where one column holds the labels.
        proposals: What the other columns could be.
        counts: Rows of each label, most frequent first; empty for numbers.
        examples: One input of each label.
        numbers: The labels, where they are numbers.
        words: Median and largest number of words a text; zeros for images.
        sample: Texts, both sides of a pair as one.
        beside: Files or folders beside it that are plainly other splits.
        test: Another source that is plainly the test split; None where none is.
        dialect: How its files are written, as far as a recipe should say.
        unusable: Why rows cannot be used, here and in the splits beside it, with how many.
        unopened: How many images were not opened.
        warnings: What to look at before training.
        responses: Of the texts in ``sample``, where responses are to be written.
        chats: The column that holds both; None where there is none.
    """

    source: str
    path: Path | None
    folders: bool
    task: Task
    rows: int
    usable: int
    columns: Columns
    labels: tuple[str, ...]
    proposals: Proposals
    counts: dict[str, int]
    examples: dict[str, str]
    numbers: tuple[float, ...]
    words: tuple[float, int]
    sample: tuple[str, ...]
    beside: OtherSplits
    test: Path | str | None
    dialect: Dialect
    unusable: tuple[tuple[str, int], ...]
    unopened: int
    warnings: tuple[str, ...]
    responses: tuple[str, ...] = ()
    chats: str | None = None

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
        reads, (median, longest) = self.task.reads, self.words
        words = f", median {median:,.0f} words, longest {longest:,}"
        if self.folders and not reads.files:
            yield "text", f"one document a file{words}"
        if not self.folders:
            yield (
                reads.columns[0],
                f"column {(self.chats or self.columns.text)!r}" + ("" if reads.files or reads.pairs else words),
            )
            if self.columns.pair:
                yield "text_pair", f"column {self.columns.pair!r}; both together:{words.removeprefix(',')}"
        place = "the names of the folders" if self.folders else f"column {self.columns.label!r}"
        if self.labels:
            place = f"columns {', '.join(map(repr, self.labels))}, {SAID[self.columns.holds]}"
        if self.task.kind.writes:
            place = place if self.chats is None else "the last turn of each chat"
            yield "response", f"{place}, {about_responses(self.responses)}"
        elif self.numbers:
            low, middle, high = np.percentile(self.numbers, [0, 50, 100])
            yield "label", f"{place}, numbers from {low:g} to {high:g}, median {middle:g}"
        else:
            noun = "classes" if self.task.kind.one_class else "labels"
            yield "label", f"{place}, {len(self.counts)} {noun}, smallest {several(min(self.counts.values()), 'row')}"
        for kind, said in self.proposals.said:
            yield kind, said + ("; not in force: data.time in the recipe tests on the newest" if kind == "time" else "")
        if self.proposals.others:
            yield "others", f"not read: {', '.join(map(repr, self.proposals.others))}"
        for role, path in (("valid", self.beside.valid), ("test", self.beside.test)):
            if path is not None:
                yield role, f"{path.name}, beside it"
        if self.unusable:
            reasons = ", ".join(f"{reason} ({count:,})" for reason, count in self.unusable)
            yield "unusable", f"{sum(count for _, count in self.unusable):,} rows: {reasons}"

    def as_dict(self) -> dict[str, Any]:
        """Returns what ``kft init --json`` prints."""
        return {
            "task": self.task.name,
            "rows": self.rows,
            "usable": self.usable,
            "unusable": dict(self.unusable),
            "text": self.columns.text,
            "text_pair": self.columns.pair,
            "label": list(self.labels) or self.columns.label,
            "labels": self.counts,
            "id": self.proposals.id,
            "group": self.proposals.group,
            "time": self.proposals.time,
            "other_columns": list(self.proposals.others),
            "valid": None if self.beside.valid is None else str(self.beside.valid),
            "test": None if self.test is None else str(self.test),
            "median_words": self.words[0],
            "longest_words": self.words[1],
            "warnings": list(self.warnings),
        }


def look_at(
    source: str,
    *,
    base: Path,
    locate: Callable[[str, Path], Path],
    task: str | None = None,
    named: NamedColumns = NOTHING,
    dialect: Dialect = PLAIN,
) -> Look:
    """Reads a table or a folder as training will, guesses its columns and counts its labels.

    Args:
        source: As the person wrote it.
        base: Where a relative path starts.
        locate: Finds the file or folder.
        task: What is to be learnt; default: one class an image where there are images, one class for two texts where
            there are pairs of texts, any number of labels where cells hold lists, else one class a text.
        named: The columns that are known.
        dialect: What is known of how files are written.

    Raises:
        DataError: It cannot be read, has no such columns, or cannot be learnt from.
    """
    parts = open_source(source, base, locate)
    paths = [part.table for part in parts if isinstance(part.table, Path)]
    folders = bool(paths) and all(path.is_dir() for path in paths)
    read = read_first(parts, source, base, task, named, dialect)
    rows, wanted, columns, labels, chats = read.rows, read.task, read.columns, read.labels, read.chats
    frame = whole(rows)
    opened = MOST_OPENED if wanted.reads.files else None
    examples, rejected = parts_to_examples(rows, read.spec, task=wanted, columns=columns, opened=opened)
    _require_lesson(examples, rejected, frame, columns, wanted, source)
    inputs = _as_texts(examples, wanted, "" if folders or len(rows) > 1 else f"{rows[0].name}/")
    counts, firsts = _count(examples, inputs, wanted)
    known = [] if examples.labels is None else list(examples.labels)
    numbers = tuple(map(float, known)) if wanted.kind.numeric else ()
    step = -(-len(inputs) // SAMPLE)
    beside = OtherSplits()
    if len(paths) == 1 and not is_pattern(source, base):
        beside = find_beside(Train(paths[0], read.spec, wanted, columns, tuple(counts), opened))
    reasons = Counter(reason.split(":")[0] for reason in (*(row.reason for row in rejected), *beside.reasons))
    warnings = (
        *_header(columns),
        *((f"{read.headless}; data.columns names the columns",) if read.headless else ()),
        *examples.notes,
        *beside.notes,
        *_warnings(wanted, inputs, counts, reasons),
        *other_tasks(wanted, list(frame[columns.label]), counts, source),
        *about_label_columns(frame, labels, columns, wanted, source),
        *(() if labels or folders else about_guess(frame, columns, wanted)),
    )
    lengths = [0] if wanted.reads.files else [len(text.split()) for text in inputs]
    return Look(
        source=source,
        path=paths[0] if paths and not is_pattern(source, base) else None,
        folders=folders,
        task=wanted,
        rows=len(frame),
        usable=len(examples),
        columns=columns,
        proposals=Proposals()
        if folders
        else propose(frame.drop(columns=[*labels, *([] if chats is None else [chats])]), columns),
        labels=labels,
        counts=dict(counts.most_common()),
        examples=firsts,
        numbers=numbers,
        words=(float(np.median(lengths)), max(lengths)),
        sample=() if wanted.reads.files else tuple(inputs[::step]),
        beside=beside,
        test=_other_split(source, base) if source.startswith(TFDS) else beside.test,
        dialect=_seen_dialect(rows, read.spec),
        unusable=tuple(reasons.most_common()),
        unopened=max(0, len(frame) - MOST_OPENED) if wanted.reads.files else 0,
        warnings=warnings,
        responses=tuple(map(str, known[::step])) if wanted.kind.writes else (),
        chats=chats,
    )


def _seen_dialect(rows: Sequence[Rows], spec: DataSpec) -> Dialect:
    """How files are written, with what was found of it: a recipe then reads other files in the same way."""
    known = dialect_of(spec)
    tables = [part.table for part in rows if part.table is not None]
    unusual = any(part.table.separator not in ("", ",") for part in rows if part.table and part.name.endswith(".csv"))
    names = {sign: name for name, sign in SIGNS.items()}
    return Dialect(
        known.columns,
        known.encoding or next((table.encoding for table in tables if table.encoding), None),
        known.separator or (names[tables[0].separator] if unusual else None),
    )


def _require_lesson(
    examples: Examples,
    rejected: Sequence[RejectedRow],
    frame: pd.DataFrame,
    columns: Columns,
    task: Task,
    source: str,
) -> None:
    """Refuses data from which nothing can be learnt.

    Raises:
        DataError: No row can be used, or the labels are all the same.
    """
    step = f"kft init {shlex.quote(source)} --label COLUMN, with one of: {', '.join(map(str, frame.columns))}"
    if not len(examples) and rejected:
        raise unusable("no row can be used", rejected, f"mend them; or, for another column, {step}")
    labels = [] if examples.labels is None else list(examples.labels)
    lack = task.kind.labels.lack(task.kind.labels.space(labels))
    if lack:
        raise DataError(
            lack,
            where=f"{source}, column {columns.label!r}",
            received=as_text(next(iter(frame[columns.label]), ""))[:80],
            expected=f"labels for {task.name}",
            next_step=step,
        )


def _as_texts(examples: Examples, task: Task, table: str) -> list[str]:
    """The inputs for people: both texts of a pair as one, of an image where it lies, as a table says it."""
    if task.reads.pairs:
        return [" | ".join(given) for given in examples.inputs]
    if task.reads.files:
        return [str(identifier).removeprefix(table) for identifier in examples.ids]
    return [str(given) for given in examples.inputs]


def _count(examples: Examples, inputs: Sequence[str], task: Task) -> tuple[Counter[str], dict[str, str]]:
    """Returns how many rows have each label, and one input of each."""
    firsts: dict[str, str] = {}
    counts: Counter[str] = Counter()
    for label, given in zip(() if examples.labels is None else examples.labels, inputs, strict=True):
        for name in dict.fromkeys(task.kind.labels.names(label)):
            counts[name] += 1
            firsts.setdefault(name, given)
    return counts, firsts


def _header(columns: Columns) -> Iterator[str]:
    """A first line of data where names are wanted."""
    for name in (columns.text, columns.label):
        if is_number(name) or len(name) > LONG_NAME:
            yield (
                f"the column name {shorten(name, 40)!r} looks like a row: where a file has no header, "
                "data.columns names its columns"
            )
            return


def _warnings(task: Task, inputs: Sequence[str], counts: Counter[str], reasons: Counter[str]) -> Iterator[str]:
    if reasons:
        left = sum(reasons.values())
        yield (
            f"{several(left, 'row')} cannot be used: the recipe leaves {'it' if left == 1 else 'them'} out "
            f"(data.unusable_rows: skip), and kft check lists {'it' if left == 1 else 'them'}"
        )
    small = [name for name, count in counts.items() if count < FEW_ROWS]
    if small:
        has, more = "has" if len(small) == 1 else "have", f" and {len(small) - 5:,} more" if len(small) > 5 else ""
        yield f"{several(len(small), 'label')} {has} fewer than {FEW_ROWS} rows: {', '.join(small[:5])}{more}"
    repeated = len(inputs) - len(set(inputs))
    if repeated and not task.reads.pairs:
        yield (
            f"{several(repeated, f'copy of {task.reads.one}', f'copies of {task.reads.medium}s')}: they stay on one "
            "side of a split that kft makes, and kft check looks for them across files"
        )


def _other_split(source: str, base: Path) -> str | None:
    """The split ``test`` of the same data set, where there is one and all of ``train`` was looked at."""
    from kft.data.tfds import split_names

    place, _, split = source.partition("?")
    return f"{place}?split=test" if split == "split=train" and "test" in split_names(source, base) else None
