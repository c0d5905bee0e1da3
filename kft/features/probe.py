"""The linear probe: logistic or linear regression on frozen features, solved to convergence.

Features are standardised, the strength of the L2 penalty is chosen on the validation split, and the scale is
folded into the Dense head, so that the probe is the model's own head and fine-tuning can start from it
(linear probing, then fine-tuning: Kumar et al., 2022).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from kft.feed.source import Chunk, DenseColumn, Vectors
from kft.runtime import one_blas_thread

STRENGTHS = tuple(float(c) for c in 10.0 ** np.arange(-4, 2.01, 0.5))
"""Inverse penalties C that are tried, from the strongest penalty to the weakest. Wide on purpose: on real data
the best stood at .001 and at .1."""

COARSE, CONVERGED = 1e-4, 1e-6
"""Tolerances of the solver, for the choice of a strength and for the solution (docs/log.md)."""

KEPT_BYTES = 512 * 2**20
"""Features up to this size are kept in memory; above it they are made anew for every pass."""


@dataclass(frozen=True)
class ProbeRows:
    """Examples that a probe is solved on, or judged by.

    Attributes:
        features: ``float[rows, width]``, or a column that serves them in pieces.
        targets: ``int[rows]`` in ``0 .. classes - 1``, or ``float[rows, classes]``: for ``softmax``
            shares that sum to 1.
        weights: ``float[rows]``; default: ones.
    """

    features: Vectors | np.ndarray
    targets: np.ndarray
    weights: np.ndarray | None = None

    @property
    def vectors(self) -> Vectors:
        return DenseColumn(self.features) if isinstance(self.features, np.ndarray) else self.features


@dataclass(frozen=True)
class ProbeResult:
    """A solved probe, its scale folded in.

    Attributes:
        kernel: ``float32[width, classes]``.
        bias: ``float32[classes]``.
        strength: The chosen inverse penalty C.
        valid_loss: Mean loss on the validation split.
        tried: Every strength tried, its validation loss, and the score that chose.
    """

    kernel: np.ndarray
    bias: np.ndarray
    strength: float
    valid_loss: float
    tried: tuple[tuple[float, float, float], ...]


def solve_probe(
    rows: ProbeRows,
    valid: ProbeRows,
    classes: int,
    *,
    solver: str = "softmax",
    score: Callable[[np.ndarray], float] | None = None,
    tick: Callable[[int], None] = lambda count: None,
) -> ProbeResult:
    """Solves the probe for each strength, warm-started from the one before, and keeps the best on valid.

    Ties go to the stronger penalty: fine-tuning from a probe that has already driven the training loss to
    zero finds no gradient left to learn from (docs/log.md).

    Minimises ``C * sum_i w_i * loss_i + ||W||^2 / 2`` with L-BFGS on the full batch; the bias is not penalised. The
    path of strengths is solved coarsely, and stops once the validation loss has risen twice in a row; the strength
    that was chosen is then solved to convergence.

    Args:
        rows: What it learns from.
        valid: What chooses; its weights play no part.
        classes: How wide the head is.
        solver: The loss: ``softmax`` (one class of many), ``sigmoid`` (each label by itself), ``squared`` (ridge).
        score: What chooses the strength, from outputs ``float[valid_rows, classes]``; higher is better. Default: the
            validation loss.
        tick: Called with 1 after each strength.

    Example:
        >>> import numpy as np
        >>> x = np.array([[0.0], [0.2], [0.8], [1.0]])
        >>> rows = ProbeRows(x, np.array([0, 0, 1, 1]))
        >>> probe = solve_probe(rows, rows, classes=2)
        >>> (x @ probe.kernel + probe.bias).argmax(axis=1).tolist()
        [0, 0, 1, 1]
    """
    loss_of, certainty, targets = LOSSES[solver], certainty_of(solver, classes), rows.targets
    weights = np.ones(len(targets), np.float32) if rows.weights is None else rows.weights.astype(np.float32)
    with one_blas_thread():
        basis = principal_axes(rows.vectors)
        problem = ProbeProblem(_Rows(rows.vectors, basis), targets, weights, loss_of)
        valid_rows = _Rows(valid.vectors, basis)

        def solve(strength: float, start: np.ndarray, tolerance: float) -> np.ndarray:
            return minimise(problem, basis.curvature(certainty, strength), strength, start, tolerance)

        def judge(solution: np.ndarray) -> tuple[float, float]:
            loss, outputs = _evaluate(valid_rows, valid.targets, solution, loss_of)
            return loss, -loss if score is None else score(outputs)

        strength, solution, tried = _choose_strength(solve, judge, np.zeros((len(basis.mean) + 1, classes)), tick)
        solution = solve(strength, solution, CONVERGED)
        loss, _ = judge(solution)
        kernel, bias = _unturned(basis, solution)
    return ProbeResult(
        kernel=kernel,
        bias=bias,
        strength=strength,
        valid_loss=loss,
        tried=tried,
    )


def solve_at(rows: ProbeRows, classes: int, strength: float, solver: str = "softmax") -> tuple[np.ndarray, np.ndarray]:
    """Solves the probe for a strength that was chosen before; returns kernel and bias, as ``ProbeResult`` has them.

    Args:
        rows: What it learns from.
        classes: How wide the head is.
        strength: Inverse penalty C.
        solver: The loss.

    Example:
        >>> x = np.array([[0.0], [0.2], [0.8], [1.0]])
        >>> kernel, bias = solve_at(ProbeRows(x, np.array([0, 0, 1, 1])), 2, 1.0)
        >>> (x @ kernel + bias).argmax(axis=1).tolist()
        [0, 0, 1, 1]
    """
    weights = np.ones(len(rows.targets), np.float32) if rows.weights is None else rows.weights.astype(np.float32)
    with one_blas_thread():
        basis = principal_axes(rows.vectors)
        problem = ProbeProblem(_Rows(rows.vectors, basis), rows.targets, weights, LOSSES[solver])
        curvature = basis.curvature(certainty_of(solver, classes), strength)
        start = np.zeros((len(basis.mean) + 1, classes))
        return _unturned(basis, minimise(problem, curvature, strength, start, CONVERGED))


def _unturned(basis: Basis, solution: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns kernel and bias for features as they come, from a solution along the axes."""
    kernel = basis.axes @ solution[:-1] / basis.scale[:, None]
    return kernel.astype(np.float32), (solution[-1] - basis.mean @ kernel).astype(np.float32)


