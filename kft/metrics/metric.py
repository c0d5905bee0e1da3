"""What a metric is: per-example statistics, and how their sums combine; so that a resample is a weighted sum."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

Draws = Callable[[np.ndarray], np.ndarray]
"""A metric as a function of how often each group is drawn: ``float[resamples, groups]`` to ``float[resamples]``."""


@dataclass(frozen=True)
class Form:
    """What targets and answers of one kind look like.

    Attributes:
        check: Refuses targets and answers that do not belong together, or are none.
        unseen: (targets, answers, better, rng) to targets ``[k]`` and answers ``[k]`` of examples like these that went
            as well as can be, or as badly: what these examples may lack by chance. An interval allows for one of them.
        right: (targets, answers) to ``bool[n]``: which went well; it says how much examples of one group are alike.
    """

    check: Callable[[Any, Any], None]
    unseen: Callable[[Any, Any, bool, np.random.Generator], tuple[Any, Any]]
    right: Callable[[Any, Any], np.ndarray]


@dataclass(frozen=True)
class Metric:
    """A metric.

    Its value is ``combine(statistics.sum(axis=0))``; a bootstrap resample is the same with weighted sums.

    Attributes:
        name: As it stands in metrics.json.
        higher_is_better: Whether more is better.
        statistics: (targets ``[n]``, answers ``[n]``) to ``float[n, k]``.
        combine: Sums ``float[..., k]`` to values ``float[...]``; ``share`` of hits and what these are among.
        form: What targets and answers look like.
        weighted: For a metric that no sums make up, such as one of ranks: (targets, answers, weights
            ``float[resamples, n]``) to ``float[resamples]``.
        hits: Statistics to ``float[n, 2]``, hits and what they are among, where the metric is such a share.
        turned: Whether few examples flatter it, and resampling as much again: its interval is turned round its value.
            Only for shares, from 0 to 1.
        by_chance: For a distance that is never below 0 and that chance alone moves away from it: (answers, codes of
            groups, rng) to values ``float[draws]`` of examples whose true distance is 0. Its interval reaches down to 0
            where such a value is as large, and one example more may move it either way.
        neutral: Whether neither more nor less is better, so that no value is shown as the best.
    """

    name: str
    higher_is_better: bool
    statistics: Callable[[Any, Any], np.ndarray]
    combine: Callable[[np.ndarray], np.ndarray]
    form: Form
    weighted: Callable[[Any, Any, np.ndarray], np.ndarray] | None = None
    hits: Callable[[np.ndarray], np.ndarray] | None = None
    turned: bool = False
    by_chance: Callable[[Any, np.ndarray, np.random.Generator], np.ndarray] | None = None
    neutral: bool = False

    @property
    def perfect(self) -> float:
        """The value that nothing can be better than."""
        return 1.0 if self.higher_is_better else 0.0

    def check(self, targets: Any, answers: Any) -> None:
        """Refuses targets and answers that do not belong together, or are none.

        Raises:
            UsageError: They are such.
        """
        self.form.check(targets, answers)

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

    def by_group(self, targets: Any, answers: Any, codes: np.ndarray) -> Draws:
        """Returns the metric as a function of how often each group is drawn.

        Args:
            targets: ``[n]``.
            answers: ``[n]``.
            codes: ``int[n]``: each example's group, numbered from 0 without a gap.
        """
        weighted = self.weighted
        if weighted is not None:
            return lambda weights: weighted(targets, answers, weights[:, codes])
        sums = sum_by_group(self.statistics(targets, answers), codes)
        return lambda weights: self.combine(weights @ sums)

    def shares(self, targets: Any, answers: Any) -> np.ndarray | None:
        """Returns ``float[n, 2]``: hits and what they are among; None where the metric is no share."""
        if self.hits is None and self.combine is not share:
            return None
        statistics = self.statistics(targets, answers)
        return statistics if self.hits is None else self.hits(statistics)


def with_ones(values: np.ndarray) -> np.ndarray:
    """Returns ``float[n, 2]``: the statistics of which ``mean`` and ``share`` are those of the values."""
    return np.stack([values, np.ones(len(values))], axis=1)


def mean(sums: np.ndarray) -> np.ndarray:
    """Combines a sum and a count."""
    return sums[..., 0] / sums[..., 1]


def share(sums: np.ndarray) -> np.ndarray:
    """Combines hits and what they are among; of none, 0."""
    return sums[..., 0] / np.maximum(sums[..., 1], 1e-12)


def no_statistics(targets: Any, answers: Any) -> np.ndarray:
    """Stands where a metric is not made of sums."""
    raise NotImplementedError


def joined(first: Any, second: Any) -> Any:
    """Returns targets or answers with others behind them."""
    if isinstance(first, np.ndarray) and first.dtype != object:
        return np.concatenate([first, np.asarray(second, first.dtype)])
    return [*first, *second]


def sum_by_group(statistics: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """Returns ``float[groups, k]``: a group's rows are drawn together, so their sum is all that a resample needs."""
    count = int(codes.max()) + 1
    if count == len(codes):
        return statistics  # each example stands alone, in order
    if count == 1:
        return statistics.sum(axis=0, keepdims=True)
    sums = np.zeros((count, statistics.shape[1]))
    np.add.at(sums, codes, statistics)
    return sums
