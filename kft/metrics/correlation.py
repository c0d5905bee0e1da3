"""Metrics of graded answers: how well their order, and their differences, follow those of the right scores."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from kft.metrics.metric import Form
from kft.metrics.regression import METRICS as NUMBERS
from kft.metrics.regression import MOST_UNSEEN, check_numbers

SMALLEST = 1e-24
"""A variance below it is none: one side never changes, and the correlation is 0."""


def ranks(values: np.ndarray) -> np.ndarray:
    """Returns ``float64[n]``: the place of each in their order, from 1; equal ones share the mean of theirs.

    Example:
        >>> ranks(np.array([0.5, 2.0, 0.5])).tolist()
        [1.5, 3.0, 1.5]
    """
    return _weighted_ranks(values, np.ones((1, len(values))))[0] + 0.5


def _weighted_ranks(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Returns ``float64[resamples, n]``: the weight below each value, and half of that at it."""
    order = np.argsort(values, kind="stable")
    ordered = values[order]
    starts = np.flatnonzero(np.append(True, np.diff(ordered) != 0))
    steps = np.add.reduceat(weights[:, order], starts, axis=1)  # equal values are one step
    middles = np.cumsum(steps, axis=1) - steps / 2
    found = np.empty(weights.shape)
    found[:, order] = np.repeat(middles, np.diff(np.append(starts, len(values))), axis=1)
    return found


def _spearman(targets: np.ndarray, answers: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Returns Pearson's correlation of the ranks that each resample gives, ``float[resamples]``."""
    total = weights.sum(axis=1, keepdims=True)
    parts = []
    for values in (targets, answers):
        place = _weighted_ranks(values, weights) / total  # between 0 and 1, whatever the number of rows
        parts.append(place - (weights * place).sum(axis=1, keepdims=True) / total)
    x, y = parts
    covariance = (weights * x * y).sum(axis=1)
    spread = (weights * x * x).sum(axis=1) * (weights * y * y).sum(axis=1)
    return np.where(spread > SMALLEST, covariance / np.sqrt(np.maximum(spread, SMALLEST)), 0.0)


def _unseen(
    targets: np.ndarray, answers: np.ndarray, better: bool, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Examples whose answer stands where their score does in the order, or that of another example."""
    rows = rng.integers(0, len(targets), MOST_UNSEEN)
    others = rng.integers(0, len(targets), MOST_UNSEEN)
    place = np.round(ranks(targets)[rows] - 1).astype(np.int64)
    return targets[rows], np.sort(answers)[place] if better else answers[others]


def _near(targets: np.ndarray, answers: np.ndarray) -> np.ndarray:
    """Which answers stand nearer to their place in the order than half of them."""
    apart = np.abs(ranks(answers) - ranks(targets))
    return apart <= np.median(apart)


ORDER = Form(check_numbers, _unseen, _near)
"""Scores ``float[n]`` and answers ``float[n]``, of any two units."""

PEARSON = replace(NUMBERS["pearson_r"], form=ORDER)

SPEARMAN = replace(
    PEARSON,
    name="spearman_r",
    # Of these examples as they are; those that are drawn again have ranks of their own.
    statistics=lambda targets, answers: PEARSON.statistics(ranks(targets), ranks(answers)),
    weighted=_spearman,
)
"""Spearman's rank correlation; equal numbers share a rank, and where either side never changes it is 0."""

METRICS = {metric.name: metric for metric in (SPEARMAN, PEARSON)}
