"""The labelled examples that lie near, each counting the more the nearer it is; nothing is trained.

A kernel estimate (Nadaraya, 1964; Watson, 1964) over cosines. All examples count, and the width, chosen out of fold,
says how many of them in effect: no number of neighbours has to be chosen beside it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from kft.features.views.view import Goal, Lesson, ViewInput, folds_of
from kft.metrics.neighbours import cosines

WIDTHS = (0.01, 0.015, 0.022, 0.033, 0.05, 0.07, 0.1, 0.2)
"""A neighbour counts ``exp(cosine / width)``: the smaller, the more the nearest decide."""
MOST_KNOWN = 20_000
"""Examples that are kept at most, drawn at random: 31 MB at a width of 384."""


@dataclass(frozen=True, eq=False)
class NeighboursView:
    """Labelled examples.

    Attributes:
        known: ``float32[rows, width]``, of length one.
        speaks: ``float32[rows, units]``: what each speaks for.
        weight: ``float32[rows]``: logarithm of how much each counts: a class's examples count as one together.
        width: Of the kernel.
        goal: What is answered.
    """

    known: np.ndarray
    speaks: np.ndarray
    weight: np.ndarray
    width: float
    goal: Goal
    name = "neighbours"

    @property
    def settings(self) -> Mapping[str, Any]:
        return {"width": self.width, "examples": len(self.known)}

    @property
    def arrays(self) -> Mapping[str, np.ndarray]:
        return {
            "known": self.known,
            "speaks": self.speaks,
            "weight": self.weight,
            "width": np.array(self.width, np.float32),
        }

    def outputs(self, seen: ViewInput) -> np.ndarray:
        found = np.empty((len(seen), self.goal.units), np.float32)
        for places, alike in cosines(seen.unit, self.known):
            found[places] = self.goal.from_shares(_shares(alike, self.width, self.weight, self.speaks))
        return found


def out_of_fold(lesson: Lesson, fold_of: np.ndarray, only: int | None = None) -> tuple[float, np.ndarray]:
    """Answers each example by those of the other folds.

    Args:
        lesson: Labelled examples.
        fold_of: ``int[n]``: the fold of each.
        only: The one fold that is answered, and chosen by; default: all of them.

    Returns:
        The width that was chosen, and ``float32[n, units]``.
    """
    by_width = np.zeros((len(WIDTHS), len(lesson), lesson.goal.units), np.float32)
    for fold in folds_of(fold_of, only):
        (held,) = np.nonzero(fold_of == fold)
        view = fit(lesson.take(np.flatnonzero(fold_of != fold)), WIDTHS[0])
        for places, alike in cosines(lesson.seen.unit[held], view.known):
            for number, width in enumerate(WIDTHS):
                shares = _shares(alike, width, view.weight, view.speaks)
                by_width[number, held[places]] = lesson.goal.from_shares(shares)
    judged = np.flatnonzero(np.isin(fold_of, folds_of(fold_of, only)))
    part = lesson.take(judged)
    best = int(np.argmin([part.loss(outputs[judged]) for outputs in by_width]))
    return WIDTHS[best], by_width[best]


def fit(lesson: Lesson, width: float) -> NeighboursView:
    """Keeps the examples; draws from them, always the same, where there are too many."""
    known, targets = lesson.with_names
    if len(known) > MOST_KNOWN:
        rows = np.sort(np.random.default_rng(0).permutation(len(known))[:MOST_KNOWN])
        known, targets = known[rows], targets[rows]
    speaks = lesson.goal.as_matrix(targets)
    weight = np.zeros(len(known), np.float32)
    if lesson.goal.solver == "softmax":
        # An example of several classes is as many examples, each of one class and counted as that class is.
        speaks = speaks / np.maximum(speaks.sum(axis=0), 1)
        total = speaks.sum(axis=1, keepdims=True)
        speaks, weight = speaks / total, np.log(total[:, 0])
    return NeighboursView(known.astype(np.float32), speaks, weight, width, lesson.goal)


def _shares(alike: np.ndarray, width: float, weight: np.ndarray, speaks: np.ndarray) -> np.ndarray:
    """Returns ``float32[n, units]``: the mean of what the known examples speak for, each by its nearness."""
    scores = alike / np.float32(width) + weight
    scores -= scores.max(axis=1, keepdims=True)
    counts = np.exp(scores, out=scores)
    return (counts @ speaks) / counts.sum(axis=1, keepdims=True)
