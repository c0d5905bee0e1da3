"""Examples: what is read from a person's data, whatever the task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from kft.data.shares import Shares
from kft.records.files import sha256_of

Input = str | tuple[str, str] | Path
"""What a model reads of one example: a text, two texts, or an image file."""


@dataclass(frozen=True)
class NamedColumns:
    """Which columns a person named, as those of ``Columns``; what is None is guessed."""

    text: str | None = None
    label: str | None = None
    pair: str | None = None


@dataclass(frozen=True)
class Columns:
    """Which columns are read.

    Attributes:
        text: The column of the inputs: texts, or paths of images.
        label: That of the labels.
        guessed: Which of them the recipe does not name.
        pair: The column of second texts, where there is one.
        holds: What the columns hold that labels are made of; see ``kft.data.soft_columns``. Empty where one holds them.
    """

    text: str
    label: str
    guessed: tuple[str, ...] = ()
    pair: str | None = None
    holds: str = ""

    @property
    def named(self) -> tuple[str, ...]:
        """The columns of each side of an input, then that of the labels."""
        return (self.text, *([] if self.pair is None else [self.pair]), self.label)


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
    """Inputs, with labels where they have them.

    Attributes:
        ids: ``str[n]``, unique.
        inputs: What the model reads.
        labels: ``object[n]``: names, sets of names, numbers or spans; None where the table is unlabelled. Of
            soft labels the class with the largest share.
        groups: ``str[n]``, or None where each example stands alone.
        columns: Other columns that the recipe names (``data.slices``, ``data.sensitive``), each ``str[n]``.
        notes: What was guessed in reading them, one sentence each; printed, and a finding of ``kft check``.
        shares: What each label says of each class; None where labels are not soft.
        passages: ``object[n]``: of prompts the texts that each is answered from, a tuple; None where nothing names any.
        negatives: ``object[n]``: of queries the documents that do not answer each, a tuple; None where none are named.

    Example:
        >>> examples = Examples(np.array(["a", "b"]), ["one", "two"], np.array(["x", "y"]), None)
        >>> len(examples), examples.take(np.array([1])).inputs
        (2, ['two'])
    """

    ids: np.ndarray
    inputs: list[Any]
    labels: np.ndarray | None
    groups: np.ndarray | None
    columns: Mapping[str, np.ndarray] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    shares: Shares | None = None
    negatives: np.ndarray | None = None
    passages: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.inputs)

    def take(self, indices: np.ndarray) -> Examples:
        return Examples(
            ids=self.ids[indices],
            inputs=[self.inputs[index] for index in indices],
            labels=None if self.labels is None else self.labels[indices],
            groups=None if self.groups is None else self.groups[indices],
            columns={name: values[indices] for name, values in self.columns.items()},
            shares=None if self.shares is None else self.shares.take(indices),
            negatives=None if self.negatives is None else self.negatives[indices],
            passages=None if self.passages is None else self.passages[indices],
        )

    @classmethod
    def concatenate(cls, parts: Sequence[Examples]) -> Examples:
        """Joins examples that all have the same columns; without labels or groups where one part has none.

        Where some have soft labels, the labels of the others are shares too: all of it in one class.

        Example:
            >>> one = Examples(np.array(["a"]), ["one"], None, None)
            >>> Examples.concatenate([one, one]).inputs
            ['one', 'one']
        """
        labels = [part.labels for part in parts if part.labels is not None]
        groups = [part.groups for part in parts if part.groups is not None]
        passages = [part.passages for part in parts if part.passages is not None]
        negatives = [part.negatives for part in parts if part.negatives is not None]
        return cls(
            ids=np.concatenate([part.ids for part in parts]),
            inputs=[given for part in parts for given in part.inputs],
            labels=np.concatenate(labels) if len(labels) == len(parts) else None,
            groups=np.concatenate(groups) if len(groups) == len(parts) else None,
            columns={name: np.concatenate([part.columns[name] for part in parts]) for name in parts[0].columns},
            notes=tuple(dict.fromkeys(note for part in parts for note in part.notes)),
            shares=_joined_shares(parts) if len(labels) == len(parts) else None,
            negatives=np.concatenate(negatives) if len(negatives) == len(parts) else None,
            passages=np.concatenate(passages) if len(passages) == len(parts) else None,
        )


def _joined_shares(parts: Sequence[Examples]) -> Shares | None:
    if all(part.shares is None for part in parts):
        return None
    labels = [[] if part.labels is None else part.labels.tolist() for part in parts]
    return Shares.concatenate(
        [
            part.shares if part.shares is not None else Shares.of_labels(own)
            for part, own in zip(parts, labels, strict=True)
        ]
    )


def content(given: Input) -> str:
    """Returns what an input is, apart from where it lies: the text, or the sha256 of an image file's bytes.

    Example:
        >>> content("fine"), content(("one", "two"))
        ('fine', '3:one,two')
    """
    if isinstance(given, str):
        return given
    if isinstance(given, tuple):
        return f"{len(given[0])}:{given[0]},{given[1]}"  # the length parts ("a", "b,c") from ("a,b", "c")
    return sha256_of(given)
