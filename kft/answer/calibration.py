"""Calibration: probabilities that mean what they say, by one number fitted on the validation split.

Temperature scaling (Guo et al., 2017) divides the logits by a temperature: above 1 the model was too sure of
itself, below 1 not sure enough. It changes no answer, only how sure each one is.
"""

from __future__ import annotations

import numpy as np

from kft.answer.decide import Temperature, as_logits
from kft.metrics.classification import check_inputs
from kft.metrics.soft import check_shares
from kft.tasks.decode import softmax


def fit_temperature(targets: np.ndarray, probabilities: np.ndarray) -> Temperature:
    """Returns the temperature of the smallest log loss.

    Minimises, over ``b = 1 / temperature``, the mean log loss plus ``(b - log b) / n``: a prior around 1 that weighs
    as much as one example, without which a split that is all right would ask for infinite certainty. Both parts
    are convex in ``b``, so the slope's only root, found by bisection, is the minimum.

    Args:
        targets: ``int[n]``, or shares of soft labels ``float[n, classes]``.
        probabilities: ``float[n, classes]``.

    Raises:
        UsageError: They do not belong together.

    Example:
        >>> targets = np.array([0, 0, 0, 1] * 100)
        >>> fit_temperature(targets, np.tile([0.95, 0.05], (400, 1))).value > 2  # says .95 where .75 are right
        True
    """
    (check_shares if targets.ndim == 2 else check_inputs)(targets, probabilities)
    logits, n = as_logits(probabilities), len(targets)
    logits -= logits.max(axis=1, keepdims=True)
    soft = targets.ndim == 2
    picked = (logits * targets).sum(axis=1).mean() if soft else logits[np.arange(n), targets].mean()

    def slope(b: float) -> float:
        expected = (softmax(b * logits) * logits).sum(axis=1).mean()
        return float(expected - picked + (1 - 1 / b) / n)

    low, high = np.log(1e-3), np.log(1e3)
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (middle, high) if slope(np.exp(middle)) < 0 else (low, middle)
    return Temperature(float(np.exp(-(low + high) / 2)), n)
