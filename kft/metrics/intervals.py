"""95 % intervals: shares by Wilson's score (proportions.py), everything else by the bootstrap with one example more.

Percentiles over resampled groups (Efron and Tibshirani, 1993) know only what was seen: where every answer is right
they have no width, and 20 answers are no proof of always. So each resample holds one more example, with a weight drawn
from the exponential distribution: one that went as badly as these examples can go for the worse limit, one that went
well for the better. For a mean of zeros and ones that comes close to the exact limits (Clopper and Pearson, 1934), for
means of numbers with known ends to those of Gaffke (2005; Phan, Thomas and Learned-Miller, 2021); among many examples
one more is nothing. docs/evaluation.md has the coverage.

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
from kft.metrics.metric import Draws, Metric, joined
from kft.metrics.proportions import Groups, effective_rows, group_codes, share_interval, share_of
from kft.metrics.shares import mean_between
from kft.records.estimate import Estimate

RESAMPLES = 2000
# 32 MB of weights at a time, whatever the size of the test set.
DRAWS_AT_ONCE = 4_000_000
# 64 MB: the resamples of 4,000 examples.
KEPT_DRAWS = 8_000_000


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

    The interval always holds the value, and has a width, also with a single group or where every answer is right.

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
        0.800 [0.711, 0.867]
    """
    return _estimate({metric.name: metric}, targets, answers, groups, resamples, seed)[metric.name]


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
    Without 0 in it the models differ; which sign is better is ``metric.higher_is_better``. Two models that are right
    and wrong on the same examples may differ on others: only where both are one object is there no width.

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
    if first is second:  # one model: there is nothing to be uncertain of
        return Estimate(0.0, 0.0, 0.0)
    codes = group_codes(groups, len(targets))
    value = metric.value(targets, first) - metric.value(targets, second)
    right, others_right = (metric.form.right(targets, answers) for answers in (first, second))
    rows = _rows_alike(right != others_right, codes)
    one, two = (_Unseen(metric, targets, answers, codes, rows) for answers in (first, second))
    lower, upper = [], []
    for weights, extra in _resampling_weights(int(codes.max()) + 1, resamples, seed=0):
        first_worse, first_better = one.draw(weights, extra)
        second_worse, second_better = two.draw(weights, extra)
        lower.append(first_worse - second_better)
        upper.append(first_better - second_worse)
    low, high = np.concatenate(lower), np.concatenate(upper)
    return _interval(value, low, high) if metric.higher_is_better else _interval(value, high, low)


def estimate_mean(values: Any, resamples: int = RESAMPLES, seed: int = 0) -> Estimate:
    """Returns a mean over examples of figures from 0 to 1 with its interval.

    Args:
        values: ``float[n]``: one figure an example.
        resamples: As for ``estimate``.
        seed: Likewise.

    Example:
        >>> print(estimate_mean([1.0] * 80 + [0.0] * 20))
        0.800 [0.711, 0.867]
    """
    values = np.asarray(values, np.float64)
    if np.isin(values, (0, 1)).all():
        return share_interval(float(values.mean()), len(values))
    return estimate(mean_between(0, 1, higher_is_better=True), values, values, resamples=resamples, seed=seed)


def ratio_of_means(above: Any, below: Any, chance: float = 0.0, resamples: int = RESAMPLES, seed: int = 0) -> Estimate:
    """Returns the ratio of two means of figures from 0 to 1, both less chance, judged on the same resamples.

    Resamples in which the lower mean is not above chance say nothing and are left out: there should be next to none.

    Args:
        above: ``float[n]``: one figure an example.
        below: Likewise, of the same examples; its mean is above chance.
        chance: Is taken from both.
        resamples: As for ``estimate``.
        seed: Likewise.

    Example:
        >>> before = np.array([1.0] * 80 + [0.0] * 20)
        >>> print(ratio_of_means(before, before))
        1.000 [0.958, 1.044]
        >>> ratio_of_means(np.roll(before, 40), before).value
        1.0
    """
    above, below = np.asarray(above, np.float64), np.asarray(below, np.float64)
    lower: list[np.ndarray] = []
    upper: list[np.ndarray] = []
    for weights, extra in _resampling_weights(len(below), resamples, seed):
        tops, bottoms, rows = weights @ above, weights @ below, weights.sum(axis=1) + extra
        # One more example that tuning unlearned, for the lower limit, or that it learned.
        for kept, top, bottom in ((lower, tops, bottoms + extra), (upper, tops + extra, bottoms)):
            fine = bottom > chance * rows
            kept.append((top - chance * rows)[fine] / (bottom - chance * rows)[fine])
    value = float((above.mean() - chance) / (below.mean() - chance))
    return _interval(value, np.concatenate(lower), np.concatenate(upper))


