"""The linear probe: multinomial logistic regression on frozen features, solved to convergence.

Features are standardised, the strength of the L2 penalty is chosen on the validation split, and the scale is
folded into the Dense head, so that the probe is the model's own head and fine-tuning can start from it
(linear probing, then fine-tuning: Kumar et al., 2022).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from kft.metrics.classification import METRICS
from kft.recipe.schema import Monitor

STRENGTHS = tuple(float(c) for c in 10.0 ** np.arange(-4, 2.01, 0.5))
"""Inverse penalties C that are tried, from the strongest penalty to the weakest. Wide on purpose: on real data
the best stood at .001 and at .1."""


@dataclass(frozen=True)
class ProbeResult:
    """A solved probe, its scale folded in.

    Attributes:
        kernel: ``float32[width, classes]``.
        bias: ``float32[classes]``.
        strength: The chosen inverse penalty C.
        valid_loss: Mean cross-entropy on the validation split, in nats.
        tried: Every strength tried, its validation loss, and the score that chose.
    """

    kernel: np.ndarray
    bias: np.ndarray
    strength: float
    valid_loss: float
    tried: tuple[tuple[float, float, float], ...]


def solve_probe(
    features: np.ndarray,
    targets: np.ndarray,
    valid_features: np.ndarray,
    valid_targets: np.ndarray,
    *,
    classes: int,
    monitor: Monitor = "valid_accuracy",
    row_weights: np.ndarray | None = None,
    tick: Callable[[int], None] | None = None,
) -> ProbeResult:
    """Solves the probe for each strength, warm-started from the one before, and keeps the best on valid.

    Ties go to the stronger penalty: fine-tuning from a probe that has already driven the training loss to
    zero finds no gradient left to learn from (docs/log.md).

    Minimises ``C * sum_i w_i * cross_entropy_i + ||W||^2 / 2`` with L-BFGS on the full batch; the bias is not
    penalised. The path stops once the validation loss has risen three times in a row.

    Args:
        features: ``float[rows, width]``.
        targets: ``int[rows]`` in ``0 .. classes - 1``.
        valid_features: ``float[valid_rows, width]``.
        valid_targets: ``int[valid_rows]``.
        classes: How many classes there are.
        monitor: What chooses the strength: ``valid_accuracy``, ``valid_macro_f1`` or ``valid_loss``.
        row_weights: ``float[rows]``; default: ones.
        tick: Called with 1 after each strength.

    Example:
        >>> import numpy as np
        >>> x = np.array([[0.0], [0.2], [0.8], [1.0]])
        >>> y = np.array([0, 0, 1, 1])
        >>> probe = solve_probe(x, y, x, y, classes=2)
        >>> (x @ probe.kernel + probe.bias).argmax(axis=1).tolist()
        [0, 0, 1, 1]
    """
    mean = features.mean(axis=0, dtype=np.float64)
    scale = features.std(axis=0, dtype=np.float64)
    scale[scale < 1e-8] = 1.0
    rows = ((features - mean) / scale).astype(np.float32)
    valid_rows = ((valid_features - mean) / scale).astype(np.float32)
    weights = np.ones(len(rows)) if row_weights is None else np.asarray(row_weights, np.float64)
    solution = np.zeros((rows.shape[1] + 1, classes))
    tried: list[tuple[float, float, float]] = []
    best: tuple[float, float, float, np.ndarray] | None = None
    for strength in STRENGTHS:
        solution = _minimise(rows, targets, weights, strength, solution)
        losses, probabilities = _cross_entropy(_logits(valid_rows, solution), valid_targets)
        loss = float(losses.mean())
        score = -loss if monitor == "valid_loss" else METRICS[monitor[6:]].value(valid_targets, probabilities)
        tried.append((strength, loss, score))
        if tick:
            tick(1)
        if best is None or score > best[0]:
            best = (score, loss, strength, solution)
        rising = [later[1] > earlier[1] for earlier, later in pairwise(tried[-4:])]
        if len(rising) == 3 and all(rising):
            break
    assert best is not None
    _, loss, strength, solution = best
    kernel = solution[:-1] / scale[:, None]
    return ProbeResult(
        kernel=kernel.astype(np.float32),
        bias=(solution[-1] - mean @ kernel).astype(np.float32),
        strength=strength,
        valid_loss=loss,
        tried=tuple(tried),
    )


def _minimise(
    rows: np.ndarray, targets: np.ndarray, weights: np.ndarray, strength: float, start: np.ndarray
) -> np.ndarray:
    from scipy.optimize import minimize

    def objective(flat: np.ndarray) -> tuple[float, np.ndarray]:
        solution = flat.reshape(start.shape)
        losses, probabilities = _cross_entropy(_logits(rows, solution), targets)
        probabilities[np.arange(len(rows)), targets] -= 1
        slope = (probabilities * weights[:, None]).astype(np.float32)
        gradient = np.empty(start.shape)
        gradient[:-1] = rows.T @ slope + solution[:-1] / strength
        gradient[-1] = slope.sum(axis=0)
        value = float((losses * weights).sum() + (solution[:-1] ** 2).sum() / (2 * strength))
        # Per row: L-BFGS's stopping rules are then the same whatever the number of rows.
        return value / len(rows), (gradient / len(rows)).ravel()

    options = {"maxiter": 200, "gtol": 1e-5, "ftol": 1e-7}
    return minimize(objective, start.ravel(), jac=True, method="L-BFGS-B", options=options).x.reshape(start.shape)


def _logits(rows: np.ndarray, solution: np.ndarray) -> np.ndarray:
    # float32 for the large product, float64 for the solver's own arithmetic.
    return (rows @ solution[:-1].astype(np.float32)).astype(np.float64) + solution[-1]


def _cross_entropy(logits: np.ndarray, targets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    shifted = logits - logits.max(axis=1, keepdims=True)
    exponentials = np.exp(shifted)
    totals = exponentials.sum(axis=1, keepdims=True)
    losses = np.log(totals[:, 0]) - shifted[np.arange(len(targets)), targets]
    return losses, exponentials / totals
