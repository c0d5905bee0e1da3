"""The solved head on vectors of length one, its strength chosen out of fold; the names of the classes are rows too."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from kft.features.probe import CONVERGED, LOSSES, Basis, ProbeProblem, minimise, principal_axes
from kft.features.sparse import MEMORY
from kft.features.views.view import Goal, Lesson, ViewInput, folds_of
from kft.feed.source import DenseColumn

STRENGTHS = tuple(float(c) for c in 10.0 ** np.arange(-3, 2.01, 0.5))
"""Inverse penalties C that are tried, from the strongest penalty on."""
COARSE = 3e-4
"""Tolerance of the solver out of fold."""
CHOOSING_ROWS = 4000
"""Rows that a strength is chosen by, about: all folds of few labels, one of many."""


@dataclass(frozen=True, eq=False)
class LinearView:
    """A solved head.

    Attributes:
        kernel: ``float32[width, units]``: for vectors of length one.
        bias: ``float32[units]``.
        strength: The inverse penalty C.
        goal: What is answered.
    """

    kernel: np.ndarray
    bias: np.ndarray
    strength: float
    goal: Goal
    name = "linear"

    @property
    def settings(self) -> Mapping[str, Any]:
        return {"C": self.strength}

    @property
    def arrays(self) -> Mapping[str, np.ndarray]:
        return {"kernel": self.kernel, "bias": self.bias}

    def outputs(self, seen: ViewInput) -> np.ndarray:
        return self.goal.normalised(seen.unit @ self.kernel + self.bias)


def out_of_fold(lesson: Lesson, fold_of: np.ndarray, only: int | None = None) -> tuple[float, np.ndarray]:
    """Answers each example by a head that saw nothing of its fold.

    Args:
        lesson: Labelled examples.
        fold_of: ``int[n]``: the fold of each.
        only: The one fold that is answered, and chosen by; default: all of them.

    Returns:
        The strength that was chosen, and ``float32[n, units]``.
    """
    folds = folds_of(fold_of, only)
    solvers = [_Solver(lesson.take(np.flatnonzero(fold_of != fold))) for fold in folds]
    held = [lesson.take(np.flatnonzero(fold_of == fold)) for fold in folds]
    choosing = max(1, min(len(held), round(CHOOSING_ROWS / len(lesson))))
    strength, views = _choose(solvers[:choosing], held[:choosing])
    views += [solver.view(strength) for solver in solvers[choosing:]]
    found = np.zeros((len(lesson), lesson.goal.units), np.float32)
    for fold, view, part in zip(folds, views, held, strict=True):
        found[fold_of == fold] = view.outputs(part.seen)
    return strength, found


def fit(lesson: Lesson, strength: float) -> LinearView:
    """Solves the head on all examples, to convergence."""
    return _Solver(lesson).view(strength, CONVERGED)


def _choose(solvers: Iterable[_Solver], held: Iterable[Lesson]) -> tuple[float, list[LinearView]]:
    """Returns the strength of the least loss, and the heads of that strength; stops once the loss has risen twice."""
    tried: list[float] = []
    best: list[LinearView] = []
    pairs = list(zip(solvers, held, strict=True))
    starts: list[np.ndarray | None] = [None] * len(pairs)
    for strength in STRENGTHS:
        views, losses = [], []
        for place, (solver, part) in enumerate(pairs):
            view, starts[place] = solver.solve(strength, starts[place])
            views.append(view)
            losses.append(part.loss(view.outputs(part.seen)) * part.counts.sum())
        tried.append(sum(losses))
        if tried[-1] == min(tried):
            best = views
        if len(tried) > 2 and tried[-1] > tried[-2] > tried[-3]:
            break
    return STRENGTHS[int(np.argmin(tried))], best


class _Solver:
    """The examples of one fold along their axes; solves them for one strength after another."""

    def __init__(self, lesson: Lesson) -> None:
        vectors, targets = lesson.with_names
        self._goal = lesson.goal
        self._basis: Basis = principal_axes(DenseColumn(vectors))
        turned = (vectors - self._basis.mean.astype(np.float32)) @ self._basis.turn
        weights = np.append(lesson.counts, np.ones(len(targets) - len(lesson), np.float32))
        rows = [(np.arange(len(targets)), turned)]
        self._problem = ProbeProblem(rows, targets, weights, LOSSES[lesson.goal.solver])
        self._minimise = partial(minimise, self._problem, memory=MEMORY)

    def solve(
        self, strength: float, start: np.ndarray | None = None, tolerance: float = COARSE
    ) -> tuple[LinearView, np.ndarray]:
        """Returns the head, and the solution that the next strength may start from."""
        begin = np.zeros((len(self._basis.variance) + 1, self._goal.units)) if start is None else start
        curvature = self._basis.curvature(self._goal.certainty, strength)
        solution = self._minimise(curvature, strength, begin, tolerance)
        kernel = self._basis.axes @ solution[:-1] / self._basis.scale[:, None]
        bias = solution[-1] - self._basis.mean @ kernel
        return LinearView(kernel.astype(np.float32), bias.astype(np.float32), strength, self._goal), solution

    def view(self, strength: float, tolerance: float = COARSE) -> LinearView:
        return self.solve(strength, None, tolerance)[0]