def _choose_strength(
    solve: Callable[[float, np.ndarray, float], np.ndarray],
    judge: Callable[[np.ndarray], tuple[float, float]],
    start: np.ndarray,
    tick: Callable[[int], None],
) -> tuple[float, np.ndarray, tuple[tuple[float, float, float], ...]]:
    """Returns the best strength, its coarse solution, and all that were tried; see ``solve_probe``."""
    tried: list[tuple[float, float, float]] = []
    best: tuple[float, float, np.ndarray] | None = None
    solution = start
    for strength in STRENGTHS:
        solution = solve(strength, solution, COARSE)
        loss, reached = judge(solution)
        tried.append((strength, loss, reached))
        tick(1)
        if best is None or reached > best[0]:
            best = (reached, strength, solution)
        if len(tried) > 2 and tried[-1][1] > tried[-2][1] > tried[-3][1]:
            break
    assert best is not None
    return best[1], best[2], tuple(tried)


@dataclass(frozen=True)
class Basis:
    """Standardised features turned to their principal axes.

    The penalty is the same in any rotation, and along these axes the loss's curvature is nearly diagonal, so
    that the solver needs a half to a third of the steps.

    Attributes:
        mean: ``float64[width]``.
        scale: ``float64[width]``.
        axes: ``float64[width, axes]``: columns are the axes, that of the least variance first.
        variance: ``float64[axes]``: along each axis.
        rows: How many examples it was measured on.
    """

    mean: np.ndarray
    scale: np.ndarray
    axes: np.ndarray
    variance: np.ndarray
    rows: int

    def leading(self, axes: int) -> Basis:
        """Returns the axes of the most variance alone: what an approximate answer needs, in a fraction of the time."""
        return replace(self, axes=self.axes[:, -axes:], variance=self.variance[-axes:])

    @property
    def turn(self) -> np.ndarray:
        """``float32[width, axes]``: from centred features to the axes."""
        return (self.axes / self.scale[:, None]).astype(np.float32)

    def curvature(self, certainty: float, strength: float) -> np.ndarray:
        """Returns ``float64[axes + 1, 1]``: the objective's second derivative before anything is known."""
        return (np.append(self.variance * self.rows * certainty + 1 / strength, self.rows * certainty))[:, None]


class _Rows:
    """Examples along the principal axes, in pieces: kept while they fit, else made anew for every pass."""

    def __init__(self, vectors: Vectors, basis: Basis) -> None:
        self._vectors = vectors
        self._mean, self._turn = basis.mean.astype(np.float32), basis.turn
        size = sum(values.nbytes for _, values in vectors.chunks())
        self._kept = list(self._made()) if size <= KEPT_BYTES else None

    def _made(self) -> Iterator[Chunk]:
        for places, values in self._vectors.chunks():
            yield places, (values - self._mean) @ self._turn

    def __iter__(self) -> Iterator[Chunk]:
        return iter(self._kept) if self._kept is not None else self._made()


def principal_axes(vectors: Vectors) -> Basis:
    """Measures the features in three passes: mean, deviation (1 for a feature that never changes), axes."""
    rows = sum(len(values) for _, values in vectors.chunks())
    mean = sum(values.sum(axis=0, dtype=np.float64) for _, values in vectors.chunks()) / rows
    squares = sum(((values - mean) ** 2).sum(axis=0) for _, values in vectors.chunks())
    scale = np.sqrt(squares / rows)
    scale[scale < 1e-8] = 1.0
    covariance = np.zeros((len(mean), len(mean)))
    for _, values in vectors.chunks():
        standardised = ((values - mean) / scale).astype(np.float32)
        covariance += standardised.T @ standardised
    variance, axes = np.linalg.eigh(covariance / rows)
    return Basis(mean, scale, axes, np.maximum(variance, 0), rows)


