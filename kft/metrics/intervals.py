"""95 % intervals by the bootstrap (Efron and Tibshirani, 1993): percentiles over resampled groups.

Where examples come in groups (sentences of one review), whole groups are resampled: examples of one group
are alike, and intervals that ignore it are too narrow.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from kft.errors import UsageError
from kft.metrics.classification import METRICS
from kft.metrics.metric import Metric
from kft.records.estimate import Estimate

RESAMPLES = 2000
# 32 MB of weights at a time, whatever the size of the test set.
DRAWS_AT_ONCE = 4_000_000
# 64 MB: the resamples of 4,000 examples.
KEPT_DRAWS = 8_000_000

Groups = Sequence[object] | np.ndarray


def estimate_all(
    targets: Any,
    answers: Any,
    groups: Groups | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
    metrics: Mapping[str, Metric] = METRICS,
) -> dict[str, Estimate]:
    """Returns every metric with its interval; the resamples are drawn once for all. See ``estimate``.

    Example:
        >>> targets = np.array([0, 1] * 20)
        >>> list(estimate_all(targets, np.eye(2)[targets]))
        ['accuracy', 'macro_f1', 'log_loss', 'ece']
    """
    return _estimate(metrics, targets, answers, groups, resamples, seed)


def estimate(
    metric: Metric,
    targets: Any,
    answers: Any,
    groups: Groups | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Estimate:
    """Returns a metric with its interval.

    The interval always holds the value: resampling shifts metrics that are not means (``ece`` upwards), and
    where the percentiles leave the value outside, they are stretched to it. An interval shows only variation
    that it has seen: with a single group, or when every answer is right, it has no width.

    Args:
        metric: One of a task's.
        targets: ``[n]``: what is right, as the metric takes it.
        answers: ``[n]``: what the model says, such as probabilities ``float[n, classes]``.
        groups: ``[n]``, examples of one group are drawn together; default: each stands alone.
        resamples: Bootstrap resamples.
        seed: Of the resampling; the same seed and groups give the same resamples.

    Raises:
        UsageError: The shapes do not fit, or there is to be no resample.

    Example:
        >>> targets = np.array([0, 1] * 50)
        >>> answers = np.where(np.arange(100)[:, None] < 80, np.eye(2)[targets], np.eye(2)[1 - targets])
        >>> print(estimate(METRICS["accuracy"], targets, answers))
        0.800 [0.720, 0.880]
    """
    return _estimate({metric.name: metric}, targets, answers, groups, resamples, seed)[metric.name]


def share_interval(share: float, n: int) -> Estimate:
    """Returns a share of independent yes-or-no outcomes with its interval by Wilson's score (1927).

    Unlike resampling it has a width where all outcomes are alike: 10 of 10 are no proof of always.

    Args:
        share: From 0 to 1.
        n: Outcomes; those that hang together count as one.

    Example:
        >>> print(share_interval(1.0, 10))
        1.000 [0.722, 1.000]
    """
    z = 1.959963984540054
    middle = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * (share * (1 - share) / n + z**2 / (4 * n**2)) ** 0.5
    return Estimate(share, max(0.0, min(middle - half, share)), min(1.0, max(middle + half, share)))


def paired_difference(
    metric: Metric,
    targets: Any,
    first: Any,
    second: Any,
    groups: Groups | None = None,
    resamples: int = RESAMPLES,
) -> Estimate:
    """Returns ``metric(first) - metric(second)`` with its interval, both judged on the same resamples.

    Pairing takes out what both models find hard, so the interval is narrower than two separate ones suggest.
    Without 0 in it the models differ; which sign is better is ``metric.higher_is_better``.

    Example:
        >>> targets = np.array([0, 1] * 20)
        >>> always_zero = np.tile([1.0, 0.0], (40, 1))
        >>> paired_difference(METRICS["accuracy"], targets, np.eye(2)[targets], always_zero).value
        0.5
    """
    metric.check(targets, first)
    metric.check(targets, second)
    if np.shape(first) != np.shape(second):
        raise UsageError(
            "the two models do not answer alike",
            received=f"shapes {np.shape(first)} and {np.shape(second)}",
            expected="answers of the same shape",
        )
    codes = _group_codes(groups, len(targets))
    one, two = (metric.by_group(targets, answers, codes) for answers in (first, second))
    drawn = [one(weights) - two(weights) for weights in _resampling_weights(int(codes.max()) + 1, resamples, seed=0)]
    whole = np.ones((1, int(codes.max()) + 1))
    return _interval(float((one(whole) - two(whole))[0]), np.concatenate(drawn))


def estimate_mean(values: Any, resamples: int = RESAMPLES, seed: int = 0) -> Estimate:
    """Returns a mean over examples with its interval.

    Args:
        values: ``float[n]``: one figure an example.
        resamples: As for ``estimate``.
        seed: Likewise.

    Example:
        >>> print(estimate_mean([1.0] * 80 + [0.0] * 20))
        0.800 [0.720, 0.880]
    """
    values = np.asarray(values, np.float64)
    drawn = [weights @ values / len(values) for weights in _resampling_weights(len(values), resamples, seed)]
    return _interval(float(values.mean()), np.concatenate(drawn))


def ratio_of_means(above: Any, below: Any, resamples: int = RESAMPLES, seed: int = 0) -> Estimate:
    """Returns ``mean(above) / mean(below)`` with its interval, both judged on the same resamples of the examples.

    Resamples in which the lower mean is not above 0 say nothing and are left out: there should be next to none.

    Args:
        above: ``float[n]``: one figure an example.
        below: Likewise, of the same examples; its mean is above 0.
        resamples: As for ``estimate``.
        seed: Likewise.

    Example:
        >>> before = np.array([1.0] * 80 + [0.0] * 20)
        >>> print(ratio_of_means(before, before))
        1.000 [1.000, 1.000]
        >>> ratio_of_means(np.roll(before, 40), before).value
        1.0
    """
    above, below = np.asarray(above, np.float64), np.asarray(below, np.float64)
    drawn = []
    for weights in _resampling_weights(len(below), resamples, seed):
        upper, lower = weights @ above, weights @ below
        drawn.append(upper[lower > 0] / lower[lower > 0])
    return _interval(float(above.mean() / below.mean()), np.concatenate(drawn))


def _estimate(
    metrics: Mapping[str, Metric],
    targets: Any,
    answers: Any,
    groups: Groups | None,
    resamples: int,
    seed: int,
) -> dict[str, Estimate]:
    for metric in metrics.values():
        metric.check(targets, answers)
    codes = _group_codes(groups, len(targets))
    evaluated = {name: metric.by_group(targets, answers, codes) for name, metric in metrics.items()}
    drawn: dict[str, list[np.ndarray]] = {name: [] for name in metrics}
    for weights in _resampling_weights(int(codes.max()) + 1, resamples, seed):
        for name, evaluate in evaluated.items():
            drawn[name].append(evaluate(weights))
    return {
        name: _interval(metric.value(targets, answers), np.concatenate(drawn[name])) for name, metric in metrics.items()
    }


def _group_codes(groups: Groups | None, n: int) -> np.ndarray:
    """Returns ``int[n]``: groups numbered from 0 without a gap, in the order in which they appear."""
    if groups is None:
        return np.arange(n)
    if len(groups) != n:
        raise UsageError("groups do not fit the examples", received=f"{len(groups)} groups", expected=f"{n}")
    # A dictionary, not numpy.unique: ids may be of mixed types, which do not sort.
    numbers: dict[object, int] = {}
    return np.array([numbers.setdefault(group, len(numbers)) for group in groups])


def _resampling_weights(groups: int, resamples: int, seed: int) -> Iterable[np.ndarray]:
    """Returns pieces of ``float64[resamples, groups]``: how often each group was drawn in ``groups`` draws."""
    if resamples < 1:
        raise UsageError("an interval needs resamples", received=f"{resamples}", expected="at least 1")
    drawn = _kept_weights if resamples * groups <= KEPT_DRAWS else _draw_weights
    return drawn(groups, resamples, seed)


@lru_cache(maxsize=1)  # one set of examples is resampled for many metrics
def _kept_weights(groups: int, resamples: int, seed: int) -> tuple[np.ndarray, ...]:
    return tuple(_draw_weights(groups, resamples, seed))


def _draw_weights(groups: int, resamples: int, seed: int) -> Iterator[np.ndarray]:
    rng = np.random.default_rng(seed)
    at_once = max(1, DRAWS_AT_ONCE // groups)
    for start in range(0, resamples, at_once):
        rows = min(at_once, resamples - start)
        draws = rng.integers(0, groups, (rows, groups))
        draws += np.arange(rows)[:, None] * groups
        yield np.bincount(draws.ravel(), minlength=rows * groups).reshape(rows, groups).astype(np.float64)


def _interval(value: float, drawn: np.ndarray) -> Estimate:
    low, high = np.percentile(drawn, [2.5, 97.5])
    return Estimate(value, min(float(low), value), max(float(high), value))
