"""When nothing is estimated, and why in words."""

from __future__ import annotations

import numpy as np

from kft.monitor.estimates.correctness import fit_correctness
from kft.monitor.estimates.scores import Scores, known_rows
from kft.records.estimate import percent

LEAST_REFERENCE = 100
LEAST_NEW = 50
LEAST_KIND = 10
"""Right answers, and wrong ones, that the reference must have to learn when an answer is right."""
MOST_MISCALIBRATED = 0.05
"""How far confidence, fitted anew, may surely be from how often answers are right."""
FAR = 0.95
"""The share of the reference's rows that are nearer than what counts as foreign."""
MOST_FOREIGN = 0.5
"""The share of new rows that may be foreign."""


def too_little(reference: Scores, seen: Scores) -> tuple[str, ...]:
    """Returns why there are too few rows; empty where there are enough."""
    known, found = int(reference.labelled.sum()), []
    if known < LEAST_REFERENCE:
        found.append(f"the reference has {known:,} rows with a known truth, {LEAST_REFERENCE} are needed")
    if len(seen) < LEAST_NEW:
        found.append(f"there are {len(seen):,} new rows, {LEAST_NEW} are needed")
    return tuple(found)


def uncalibrated(reference: Scores) -> tuple[str, ...]:
    """Returns why the confidence says too little on the reference itself; empty where it says enough.

    Args:
        reference: Enough rows, the truth of each known.
    """
    right = reference.right
    for name, count in (("right", int(right.sum())), ("wrong", int((1 - right).sum()))):
        if count < LEAST_KIND:
            return (
                f"the reference has {count} {name} answers, {LEAST_KIND} are needed to learn when answers are right",
            )
    order = np.argsort(reference.confidence, kind="stable")
    gaps = right - out_of_fold(reference)
    bins = np.array_split(order, min(10, len(order) // 50 + 2))
    mean = np.array([gaps[each].mean() for each in bins])
    noise = np.array([gaps[each].var() / len(each) for each in bins])
    # Squared error less what chance alone makes of it (Kumar, Liang and Ma, 2019), and how far chance moves that.
    squared = float(np.mean(mean**2 - noise))
    surely = squared - 1.645 * float(np.sqrt(2 * np.sum(noise**2))) / len(bins)
    if surely > MOST_MISCALIBRATED**2:
        return (
            "calibration does not hold on the reference: confidence, fitted anew, differs from how often answers are "
            f"right by {percent(squared**0.5)} on average, more than {percent(MOST_MISCALIBRATED)} beyond chance",
        )
    sorts = _ranking(reference.confidence, right)
    if sorts < 0.5:
        return ("on the reference, wrong answers are not less sure than right ones: confidence says nothing there",)
    return ()


def out_of_fold(reference: Scores, folds: int = 5) -> np.ndarray:
    """Returns ``float64[n]``: the chance to be right that each row is given by a fit on the other rows."""
    fold = np.random.default_rng(0).permutation(len(reference)) % folds
    chances = np.zeros(len(reference))
    for each in range(folds):
        chances[fold == each] = fit_correctness(reference.take(fold != each)).of(reference.take(fold == each))
    return chances


def _ranking(confidence: np.ndarray, right: np.ndarray) -> float:
    """Returns how surely right answers are surer than wrong ones: the area under the curve, its upper limit."""
    from scipy.stats import rankdata

    hits, misses = float(right.sum()), float((1 - right).sum())
    area = (float(rankdata(confidence)[right == 1].sum()) - hits * (hits + 1) / 2) / (hits * misses)
    return area - 1.645 * float(np.sqrt((hits + misses + 1) / (12 * hits * misses)))


def too_foreign(reference: Scores, seen: Scores) -> tuple[str, ...]:
    """Returns why the reference does not cover the new rows; empty where it does, or no distance is known."""
    if reference.foreign is None or seen.foreign is None:
        return ()
    limit = float(np.quantile(reference.foreign, FAR))
    share = float(np.mean(np.asarray(seen.foreign) > limit))
    if share <= MOST_FOREIGN:
        return ()
    return (
        f"{percent(share)} of the new rows are farther from all training rows than {percent(FAR)} of the reference: "
        f"the reference does not cover them (up to {percent(MOST_FOREIGN)} is taken)",
    )


def broken_prior_shift(reference: Scores, seen: Scores, ratio: np.ndarray) -> tuple[str, ...]:
    """Returns how the new rows differ from the reference at the new class shares; empty where no difference is clear.

    Args:
        reference: The truth of each row known.
        seen: New rows.
        ratio: ``float64[classes]``: how many times as frequent each class is.
    """
    weights = ratio[np.asarray(known_rows(reference).truth)]
    found = []
    for name, before, now in (
        ("their mean confidence is", reference.confidence, seen.confidence),
        ("their mean distance from training rows is", reference.foreign, seen.foreign),
    ):
        if before is None or now is None or weights.sum() <= 0:
            continue
        expected = float(np.average(before, weights=weights))
        spread = float(np.sum((weights * (before - expected)) ** 2) / weights.sum() ** 2 + np.var(now) / len(now))
        deviation = max(float(np.std(before)), 1e-12)
        gap = float(np.mean(now)) - expected
        if abs(gap) > 3 * spread**0.5 and abs(gap) > MOST_APART * deviation:
            found.append(
                f"more than the class shares has changed: {name} {np.mean(now):.3f}, "
                f"and other shares alone would make it {expected:.3f}"
            )
    return tuple(found)


MOST_APART = 0.2
"""How far, in standard deviations of the reference, a mean may lie from what the class shares explain."""
