"""Metrics of numbers."""

from __future__ import annotations

import numpy as np

from kft.errors import UsageError
from kft.metrics.metric import Form, Metric, mean, with_ones

MOST_UNSEEN = 64
"""Examples that stand for what was not seen."""


def check_numbers(targets: np.ndarray, answers: np.ndarray) -> None:
    """Refuses targets and answers that are not one finite number an example.

    Raises:
        UsageError: The shapes do not fit, there are no examples, or a number is not finite.
    """
    if targets.ndim != 1 or targets.shape != answers.shape or not targets.size:
        raise UsageError(
            "targets and answers do not fit",
            received=f"shapes {targets.shape} and {answers.shape}",
            expected="[n] and [n] with n >= 1",
        )
    for name, values in (("target", targets), ("answer", answers)):
        if not np.isfinite(values).all():
            row = int((~np.isfinite(values)).argmax())
            raise UsageError(f"a {name} is not finite", where=f"row {row}", received=str(values[row]))


NONE = 1e-24
"""A spread below it is none: numbers that are all the same."""


def _unseen(
    targets: np.ndarray, answers: np.ndarray, better: bool, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Examples that are answered exactly, or with the answer that belongs to another example."""
    rows = rng.integers(0, len(targets), MOST_UNSEEN)
    others = rng.integers(0, len(targets), MOST_UNSEEN)
    return targets[rows], targets[rows] if better else answers[others]


def _near(targets: np.ndarray, answers: np.ndarray) -> np.ndarray:
    """Which answers are nearer than half of them."""
    errors = np.abs(answers - targets)
    return errors <= np.median(errors)


NUMBERS = Form(check_numbers, _unseen, _near)
"""Numbers ``float[n]`` on both sides."""


def _absolute(targets: np.ndarray, answers: np.ndarray) -> np.ndarray:
    return with_ones(np.abs(answers - targets))


def _squared(targets: np.ndarray, answers: np.ndarray) -> np.ndarray:
    return with_ones((answers - targets) ** 2)


def _rmse(sums: np.ndarray) -> np.ndarray:
    return np.sqrt(mean(sums))


def _moments(targets: np.ndarray, answers: np.ndarray) -> np.ndarray:
    x, y = _in_deviations(targets), _in_deviations(answers)
    return np.stack([x, y, x * x, y * y, x * y, np.ones(len(x))], axis=1)


def _pearson(sums: np.ndarray) -> np.ndarray:
    x, y, xx, yy, xy, n = np.moveaxis(sums, -1, 0)
    covariance = xy - x * y / n
    spread = np.maximum(xx - x * x / n, 0) * np.maximum(yy - y * y / n, 0)
    return np.where(spread > NONE, covariance / np.sqrt(np.maximum(spread, NONE)), 0.0)


def _errors_and_moments(targets: np.ndarray, answers: np.ndarray) -> np.ndarray:
    x = _in_deviations(targets)
    return np.stack([x, x * x, ((answers - targets) / _deviation(targets)) ** 2, np.ones(len(x))], axis=1)


def _r2(sums: np.ndarray) -> np.ndarray:
    x, xx, errors, n = np.moveaxis(sums, -1, 0)
    spread = xx - x * x / n
    return np.where(spread > NONE, 1 - errors / np.maximum(spread, NONE), 0.0)


def _in_deviations(values: np.ndarray) -> np.ndarray:
    """Returns numbers as deviations from their mean, in standard deviations: their unit and height play no part."""
    return (values - values.mean()) / _deviation(values)


def _deviation(values: np.ndarray) -> float:
    """Returns the standard deviation; 1 of numbers that are all the same, whose mean is rounded."""
    found = float(values.std())
    return found if found > 1e-12 * np.abs(values).max() else 1.0


def undefined(targets: np.ndarray) -> str:
    """Says which metrics say nothing of such targets; empty where each says something.

    Example:
        >>> undefined(np.array([5.0, 5.0]))
        'all targets are 5: correlation and R² are not defined, and 0 stands for them'
    """
    if np.ptp(targets) > 0:
        return ""
    return f"all targets are {targets[0]:g}: correlation and R² are not defined, and 0 stands for them"


METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric("mae", False, _absolute, mean, NUMBERS),
        Metric("rmse", False, _squared, _rmse, NUMBERS),
        # Pearson's correlation; 0 where either side never changes.
        Metric("pearson_r", True, _moments, _pearson, NUMBERS),
        # 1 less the squared errors over the targets' squared deviations from their mean.
        Metric("r2", True, _errors_and_moments, _r2, NUMBERS),
    )
}
