"""A linear model on how words are written and what stands around them: what an uncased tokenizer throws away."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from kft.features.probe import LOSSES, ProbeProblem, minimise
from kft.features.views.view import Goal, Lesson, Shapes, ViewInput, answers_out_of_fold
from kft.tasks.word_shapes import BUCKETS

STRENGTH = 1.0
"""Inverse penalty C."""
FEWEST_TEXTS = 2
"""A feature stands in at least so many texts, or groups of them: what stands in one tells of that one alone."""
TOLERANCE = 1e-5


@dataclass(frozen=True, eq=False)
class WordsView:
    """A solved model: a word's outputs are the sum of its features' rows, and the bias.

    Attributes:
        row_of_place: ``int32[BUCKETS]``: the row of a feature's place; 0 where it was not learned.
        table: ``float32[features + 1, units]``: row 0 is zeros.
        bias: ``float32[units]``.
        goal: What is answered.
    """

    row_of_place: np.ndarray
    table: np.ndarray
    bias: np.ndarray
    goal: Goal
    name = "words"

    @property
    def settings(self) -> Mapping[str, Any]:
        return {"C": STRENGTH, "features": len(self.table) - 1}

    @property
    def arrays(self) -> Mapping[str, np.ndarray]:
        return {name: getattr(self, name) for name in ("row_of_place", "table", "bias")}

    def outputs(self, seen: ViewInput) -> np.ndarray:
        rows = _rows(_shapes(seen), self.row_of_place, len(self.table))
        return self.goal.normalised(np.asarray(rows @ self.table + self.bias, np.float32))


def out_of_fold(lesson: Lesson, fold_of: np.ndarray, only: int | None = None) -> tuple[float, np.ndarray]:
    """Answers each word by a model that saw nothing of its fold, the choice of features included.

    Args:
        lesson: Tagged words.
        fold_of: ``int[n]``: the fold of each.
        only: The one fold that is answered; default: all of them.

    Returns:
        The strength, and ``float32[n, units]``.
    """
    return STRENGTH, answers_out_of_fold(lesson, fold_of, lambda part: fit(part, STRENGTH), only)


def fit(lesson: Lesson, strength: float) -> WordsView:
    """Chooses the features and solves the model."""
    shapes, goal = _shapes(lesson.seen), lesson.goal
    row_of_place = _learn(shapes)
    rows = _rows(shapes, row_of_place, int(row_of_place.max()) + 1)
    problem = ProbeProblem([(np.arange(len(lesson)), rows)], lesson.targets, lesson.counts, LOSSES[goal.solver])
    start = np.zeros((rows.shape[1] + 1, goal.units))
    # Not scaled to the curvature, as other solvers are: so it learns first what is frequent, and ends before it knows
    # by heart what is rare. Solved to the end it is worse, whatever the penalty (docs/log.md).
    solution = minimise(problem, np.ones((len(start), 1)), strength, start, TOLERANCE)
    table = solution[:-1].astype(np.float32)
    table[0] = 0
    return WordsView(row_of_place, table, solution[-1].astype(np.float32), goal)


def _shapes(seen: ViewInput) -> Shapes:
    assert seen.shapes is not None  # the view is offered for words alone
    return seen.shapes


def _rows(shapes: Shapes, row_of_place: np.ndarray, size: int) -> Any:
    """Returns a sparse ``float32[words, size]``: how often each learned feature stands at a word, mostly once."""
    from scipy.sparse import csr_matrix

    chosen = row_of_place[shapes.places]
    known = chosen > 0
    pointers = np.append(0, np.cumsum(known.sum(axis=1)))
    return csr_matrix((np.ones(pointers[-1], np.float32), chosen[known], pointers), shape=(len(chosen), size))


def _learn(shapes: Shapes) -> np.ndarray:
    """Gives a row to each place that stands in at least so many texts; 0 stands for the others."""
    text = np.unique(shapes.text, return_inverse=True)[1].astype(np.int64)
    keys = np.unique(np.repeat(text * BUCKETS, shapes.places.shape[1]) + shapes.places.ravel())
    counts = np.bincount(keys % BUCKETS, minlength=BUCKETS)
    counts[0] = 0
    (kept,) = np.nonzero(counts >= FEWEST_TEXTS)
    row = np.zeros(BUCKETS, np.int32)
    row[kept] = 1 + np.arange(len(kept))
    return row
