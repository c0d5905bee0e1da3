"""Calibration: probabilities that mean what they say, by one number fitted on the validation split.

Temperature scaling (Guo et al., 2017) divides the logits by a temperature: above 1 the model was too sure of
itself, below 1 not sure enough. It changes no answer, only how sure each one is.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kft.metrics.classification import BRIER, METRICS, check_inputs, reliability
from kft.metrics.intervals import Groups, estimate
from kft.records.metrics import CalibrationResult
from kft.tasks.decode import softmax

SMALLEST = 1e-300
"""Below it a probability has no logarithm."""


@dataclass(frozen=True)
class Temperature:
    """A fitted temperature.

    Attributes:
        value: What logits are divided by; 1 leaves them alone.
        n: Examples it was fitted on; 0 where it was not.
    """

    value: float = 1.0
    n: int = 0

    def apply(self, probabilities: np.ndarray) -> np.ndarray:
        """Returns the probabilities at this temperature.

        Args:
            probabilities: ``float[n, classes]``, at temperature 1.

        Example:
            >>> Temperature(2.0).apply(np.array([[0.9, 0.1]])).round(2).tolist()
            [[0.75, 0.25]]
        """
        # A softmax does not see what all logits of a row have in common, so logarithms serve as well.
        return probabilities if self.value == 1 else softmax(_logits(probabilities) / self.value)


UNCHANGED = Temperature()


def fit_temperature(targets: np.ndarray, probabilities: np.ndarray) -> Temperature:
    """Returns the temperature of the smallest log loss.

    Minimises, over ``b = 1 / temperature``, the mean log loss plus ``(b - log b) / n``: a prior around 1 that weighs
    as much as one example, without which a split that is all right would ask for infinite certainty. Both parts
    are convex in ``b``, so the slope's only root, found by bisection, is the minimum.

    Args:
        targets: ``int[n]``.
        probabilities: ``float[n, classes]``.

    Raises:
        UsageError: They do not belong together.

    Example:
        >>> targets = np.array([0, 0, 0, 1] * 100)
        >>> fit_temperature(targets, np.tile([0.95, 0.05], (400, 1))).value > 2  # says .95 where .75 are right
        True
    """
    check_inputs(targets, probabilities)
    logits, n = _logits(probabilities), len(targets)
    logits -= logits.max(axis=1, keepdims=True)
    picked = logits[np.arange(n), targets].mean()

    def slope(b: float) -> float:
        expected = (softmax(b * logits) * logits).sum(axis=1).mean()
        return float(expected - picked + (1 - 1 / b) / n)

    low, high = np.log(1e-3), np.log(1e3)
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (middle, high) if slope(np.exp(middle)) < 0 else (low, middle)
    return Temperature(float(np.exp(-(low + high) / 2)), n)


def _logits(probabilities: np.ndarray) -> np.ndarray:
    return np.log(np.maximum(probabilities.astype(np.float64), SMALLEST))


def judge_calibration(
    targets: np.ndarray, raw: np.ndarray, temperature: Temperature, groups: Groups | None
) -> CalibrationResult:
    """Judges probabilities before and after a temperature, on examples that it was not fitted on.

    Args:
        targets: ``int[n]``.
        raw: ``float[n, classes]``, at temperature 1.
        temperature: From ``fit_temperature``.
        groups: Examples of one group are resampled together.
    """
    probabilities = temperature.apply(raw)
    return CalibrationResult(
        temperature=temperature.value,
        n=temperature.n,
        ece_before=estimate(METRICS["ece"], targets, raw, groups=groups),
        brier=estimate(BRIER, targets, probabilities, groups=groups),
        reliability=tuple(reliability(targets, probabilities)),
        reliability_before=tuple(reliability(targets, raw)),
    )