@dataclass(frozen=True)
class ProbeProblem:
    """What a probe minimises, but for the penalty.

    Attributes:
        rows: Examples along the axes.
        targets: As for ``ProbeRows``.
        weights: ``float32[rows]``.
        loss_of: One of ``LOSSES``.
    """

    rows: Iterable[Chunk]
    targets: np.ndarray
    weights: np.ndarray
    loss_of: Loss


def minimise(
    problem: ProbeProblem, curvature: np.ndarray, strength: float, start: np.ndarray, tolerance: float, memory: int = 10
) -> np.ndarray:
    """Returns the solution ``float64[axes + 1, classes]``, the bias last, for one strength.

    Args:
        problem: Examples, targets and loss.
        curvature: From ``Basis.curvature``.
        strength: Inverse penalty C.
        start: Where to begin, such as the solution for another strength.
        tolerance: It ends when a step lowers the objective by less than this share.
        memory: Steps that the solver remembers: fewer where there are very many parameters, for its own work on them.
    """
    from scipy.optimize import minimize

    targets, weights = problem.targets, problem.weights
    stretch = np.sqrt(curvature)  # the solver sees parameters along which the objective bends alike

    def objective(flat: np.ndarray) -> tuple[float, np.ndarray]:
        solution = flat.reshape(start.shape) / stretch
        kernel, bias = solution[:-1].astype(np.float32), solution[-1].astype(np.float32)
        value = float((solution[:-1] ** 2).sum()) / (2 * strength)
        gradient = np.zeros(start.shape)
        gradient[:-1] = solution[:-1] / strength
        # float32 for the large products, float64 for the sums and the solver's own arithmetic.
        for places, values in problem.rows:
            right = targets[places]
            losses, slope = problem.loss_of(values @ kernel + bias, right)
            slope *= weights[places, None]
            value += float(losses @ weights[places].astype(np.float64))
            gradient[:-1] += values.T @ slope
            gradient[-1] += slope.sum(axis=0, dtype=np.float64)
        # Per row: L-BFGS's stopping rules are then the same whatever the number of rows.
        return value / len(targets), (gradient / stretch / len(targets)).ravel()

    options = {"maxiter": 300, "gtol": 3e-6, "ftol": tolerance, "maxcor": memory}
    found = minimize(objective, (start * stretch).ravel(), jac=True, method="L-BFGS-B", options=options)
    return found.x.reshape(start.shape) / stretch


def _evaluate(
    rows: Iterable[Chunk], targets: np.ndarray, solution: np.ndarray, loss_of: Loss
) -> tuple[float, np.ndarray]:
    """Returns the mean loss and every row's outputs."""
    kernel, bias = solution[:-1].astype(np.float32), solution[-1].astype(np.float32)
    outputs = np.empty((len(targets), solution.shape[1]), np.float32)
    total = 0.0
    for places, values in rows:
        outputs[places] = values @ kernel + bias
        total += float(loss_of(outputs[places], targets[places])[0].sum())
    return total / len(targets), outputs


def _softmax_loss(logits: np.ndarray, targets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Cross-entropy against classes, or against shares of them; overwrites the logits."""
    logits -= logits.max(axis=1, keepdims=True)
    soft = targets.ndim == 2
    if soft:
        picked = np.einsum("nc,nc->n", logits, targets, dtype=np.float64)
    else:
        picked = logits[np.arange(len(targets)), targets].astype(np.float64)
    exponentials = np.exp(logits, out=logits)
    totals = exponentials.sum(axis=1, keepdims=True)
    losses = np.log(totals[:, 0], dtype=np.float64) - picked
    exponentials /= totals
    if soft:
        exponentials -= targets
    else:
        exponentials[np.arange(len(targets)), targets] -= 1
    return losses, exponentials


def _sigmoid_loss(logits: np.ndarray, targets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Binary cross-entropy, summed over the labels."""
    losses = (np.logaddexp(0, logits) - logits * targets).sum(axis=1, dtype=np.float64)
    return losses, 0.5 * (1 + np.tanh(logits / 2)) - targets


def _squared_loss(outputs: np.ndarray, targets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Half the squared error."""
    slope = outputs - targets
    return (slope**2).sum(axis=1, dtype=np.float64) / 2, slope


Loss = Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]
"""From outputs and targets to losses ``float64[rows]`` and their slopes ``float32[rows, classes]``."""

LOSSES: dict[str, Loss] = {"softmax": _softmax_loss, "sigmoid": _sigmoid_loss, "squared": _squared_loss}


def certainty_of(solver: str, classes: int) -> float:
    """Returns a loss's second derivative where every answer is as likely."""
    return {"softmax": (1 - 1 / classes) / classes, "sigmoid": 0.25, "squared": 1.0}[solver]
