"""95 % intervals by the bootstrap (Efron and Tibshirani, 1993): percentiles over resampled groups.

Where examples come in groups (sentences of one review), whole groups are resampled: examples of one group
are alike, and intervals that ignore it are too narrow.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kft.errors import UsageError
from kft.metrics.classification import METRICS, Metric, check_shapes

RESAMPLES = 2000
_CHUNK = 250
"""Resamples at a time, which bounds the memory."""


@dataclass(frozen=True)
class Estimate:
    """A value and its 95 % interval.

    Example:
        >>> print(Estimate(0.787, 0.759, 0.814))
        0.787 [0.759, 0.814]
    """

    value: float
    low: float
    high: float

    def as_dict(self) -> dict[str, float]:
        """Returns the form of metrics.json."""
        return {"value": self.value, "low": self.low, "high": self.high}

    def __str__(self) -> str:
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"


def estimate_all(
    targets: np.ndarray,
    probabilities: np.ndarray,
    *,
    groups: np.ndarray | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> dict[str, Estimate]:
    """Returns every metric with its interval, all from the same resamples."""
    return {
        name: estimate(metric, targets, probabilities, groups=groups, resamples=resamples, seed=seed)
        for name, metric in METRICS.items()
    }


def estimate(
    metric: Metric,
    targets: np.ndarray,
    probabilities: np.ndarray,
    *,
    groups: np.ndarray | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Estimate:
    """Returns a metric with its interval.

    Args:
        metric: One of ``METRICS``.
        targets: ``int[n]``.
        probabilities: ``float[n, classes]``.
        groups: ``[n]``, examples of one group are drawn together; default: each stands alone.
        resamples: Bootstrap resamples.
        seed: Of the resampling; the same seed and groups give the same resamples.

    Example:
        >>> import numpy as np
        >>> answers = np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]])
        >>> estimate(METRICS["accuracy"], np.array([0, 1, 0]), answers)
        Estimate(value=1.0, low=1.0, high=1.0)
    """
    check_shapes(targets, probabilities)
    statistics = _by_group(metric.statistics(targets, probabilities), groups)
    drawn = _resampled(metric, statistics, resamples, seed)
    return _percentiles(metric.value(targets, probabilities), drawn)


def paired_difference(
    metric: Metric,
    targets: np.ndarray,
    first: np.ndarray,
    second: np.ndarray,
    *,
    groups: np.ndarray | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Estimate:
    """Returns ``metric(first) - metric(second)`` on the same examples, with its paired interval."""
    check_shapes(targets, first)
    check_shapes(targets, second)
    drawn = [
        _resampled(metric, _by_group(metric.statistics(targets, answers), groups), resamples, seed)
        for answers in (first, second)
    ]
    return _percentiles(metric.value(targets, first) - metric.value(targets, second), drawn[0] - drawn[1])


def _by_group(statistics: np.ndarray, groups: np.ndarray | None) -> np.ndarray:
    if groups is None:
        return statistics
    if len(groups) != len(statistics):
        raise UsageError(
            "groups do not fit the examples", received=f"{len(groups)} groups", expected=f"{len(statistics)}"
        )
    _, positions = np.unique(np.asarray(groups, dtype=str), return_inverse=True)
    summed = np.zeros((positions.max() + 1, statistics.shape[1]))
    np.add.at(summed, positions, statistics)
    return summed


def _resampled(metric: Metric, statistics: np.ndarray, resamples: int, seed: int) -> np.ndarray:
    rng = np.random.Generator(np.random.PCG64(seed))
    n = len(statistics)
    shares = np.full(n, 1 / n)
    drawn = []
    for start in range(0, resamples, _CHUNK):
        weights = rng.multinomial(n, shares, size=min(_CHUNK, resamples - start))
        drawn.append(metric.combine(weights.astype(np.float64) @ statistics))
    return np.concatenate(drawn)


def _percentiles(value: float, drawn: np.ndarray) -> Estimate:
    low, high = np.percentile(drawn, [2.5, 97.5])
    return Estimate(float(value), float(low), float(high))
