"""The shares of the classes in new rows, with intervals, where nothing but the shares has changed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from kft.metrics.proportions import share_interval
from kft.monitor.estimates.prior import SMALLEST, apply_bcts, by_bbse, by_em, fit_bcts
from kft.monitor.estimates.refusing import broken_prior_shift, too_little
from kft.monitor.estimates.scores import OTHER, Scores, damage, known_rows
from kft.records.estimated import ClassShare, ClassShares

RESAMPLES = 200
MOST_ROWS = 4_000
"""Rows of either side that are looked at; of more, a seeded sample."""
AGAIN = 25
"""Steps of EM in a resample, from where the whole sample ended."""
METHOD = (
    "shares that make the new probabilities most likely (EM on probabilities calibrated class by class), "
    "intervals from resampled reference and new rows"
)
ASSUMPTIONS = (
    "only the shares of the classes have changed: rows of one class look as they did in the reference",
    "no class is new",
)


@dataclass(frozen=True, eq=False)
class PriorShift:
    """Class shares of new rows, and of the reference.

    Attributes:
        reference: ``float64[classes]``.
        shares: ``float64[classes]``: by EM.
        bbse: ``float64[classes]``: by BBSE.
        probabilities: ``float64[rows, classes]`` of the new rows, calibrated for the reference's shares.
        of_reference: Likewise of the reference.
        prior: ``float64[classes]``: the mean of ``of_reference``.
    """

    reference: np.ndarray
    shares: np.ndarray
    bbse: np.ndarray
    probabilities: np.ndarray
    of_reference: np.ndarray
    prior: np.ndarray

    @property
    def ratio(self) -> np.ndarray:
        """``float64[classes]``: how many times as frequent each class has become; 1 where the reference lacks it."""
        there = self.reference > 0
        return np.where(there, self.shares / np.where(there, self.reference, 1.0), 1.0)


def find_prior_shift(reference: Scores, seen: Scores) -> PriorShift:
    """Returns the new shares.

    Args:
        reference: With a known truth in each row.
        seen: New rows.
    """
    own = reference.take(np.asarray(reference.truth) != OTHER)
    truth = np.asarray(own.truth)
    slope, bias = fit_bcts(np.asarray(own.probabilities), truth)
    of_reference = apply_bcts(np.asarray(own.probabilities), slope, bias)
    new = apply_bcts(np.asarray(seen.probabilities), slope, bias)
    prior = of_reference.mean(axis=0)
    bbse = by_bbse(_confusion(truth, own.label, None, own.classes), np.bincount(seen.label, minlength=own.classes))
    shares = np.bincount(truth, minlength=own.classes) / len(truth)
    return PriorShift(shares, by_em(new, prior), bbse, new, of_reference, prior)


def estimate_shares(reference: Scores, seen: Scores, names: Sequence[str], seed: int = 0) -> ClassShares:
    """Returns the shares of the classes in new rows with 95 % intervals, or why they cannot be told.

    Args:
        reference: Test rows of the model, their truth known.
        seen: New rows; a truth that they have is not looked at.
        names: Of the classes.
        seed: Of the resamples.
    """
    refused = damage(reference, seen) or too_little(reference, seen)
    if refused:
        return ClassShares((), METHOD, ASSUMPTIONS, refused, len(seen))
    rng = np.random.default_rng(seed)
    reference = sampled(known_rows(reference), rng)
    reference, new = reference.take(np.asarray(reference.truth) != OTHER), sampled(seen, rng)
    found = find_prior_shift(reference, new)
    refused = broken_prior_shift(reference, new, found.ratio)
    if refused:
        return ClassShares((), METHOD, ASSUMPTIONS, refused, len(seen))
    drawn = np.stack([_again(found, reference, new, rng) for _ in range(RESAMPLES)])
    # A bootstrap of no rows has no width: where a class was never seen, Wilson's interval says what that proves.
    shares = []
    for place, name in enumerate(names):
        value, own = float(found.shares[place]), float(found.reference[place])
        floor = share_interval(value, len(new))
        low, high = (float(each) for each in np.percentile(drawn[:, place], (2.5, 97.5)))
        shares.append(ClassShare(str(name), own, value, min(low, floor.low), max(high, floor.high)))
    disagreement = float(np.abs(found.shares - found.bbse).max())
    return ClassShares(tuple(shares), METHOD, ASSUMPTIONS, (), len(seen), disagreement)


def sampled(scores: Scores, rng: np.random.Generator) -> Scores:
    """Returns at most ``MOST_ROWS`` of the rows."""
    return scores if len(scores) <= MOST_ROWS else scores.take(rng.permutation(len(scores))[:MOST_ROWS])


def _again(found: PriorShift, reference: Scores, new: Scores, rng: np.random.Generator) -> np.ndarray:
    """Returns the shares on resampled rows: biases, prior and EM anew, the slope as it is."""
    of_reference, of_new = _drawn(len(reference), rng), _drawn(len(new), rng)
    truth, total = np.asarray(reference.truth), of_reference.sum()
    hits = np.bincount(truth, of_reference, found.prior.size) / total
    odds = np.ones_like(hits)
    for _ in range(3):  # the biases that give each class its share of the resample, by proportional fitting
        fitted = found.of_reference * odds
        fitted /= fitted.sum(axis=1, keepdims=True)
        mean = of_reference @ fitted / total
        odds *= np.where(hits > 0, hits, SMALLEST) / np.maximum(mean, SMALLEST)
    prior = hits
    moved = found.probabilities * odds
    moved /= np.maximum(moved.sum(axis=1, keepdims=True), SMALLEST)
    return by_em(moved, prior, of_new, np.maximum(found.shares, 1e-4), AGAIN)


def _drawn(n: int, rng: np.random.Generator) -> np.ndarray:
    return np.bincount(rng.integers(0, n, n), minlength=n).astype(np.float64)


def _confusion(truth: np.ndarray, label: np.ndarray, counts: np.ndarray | None, classes: int) -> np.ndarray:
    return np.bincount(truth * classes + np.asarray(label), counts, classes**2).reshape(classes, classes)
