"""When nothing is estimated, and why in words."""

from __future__ import annotations

import numpy as np

from kft.monitor.estimates.correctness import fit_correctness
from kft.monitor.estimates.prior_shift import PriorShift
from kft.monitor.estimates.scores import Scores
from kft.records.estimate import percent

LEAST_REFERENCE = 100
LEAST_NEW = 50
LEAST_KIND = 10
"""Right answers, and wrong ones, that the reference must have to learn when an answer is right."""
MOST_MISCALIBRATED = 0.05
"""How far confidence, fitted anew, may surely be from how often answers are right."""
MOST_APART = 0.1
"""How far, in standard deviations of the reference, a mean may lie from what the class shares explain."""
MOST_DISAGREE = 0.3
"""The share of rows by which two ways to the class shares may differ."""
MOST_UNLIKE = 0.5
"""The share of new rows that may be unlike the reference; docs/accuracy_without_labels.md has what was tried."""
BY_CHANCE = 0.63
"""Smirnov's one-sided statistic on average, times the root of 1/n + 1/m, where nothing has changed."""


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
    if _ranking(reference.confidence, right) < 0.5:
        return ("on the reference, wrong answers are not clearly less sure than right ones: confidence says nothing",)
    return ()


def out_of_fold(reference: Scores, folds: int = 5) -> np.ndarray:
    """Returns ``float64[n]``: the chance to be right that each row is given by a fit on the other rows."""
    fold = np.random.default_rng(0).permutation(len(reference)) % folds
    chances = np.zeros(len(reference))
    for each in range(folds):
        chances[fold == each] = fit_correctness(reference.take(fold != each)).of(reference.take(fold == each))
    return chances


def _ranking(confidence: np.ndarray, right: np.ndarray) -> float:
    """Returns how often a right answer is surer than a wrong one: the lower 95 % limit of the area under the curve."""
    from scipy.stats import rankdata

    hits, misses = float(right.sum()), float((1 - right).sum())
    area = (float(rankdata(confidence)[right == 1].sum()) - hits * (hits + 1) / 2) / (hits * misses)
    return area - 1.645 * float(np.sqrt((hits + misses + 1) / (12 * hits * misses)))


def unlike_share(reference: Scores, seen: Scores) -> float:
    """Returns the share of the new rows that are farther from the training rows than the reference's, beyond chance.

    The largest gap between the two distributions of the distance (Smirnov's statistic, one-sided), less what chance
    makes of it on average.

    Args:
        reference: With distances.
        seen: Likewise.

    Example:
        >>> from kft.monitor.estimates.scores import Scores
        >>> def rows(far): return Scores(np.ones((len(far), 1)), np.zeros(len(far), int), None, np.array(far))
        >>> round(unlike_share(rows([0.1] * 1000), rows([0.1] * 700 + [0.9] * 300)), 2)
        0.27
    """
    before, now = np.sort(np.asarray(reference.foreign)), np.sort(np.asarray(seen.foreign))
    places = np.concatenate([before, now])
    nearer = np.searchsorted(before, places, "right") / len(before) - np.searchsorted(now, places, "right") / len(now)
    return max(0.0, float(nearer.max()) - BY_CHANCE * (1 / len(before) + 1 / len(now)) ** 0.5)


def not_covered(reference: Scores, seen: Scores) -> tuple[str, ...]:
    """Returns why the reference does not cover the new rows; empty where it does."""
    if reference.foreign is None or seen.foreign is None:
        return (
            "how far the new rows lie from the training rows is not known, so nobody can tell whether the reference "
            "covers them: monitor the rows themselves, not their answers",
        )
    share = unlike_share(reference, seen)
    if share <= MOST_UNLIKE:
        return ()
    return (
        f"{percent(share)} of the new rows are farther from the training rows than the reference is: it does not cover "
        f"them (up to {percent(MOST_UNLIKE)} is taken)",
    )


def broken_prior_shift(reference: Scores, seen: Scores, found: PriorShift) -> tuple[str, ...]:
    """Returns how the new rows differ from the reference at the new class shares; empty where no difference is clear.

    Args:
        reference: The truth of each row known, and a class of the model.
        seen: New rows.
        found: The class shares of both.
    """
    weights, _ = found.ratios()
    weights = weights[np.asarray(reference.truth)]
    why = []
    for name, before, now in (
        ("mean confidence is", reference.confidence, seen.confidence),
        ("mean distance from the training rows is", reference.foreign, seen.foreign),
    ):
        if before is None or now is None:
            continue
        expected = float(np.average(before, weights=weights))
        noise = np.sum((weights * (before - expected)) ** 2) / weights.sum() ** 2 + np.var(now) / len(now)
        gap = abs(float(np.mean(now)) - expected)
        if gap > 3 * float(noise) ** 0.5 and gap > MOST_APART * float(np.std(before)):
            why.append(
                f"more than the class shares has changed: the {name} {np.mean(now):.3f}, other shares alone would make "
                f"it {expected:.3f}"
            )
    apart = float(np.abs(found.shares - found.bbse).sum()) / 2
    if apart > MOST_DISAGREE:
        why.append(
            f"two ways to estimate the class shares, EM and BBSE, differ by {percent(apart)} of the rows, more than "
            f"{percent(MOST_DISAGREE)}"
        )
    return tuple(why)
