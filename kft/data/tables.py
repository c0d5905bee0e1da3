"""Tables of labelled text: finding their columns, turning rows into examples."""

from __future__ import annotations

import bisect
import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from kft.data.reading import read_table as read_table
from kft.errors import DataError
from kft.recipe.schema import DataSpec, GroupSpec
from kft.registry import nearest

# fmt: off
TEXT_NAMES = (
    "text", "body", "sentence", "content", "review", "question", "message", "comment", "description",
    "utterance", "query", "ticket", "document", "note", "abstract", "tweet", "prompt", "input",
)
LABEL_NAMES = (
    "label", "labels", "category", "class", "target", "intent", "queue", "sentiment", "topic", "tag",
    "rating", "score", "stars", "department", "outcome",
)
# fmt: on


@dataclass(frozen=True)
class Columns:
    """Which columns are read, and which of the two (``text``, ``label``) were guessed."""

    text: str
    label: str
    guessed: tuple[str, ...] = ()


@dataclass(frozen=True)
class RejectedRow:
    """A row that cannot be used.

    Attributes:
        id: Its id.
        source: What its table is called.
        row: Its number, from 1; the header does not count.
        reason: Why; what stands before a colon is the kind.
    """

    id: str
    source: str
    row: int
    reason: str


@dataclass(frozen=True)
class Examples:
    """Texts, with labels where they have them.

    Attributes:
        ids: ``str[n]``, unique.
        texts: The texts.
        labels: ``str[n]``, or None where the table is unlabelled.
        groups: ``str[n]``, or None where each example stands alone.

    Example:
        >>> examples = Examples(np.array(["a", "b"]), ["one", "two"], np.array(["x", "y"]), None)
        >>> len(examples), examples.take(np.array([1])).texts
        (2, ['two'])
    """

    ids: np.ndarray
    texts: list[str]
    labels: np.ndarray | None
    groups: np.ndarray | None

    def __len__(self) -> int:
        return len(self.texts)

    def take(self, indices: np.ndarray) -> Examples:
        """Returns the examples at these positions."""
        return Examples(
            ids=self.ids[indices],
            texts=[self.texts[index] for index in indices],
            labels=None if self.labels is None else self.labels[indices],
            groups=None if self.groups is None else self.groups[indices],
        )


def guess_columns(
    frame: pd.DataFrame,
    *,
    text: str | None = None,
    label: str | None = None,
    where: str,
    besides: Sequence[str] = (),
) -> Columns:
    """Finds the text and the label column.

    Named columns must be there. Otherwise usual names are looked for; then the column with the longest values
    is the text, and the label is the one with the fewest different values, if they repeat: two rows a value
    on average.

    Args:
        frame: From ``read_table``.
        text: The text column, if it is known.
        label: Likewise.
        where: The table, for messages.
        besides: Columns that are never guessed, such as those of the id and the group.

    Raises:
        DataError: A named column is missing, or nothing can be guessed.

    Example:
        >>> frame = pd.DataFrame({"body": ["It broke.", "It works.", "Hello"], "queue": ["a", "b", "a"]})
        >>> guess_columns(frame, label="queue", where="tickets.csv")
        Columns(text='body', label='queue', guessed=('text',))
    """
    names = [str(name) for name in frame.columns]
    for key, wanted in (("text", text), ("label", label)):
        if wanted is not None:
            _require_column(frame, wanted, f"data.{key}", where, expected=f"the {key} column")
    if len(names) < 2:
        raise DataError(
            "one column is not enough",
            where=where,
            received="column " + ", ".join(map(repr, names)),
            expected="a column of texts and a column of labels",
            next_step="check the separator: csv wants commas, tsv tabs",
        )
    if text is not None and text == label:
        raise DataError(
            "text and label are the same column",
            where=where,
            received=f"{text!r} for both",
            expected="two columns of: " + ", ".join(names),
            next_step="set data.label in the recipe or --set data.label=COLUMN",
        )
    guessed = tuple(key for key, wanted in (("text", text), ("label", label)) if wanted is None)
    free = [name for name in names if name not in besides]
    text = text or _guess_text(frame, [name for name in free if name != label], where)
    label = label or _guess_label(frame, [name for name in free if name != text], where)
    return Columns(text, label, guessed)


def _usual(names: Sequence[str], usual: Sequence[str]) -> str | None:
    by_lower = {name.strip().lower(): name for name in reversed(names)}
    return next((by_lower[name] for name in usual if name in by_lower), None)


def _guess_text(frame: pd.DataFrame, names: Sequence[str], where: str) -> str:
    lengths = {name: sum(len(value) for value in frame[name] if isinstance(value, str)) for name in names}
    with_text = [name for name in names if lengths[name]]
    # What has a usual label name is the text only where nothing else is left.
    fit = [name for name in with_text if name.strip().lower() not in LABEL_NAMES] or with_text
    found = _usual(with_text, TEXT_NAMES) or max(fit, key=lambda name: lengths[name], default=None)
    if found is None:
        raise _cannot_guess("text", frame, where, "a column of texts")
    return found


def _guess_label(frame: pd.DataFrame, names: Sequence[str], where: str) -> str:
    found = _usual(names, LABEL_NAMES)
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


