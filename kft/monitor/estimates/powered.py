"""Prediction-powered inference: a few labels, and what the model expects of all rows.

The mean over all rows of what is expected, corrected by what the labels say it is wrong by on average (Angelopoulos et
al., Science 2023), with the expectation weighed so that the interval is shortest (PPI++, Angelopoulos, Duchi and Zrnic,
2024). It is right whatever the expectation is worth: a poor one gets weight 0, and labels alone are left. Rows may be
labelled with unequal chances, where these are known: each counts by one over its chance, divided by the sum of these
(Hajek, 1971). The variance is that of two phases: rows come at random, then some of them are drawn for a label.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import t as student

from kft.metrics.proportions import NOT_SEEN
from kft.records.estimate import Estimate


@dataclass(frozen=True, eq=False)
class Powered:
    """A mean over all rows.

    Attributes:
        estimate: With its 95 % interval.
        alone: By the labels alone.
        weight: How much the expectation counts, from 0 to 1.
        more: How many labels more, drawn in the same way, would halve the interval; None where no number would.
    """

    estimate: Estimate
    alone: Estimate
    weight: float
    more: int | None


def powered_mean(outcome: np.ndarray, expected: np.ndarray, chance: np.ndarray, most: float | None = 1.0) -> Powered:
    """Returns a mean over all rows from the outcomes of some.

    Args:
        outcome: ``float[rows]``: nan where a row has no label.
        expected: ``float[rows]``: what is expected of each row, from whatever but its own label.
        chance: ``float[rows]``: the chance with which each row was drawn for a label, above 0; read where it has one.
        most: The largest outcome there can be, the least being 0: Wilson's interval then. None: Student's.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> expected = rng.uniform(0.3, 1, 2000)
        >>> outcome = np.where(np.arange(2000) < 100, rng.random(2000) < expected, np.nan)
        >>> found = powered_mean(outcome, expected, np.full(2000, 0.05))
        >>> print(found.estimate, found.alone)
        0.710 [0.621, 0.785] 0.740 [0.644, 0.817]
    """
    drawn = ~np.isnan(outcome)
    rows, labels = len(outcome), int(drawn.sum())
    scale = 1.0 if most is None else most
    got, said, picked = outcome[drawn] / scale, expected[drawn] / scale, chance[drawn]
    weights = 1 / picked
    weights /= weights.sum()
    alone = _Drawn(got, weights, picked)
    trust = _trust(got, said, weights, labels)
    corrected = _Drawn(got - trust * said, weights, picked)
    value = trust * float(expected.mean()) / scale + float(weights @ (got - trust * said))
    # How much outcomes differ from row to row: known from the labels, whatever is expected.
    spread = alone.spread_of_outcomes(most is not None)
    usual = None if most is None else alone.mean
    first, second = spread / rows, corrected.variance(usual)
    interval = _interval(value, first + second, labels, spread, most is not None)
    by_labels = _interval(alone.mean, first + alone.variance(usual), labels, spread, most is not None)
    more = _more_labels(first, second, labels, rows)
    return Powered(_scaled(interval, scale), _scaled(by_labels, scale), trust, more)


def drawn_mean(outcome: np.ndarray, chance: np.ndarray, most: float | None = 1.0) -> Powered:
    """Returns a mean over all rows where only those that were drawn are at hand, such as the file of ``kft queue``.

    What is expected of the other rows is not known then: labels alone count, each for one over its chance.

    Args:
        outcome: ``float[rows]``: nan where a row that was drawn has no label yet; the others are a fair part.
        chance: ``float[rows]``: with which each was drawn.
        most: As for ``powered_mean``.

    Example:
        >>> outcome, chance = np.array([1.0, 0.0] * 50), np.array([0.1, 0.4] * 50)
        >>> print(drawn_mean(outcome, chance).estimate)
        0.800 [0.728, 0.857]
    """
    drawn = ~np.isnan(outcome)
    rows, labels = round(float((1 / chance).sum())), int(drawn.sum())
    scale = 1.0 if most is None else most
    weights = 1 / chance[drawn]
    picked = chance[drawn] * (labels / len(outcome))
    alone = _Drawn(outcome[drawn] / scale, weights / weights.sum(), picked)
    spread = alone.spread_of_outcomes(most is not None)
    first, second = spread / rows, alone.variance(None if most is None else alone.mean)
    interval = _scaled(_interval(alone.mean, first + second, labels, spread, most is not None), scale)
    return Powered(interval, interval, 0.0, _more_labels(first, second, labels, rows))


@dataclass(frozen=True, eq=False)
class _Drawn:
    """Some figure of the rows that were drawn for a label.

    Attributes:
        figures: ``float[labels]``.
        weights: ``float[labels]``, they sum to 1.
        chance: ``float[labels]``.
    """

    figures: np.ndarray
    weights: np.ndarray
    chance: np.ndarray

    @property
    def mean(self) -> float:
        return float(self.weights @ self.figures)

    def spread_of_outcomes(self, bounded: bool) -> float:
        """Returns the variance from row to row; of shares with half a right and half a wrong row more."""
        if not bounded:
            labels = len(self.figures)
            return float(self.weights @ (self.figures - self.mean) ** 2) * labels / max(labels - 1, 1)
        worth = 1 / float(self.weights @ self.weights)
        share = (self.mean * worth + NOT_SEEN) / (worth + 2 * NOT_SEEN)
        return share * (1 - share)

    def variance(self, usual: float | None) -> float:
        """Returns the variance of the mean that comes of drawing only some rows.

        Args:
            usual: The mean outcome where outcomes are shares. Half a right and half a wrong row that were not seen then
                count besides: where all that was seen is alike, the figures show too little of what they vary.
        """
        labels = len(self.figures)
        left = self.weights**2 * (1 - self.chance)
        seen = float(left @ (self.figures - self.mean) ** 2) * labels / max(labels - 1, 1)
        if usual is None:
            return seen
        return seen + NOT_SEEN * float(left.mean()) * ((1 - usual) ** 2 + usual**2)


def _trust(got: np.ndarray, said: np.ndarray, weights: np.ndarray, labels: int) -> float:
    """Returns the weight of what is expected that makes the variance least, from 0 to 1."""
    if labels < 3:
        return 0.0
    squares = weights**2
    apart = said - float(weights @ said)
    below = float(squares @ apart**2)
    if np.ptp(said) == 0 or below <= 0:
        return 0.0
    return float(np.clip(float(squares @ (apart * (got - float(weights @ got)))) / below, 0.0, 1.0))


def _interval(value: float, variance: float, labels: int, spread: float, bounded: bool) -> Estimate:
    """Returns the 95 % interval: Wilson's with as many rows as the variance is worth, or Student's."""
    z = float(student.ppf(0.975, max(labels - 1, 1)))
    if not bounded:
        half = z * variance**0.5
        return Estimate(value, max(0.0, value - half), value + half)
    value = min(max(value, 0.0), 1.0)
    worth = spread / variance if variance > 0 else float(labels)
    middle = (value + z**2 / (2 * worth)) / (1 + z**2 / worth)
    half = z / (1 + z**2 / worth) * (value * (1 - value) / worth + z**2 / (4 * worth**2)) ** 0.5
    return Estimate(value, max(0.0, min(middle - half, value)), min(1.0, max(middle + half, value)))


def _more_labels(first: float, second: float, labels: int, rows: int) -> int | None:
    """Returns how many labels more would make the variance a quarter."""
    wanted = (first + second) / 4 - first
    per_label = second / (1 / labels - 1 / rows) if labels < rows else 0.0
    if per_label <= 0 or wanted <= -per_label / rows:
        return None
    needed = int(np.ceil(per_label / (wanted + per_label / rows)))
    return needed - labels if labels < needed <= rows else None


def _scaled(estimate: Estimate, scale: float) -> Estimate:
    return Estimate(estimate.value * scale, estimate.low * scale, estimate.high * scale)
