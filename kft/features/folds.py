"""Out-of-fold answers: what a probe says of examples it has not seen, for every example, and how it grows with data.

They need no exact probe: the leading principal axes and a loose tolerance give nearly the same answers in a tenth
of the time (docs/log.md), so that an audit costs less than a forward pass over the data.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from kft.data.examples import Examples
from kft.errors import DataError
from kft.features.probe import LOSSES, STRENGTHS, Basis, ProbeProblem, certainty_of, minimise, principal_axes
from kft.feed.source import CHUNK_ROWS, Chunk, DenseColumn
from kft.runtime import one_blas_thread
from kft.split.together import Vectorise, rows_together
from kft.tasks.decode import softmax

AXES = 256
TOLERANCE = 1e-4
FOLDS = 5
TRIED = tuple(strength for strength in STRENGTHS if strength <= 1)
"""With a weaker penalty the loose tolerance ends the solver long before it is there."""


@dataclass(frozen=True)
class Projected:
    """Labelled examples along the leading principal axes of their standardised features.

    Attributes:
        values: ``float32[n, axes]``.
        targets: ``int[n]``, or shares of the classes ``float32[n, classes]``.
        classes: How many there are.
        basis: The axes.
    """

    values: np.ndarray
    targets: np.ndarray
    classes: int
    basis: Basis

    def solve(self, rows: np.ndarray, strength: float, start: np.ndarray | None = None) -> np.ndarray:
        """Returns the probe ``float64[axes + 1, classes]`` that these rows teach, the bias last.

        Args:
            rows: ``int[m]``.
            strength: Inverse penalty C.
            start: The solution to begin with; one for rows that this one must not have seen would give them away.
        """
        loss_of, certainty = LOSSES["softmax"], certainty_of("softmax", self.classes)
        begin = np.zeros((self.values.shape[1] + 1, self.classes)) if start is None else start
        curvature = self.basis.curvature(certainty, strength)
        weights = np.ones(len(rows), np.float32)
        problem = ProbeProblem(list(_chunks(self.values[rows])), self.targets[rows], weights, loss_of)
        return minimise(problem, curvature, strength, begin, TOLERANCE)

    def logits(self, rows: np.ndarray, solution: np.ndarray) -> np.ndarray:
        """Returns ``float32[m, classes]``."""
        kernel = solution.astype(np.float32)
        return self.values[rows] @ kernel[:-1] + kernel[-1]


def project(features: np.ndarray, targets: np.ndarray, classes: int) -> Projected:
    """Standardises features and turns them to their leading principal axes.

    Args:
        features: ``float32[n, width]``.
        targets: ``int[n]`` in ``0 .. classes - 1``, or shares of the classes.
        classes: How many there are.
    """
    with one_blas_thread():
        basis = principal_axes(DenseColumn(features)).leading(AXES)
        values = (features - basis.mean.astype(np.float32)) @ basis.turn
    return Projected(values, targets, classes, basis)


def choose_strength(data: Projected, fold_of: np.ndarray) -> float:
    """Chooses the penalty on the first fold: from the strongest on, while the loss surely falls.

    Surely is by more than a standard error. Where classes lie well apart, the loss falls a little for ever, and the
    answers get no better.

    Args:
        data: Labelled examples.
        fold_of: ``int[n]``: the fold of each example.
    """
    train, held_out = np.flatnonzero(fold_of != 0), np.flatnonzero(fold_of == 0)
    with one_blas_thread():
        before, chosen, solution = None, TRIED[0], None
        for strength in TRIED:
            solution = data.solve(train, strength, solution)
            losses, _ = LOSSES["softmax"](data.logits(held_out, solution), data.targets[held_out])
            if before is not None:
                gained = before - losses
                if gained.mean() <= gained.std() / np.sqrt(len(gained)):
                    break
            before, chosen = losses, strength
    return chosen


@dataclass(frozen=True)
class OutOfFold:
    """What a probe says of examples that it has not seen.

    Attributes:
        probabilities: ``float64[n, classes]``.
        strength: The inverse penalty C of every fold's probe.
    """

    probabilities: np.ndarray
    strength: float


def out_of_fold(
    features: np.ndarray,
    targets: np.ndarray,
    classes: int,
    groups: np.ndarray | None = None,
    *,
    strength: float | None = None,
    seed: int = 0,
) -> OutOfFold:
    """Answers each example by a probe that saw neither it nor its group.

    The folds keep each class's share and each group whole. The strength of the penalty is chosen once, by the loss
    on the first fold, and then held: choosing among a few values gives next to nothing away of that fold's rows.

    Args:
        features: ``float32[n, width]``.
        targets: ``int[n]`` in ``0 .. classes - 1``, or shares of the classes ``float32[n, classes]``.
        classes: How many there are.
        groups: What must not be parted, such as near-copies or sentences of one review; default: each row alone.
        strength: Inverse penalty C; default: chosen.
        seed: Of the folds.

    Example:
        >>> x = np.array([[0.0], [0.1], [0.2], [0.3], [0.4], [1.6], [1.7], [1.8], [1.9], [2.0]], np.float32)
        >>> out_of_fold(x, np.arange(10) // 5, 2).probabilities.argmax(axis=1).tolist()
        [0, 0, 0, 0, 0, 1, 1, 1, 1, 1]
    """
    data = project(features, targets, classes)
    fold_of = assign_folds(targets if targets.ndim == 1 else targets.argmax(axis=1), groups, FOLDS, seed)
    if strength is None:
        strength = choose_strength(data, fold_of)
    found = np.empty((len(targets), classes))
    with one_blas_thread():
        for fold in range(FOLDS):
            held_out = np.flatnonzero(fold_of == fold)
            found[held_out] = softmax(data.logits(held_out, data.solve(np.flatnonzero(fold_of != fold), strength)))
    return OutOfFold(found, strength)


def assign_folds(targets: np.ndarray, groups: np.ndarray | None, folds: int, seed: int = 0) -> np.ndarray:
    """Deals groups out to folds of like size and like shares of the classes.

    In random order, the large ones first, each goes to the fold that lacks the most of its classes.

    Args:
        targets: ``int[n]``.
        groups: ``[n]``; None where each row stands alone.
        folds: How many.
        seed: Of the order.

    Returns:
        ``int[n]``: the fold of each row.

    Example:
        >>> found = assign_folds(np.array([0, 0, 0, 0, 1, 1]), np.array(list("aabbcd")), 2)
        >>> bool(found[0] == found[1]), np.bincount(found).tolist()
        (True, [3, 3])
    """
    rng = np.random.default_rng(seed)
    group_of = np.arange(len(targets)) if groups is None else np.unique(groups, return_inverse=True)[1]
    sizes = np.bincount(group_of)
    order = rng.permutation(len(sizes))
    order = order[np.argsort(-sizes[order], kind="stable")]
    counts = np.bincount(targets)
    lacking = np.tile(counts / folds, (folds, 1))
    rows = np.split(np.argsort(group_of, kind="stable"), np.cumsum(sizes)[:-1])
    fold_of = np.empty(len(targets), np.int64)
    for group in order:
        labels = targets[rows[group]]
        # Among folds that lack a class alike, the one with fewest rows in all.
        fold = int((lacking[:, labels].sum(axis=1) + 1e-6 * lacking.sum(axis=1)).argmax())
        np.subtract.at(lacking[fold], labels, 1)
        fold_of[rows[group]] = fold
    return fold_of


def _chunks(values: np.ndarray) -> Iterator[Chunk]:
    for start in range(0, len(values), CHUNK_ROWS):
        piece = values[start : start + CHUNK_ROWS]
        yield np.arange(start, start + len(piece)), piece


def whole_in_folds(
    known: Examples, strata: np.ndarray, alike: bool, vectorise: Vectorise
) -> tuple[np.ndarray | None, str]:
    """Returns ``[n]``, what no fold may part, and what was joined, in words; None where each example stands alone.

    Args:
        known: What is answered out of fold.
        strata: ``[n]``: what the folds keep the shares of.
        alike: Whether what looks alike stays together too, beside groups and copies.
        vectorise: Says what looks alike.

    Raises:
        DataError: All of them hang together.
    """
    keep: Literal["similar", "copies"] = "similar" if alike else "copies"
    found = rows_together(known.inputs, known.groups, strata, keep, vectorise, 1 - 1 / FOLDS)
    if found.groups is not None and len(np.unique(found.groups)) < 2:
        raise DataError(
            "all examples hang together: none can be answered by the others",
            where="data.group, or near-copies",
            received=f"{len(known):,} examples of one group",
            expected="two groups at least, better dozens",
            next_step="kft check RECIPE lists the copies",
        )
    return found.groups, f"; {found.joined.replace('kept on one side', 'in one fold')}" if found.joined else ""