def _require_column(frame: pd.DataFrame, column: str, key: str, where: str, *, expected: str) -> None:
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
    frame: pd.DataFrame, spec: DataSpec, *, name: str, columns: Columns, labelled: bool = True
) -> tuple[Examples, tuple[RejectedRow, ...]]:
    """Turns rows into examples; rows without a usable text or label are named instead.

    Args:
        frame: From ``read_table``.
        spec: Bins, id column, groups.
        name: What the table is called in ids: ``name:row``, rows counting from 1.
        columns: From ``guess_columns``.
        labelled: False for texts alone: no label column is looked at, and ``labels`` is None.

    Raises:
        DataError: The id or group column is missing, ids repeat, or a group's pattern does not match.

    Example:
        >>> frame = pd.DataFrame({"text": ["fine", " "], "label": ["good", "bad"]})
        >>> examples, rejected = to_examples(
        ...     frame, DataSpec(train="a.csv"), name="a.csv", columns=Columns("text", "label")
        ... )
        >>> examples.ids.tolist(), [(row.id, row.reason) for row in rejected]
        (['a.csv:1'], [('a.csv:2', 'empty text')])
    """
    ids = _ids(frame, spec, name)
    groups = _groups(frame, spec.group, name)
    texts = list(frame[columns.text])
    raw_labels = list(frame[columns.label]) if labelled else [None] * len(frame)
    kept, labels, rejected = [], [], []
    for row, (text, raw) in enumerate(zip(texts, raw_labels, strict=True)):
        label, reason = _label_of(raw, spec) if labelled else ("", "")
        reason = _text_problem(text) or reason
        if reason:
            rejected.append(RejectedRow(ids[row], name, row + 1, reason))
        else:
            kept.append(row)
            labels.append(label)
    examples = Examples(
        ids=_array([ids[row] for row in kept]),
        texts=[as_text(texts[row]) for row in kept],
        labels=_array(labels) if labelled else None,
        groups=None if groups is None else _array([groups[row] for row in kept]),
    )
    return examples, tuple(rejected)


def _array(values: list[str]) -> np.ndarray:
    return np.array(values, dtype=object)


def as_text(value: object) -> str:
    """Returns a cell as text; None, NaN, NaT and NA are empty."""
    if isinstance(value, str):
        return value
    return "" if pd.api.types.is_scalar(value) and pd.isna(value) else str(value)


def _kind_problem(value: object, what: str) -> str:
    """Says why a cell can be no text or label at all: pandas and JSON hold more than text and numbers."""
    if isinstance(value, bytes) or not (isinstance(value, str) or pd.api.types.is_scalar(value)):
        return f"{what} is no text: a {type(value).__name__}"
    try:
        as_text(value).encode()
    except UnicodeEncodeError:
        return f"{what} holds half a surrogate pair, which is no character"
    return ""


def _text_problem(value: object) -> str:
    return _kind_problem(value, "text") or ("" if as_text(value).strip() else "empty text")


def _label_of(value: object, spec: DataSpec) -> tuple[str, str]:
    """Returns the label and an empty reason, or a reason why there is none."""
    problem = _kind_problem(value, "label")
    label = "" if problem else as_text(value).strip()
    if problem or not label:
        return "", problem or "missing label"
    if spec.bins is None:
        return label, ""
    try:
        # Python reads 1_000 as a number; a table that holds it means something else.
        rating = math.nan if "_" in label else float(label)
    except ValueError:
        rating = math.nan
    if not math.isfinite(rating):
        return "", f"rating is no finite number: {label[:20]!r}"
    return spec.bins.labels[bisect.bisect_right(spec.bins.edges, rating)], ""


def _ids(frame: pd.DataFrame, spec: DataSpec, name: str) -> list[str]:
    if spec.id is None:
        return [f"{name}:{row + 1}" for row in range(len(frame))]
    _require_column(frame, spec.id, "data.id", name, expected="the id column")
    ids = [as_text(value).strip() for value in frame[spec.id]]
    where = f"{name}, column {spec.id!r}"
    next_step = "mend the ids, or leave data.id out to use file and row number"
    empty = [row + 1 for row, value in enumerate(ids) if not value]
    repeated = [f"{value} ({count} times)" for value, count in Counter(ids).items() if value and count > 1]
    if empty or repeated:
        received = [f"{len(empty)} empty, first in row {empty[0]}"] if empty else []
        more = f" and {len(repeated) - 5} more" if len(repeated) > 5 else ""
        raise DataError(
            "ids must be unique and not empty",
            where=where,
            received=", ".join([*received, *repeated[:5]]) + more,
            expected="one id a row",
            next_step=next_step,
        )
    # The split's hash and its files separate ids by tabs and line breaks.
    broken = next((value for value in ids if not value.isprintable()), None)
    if broken is not None:
        raise DataError(
            "an id holds a character that cannot be printed",
            where=where,
            received=repr(broken)[:80],
            expected="ids without tabs and line breaks",
            next_step=next_step,
        )
    return ids


def _groups(frame: pd.DataFrame, group: GroupSpec | None, name: str) -> list[str] | None:
    if group is None:
        return None
    _require_column(frame, group.column, "data.group", name, expected="the group column")
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
