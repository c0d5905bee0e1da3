"""What a metric is: per-example statistics, and how their sums combine; so that a resample is a weighted sum."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Metric:
    """A metric.

    Its value is ``combine(statistics.sum(axis=0))``; a bootstrap resample is the same with weighted sums.

    Attributes:
        name: As it stands in metrics.json.
        higher_is_better: Whether more is better.
        statistics: (targets ``[n]``, answers ``[n]``) to ``float[n, k]``.
        combine: Sums ``float[..., k]`` to values ``float[...]``.
        check: Refuses targets and answers that do not belong together, or are none.
        weighted: For a metric that no sums make up, such as one of ranks: (targets, answers, weights
            ``float[resamples, n]``) to ``float[resamples]``.
    """

    name: str
    higher_is_better: bool
    statistics: Callable[[Any, Any], np.ndarray]
    combine: Callable[[np.ndarray], np.ndarray]
    check: Callable[[Any, Any], None]
    weighted: Callable[[Any, Any, np.ndarray], np.ndarray] | None = None

    def value(self, targets: Any, answers: Any) -> float:
        """Returns the metric of these examples.

        Raises:
            UsageError: These are no targets and answers of the same examples.

        Example:
            >>> from kft.metrics.classification import METRICS
            >>> METRICS["accuracy"].value(np.array([0, 1]), np.array([[0.9, 0.1], [0.8, 0.2]]))
            0.5
        """
        self.check(targets, answers)
        return float(self.by_group(targets, answers, np.zeros(len(targets), np.int64))(np.ones((1, 1)))[0])

    def by_group(self, targets: Any, answers: Any, codes: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
        """Returns the metric as a function of how often each group is drawn.

        Args:
            targets: ``[n]``.
            answers: ``[n]``.
            codes: ``int[n]``: each example's group, numbered from 0 without a gap.

        Returns:
            From ``float[resamples, groups]`` to ``float[resamples]``.
        """
        weighted = self.weighted
        if weighted is not None:
            return lambda weights: weighted(targets, answers, weights[:, codes])
        sums = _sum_by_group(self.statistics(targets, answers), codes)
        return lambda weights: self.combine(weights @ sums)


def mean(sums: np.ndarray) -> np.ndarray:
    """Combines a sum and a count."""
    return sums[..., 0] / sums[..., 1]


def no_statistics(targets: Any, answers: Any) -> np.ndarray:
    """Stands where a metric is not made of sums."""
    raise NotImplementedError


def _sum_by_group(statistics: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """A group's rows are drawn together, so their sum is all that a resample needs."""
    count = int(codes.max()) + 1
    if count == len(codes):
        return statistics  # each example stands alone, in order
    if count == 1:
        return statistics.sum(axis=0, keepdims=True)
    sums = np.zeros((count, statistics.shape[1]))
    np.add.at(sums, codes, statistics)
    return sums
