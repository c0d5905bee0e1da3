"""The names of the classes against the example: what a label says of itself, before any example of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from kft.features.views.view import Goal, Lesson, ViewInput, folds_of

WIDTHS = (0.02, 0.035, 0.05, 0.1, 0.2)
"""An output is ``cosine / width``: the smaller, the surer."""


@dataclass(frozen=True, eq=False)
class NamesView:
    """Names as vectors.

    Attributes:
        known: ``float32[units, width]``, of length one.
        width: What cosines are divided by.
        goal: What is answered.
    """

    known: np.ndarray
    width: float
    goal: Goal
    name = "names"

    @property
    def settings(self) -> Mapping[str, Any]:
        return {"width": self.width}

    @property
    def arrays(self) -> Mapping[str, np.ndarray]:
        return {"known": self.known, "width": np.array(self.width, np.float32)}

    def outputs(self, seen: ViewInput) -> np.ndarray:
        return self.goal.normalised(seen.unit @ self.known.T / np.float32(self.width))


def fits(lesson: Lesson) -> bool:
    """Whether names can answer: of one class of many. A cosine says too little of each label by itself."""
    return lesson.names is not None and lesson.goal.solver == "softmax"


def out_of_fold(lesson: Lesson, fold_of: np.ndarray, only: int | None = None) -> tuple[float, np.ndarray]:
    """Answers each example by the names, which have seen none; the width is chosen by the loss.

    Args:
        lesson: Labelled examples, with names.
        fold_of: ``int[n]``: the fold of each.
        only: The one fold that the width is chosen by; default: all of them.

    Returns:
        The width that was chosen, and ``float32[n, units]``.
    """
    found = [fit(lesson, width).outputs(lesson.seen) for width in WIDTHS]
    judged = np.flatnonzero(np.isin(fold_of, folds_of(fold_of, only)))
    part = lesson.take(judged)
    best = int(np.argmin([part.loss(outputs[judged]) for outputs in found]))
    return WIDTHS[best], found[best]


def fit(lesson: Lesson, width: float) -> NamesView:
    """Takes the names as they are."""
    assert lesson.names is not None
    return NamesView(lesson.names.unit.astype(np.float32), width, lesson.goal)
