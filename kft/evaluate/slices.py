"""Slices: the same metrics on parts of the examples, and which parts are weaker than the rest beyond chance.

A hundred looks at noise find five that look weak at the 5 % level, so the p-values are corrected for the number of
looks (Holm, 1979). Slices by confidence are shown and not judged: less sure answers are wrong more often, as they
should be.

Where an answer is right or wrong, errors are counted. Else a row's part in the metric counts: how far the metric of all
rows would move without it (its influence; Hampel, 1974), which for a mean of errors is the row's error.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from kft.metrics.intervals import Groups, estimate_all
from kft.metrics.metric import Metric
from kft.records.metrics import SliceResult

RESAMPLES = 1000
SHUFFLES = 2000
"""Random orders that a part's sum of influences is compared with."""
STEP = 1e-4
"""How far the sums of a metric are moved to see what it does, as a share of the largest."""
MOST_VALUES = 20
"""A column of more different numbers than that is cut into thirds."""
CONFIDENCE_DIGITS = 4
"""Behind the point: confidences that differ by less are one, so that limits can be told apart and read."""


@dataclass(frozen=True)
class Cut:
    """A part of the examples.

    Attributes:
        by: A column, ``length`` or ``confidence``.
        value: What its examples have in common.
        rows: ``bool[n]``.
    """

    by: str
    value: str
    rows: np.ndarray


def cut(columns: Mapping[str, np.ndarray], inputs: Sequence[Any], confidence: np.ndarray | None) -> Iterator[Cut]:
    """Yields the parts of the examples: by the values of columns, by thirds of length and of confidence.

    Args:
        columns: Name to ``str[n]``.
        inputs: Texts or pairs of texts, whose words are counted; other inputs have no length.
        confidence: ``float[n]``; None where answers have none that parts are cut by.

    Example:
        >>> cuts = cut({"region": np.array(["north", "south"])}, ["a text", "one more text"], np.array([0.7, 0.9]))
        >>> [(part.by, part.value) for part in cuts][:4]
        [('region', 'north'), ('region', 'south'), ('length', 'up to 2 words'), ('length', 'from 3 words')]
    """
    for name, values in columns.items():
        numbers = _as_numbers(values)
        if numbers is not None and len(np.unique(numbers)) > MOST_VALUES:
            yield from _thirds(name, numbers)
        else:
            for value in sorted(set(map(str, values))):
                yield Cut(name, value or "(empty)", values.astype(str) == value)
    if inputs and isinstance(inputs[0], (str, tuple)):
        words = np.array([len(" ".join([given] if isinstance(given, str) else given).split()) for given in inputs])
        yield from _thirds("length", words, " words")
    if confidence is not None:
        yield from _thirds("confidence", confidence.round(CONFIDENCE_DIGITS), kind="f", digits=2)


def _as_numbers(values: np.ndarray) -> np.ndarray | None:
    try:
        numbers = values.astype(float)
    except (TypeError, ValueError):
        return None
    return numbers if np.isfinite(numbers).all() else None


def _thirds(
    by: str, values: np.ndarray, unit: str = "", *, kind: Literal["g", "f"] = "g", digits: int = 6
) -> Iterator[Cut]:
    """Yields up to three parts of about the same size, whose limits are values that occur; none where all are equal."""
    first, second = np.quantile(values, [1 / 3, 2 / 3], method="lower")
    parts = [values <= first, (values > first) & (values <= second), values > second]
    parts = [rows for rows in parts if rows.any()]
    if len(parts) == 1:
        return
    limits = _written([(values[rows].min(), values[rows].max()) for rows in parts], kind, digits)
    for place, (rows, (low, high)) in enumerate(zip(parts, limits, strict=True)):
        value = f"up to {high}" if place == 0 else f"from {low}" if place == len(parts) - 1 else f"{low} to {high}"
        yield Cut(by, value + unit, rows)


def _written(limits: Sequence[tuple[Any, Any]], kind: str, digits: int) -> list[tuple[str, str]]:
    """Returns the ends of parts as text, with so many digits that different ends look different.

    Example:
        >>> _written([(0.2, 0.71), (0.72, 0.93)], "f", 2), _written([(1, 11), (12, 30)], "g", 6)
        ([('0.20', '0.71'), ('0.72', '0.93')], [('1', '11'), ('12', '30')])
        >>> _written([(0.2, 0.9991), (0.9995, 0.9999)], "f", 2)
        [('0.2000', '0.9991'), ('0.9995', '0.9999')]
    """
    ends = {end for pair in limits for end in pair}
    enough = (count for count in range(digits, 17) if len({f"{end:.{count}{kind}}" for end in ends}) == len(ends))
    shown = f".{next(enough, digits)}{kind}"
    return [(format(low, shown), format(high, shown)) for low, high in limits]


