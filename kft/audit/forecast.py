"""Where a learning curve goes: an inverse power law through its points, carried on, with an interval.

``accuracy(n) = a - b * n ** -c`` describes the curves of most learners (Hestness et al., 2017; Viering and Loog, 2021);
a small ``c`` is nearly a logarithm, a large one a curve that has ended. The interval has four sources: which rows were
held out, which were learned from, the law's own error where it has to foretell the last point from those before, and,
through all of them, which law is fitted.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kft.records.estimate import Estimate

EXPONENTS = np.geomspace(0.05, 2, 30)
DRAWS = 400
CONFIDENCE_PERCENT = 90
LEAST_LUCK = 0.25
"""The luck of the rows that were learned from has at least this share of the sampling variance of those held out: eight
points that happen to lie on a curve do not show that there is none."""


@dataclass(frozen=True)
class Forecast:
    """What more examples would bring.

    Attributes:
        size: Examples to learn from.
        accuracy: What the probe would reach, with its 90 % interval.
        gain: How much more that is than now, on the same held-out rows, with its 90 % interval.
    """

    size: int
    accuracy: Estimate
    gain: Estimate


@dataclass(frozen=True)
class LearningCurve:
    """Points of a learning curve and what they leave open.

    Attributes:
        sizes: ``float64[points]``, rising: examples that were learned from.
        accuracy: ``float64[points]``, of the same held-out rows.
        covariance: ``float64[points, points]``: from which rows were held out.
        luck: Standard deviation of a point from which rows were learned from.
        error: How far the law misses the last point where it knows only those before: the mean of two tries.
    """

    sizes: np.ndarray
    accuracy: np.ndarray
    covariance: np.ndarray
    luck: float
    error: float


def fit_law(sizes: np.ndarray, points: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Fits the law to each row of points, by least squares weighted with the size, and says where it goes.

    Args:
        sizes: ``float[points]``.
        points: ``float[draws, points]``.
        wanted: ``float[m]``: sizes at which the law is read.

    Returns:
        ``float64[draws, m]``, at most 1.

    Example:
        >>> sizes = np.array([100.0, 200.0, 400.0, 800.0])
        >>> fit_law(sizes, (0.9 - 2 / np.sqrt(sizes))[None], np.array([1600.0])).round(2).tolist()
        [[0.85]]
    """
    weights = sizes / sizes.sum()
    level = points @ weights
    lowest, found = np.full(len(points), np.inf), np.empty((len(points), len(wanted)))
    for exponent in EXPONENTS:
        # For a given exponent the law is a straight line in x; it rises, and ends at 1 or below.
        x, x_wanted = (-((values / sizes[-1]) ** -exponent) for values in (sizes, wanted))
        middle = weights @ x
        slope = np.maximum((points - level[:, None]) @ (weights * (x - middle)) / (weights @ (x - middle) ** 2), 0)
        end = level - slope * middle
        above = end > 1
        slope[above] = np.maximum((points[above] - 1) @ (weights * x) / (weights @ x**2), 0)
        end[above] = 1
        squares = (points - end[:, None] - slope[:, None] * x) ** 2 @ weights
        better = squares < lowest
        lowest[better] = squares[better]
        found[better] = end[better, None] + slope[better, None] * x_wanted
    return found


def measure_curve(sizes: np.ndarray, right: np.ndarray, groups: np.ndarray | None = None) -> LearningCurve:
    """Measures a learning curve's points, and what is uncertain about them.

    Args:
        sizes: ``int[points]``, rising.
        right: ``bool[m, points]``: which held-out rows were answered right.
        groups: ``[m]``: rows that vary together; None where each stands alone.
    """
    sizes, right = sizes.astype(np.float64), right.astype(np.float64)
    accuracy = right.mean(axis=0)
    off = right - accuracy
    if groups is not None:
        _, group_of = np.unique(groups, return_inverse=True)
        off = np.stack([np.bincount(group_of, column) for column in off.T], axis=1)
    covariance = off.T @ off / len(right) ** 2
    residuals = accuracy - fit_law(sizes, accuracy[None], sizes)[0]
    least = LEAST_LUCK * accuracy[-1] * (1 - accuracy[-1]) / len(right)
    luck = np.sqrt(max((residuals**2).sum() / max(1, len(sizes) - 3), least))
    misses = [
        abs(accuracy[-1] - fit_law(sizes[:-left_out], accuracy[None, :-left_out], sizes[-1:])[0, 0])
        for left_out in (1, 2)
        if len(sizes) - left_out >= 3
    ]
    return LearningCurve(sizes, accuracy, covariance, float(luck), float(np.mean(misses)) if misses else float(luck))


def forecast(curve: LearningCurve, factor: float, *, seed: int = 0) -> Forecast:
    """Says what ``factor`` times as many examples would bring.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> sizes = np.array([100, 200, 400, 800])
        >>> right = rng.random((2000, 1)) < 0.9 - 2 / np.sqrt(sizes)
        >>> found = forecast(measure_curve(sizes, right), 2)
        >>> found.size, found.accuracy.low < 0.85 < found.accuracy.high
        (1600, True)
    """
    rng, points = np.random.default_rng(seed), len(curve.sizes)
    wanted = factor * curve.sizes[-1:]
    held_out = rng.multivariate_normal(np.zeros(points), curve.covariance, size=DRAWS, method="svd")
    drawn = curve.accuracy + held_out + rng.normal(0, curve.luck, (DRAWS, points))
    carried_on = fit_law(curve.sizes, drawn, wanted)[:, 0]
    levels = np.minimum(carried_on + rng.normal(0, curve.luck, DRAWS) + rng.normal(0, curve.error, DRAWS), 1)
    # The same rows are held out later: what they add to the level now, they add to it then.
    gains = levels - (curve.accuracy[-1] + held_out[:, -1])
    value = min(1.0, float(fit_law(curve.sizes, curve.accuracy[None], wanted)[0, 0]))
    return Forecast(round(float(wanted[0])), _around(value, levels), _around(value - curve.accuracy[-1], gains))


def _around(value: float, drawn: np.ndarray) -> Estimate:
    tail = (100 - CONFIDENCE_PERCENT) / 2
    low, high = np.percentile(drawn, [tail, 100 - tail])
    return Estimate(float(value), min(float(low), float(value)), max(float(high), float(value)))
