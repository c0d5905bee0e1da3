"""Tables that may have one column for each label: what they are read as, where nobody has named a column."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence

import pandas as pd

from kft.curate.proposals import values_of
from kft.data.columns import LABEL_NAMES
from kft.data.examples import Columns, NamedColumns
from kft.data.label_columns import find_label_columns, join_columns, mark_columns
from kft.data.likely_columns import find_alike, find_soft_columns
from kft.data.soft_columns import SAID
from kft.tasks.cells import as_text
from kft.tasks.marks import is_mark
from kft.tasks.registry import sibling
from kft.tasks.task import Task

MOST_CLASSES = 50
"""Different values of a column that is named as what the label could be as well."""


def choose_label_columns(
    frame: pd.DataFrame, task: Task, named: NamedColumns, *, asked: bool
) -> tuple[Task, tuple[str, ...]]:
    """Returns the task that a table's labels suit, and the columns that make a label together; none where one does.

    They are of yes and no, one a label; or, for one class of many, of shares or of annotators' votes.

    Args:
        frame: The table.
        task: What is read of it.
        named: The columns that are known.
        asked: Whether a person named the task.

    Example:
        >>> from kft.tasks.registry import TASKS
        >>> frame = pd.DataFrame({"text": ["a", "b"], "praise": ["1", "0"], "blame": ["1", "0"]})
        >>> task, found = choose_label_columns(frame, TASKS.get("text-classification"), NamedColumns(), asked=False)
        >>> task.name, found
        ('text-multi-label', ('praise', 'blame'))
    """
    found = () if named.label else find_label_columns(frame, (named.text, named.pair))
    if not found and task.kind.one_class and not named.label:
        return task, find_soft_columns(frame, (named.text, named.pair))
    if not found or task.kind.labels.form not in ("class", "set"):
        return task, ()
    lists = join_columns(frame, found, "labels", "")["labels"]
    single = all(isinstance(names, list) and len(names) == 1 for names in lists)
    several = sibling(task, "set")
    if task.kind.one_class and not single and several is not None and not asked:
        return several, found
    return task, found if single or not task.kind.one_class else ()


def about_label_columns(
    frame: pd.DataFrame, labels: Sequence[str], columns: Columns, task: Task, source: str
) -> Iterator[str]:
    """Yields what is said of columns that make a label together: what they are read as, or could be.

    Args:
        frame: The table.
        labels: From ``choose_label_columns``.
        columns: What is read of it.
        task: What is learnt.
        source: The table, as the person wrote it.
    """
    if labels:
        what = "columns of yes and no, read as one a label" if columns.holds == "marks" else SAID[columns.holds]
        yield (f"{listed(labels)} are {what}; take out of data.label what is no label, or name one column with --label")
        return
    alike = find_alike(frame, columns.label) if task.kind.one_class else ()
    if alike:
        named = f"[{', '.join(alike)}]"
        yield (
            f"{listed(alike)} look like annotators' votes, and {columns.label!r} alone is read: data.label: {named} "
            "with data.label_columns_hold: votes in the recipe takes them all, as soft labels"
        )
    several = sibling(task, "set")
    if not task.kind.one_class or several is None or columns.label.strip().lower() in LABEL_NAMES:
        return
    found = mark_columns(frame, columns.named)
    if found and all(map(is_mark, frame[columns.label])):
        yield (
            f"{listed([columns.label, *found])} are columns of yes and no: kft init {shlex.quote(source)} --task "
            f"{several.name} reads them as one a label"
        )


def about_guess(frame: pd.DataFrame, columns: Columns, task: Task) -> Iterator[str]:
    """Yields which other columns the label could as well be, where nobody named one and none is called so.

    Args:
        frame: The table.
        columns: What is read of it.
        task: What is learnt.

    Example:
        >>> from kft.tasks.registry import TASKS
        >>> frame = pd.DataFrame({"body": ["a b"] * 9, "sent": ["no"] * 4 + ["yes"] * 5, "team": [*"abcabcabc"]})
        >>> found = Columns("body", "sent", guessed=("text", "label"))
        >>> next(about_guess(frame, found, TASKS.get("text-classification"))).split(":")[1]
        " so could 'team' (3)"
    """
    usual = {*LABEL_NAMES, *task.kind.labels.usual}
    if "label" not in columns.guessed or not task.kind.one_class or columns.label.strip().lower() in usual:
        return
    others = []
    for name in frame.columns:
        values = values_of([as_text(cell).strip() for cell in frame[name]]) if name not in columns.named else ()
        if 2 <= len(values) <= min(MOST_CLASSES, len(frame) // 2):
            others.append((str(name), len(values)))
    if others:
        said = ", ".join(f"{name!r} ({count:,})" for name, count in others)
        different = frame[columns.label].astype(str).nunique()
        yield (
            f"{columns.label!r} is guessed to be the label, as it has the fewest different values ({different:,}): "
            f"so could {said}: say which with --label COLUMN --force"
        )


def listed(names: Sequence[str]) -> str:
    """Returns names for a sentence.

    Example:
        >>> listed(["a", "b", "c"])
        "'a', 'b' and 'c'"
    """
    *first, last = map(repr, names)
    return f"{', '.join(first)} and {last}" if first else last
