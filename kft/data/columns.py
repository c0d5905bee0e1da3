"""Finding the columns of a table: those that a recipe names, or those that look like inputs and labels."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from kft.data.examples import Columns, NamedColumns
from kft.errors import DataError
from kft.registry import nearest
from kft.tasks.task import Task

# fmt: off
LABEL_NAMES = (
    "label", "labels", "category", "class", "target", "intent", "queue", "sentiment", "topic", "tag",
    "rating", "score", "stars", "department", "outcome", "spans", "tags", "ner_tags", "entities", "ents", "ner",
    "annotation", "annotations",
)
SPAN_NAMES = ("spans", "entities", "ents", "ner_tags", "tags", "ner", "tag")
"""What columns of spans and tags are called, rather than "label", which can be one name for the whole text."""
WORD_NAMES = ("tokens", "words", "token", "word", "tokenized_text")
"""What columns of lists of words are called."""
# fmt: on


FIRST = 20
"""So many rows tell what a column holds."""


def guess_columns(
    frame: pd.DataFrame, wanted: NamedColumns | Columns, *, where: str, task: Task, besides: Sequence[str] = ()
) -> Columns:
    """Finds the columns of inputs and labels.

    Named columns must be there. Otherwise usual names are looked for; then the column with the longest values
    is the text, and the label is the one with the fewest different values, if they repeat: two rows a value
    on average.

    Args:
        frame: From ``read_table``.
        wanted: The columns that are known.
        where: The table, for messages.
        task: What is looked for.
        besides: Columns that are never guessed, such as those of the id and the group.

    Raises:
        DataError: A named column is missing, or nothing can be guessed.

    Example:
        >>> from kft.tasks.registry import TASKS
        >>> frame = pd.DataFrame({"body": ["It broke.", "It works.", "Hello"], "queue": ["a", "b", "a"]})
        >>> named, task = NamedColumns(label="queue"), TASKS.get("text-classification")
        >>> guess_columns(frame, named, where="tickets.csv", task=task)
        Columns(text='body', label='queue', guessed=('text',), pair=None, holds='')
    """
    names = [str(name) for name in frame.columns]
    reads, text, pair, label = task.reads, wanted.text, wanted.pair, wanted.label
    known = ((reads.columns[0], text), ("text_pair", pair), ("label", label))
    for name, column in known:
        if column is not None:
            require_column(frame, column, f"data.{name}", where, expected=f"the {name} column")
    if len(names) < 2:
        raise DataError(
            "one column is not enough",
            where=where,
            received="column " + ", ".join(map(repr, names)),
            expected=f"a column of {reads.medium}s and a column of labels",
            next_step="check the separator: csv wants commas, tsv tabs",
        )
    _require_apart(known, names, where)
    guessed = tuple(name for name, column in known if column is None and name in (*reads.columns, "label"))
    free = [name for name in names if name not in besides]
    if reads.pairs and pair is None:
        rest = [name for name in free if name not in (text, label)]
        pair = _guess_usual(frame, rest, reads.usual[1], where, "text_pair", "second texts")
    if text is None:
        rest = [name for name in free if name not in (pair, label)]
        if reads.files:
            text = _guess_usual(frame, rest, reads.usual[0], where, reads.columns[0], f"{reads.medium} paths")
        else:
            text = _guess_text(frame, rest, where, reads.usual[0], lists=task.kind.learning.per_token)
    if label is None:
        rest = [name for name in free if name not in (text, pair)]
        spans = _spans_beside(frame, rest) if task.kind.learning.per_token else None
        label = spans or usual_column(rest, task.kind.labels.usual)
        label = label or _guess_label(frame, rest, where, repeats=task.kind.one_class)
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


def usual_column(names: Sequence[str], usual: Sequence[str]) -> str | None:
    """Returns the column that has the first of the usual names which any has, in whatever case; None where none has."""
    by_lower = {name.strip().lower(): name for name in reversed(names)}
    return next((by_lower[name] for name in usual if name in by_lower), None)


def _guess_usual(
    frame: pd.DataFrame, names: Sequence[str], usual: Sequence[str], where: str, key: str, what: str
) -> str:
    found = usual_column(names, usual)
    if found is None:
        raise _cannot_guess(key, frame, where, f"a column of {what}")
    return found


def _spans_beside(frame: pd.DataFrame, names: Sequence[str]) -> str | None:
    """The column of spans or tags, where it is not the first that is called a label."""
    several = [name for name in names if name.strip().lower() in LABEL_NAMES]
    lists = [name for name in several if any(isinstance(cell, (list, dict)) for cell in frame[name][:FIRST])]
    return usual_column(lists, SPAN_NAMES) if len(several) > 1 else None


def _guess_text(frame: pd.DataFrame, names: Sequence[str], where: str, usual: Sequence[str], *, lists: bool) -> str:
    words = usual_column(names, WORD_NAMES) if lists else None
    tags = [name for name in names if name.strip().lower() in LABEL_NAMES and name != words]
    if words is not None and any(_same_lengths(list(frame[words][:FIRST]), list(frame[name][:FIRST])) for name in tags):
        return words
    lengths = {name: sum(len(v) for v in frame[name] if isinstance(v, (str, list))) for name in names}
    with_text = [name for name in names if lengths[name]]
    # What has a usual label name is the text only where nothing else is left.
    fit = [name for name in with_text if name.strip().lower() not in LABEL_NAMES] or with_text
    found = usual_column(with_text, usual) or max(fit, key=lambda name: lengths[name], default=None)
    if found is None:
        raise _cannot_guess("text", frame, where, "a column of texts")
    return found


def _same_lengths(words: Sequence[object], tags: Sequence[object]) -> bool:
    """Whether each list of one column has as many tags in the other."""
    return all(
        isinstance(word, list)
        and isinstance(tag, list)
        and len(word) == len(tag)
        and all(isinstance(w, str) for w in word)
        for word, tag in zip(words, tags, strict=True)
    )


def _guess_label(frame: pd.DataFrame, names: Sequence[str], where: str, *, repeats: bool) -> str:
    found = usual_column(names, LABEL_NAMES)
    if found is None and not repeats and len(names) == 1:
        return names[0]
    if found is None:
        different = {name: frame[name].astype(str).nunique() for name in names}
        fit = [name for name in names if 2 <= different[name] <= len(frame) // 2]
        found = min(fit, key=lambda name: different[name], default=None)
    if found is None:
        raise _cannot_guess(
            "label",
            frame,
            where,
            "a column with at least two different values that repeat",
            "; where there are no labels yet, add such a column and fill in some hundred rows by hand",
        )
    return found


def _cannot_guess(key: str, frame: pd.DataFrame, where: str, expected: str, else_: str = "") -> DataError:
    return DataError(
        f"no column looks like the {key}",
        where=where,
        received="columns " + ", ".join(map(str, frame.columns)),
        expected=expected,
        next_step=f"set data.{key} in the recipe or --set data.{key}=COLUMN{else_}",
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
