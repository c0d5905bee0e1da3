"""Train, valid and test: a seeded, stratified, group-aware split, and its hash."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from kft.data.columns import guess_columns
from kft.data.corpus import Corpus
from kft.data.examples import Columns, Examples, Input, RejectedRow, content
from kft.data.parts import parts_to_examples, title
from kft.data.tables import refuse_rejected, unusable
from kft.errors import DataError
from kft.recipe.schema import DataSpec
from kft.recipe.sources import parse_share
from kft.split.added import AddedRound, RoundSpec, add_rounds
from kft.split.assign import SPLITS, UNLABELLED, split_alike, split_by_time, split_rows
from kft.split.labels import named_in, never_first, strata_of
from kft.split.near import Copies
from kft.split.queries import find_answers, learnable
from kft.split.required import require_known_labels, require_rows, require_separate_groups
from kft.split.sources import Sources, read_sources
from kft.split.times import Times, read_times
from kft.split.together import Vectorise, rows_together
from kft.split.unlabelled import find_unlabelled
from kft.tasks.task import AnswerKind, AnswerSpace, Task


@dataclass(frozen=True)
class Selection:
    """The data that training and every choice may see: no example of the test split is in it.

    Attributes:
        train: What is learned from.
        valid: What choices look at.
        kind: What is answered.
        space: Everything that an answer can be.
        unlabelled: Rows without labels that are none of valid's or test's; None where the recipe names none.
        copies: Copies among train, then valid, where the split has found them; None where nobody has looked.
        corpus: The documents that queries are answered with, but for those of test alone; None where no label names
            documents.
    """

    train: Examples
    valid: Examples
    kind: AnswerKind
    space: AnswerSpace
    unlabelled: Examples | None = None
    copies: Copies | None = None
    corpus: Corpus | None = None

    def __post_init__(self) -> None:
        if self.copies is not None and len(self.copies.first) != len(self.train) + len(self.valid):
            raise ValueError("these copies are of other rows")

    def without(self, held: np.ndarray) -> Selection:
        """Returns the same without the examples of valid that ``bool[valid]`` names."""
        if not held.any():
            return self
        kept = np.flatnonzero(~held)
        rows = np.append(np.arange(len(self.train)), len(self.train) + kept)
        copies = None if self.copies is None else self.copies.arranged(rows)
        return replace(self, valid=self.valid.take(kept), copies=copies)

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of classes, labels or kinds of span; none for numbers."""
        return self.space.labels