def judge_slices(
    metrics: Mapping[str, Metric],
    truth: Any,
    answers: Any,
    cuts: Iterator[Cut],
    *,
    smallest: int,
    groups: np.ndarray | None = None,
) -> tuple[SliceResult, ...]:
    """Returns each part's metrics and whether it is weaker than the rest, in the order of the parts.

    Args:
        metrics: What parts are shown with; the first judges them.
        truth: ``[n]``, as the metrics take it.
        answers: Likewise.
        cuts: From ``cut``.
        smallest: Parts with fewer examples, or with fewer outside, are left out.
        groups: Examples of one group are resampled together, and count together.
    """
    n = len(truth)
    kept = [part for part in cuts if smallest <= part.rows.sum() < n]
    bad = badness(next(iter(metrics.values())), truth, answers)
    judged = [part.by != "confidence" for part in kept]
    corrected = iter(holm([weakness(bad, part.rows, groups) for part, yes in zip(kept, judged, strict=True) if yes]))
    return tuple(
        SliceResult(
            by=part.by,
            value=part.value,
            n=int(part.rows.sum()),
            metrics=estimate_all(
                _take(truth, part.rows),
                _take(answers, part.rows),
                groups=None if groups is None else groups[part.rows],
                resamples=RESAMPLES,
                metrics=metrics,
            ),
            p_value=next(corrected) if yes else None,
        )
        for part, yes in zip(kept, judged, strict=True)
    )


def _take(values: Any, rows: np.ndarray) -> Any:
    if isinstance(values, np.ndarray):
        return values[rows]
    return [values[row] for row in np.flatnonzero(rows)]


def badness(metric: Metric, truth: Any, answers: Any) -> np.ndarray:
    """Returns ``bool[n]``, what is wrong, or ``float[n]``: by how much each row makes the metric worse.

    Args:
        metric: One that is made of sums.
        truth: ``[n]``, as the metric takes it.
        answers: Likewise.

    Example:
        >>> from kft.metrics.regression import METRICS
        >>> badness(METRICS["mae"], np.array([0.0, 0.0]), np.array([1.0, 3.0])).round(6).tolist()
        [-0.5, 0.5]
    """
    statistics = metric.statistics(truth, answers)
    hits = metric.shares(truth, answers)
    if hits is not None and (hits[:, 1] == 1).all():
        return np.asarray(hits[:, 0] == 0)
    sums = statistics.sum(axis=0)
    step = STEP * max(float(np.abs(sums).max()), STEP)
    moved = np.eye(len(sums)) * step
    slope = (metric.combine(sums + moved) - metric.combine(sums - moved)) / (2 * step)
    found = statistics @ slope - (sums @ slope) / len(statistics)
    return -found if metric.higher_is_better else found


def weakness(bad: np.ndarray, rows: np.ndarray, groups: Groups | None = None) -> float:
    """Returns the chance of so many errors within, or of more, were they dealt out blindly.

    Of what is right or wrong it is Fisher's exact test, of other figures the share of random orders (the test of
    Fisher and Pitman). Errors of one group come together, and rows differ in how much they weigh: both make chance look
    smaller than it is. So with groups, and where rows have weights, the answer is the larger of that and of a score
    test whose variance is that of sums over groups (Liang and Zeger, 1986).

    Args:
        bad: From ``badness``.
        rows: ``bool[n]``: the part.
        groups: One of each example, or None where each stands alone.

    Example:
        >>> wrong = np.array([True] * 5 + [False] * 95)
        >>> weakness(wrong, np.arange(100) < 10) < 0.001
        True
    """
    from scipy.stats import hypergeom, norm

    n, inside = len(bad), int(rows.sum())
    counted = bad.dtype == bool
    if counted:
        dealt = float(hypergeom.sf(int(bad[rows].sum()) - 1, n, int(bad.sum()), inside))
    else:
        dealt = _shuffled(bad, rows)
    if groups is None and counted:
        return dealt
    numbers: dict[object, int] = {}
    codes = np.array([numbers.setdefault(group, len(numbers)) for group in (range(n) if groups is None else groups)])
    sums = np.bincount(codes, (rows - inside / n) * (bad - bad.mean()))
    spread = float(np.sqrt((sums**2).sum()))
    return max(dealt, float(norm.sf(sums.sum() / spread)) if spread > 0 else 1.0)


def _shuffled(bad: np.ndarray, rows: np.ndarray) -> float:
    """Returns the share of random draws of as many rows whose sum is as large; 0 where none is: see ``weakness``."""
    rng, inside = np.random.default_rng(0), int(rows.sum())
    drawn = np.array([rng.permutation(bad)[:inside].sum() for _ in range(SHUFFLES)])
    seen = float(bad[rows].sum())
    as_large = int((drawn >= seen - 1e-12 * (1 + abs(seen))).sum())
    # None of them: orders do not say how small the chance is, and after many looks their least would count for nothing.
    return (1 + as_large) / (1 + SHUFFLES) if as_large else 0.0


def holm(p_values: Sequence[float]) -> list[float]:
    """Returns p-values corrected for the number of looks (Holm, 1979), in the same order.

    Example:
        >>> holm([0.01, 0.04, 0.03])
        [0.03, 0.06, 0.06]
    """
    order = np.argsort(p_values, kind="stable")
    corrected = np.empty(len(p_values))
    worst = 0.0
    for rank, place in enumerate(order):
        worst = max(worst, min(1.0, float(p_values[place]) * (len(p_values) - rank)))
        corrected[place] = worst
    return corrected.tolist()


def worst_of(slices: Sequence[SliceResult], metric: Metric, whole: float) -> float:
    """Returns a metric's worst value over the judged slices and all examples together.

    Args:
        slices: From ``judge_slices``.
        metric: One that they are shown with.
        whole: The metric of all examples.
    """
    values = [whole, *(part.metrics[metric.name].value for part in slices if part.p_value is not None)]
    return min(values) if metric.higher_is_better else max(values)