class _Unseen:
    """A metric as a function of how often each group is drawn, with one group more that went badly, or well."""

    def __init__(self, metric: Metric, targets: Any, answers: Any, codes: np.ndarray, rows: float) -> None:
        self.metric, self.groups = metric, int(codes.max()) + 1
        self.rows = rows
        self._ends = tuple(self._end(targets, answers, codes, better) for better in (False, True))

    def _end(self, targets: Any, answers: Any, codes: np.ndarray, better: bool) -> tuple[Draws, int]:
        more = self.metric.form.unseen(targets, answers, better, np.random.default_rng(0))
        count = len(more[0])
        all_codes = np.concatenate([codes, self.groups + np.arange(count)])
        return self.metric.by_group(joined(targets, more[0]), joined(answers, more[1]), all_codes), count

    def draw(self, weights: np.ndarray, extra: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Returns the worse and the better values ``float[resamples]``, given weights of groups and of the one more."""
        found = []
        for value, count in self._ends:
            more = np.zeros((len(weights), count))
            if count:
                # Which of those that stand for it: as the weights, drawn anew in each resample.
                more[np.arange(len(weights)), (extra * 1e6).astype(np.int64) % count] = self.rows * extra
            found.append(value(np.concatenate([weights, more], axis=1)))
        return found[0], found[1]


def _rows_alike(right: np.ndarray, codes: np.ndarray) -> float:
    """Returns how many rows go well or badly together: what the one group more counts for."""
    return len(codes) / effective_rows(right.astype(np.float64), np.ones(len(codes)), codes)


def same_answers(first: Any, second: Any) -> bool:
    """Returns whether two models gave the same answers to the last bit, as one model does.

    Example:
        >>> same_answers(np.array([0.25, 0.75]), np.array([0.25, 0.75]))
        True
    """
    if isinstance(first, np.ndarray) and first.dtype != object:
        return bool(np.array_equal(first, second))
    return all(list(one) == list(two) for one, two in zip(first, second, strict=True))


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
    _require_resamples(resamples)
    codes = group_codes(groups, len(targets))
    found: dict[str, Estimate] = {}
    drawn: dict[str, tuple[_Unseen, list[np.ndarray], list[np.ndarray]]] = {}
    for name, metric in metrics.items():
        hits = metric.shares(targets, answers)
        if hits is not None:
            interval = share_of(hits[:, 0], hits[:, 1], codes)
            found[name] = Estimate(metric.value(targets, answers), interval.low, interval.high)
        else:
            rows = _rows_alike(metric.form.right(targets, answers), codes)
            drawn[name] = (_Unseen(metric, targets, answers, codes, rows), [], [])
    if drawn:
        for weights, extra in _resampling_weights(int(codes.max()) + 1, resamples, seed):
            for unseen, worse, better in drawn.values():
                for kept, values in zip((worse, better), unseen.draw(weights, extra), strict=True):
                    kept.append(values)
    for name, (unseen, worse, better) in drawn.items():
        ends = [np.concatenate(worse), np.concatenate(better)]
        lower, upper = ends if unseen.metric.higher_is_better else ends[::-1]
        value = metrics[name].value(targets, answers)
        by_chance = metrics[name].by_chance
        if by_chance is None:
            found[name] = _interval(value, lower, upper, turned=metrics[name].turned)
        else:
            found[name] = _distance(value, ends, by_chance(answers, codes, np.random.default_rng(seed)))
    return {name: found[name] for name in metrics}


def _require_resamples(resamples: int) -> None:
    if resamples < 1:
        raise UsageError("an interval needs resamples", received=f"{resamples}", expected="at least 1")


def _resampling_weights(groups: int, resamples: int, seed: int) -> Iterable[tuple[np.ndarray, np.ndarray]]:
    """Returns pieces: ``float64[resamples, groups]``, how often each was drawn, and ``[resamples]``, the one more."""
    _require_resamples(resamples)
    drawn = _kept_weights if resamples * groups <= KEPT_DRAWS else _draw_weights
    return drawn(groups, resamples, seed)


@lru_cache(maxsize=1)  # one set of examples is resampled for many metrics
def _kept_weights(groups: int, resamples: int, seed: int) -> tuple[tuple[np.ndarray, np.ndarray], ...]:
    return tuple(_draw_weights(groups, resamples, seed))


def _draw_weights(groups: int, resamples: int, seed: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    rng = np.random.default_rng(seed)
    extra = np.random.default_rng([seed, 1]).exponential(size=resamples)
    at_once = max(1, DRAWS_AT_ONCE // groups)
    for start in range(0, resamples, at_once):
        rows = min(at_once, resamples - start)
        draws = rng.integers(0, groups, (rows, groups))
        draws += np.arange(rows)[:, None] * groups
        counts = np.bincount(draws.ravel(), minlength=rows * groups).reshape(rows, groups).astype(np.float64)
        yield counts, extra[start : start + rows]


def _interval(value: float, lower: np.ndarray, upper: np.ndarray, turned: bool = False) -> Estimate:
    low, high = float(np.percentile(lower, 2.5)), float(np.percentile(upper, 97.5))
    if turned:
        low = min(low, max(0.0, 2 * value - high))  # what is turned is a share: none lies below nothing
    return Estimate(value, min(low, value), max(high, value))


def _distance(value: float, ends: Sequence[np.ndarray], by_chance: np.ndarray) -> Estimate:
    """The interval of what resampling shifts away from 0, as chance has shifted the value itself."""
    both = [_interval(value, end, end) for end in ends]
    low, high = min(each.low for each in both), max(each.high for each in both)
    if value <= np.percentile(by_chance, 97.5):
        return Estimate(value, 0.0, high)
    return Estimate(value, max(0.0, min(low, 2 * value - high)), high)