@dataclass(frozen=True)
class DataSplit:
    """The prepared data.

    Attributes:
        train: What is learned from.
        valid: What choices look at.
        test: Sealed until evaluation.
        kind: What is answered.
        space: Everything that an answer can be: labels, or the mean and deviation of numbers.
        rejected: Rows that cannot be used.
        columns: What was read.
        split_hash: sha256 over the sorted (id, split) pairs; rows without labels play no part in it.
        data_hash: sha256 over every id, text and label; rows without labels count as those of an empty one.
        how: How the split was made, in words.
        notes: What was guessed in reading the data, one sentence each.
        copies: Copies among all examples, train, then valid, then test: found where both valid and test are shares
            of train, and kept on one side; None where nobody has looked. ``known_copies``: those of train and valid.
        unlabelled: Rows without labels that are none of valid's or test's; None where the recipe names none.
        added: What became of the rows of each file of ``data.added``; those that were kept are in the splits.
        corpus: The documents that queries are answered with; None where no label names documents.
    """

    train: Examples
    valid: Examples
    test: Examples
    kind: AnswerKind
    space: AnswerSpace
    rejected: tuple[RejectedRow, ...]
    columns: Columns
    split_hash: str
    data_hash: str
    how: str
    notes: tuple[str, ...] = ()
    copies: Copies | None = None
    known_copies: Copies | None = None
    unlabelled: Examples | None = None
    added: tuple[AddedRound, ...] = ()
    corpus: Corpus | None = None

    def without_test(self) -> Selection:
        corpus = None if self.corpus is None else learnable(self.corpus, {name: self.part(name) for name in SPLITS})
        return Selection(self.train, self.valid, self.kind, self.space, self.unlabelled, self.known_copies, corpus)

    def part(self, name: str) -> Examples:
        """Returns the examples of ``train``, ``valid`` or ``test``."""
        return {"train": self.train, "valid": self.valid, "test": self.test}[name]

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of classes, labels or kinds of span; none for numbers."""
        return self.space.labels

    @property
    def answers(self) -> Collection[str]:
        """Names that an answer can hold: those of ``labels``; where queries are answered, ids of documents."""
        return self.labels if self.corpus is None else self.corpus.places

    def frame(self) -> pd.DataFrame:
        """Returns id, split and the first 16 hex digits of the sha256 of the content; of rows without labels too."""
        parts = [(name, self.part(name)) for name in SPLITS]
        parts += [] if self.unlabelled is None else [(UNLABELLED, self.unlabelled)]
        return pd.DataFrame(
            {
                "id": [identifier for _, part in parts for identifier in part.ids],
                "split": [name for name, part in parts for _ in part.inputs],
                "hash": [content_hash(given) for _, part in parts for given in part.inputs],
            }
        )


def content_hash(given: Input) -> str:
    """Returns the first 16 hex digits of the sha256 of what an input is; see ``content``.

    Example:
        >>> content_hash("fine")[:8]
        'd14a58ba'
    """
    return hashlib.sha256(content(given).encode()).hexdigest()[:16]


def labels_of(examples: Examples) -> np.ndarray:
    """Returns the labels of examples that have them."""
    if examples.labels is None:
        raise ValueError("these examples have no labels")
    return examples.labels


def split_hash(assignments: Mapping[str, str]) -> str:
    """Returns sha256 over the sorted (id, split) pairs, each as ``id TAB split LF`` in UTF-8.

    Example:
        >>> split_hash({"a:1": "train"}) == split_hash({"a:1": "test"})
        False
    """
    digest = hashlib.sha256()
    for identifier, name in sorted(assignments.items()):
        digest.update(f"{identifier}\t{name}\n".encode())
    return digest.hexdigest()


def data_hash(parts: Iterable[Examples], written: Callable[[Any], str] = str) -> str:
    """Returns sha256 over id, content and label of every example, sorted; the split plays no part in it.

    Each of the three is its length in bytes as eight bytes, most significant first, and then its UTF-8. A
    missing label counts as an empty one. A soft label is ``Shares.written``.

    Args:
        parts: The examples.
        written: A label as text.

    Example:
        >>> one = Examples(np.array(["a:1"]), ["fine"], np.array(["good"]), None)
        >>> data_hash([one])[:16]
        '1e85020b21b8c88f'
    """
    digest = hashlib.sha256()
    rows: list[tuple[str, str, str]] = []
    for part in parts:
        labels = [""] * len(part) if part.labels is None else list(map(written, part.labels))
        if part.shares is not None:  # the label alone can be a draw among the tied
            labels = part.shares.written()
        rows.extend(zip(map(str, part.ids), map(content, part.inputs), labels, strict=True))
    for row in sorted(rows):
        for value in row:
            raw = value.encode()
            digest.update(len(raw).to_bytes(8, "big") + raw)
    return digest.hexdigest()


def load_split(
    spec: DataSpec,
    *,
    task: Task,
    base: Path,
    locate: Callable[[str, Path], Path],
    frames: Mapping[str, pd.DataFrame] | None = None,
    similar: Vectorise | None = None,
) -> DataSplit:
    """Reads the data and splits them.

    Args:
        spec: The recipe's data part.
        task: Says what an input and a label are.
        base: Where relative paths start.
        locate: Turns a source into a local file; ``kft.assets.locate``.
        frames: DataFrames named ``train``, ``valid``, ``test`` that stand in for files.
        similar: Turns inputs into one vector each, for ``data.keep_together: similar``; called where a share is split.

    Raises:
        DataError: The data cannot be used; says where and what to do.
    """
    sources = read_sources(spec, task=task, base=base, locate=locate, frames=frames)
    read = _read(sources, spec, task)
    names, rejected, kind = read.names, read.rejected, task.kind
    notes = list(dict.fromkeys(note for part in read.parts.values() for note in part.notes))
    parts, how, copies, known = _divide(read.parts, spec, names, kind, read.times, similar)
    parts, added, bad = add_rounds(parts, RoundSpec(spec, task, read.columns, base, locate))
    if added:  # the copies are those of the older rows alone
        copies, known, rejected, how = None, None, (*rejected, *bad), "; ".join([how, *map(str, added)])
        notes += [note for each in added for note in each.notes]
    space = kind.labels.space(named_in(parts["train"]))
    require_rows(parts, names, rejected)
    require_known_labels(parts, names, kind, space)
    notes += never_first(parts["train"], space)
    extra = None
    if sources.unlabelled:
        extra = find_unlabelled(sources.unlabelled, sources.places, spec, task, read.columns, parts)
        refuse_rejected(extra.rejected, spec)
        rejected, notes = (*rejected, *extra.rejected), [*notes, *extra.examples.notes]
        how += f", {extra.how} left out of unlabelled" if extra.how else ""
    unlabelled = [] if extra is None else [extra.examples]
    if read.corpus is not None:
        unlabelled.append(read.corpus.as_examples())
    assignments = {str(identifier): key for key in SPLITS for identifier in parts[key].ids}
    return DataSplit(
        train=parts["train"],
        valid=parts["valid"],
        test=parts["test"],
        kind=kind,
        space=space,
        rejected=rejected,
        columns=read.columns,
        split_hash=split_hash(assignments),
        data_hash=data_hash([*(parts[key] for key in SPLITS), *unlabelled], kind.labels.written),
        how=how,
        notes=tuple(notes),
        copies=copies,
        known_copies=known,
        unlabelled=None if extra is None else extra.examples,
        added=added,
        corpus=read.corpus,
    )


@dataclass(frozen=True)
class _Read:
    """The examples of what a recipe names, without the tables that they come from.

    Attributes:
        parts: Those of each split that has a source.
        names: What each source is called.
        rejected: Rows that cannot be used.
        columns: What was read.
        times: When the rows of train are from; None where the split is not by time.
        corpus: The documents that queries are answered with; None where no label names documents.
    """

    parts: dict[str, Examples]
    names: Mapping[str, str]
    rejected: tuple[RejectedRow, ...]
    columns: Columns
    times: Times | None
    corpus: Corpus | None = None


def _read(sources: Sources, spec: DataSpec, task: Task) -> _Read:
    names = {key: title(rows) for key, rows in sources.rows.items()}
    parts: dict[str, Examples] = {}
    rejected: list[RejectedRow] = []
    for key, rows in sources.rows.items():
        if key != "train":
            guess_columns(rows[0].frame, sources.columns, where=names[key], task=task)
        parts[key], bad = parts_to_examples(rows, spec, task=task, columns=sources.columns)
        rejected.extend(bad)
    refuse_rejected(rejected, spec)
    _require_variety(parts["train"], task.kind, names["train"], sources.columns, rejected)
    frames = [(rows.name, rows.frame) for rows in sources.rows["train"]]
    times = read_times(frames, spec.time, names["train"], rejected)
    corpus = None
    if task.kind.searches:
        found = find_answers(parts, sources.documents, spec)
        parts, corpus = found.parts, found.corpus
        rejected.extend(found.rejected)
    return _Read(parts, names, tuple(rejected), sources.columns, times, corpus)


def _divide(
    parts: dict[str, Examples],
    spec: DataSpec,
    names: Mapping[str, str],
    kind: AnswerKind,
    times: Times | None,
    similar: Vectorise | None,
) -> tuple[dict[str, Examples], str, Copies | None, Copies | None]:
    """Returns the parts, how they were made, and the copies among all of them and among train and valid."""
    shares = {key: parse_share(getattr(spec, key)) or 0.0 for key in ("valid", "test") if key not in parts}
    given = [f"{key} from {names[key]}" for key in ("valid", "test") if key in parts]
    if not shares:
        require_separate_groups(parts, names)
        return parts, ", ".join(given), None, None
    if sum(shares.values()) >= 1:
        raise DataError(
            "nothing is left to train on",
            where="data.valid, data.test",
            received=" and ".join(f"{share:.0%}" for share in shares.values()),
            expected="shares that add up to less than 100%",
            next_step="--set data.valid=15% --set data.test=15%",
        )
    whole = parts["train"]
    strata = strata_of(whole, kind)
    largest = 1 - sum(shares.values())
    together = rows_together(whole.inputs, whole.groups, strata, spec.keep_together, similar, largest)
    groups, joined = together.groups, together.joined
    fractions = {"valid_fraction": shares.get("valid", 0.0), "test_fraction": shares.get("test", 0.0)}
    by = "stratified"
    if times is not None:
        rows = split_by_time(times.values, groups, **fractions)
        by = times.described(rows, ("train", *shares))
    elif spec.keep_together == "similar" and groups is not None:
        rows = split_alike(strata, groups, seed=spec.split_seed, **fractions)
    else:
        rows = split_rows(strata, groups, seed=spec.split_seed, **fractions)
    places = {key: np.flatnonzero(rows == key) for key in ("train", *shares)}
    made = {key: whole.take(chosen) for key, chosen in places.items()}
    own = "" if whole.groups is None else f" by group ({len(set(whole.groups)):,} groups)"
    taken = " and ".join(f"{key} {share * 100:.4g} %" for key, share in shares.items())
    result = parts | made
    require_separate_groups(result, names)
    how = ", ".join([f"{taken} of {names['train']}{own}", by, *([joined] if joined else []), *given])

    def copies_among(keys: Sequence[str]) -> Copies | None:
        """Those of parts that were searched together; None where one of them was not."""
        if together.copies is None or not set(keys) <= set(places):
            return None
        return together.copies.arranged(np.concatenate([places[key] for key in keys]))

    return result, how, copies_among(SPLITS), copies_among(SPLITS[:2])


def _require_variety(
    train: Examples, kind: AnswerKind, name: str, columns: Columns, rejected: Sequence[RejectedRow]
) -> None:
    labels = named_in(train)
    if not labels and rejected:
        raise unusable(
            "no row can be used",
            rejected,
            "mend them, or name the right columns with --set data.label=COLUMN and the like",
        )
    problem = kind.labels.lack(kind.labels.space(labels)) if labels else "no row can be used"
    if problem:
        raise DataError(
            problem,
            where=f"{name}, column {columns.label!r}",
            received=", ".join(map(repr, dict.fromkeys(map(kind.labels.written, labels[:3])))) or "no usable row",
            expected="at least two different labels",
            next_step="name the right column with --set data.label=COLUMN",
        )
