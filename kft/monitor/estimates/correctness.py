"""How often an answer is right, given how sure it is and how foreign its row: a logistic regression on the reference.

Platt's scaling (1999) of the answered class's confidence, and, where distances are known, of the distance as well: an
answer of the same confidence is right less often where no training row is near. The mean of it over new rows is
what NannyML calls CBPE.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import expit

from kft.monitor.estimates.scores import Scores

STEPS = 12
"""Newton's steps at most; it settles in five or six."""
PULL = (25.0, 25.0, 10.0)
"""How firmly intercept, slope and weight of the distance are held to no change: 25 is one over 0.2 squared, since
probabilities that were calibrated on valid are seldom farther off. Chosen on half of the shifts of the page."""
REACH = 4.0
"""Distances beyond so many standard deviations of the reference count as at it: a line says nothing far out."""


@dataclass(frozen=True, eq=False)
class Correctness:
    """Expected correctness of an answer.

    Attributes:
        weights: ``float64[2 or 3]``: intercept, slope of the logit, slope of the distance.
        foreign: Mean and standard deviation of the reference's distances; None where they are not used.
    """

    weights: np.ndarray
    foreign: tuple[float, float] | None

    def of(self, scores: Scores) -> np.ndarray:
        """Returns ``float64[n]``: the chance that each answer is right."""
        return expit(design(scores, self.foreign) @ self.weights)


def design(scores: Scores, foreign: tuple[float, float] | None) -> np.ndarray:
    """Returns ``float64[n, 2 or 3]``: what the regression is made of."""
    columns = [np.ones(len(scores)), scores.logit]
    if foreign is not None:
        assert scores.foreign is not None
        mean, deviation = foreign
        columns.append(np.clip((np.asarray(scores.foreign, np.float64) - mean) / deviation, -REACH, REACH))
    return np.stack(columns, axis=1)


def distance_units(reference: Scores, seen: Scores) -> tuple[float, float] | None:
    """Returns mean and standard deviation of the reference's distances; None where they are not known of both."""
    if reference.foreign is None or seen.foreign is None:
        return None
    deviation = float(np.std(reference.foreign))
    return (float(np.mean(reference.foreign)), deviation) if deviation > 0 else None


def fit_correctness(
    reference: Scores, foreign: tuple[float, float] | None = None, counts: np.ndarray | None = None
) -> Correctness:
    """Fits the regression.

    Args:
        reference: Its truth is known.
        foreign: From ``distance_units``; None: by confidence alone.
        counts: ``float[n]``: how often each row counts; default: once.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> sure = rng.uniform(0.5, 1, 4000)
        >>> scores = Scores(np.stack([sure, 1 - sure], 1), np.zeros(4000, int), (rng.random(4000) > sure).astype(int))
        >>> fit_correctness(scores).of(scores.take(np.abs(sure - 0.8) < 0.001)).round(1).tolist()[:2]
        [0.8, 0.8]
    """
    columns, right = design(reference, foreign), reference.right
    counts = np.ones(len(reference)) if counts is None else counts
    # Towards the confidence as it is: slope 1 of the logit, none of the distance.
    towards = np.array([0.0, 1.0, 0.0])[: columns.shape[1]]
    pull = np.array(PULL)[: columns.shape[1]]
    weights = towards.copy()
    for _ in range(STEPS):
        chance = expit(columns @ weights)
        slope = columns.T @ (counts * (right - chance)) - pull * (weights - towards)
        curve = (columns * (counts * chance * (1 - chance))[:, None]).T @ columns + np.diag(pull)
        step = np.linalg.solve(curve, slope)
        step *= min(1.0, 2.0 / max(float(np.abs(step).max()), 1e-12))
        weights = weights + step
        if float(np.abs(step).max()) < 1e-6:
            break
    return Correctness(weights, foreign)
