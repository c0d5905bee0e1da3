"""What could be learnt from tables, where nobody has named a task: judged by their columns."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from kft.curate.written import names_responses
from kft.data.examples import NamedColumns
from kft.data.forms import looks_tagged
from kft.data.image_paths import find_files
from kft.data.images import SUFFIXES
from kft.data.parts import whole
from kft.data.sentences import HEAD, MAYBE, holds_words
from kft.data.sentences import SUFFIXES as SUFFIXES_OF_WORDS
from kft.data.tables import Rows
from kft.tasks.cells import as_text
from kft.tasks.inputs import FIRST_NAMES, IMAGE_NAMES, PAIR_NAMES
from kft.tasks.label_cells import list_in
from kft.tasks.registry import TASKS, first_task, sibling
from kft.tasks.task import Task

MANY_NUMBERS = 20
"""So many different numbers among the labels are a scale rather than names of classes."""
FIRST = 10
"""So many cells tell whether a column names images."""


def task_of_tables(rows: Sequence[Rows], named: NamedColumns) -> Task:
    """What the columns of tables look like, where nobody has named a task."""
    if names_images(rows):
        return first_task(files=True)
    frame = whole(rows)
    return tagging() if looks_tagged(frame) else _task_on_texts(frame, named)


def task_of_labels(cells: Iterable[Any], task: Task) -> Task:
    """Returns the task of several labels where nobody has named a task and a cell lists two, else the given one.

    One class a row would leave out every row that has several labels.

    Example:
        >>> from kft.tasks.registry import TASKS
        >>> one = TASKS.get("text-classification")
        >>> task_of_labels(["['a', 'b']", "['a']"], one).name, task_of_labels(["['a']", "['b']"], one).name
        ('text-multi-label', 'text-classification')
    """
    several = sibling(task, "set") if task.kind.one_class else None
    return several if several is not None and any(map(_lists_several, cells)) else task


def _lists_several(cell: Any) -> bool:
    try:
        return len(list_in(cell) or ()) > 1
    except ValueError:
        return False


def are_words(path: Path) -> bool:
    """Whether a file holds one word a line, with its tag."""
    suffix = path.suffix.lower()
    if suffix in SUFFIXES_OF_WORDS or suffix not in MAYBE or not path.is_file():
        return suffix in SUFFIXES_OF_WORDS
    with path.open("rb") as file:
        return holds_words(file.read(HEAD).decode("utf-8", "replace"), path)


def tagging() -> Task:
    """The task whose labels are parts of a text."""
    found = sibling(first_task(files=False), "spans")
    assert found is not None
    return found


def _task_on_texts(frame: pd.DataFrame, named: NamedColumns) -> Task:
    """Two columns that are called like two sides of a pair are one; otherwise texts are read one by one."""
    if named.pair is None and names_responses([str(name) for name in frame.columns]):
        return next(task for task in TASKS if task.kind.writes)
    names = {str(name).strip().lower() for name in frame.columns}
    sides = any(first in names and second in names for first, second in zip(FIRST_NAMES, PAIR_NAMES[1:], strict=False))
    pairs = named.pair is not None or (sides and named.text is None)
    return next(task for task in TASKS if not task.reads.files and task.reads.pairs == pairs)


def names_images(rows: Sequence[Rows]) -> bool:
    """Whether a table has a column, of a usual name, of image paths: by their endings, or because they are there."""
    for part in rows:
        for name in part.frame.columns:
            if str(name).strip().lower() in IMAGE_NAMES:
                cells = [as_text(value) for value in part.frame[name][:FIRST]]
                if any(cell.lower().strip().endswith(SUFFIXES) for cell in cells):
                    return True
                found = find_files(cells, part.folder)
                if any(path.suffix.lower() in SUFFIXES and path.is_file() for path in found.paths):
                    return True
    return False


def other_tasks(task: Task, cells: Sequence[Any], counts: Counter[str], source: str) -> Iterator[str]:
    """What the labels look like that one class an example does not fit."""
    if not task.kind.one_class:
        return
    numbers, several, spans = (sibling(task, form) for form in ("number", "set", "spans"))
    most = MANY_NUMBERS
    if task.reads.pairs:  # grades are few
        numbers, most = next((other for other in TASKS if other.reads.pairs and other.kind.numeric), None), 2
    if len(counts) > most and all(is_number(name) for name in counts):
        other = f"kft init {source} --task {numbers.name}, or " if numbers else ""
        yield f"the labels are numbers: {other}data.bins turns them into classes"
    lists = sum(isinstance(cell, (list, tuple)) or bool(re.search(r"[|;]|^\s*\[", as_text(cell))) for cell in cells)
    if several and lists > len(cells) / 10:
        other = f", or {spans.name} for spans" if spans else ""
        yield f"{lists:,} labels look like lists: kft init {source} --task {several.name}{other}"


def is_number(text: str) -> bool:
    """Whether a cell holds a number, with a point or a comma."""
    try:
        float(text.replace(",", ".") if text.count(",") == 1 and "." not in text else text)
    except ValueError:
        return False
    return True
