"""The shares of the classes in new rows, with intervals, where nothing but the shares has changed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from kft.metrics.proportions import Z, share_interval
from kft.monitor.estimates.prior import SMALLEST, by_em
from kft.monitor.estimates.prior_shift import PriorShift, find_prior_shift
from kft.monitor.estimates.refusing import broken_prior_shift, too_little
from kft.monitor.estimates.scores import OTHER, Scores, damage, known_rows
from kft.records.estimated import ClassShare, ClassShares

RESAMPLES = 200
MOST_ROWS = 4_000
"""Rows of either side that are looked at; of more, a seeded sample."""
AGAIN = 8
"""Steps of EM in a resample, from where the whole sample ended."""
METHOD = (
    "shares that make the new probabilities most likely (EM on probabilities calibrated class by class), "
    "intervals from resampled reference and new rows"
)
ASSUMPTIONS = (
    "only the shares of the classes have changed: rows of one class look as they did in the reference",
    "no class is new",
)
BLIND = "how far the rows lie from the training rows is not known: only their scores were held against the reference"


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
    refused = broken_prior_shift(reference, new, found)
    if refused:
        return ClassShares((), METHOD, ASSUMPTIONS, refused, len(seen))
    drawn = np.stack([_again(found, reference, new, rng) for _ in range(RESAMPLES)])
    # A bootstrap of no rows has no width: where a class was never seen, Wilson's interval says what that proves.
    shares = []
    for place, name in enumerate(names):
        value, own = float(found.shares[place]), float(found.reference[place])
        floor = share_interval(value, len(new))
        low, high = (float(each) for each in np.percentile(drawn[:, place], (2.5, 97.5)))
        half = Z * float(drawn[:, place].std())
        low, high = min(low, value - half, floor.low), min(1.0, max(high, value + half, floor.high))
        # Less than half a row is none: EM comes close to 0 and never there.
        shares.append(ClassShare(str(name), own, value, low if low * len(new) >= 0.5 else 0.0, high))
    disagreement = float(np.abs(found.shares - found.bbse).max())
    blind = () if new.foreign is not None and reference.foreign is not None else (BLIND,)
    return ClassShares(tuple(shares), METHOD, ASSUMPTIONS + blind, (), len(seen), disagreement)


def sampled(scores: Scores, rng: np.random.Generator) -> Scores:
    """Returns at most ``MOST_ROWS`` of the rows."""
    return scores if len(scores) <= MOST_ROWS else scores.take(rng.permutation(len(scores))[:MOST_ROWS])


def _again(found: PriorShift, reference: Scores, new: Scores, rng: np.random.Generator) -> np.ndarray:
    """Returns the shares on resampled rows: slope, biases, prior and EM anew, from where the whole sample ended."""
    of_reference, of_new = drawn_anew(len(reference), rng), drawn_anew(len(new), rng)
    truth, total = np.asarray(reference.truth), of_reference.sum()
    hits = np.bincount(truth, of_reference, found.prior.size) / total
    slope, odds = 1.0, np.ones_like(hits)
    for _ in range(3):
        # One of Newton's steps for the slope, then the biases by proportional fitting: each class gets its share.
        fitted = _bent(found.of_reference, slope, odds)
        logs = np.log(np.maximum(found.of_reference, SMALLEST))
        mean = (fitted * logs).sum(axis=1)
        curve = of_reference @ ((fitted * logs**2).sum(axis=1) - mean**2)
        slope += float(of_reference @ (logs[np.arange(len(truth)), truth] - mean)) / max(float(curve), SMALLEST)
        slope = float(np.clip(slope, 0.5, 2.0))
        mean = of_reference @ _bent(found.of_reference, slope, odds) / total
        odds *= np.where(hits > 0, hits, SMALLEST) / np.maximum(mean, SMALLEST)
    moved = _bent(found.probabilities, slope, odds)
    return by_em(moved, hits, of_new, np.maximum(found.shares, 1e-4), AGAIN)


def _bent(probabilities: np.ndarray, slope: float, odds: np.ndarray) -> np.ndarray:
    """Returns ``float64[n, classes]``: probabilities to the power of the slope, times odds, scaled to sum to 1."""
    found = np.maximum(probabilities, SMALLEST) ** slope * odds
    return found / np.maximum(found.sum(axis=1, keepdims=True), SMALLEST)


def drawn_anew(n: int, rng: np.random.Generator) -> np.ndarray:
    """Returns ``float64[n]``: how often each of so many rows is drawn in a resample."""
    return np.bincount(rng.integers(0, n, n), minlength=n).astype(np.float64)
