"""What estimates look at: the answers to some rows, and what is known of the truth."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

UNLABELLED = -1
"""Truth of a row that nobody has labelled."""
OTHER = -2
"""Truth of a labelled row that belongs to no class of the model: its answer is wrong."""
NEAR_ONE = 1e-6
"""How near to 0 and 1 a confidence counts: float16 and float32 know little beyond."""


@dataclass(frozen=True, eq=False)
class Scores:
    """Answers to some rows.

    Attributes:
        probabilities: ``float[n, classes]``: calibrated.
        label: ``int[n]``: the class that is answered.
        truth: ``int[n]``: the class that is right, ``UNLABELLED`` or ``OTHER``; None where nothing is known.
        foreign: ``float[n]``: how far each row lies from the nearest vector of valid; None where there are none.
    """

    probabilities: np.ndarray
    label: np.ndarray
    truth: np.ndarray | None = None
    foreign: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.label)

    def take(self, places: np.ndarray) -> Scores:
        """Returns some of the rows.

        Args:
            places: ``int[k]`` or ``bool[n]``.
        """
        truth, foreign = (None if each is None else np.asarray(each)[places] for each in (self.truth, self.foreign))
        return Scores(np.asarray(self.probabilities)[places], np.asarray(self.label)[places], truth, foreign)

    @property
    def classes(self) -> int:
        return int(self.probabilities.shape[1])

    @cached_property
    def confidence(self) -> np.ndarray:
        """``float64[n]``: the probability of the class that is answered."""
        chosen = np.asarray(self.probabilities)[np.arange(len(self)), self.label]
        return np.clip(chosen.astype(np.float64), NEAR_ONE, 1 - NEAR_ONE)

    @cached_property
    def logit(self) -> np.ndarray:
        """``float64[n]``: of the confidence."""
        return np.log(self.confidence) - np.log1p(-self.confidence)

    @cached_property
    def labelled(self) -> np.ndarray:
        """``bool[n]``: of which rows the truth is known."""
        return np.zeros(len(self), bool) if self.truth is None else np.asarray(self.truth) != UNLABELLED

    @cached_property
    def right(self) -> np.ndarray:
        """``float64[n]``: 1 where the answer is right, 0 where it is wrong; nan where the truth is not known.

        Example:
            >>> halves = np.full((3, 2), 0.5)
            >>> Scores(halves, np.array([0, 0, 1]), np.array([0, OTHER, UNLABELLED])).right.tolist()
            [1.0, 0.0, nan]
        """
        if self.truth is None:
            return np.full(len(self), np.nan)
        return np.where(self.labelled, (np.asarray(self.truth) == np.asarray(self.label)).astype(np.float64), np.nan)


def known_rows(scores: Scores) -> Scores:
    """Returns the rows whose truth is known."""
    return scores if scores.labelled.all() else scores.take(scores.labelled)


def damage(reference: Scores, seen: Scores) -> tuple[str, ...]:
    """Returns what is wrong with the numbers themselves, one sentence each; empty where nothing is.

    Example:
        >>> fine = Scores(np.array([[0.9, 0.1]]), np.array([0]), np.array([0]))
        >>> damage(fine, Scores(np.array([[np.nan, 0.1]]), np.array([0])))
        ('1 of 1 new rows have probabilities that are no numbers or do not sum to 1',)
    """
    found: list[str] = []
    if reference.truth is None or not reference.labelled.any():
        found.append("the reference has no row with a known truth")
    if reference.classes != seen.classes:
        found.append(f"the new rows have {seen.classes} probabilities each, the reference has {reference.classes}")
    for name, scores in (("reference", reference), ("new", seen)):
        probabilities = np.asarray(scores.probabilities, np.float64)
        fine = np.isfinite(probabilities) & (probabilities >= 0)
        bad = np.logical_not(np.abs(np.where(fine, probabilities, np.inf).sum(axis=1) - 1) < 0.02)
        if bad.any():
            share = f"{bad.sum():,} of {len(scores):,} {name} rows"
            found.append(f"{share} have probabilities that are no numbers or do not sum to 1")
        if scores.foreign is not None and not np.isfinite(scores.foreign).all():
            wrong = (~np.isfinite(scores.foreign)).sum()
            found.append(f"{wrong:,} of {len(scores):,} {name} rows have a distance that is no number")
    return tuple(found)
