"""Accuracy on new rows without a label: several ways, combined into one interval, or a refusal in words."""

from __future__ import annotations

import numpy as np

from kft.metrics.proportions import share_interval
from kft.monitor.estimates.correctness import distance_units, fit_correctness
from kft.monitor.estimates.refusing import broken_prior_shift, too_foreign, too_little, uncalibrated
from kft.monitor.estimates.scores import OTHER, Scores, damage, known_rows
from kft.monitor.estimates.shares import PriorShift, find_prior_shift, sampled
from kft.records.estimated import ACCURACY, AccuracyEstimate, Way

RESAMPLES = 200
Z = 1.959963984540054
ASSUMPTIONS = (
    "an answer of the same confidence, as far from the training rows, is right as often as in the reference",
    "no class is new",
)
APART = 1.0
"""How many times the spread of the ways counts, beside chance, as a standard error."""


class Ways:
    """The ways to the accuracy, each a function of how often the rows of the reference and the new rows count."""

    def __init__(self, reference: Scores, seen: Scores) -> None:
        self.reference, self.seen = reference, seen
        self.units = distance_units(reference, seen)
        self.order = np.argsort(reference.confidence, kind="stable")
        self.prior = _plausible_prior(reference, seen)
        self.adjusted = None if self.prior is None else _adjusted(self.prior, reference, seen)

    def values(self, of_reference: np.ndarray, of_new: np.ndarray) -> dict[str, float]:
        """Returns what each way says.

        Args:
            of_reference: ``float[n]``: how often each row counts.
            of_new: Likewise of the new rows.
        """
        reference, seen, total = self.reference, self.seen, of_new.sum()
        found = {}
        alone = fit_correctness(reference, None, of_reference)
        found["cbpe"] = float(of_new @ alone.of(seen) / total)
        found["atc"] = self._thresholded(of_reference, of_new)
        if self.units is not None:
            found["cbpe_distance"] = float(
                of_new @ fit_correctness(reference, self.units, of_reference).of(seen) / total
            )
        if self.prior is not None and self.adjusted is not None:
            weights = of_reference * self.adjusted[0]
            found["reweighted"] = float(weights @ reference.right / weights.sum())
            found["atc_reweighted"] = self._thresholded(weights, of_new)
        return found

    def _thresholded(self, of_reference: np.ndarray, of_new: np.ndarray) -> float:
        """Average thresholded confidence: the share of new rows surer than as many of the reference as are right."""
        accuracy = float(of_reference @ self.reference.right / of_reference.sum())
        below = np.cumsum(of_reference[self.order]) / of_reference.sum()
        place = int(np.searchsorted(below, 1 - accuracy))
        threshold = self.reference.confidence[self.order[min(place, len(below) - 1)]]
        return float(of_new @ (self.seen.confidence > threshold) / of_new.sum())


def _plausible_prior(reference: Scores, seen: Scores) -> PriorShift | None:
    if (np.asarray(reference.truth) == OTHER).any():
        return None
    found = find_prior_shift(reference, seen)
    return None if broken_prior_shift(reference, seen, found.ratio) else found


def _adjusted(prior: PriorShift, reference: Scores, seen: Scores) -> tuple[np.ndarray]:
    return (prior.ratio[np.asarray(reference.truth)],)


def estimate_accuracy(reference: Scores, seen: Scores, seed: int = 0) -> AccuracyEstimate:
    """Returns the accuracy on new rows with a 95 % interval, or why it cannot be told without labels.

    Args:
        reference: Test rows of the model, their truth known.
        seen: New rows; a truth that they have is not looked at.
        seed: Of the resamples.
    """
    method = "average thresholded confidence and expected correctness (CBPE), by distance and class shares"
    refused = damage(reference, seen) or too_little(reference, seen)
    if not refused:
        rng = np.random.default_rng(seed)
        reference, new = sampled(known_rows(reference), rng), sampled(seen, rng)
        refused = uncalibrated(reference) + too_foreign(reference, new)
    if refused:
        return AccuracyEstimate(ACCURACY, None, None, None, method, ASSUMPTIONS, refused, len(seen))
    ways = Ways(reference, new)
    values = ways.values(np.ones(len(reference)), np.ones(len(new)))
    drawn = [ways.values(_drawn(len(reference), rng), _drawn(len(new), rng)) for _ in range(RESAMPLES)]
    value = float(np.mean(list(values.values())))
    middle = np.array([np.mean(list(each.values())) for each in drawn])
    spread = APART * float(np.std(list(values.values()), ddof=1))
    error = float(np.sqrt(middle.var() + spread**2 + value * (1 - value) / len(new)))
    low, high = max(0.0, value - Z * error), min(1.0, value + Z * error)
    own = share_interval(float(reference.right.mean()), len(reference))
    said = tuple(Way(name, each) for name, each in values.items())
    return AccuracyEstimate(ACCURACY, value, low, high, method, ASSUMPTIONS, (), len(seen), own, said)


def _drawn(n: int, rng: np.random.Generator) -> np.ndarray:
    return np.bincount(rng.integers(0, n, n), minlength=n).astype(np.float64)
