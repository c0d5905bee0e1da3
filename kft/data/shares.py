"""Soft labels: how much of each class stands in a label, where people disagree or a model was unsure."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from kft.tasks.judgements import Judgements


@dataclass(frozen=True, eq=False)
class Shares:
    """What each example's label says of each class.

    Attributes:
        classes: Names of the columns, all different, in any order.
        values: ``float32[n, classes]``; each row sums to 1.
        votes: ``int32[n]``: how many judgements a row's shares come from; 0 where nobody has counted.

    Example:
        >>> shares = Shares(("yes", "no"), np.array([[0.75, 0.25]], np.float32), np.array([4], np.int32))
        >>> shares.of(("no", "yes")).tolist(), shares.counts.tolist()
        ([[0.25, 0.75]], [[3, 1]])
    """

    classes: tuple[str, ...]
    values: np.ndarray
    votes: np.ndarray

    def __len__(self) -> int:
        return len(self.values)

    @property
    def counts(self) -> np.ndarray:
        """``int64[n, classes]``: the judgements; rows of 0 where nobody has counted."""
        return np.rint(self.values.astype(np.float64) * self.votes[:, None]).astype(np.int64)

    @property
    def voted_for(self) -> tuple[str, ...]:
        """The classes that at least one row says something of."""
        return tuple(name for name, total in zip(self.classes, self.values.sum(axis=0), strict=True) if total > 0)

    def of(self, classes: Sequence[str]) -> np.ndarray:
        """Returns ``float32[n, classes]``: the values in this order of classes; 0 where there is no column.

        Raises:
            ValueError: A class that is voted for is not among them.
        """
        place = {name: number for number, name in enumerate(classes)}
        lost = [name for name in self.voted_for if name not in place]
        if lost:
            raise ValueError(f"classes without a place: {', '.join(lost)}")
        found = np.zeros((len(self), len(place)), np.float32)
        for number, name in enumerate(self.classes):
            if name in place:
                found[:, place[name]] = self.values[:, number]
        return found

    def written(self) -> list[str]:
        """Returns each row as text, for hashes: classes by name with their shares, and how many votes they are of.

        Example:
            >>> Shares(("b", "a"), np.array([[0.75, 0.25]], np.float32), np.array([4], np.int32)).written()
            ['[["a", 0.25], ["b", 0.75]] 4']
        """
        order = sorted(range(len(self.classes)), key=lambda number: self.classes[number])
        said = []
        for row, votes in zip(self.values.tolist(), self.votes.tolist(), strict=True):
            named = [[self.classes[number], float(f"{row[number]:.7g}")] for number in order if row[number]]
            said.append(f"{json.dumps(named, ensure_ascii=False)} {votes}")
        return said

    def take(self, rows: np.ndarray) -> Shares:
        return Shares(self.classes, self.values[rows], self.votes[rows])

    @classmethod
    def of_judgements(cls, judged: Sequence[Judgements]) -> Shares:
        """Returns what cells say, one a row.

        Example:
            >>> Shares.of_judgements([Judgements(("no", "yes"), (1, 3), 4)]).values.tolist()
            [[0.25, 0.75]]
        """
        classes = tuple(sorted({name for each in judged for name in each.names}))
        place = {name: number for number, name in enumerate(classes)}
        values = np.zeros((len(judged), len(classes)), np.float64)
        for row, each in zip(values, judged, strict=True):
            row[[place[name] for name in each.names]] = each.amounts
        values /= values.sum(axis=1, keepdims=True)
        return cls(classes, values.astype(np.float32), np.array([each.votes for each in judged], np.int32))

    @classmethod
    def of_labels(cls, labels: Sequence[str]) -> Shares:
        """Returns labels that are names as shares: all of it in one class.

        Example:
            >>> Shares.of_labels(["b", "a"]).values.tolist()
            [[0.0, 1.0], [1.0, 0.0]]
        """
        classes, places = np.unique(np.asarray(labels, dtype=str), return_inverse=True)
        return cls(
            tuple(classes.tolist()), np.eye(len(classes), dtype=np.float32)[places], np.zeros(len(labels), np.int32)
        )

    @classmethod
    def concatenate(cls, parts: Sequence[Shares]) -> Shares:
        """Joins shares of any classes; what a part has no column of is 0 there."""
        classes = tuple(dict.fromkeys(name for part in parts for name in part.classes))
        values = np.concatenate([part.of(classes) for part in parts])
        return cls(classes, values, np.concatenate([part.votes for part in parts]))
