"""Accuracy on new rows without a label: several ways, one interval, or a refusal in words.

Each way assumes that an answer of some confidence is right as often as on the reference. CBPE is the mean expected
correctness (correctness.py); by distance; at the new class shares. ATC counts the rows that are surer than a threshold
(Garg et al., 2022). The interval holds what chance does to the new rows and to the reference (resampled), how far apart
the ways are, and what none of them can see: rows unlike the reference may be right more or less often than expected.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from kft.metrics.proportions import Z, share_interval
from kft.monitor.estimates.correctness import distance_units, fit_correctness
from kft.monitor.estimates.prior_shift import find_prior_shift
from kft.monitor.estimates.refusing import broken_prior_shift, not_covered, too_little, uncalibrated, unlike_share
from kft.monitor.estimates.scores import OTHER, Scores, damage, known_rows
from kft.monitor.estimates.shares import drawn_anew, sampled
from kft.records.estimate import Estimate, percent
from kft.records.estimated import ACCURACY, AccuracyEstimate, EstimateMethod

RESAMPLES = 200
UNSEEN = 0.3
"""How much more or less often than expected rows unlike the reference may be right; chosen on half of the shifts."""
WIDEST = 0.5
"""A wider interval is no answer."""
METHOD = (
    "mean of average thresholded confidence (ATC) and of the correctness that confidence lets expect (CBPE), also by "
    "distance and at the new class shares"
)
ALIKE = "rows like the reference's are right as often as there, at the same confidence"
NO_NEW_CLASS = "no class is new"


@dataclass(frozen=True, eq=False)
class Ways:
    """The ways to the accuracy: each a function of how often every row counts.

    Attributes:
        reference: The truth of each row known.
        seen: New rows.
        at_shares: ``float64[n]``: how likely each new answer is right at the new class shares; None where more than
            the shares has changed.
    """

    reference: Scores
    seen: Scores
    at_shares: np.ndarray | None

    @cached_property
    def _order(self) -> np.ndarray:
        return np.argsort(self.reference.confidence, kind="stable")

    def values(self, of_reference: np.ndarray, of_new: np.ndarray) -> dict[str, float]:
        """Returns what each way says.

        Args:
            of_reference: ``float[rows]``: how often each row of the reference counts.
            of_new: ``float[n]``: likewise of the new rows.
        """
        units, shares = distance_units(self.reference, self.seen), of_new / of_new.sum()
        found = {"atc": self._thresholded(of_reference, shares)}
        found["cbpe"] = float(shares @ fit_correctness(self.reference, None, of_reference).of(self.seen))
        if units is not None:
            by_distance = fit_correctness(self.reference, units, of_reference)
            found["cbpe_distance"] = float(shares @ by_distance.of(self.seen))
        if self.at_shares is not None:
            found["cbpe_shares"] = float(shares @ self.at_shares)
        return found

    def _thresholded(self, of_reference: np.ndarray, shares: np.ndarray) -> float:
        """Returns the share of new rows above the confidence that as many of the reference exceed as are right."""
        counts = of_reference / of_reference.sum()
        wrong = 1 - float(counts @ self.reference.right)
        place = int(np.searchsorted(np.cumsum(counts[self._order]), wrong - 1e-12))
        threshold = self.reference.confidence[self._order[min(place, len(counts) - 1)]]
        return float(shares @ (self.seen.confidence > threshold))


def estimate_accuracy(reference: Scores, seen: Scores, seed: int = 0) -> AccuracyEstimate:
    """Returns the accuracy on new rows with a 95 % interval, or why it cannot be told without labels.

    Args:
        reference: Test rows of the model, their truth known.
        seen: New rows; a truth that they have is not looked at.
        seed: Of the resamples.
    """
    refused = damage(reference, seen) or too_little(reference, seen)
    rng = np.random.default_rng(seed)
    if not refused:
        reference, new = sampled(known_rows(reference), rng), sampled(seen, rng)
        refused = uncalibrated(reference) + not_covered(reference, new)
    if refused:
        return AccuracyEstimate(ACCURACY, None, None, None, METHOD, (ALIKE, NO_NEW_CLASS), refused, len(seen))
    ways, unlike = Ways(reference, new, _at_shares(reference, new)), unlike_share(reference, new)
    values = ways.values(np.ones(len(reference)), np.ones(len(new)))
    drawn = [ways.values(drawn_anew(len(reference), rng), drawn_anew(len(new), rng)) for _ in range(RESAMPLES)]
    value = float(np.mean(list(values.values())))
    by_chance = float(np.var([np.mean(list(each.values())) for each in drawn]))
    apart = float(np.var(list(values.values()), ddof=1))
    half = Z * (by_chance + apart + value * (1 - value) / len(new)) ** 0.5 + UNSEEN * unlike
    found = Estimate(value, max(0.0, value - half), min(1.0, value + half))
    assumptions = _assumed(unlike, ways.at_shares is not None)
    own = share_interval(float(reference.right.mean()), len(reference))
    said = tuple(EstimateMethod(name, each) for name, each in values.items())
    told = AccuracyEstimate(
        ACCURACY, found.value, found.low, found.high, METHOD, assumptions, (), len(seen), own, said, unlike
    )
    if found.high - found.low <= WIDEST:
        return told
    why = f"the ways to the accuracy are too far apart to be of use: all that can be said is {found}"
    return replace(told, value=None, low=None, high=None, refused=(why,))


def _assumed(unlike: float, at_shares: bool) -> tuple[str, ...]:
    """Returns what must hold, one sentence each."""
    found = [ALIKE]
    if unlike > 0:
        found.append(
            f"the {percent(unlike)} that are unlike it, by their distance from the training rows, are right at most "
            f"{100 * UNSEEN:.0f} points more or less often than expected"
        )
    if at_shares:
        found.append("where class shares have changed, rows of one class look as before")
    return (*found, NO_NEW_CLASS)


def _at_shares(reference: Scores, seen: Scores) -> np.ndarray | None:
    """Returns ``float64[n]``: how likely each answer is right at the new class shares; None where more has changed."""
    if (np.asarray(reference.truth) == OTHER).any():
        return None
    prior = find_prior_shift(reference, seen)
    if broken_prior_shift(reference, seen, prior):
        return None
    return prior.at_shares()[np.arange(len(seen)), seen.label]
