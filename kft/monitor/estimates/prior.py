"""New class shares where only these have changed: black-box shift estimation, and maximum likelihood by EM.

Under prior shift the inputs of a class look as before and only the shares change. BBSE (Lipton, Wang and Smola, 2018)
solves confusion @ shares = answered shares. EM (Saerens, Latinne and Decaestecker, 2002) finds the shares that make the
new probabilities most likely; it needs probabilities calibrated class by class (Alexandari et al., 2020:
one temperature and a bias a class, BCTS).
"""

from __future__ import annotations

import numpy as np
from scipy.optimize import minimize, nnls
from scipy.special import logsumexp

SMALLEST = 1e-12
ENOUGH = 1e-6
"""A step of EM that moves no share farther is the last."""
PULL = 1.0
"""Of each bias towards none, in rows: a class seen twice on the reference keeps its bias small."""


def fit_bcts(probabilities: np.ndarray, truth: np.ndarray) -> tuple[float, np.ndarray]:
    """Fits a slope of the log-probabilities and a bias a class, by maximum likelihood with a small pull to none.

    Args:
        probabilities: ``float[n, classes]``.
        truth: ``int[n]``: the right class of each.

    Returns:
        The slope, and ``float64[classes]``.
    """
    logs, rows = np.log(np.maximum(probabilities.astype(np.float64), SMALLEST)), np.arange(len(truth))
    hits = np.bincount(truth, minlength=logs.shape[1]).astype(np.float64)

    def loss(point: np.ndarray) -> tuple[float, np.ndarray]:
        slope, bias = point[0], point[1:]
        scores = slope * logs + bias
        scores -= logsumexp(scores, axis=1, keepdims=True)
        chances = np.exp(scores)
        value = -scores[rows, truth].sum() + PULL / 2 * (bias @ bias + (slope - 1) ** 2)
        by_slope = (chances * logs).sum() - logs[rows, truth].sum() + PULL * (slope - 1)
        return float(value), np.concatenate([[by_slope], chances.sum(axis=0) - hits + PULL * bias])

    found = minimize(loss, np.concatenate([[1.0], np.zeros(logs.shape[1])]), jac=True, method="L-BFGS-B")
    return float(found.x[0]), found.x[1:]


def apply_bcts(probabilities: np.ndarray, slope: float, bias: np.ndarray) -> np.ndarray:
    """Returns ``float64[n, classes]``: calibrated class by class."""
    scores = slope * np.log(np.maximum(probabilities.astype(np.float64), SMALLEST)) + bias
    return np.exp(scores - logsumexp(scores, axis=1, keepdims=True))


def by_em(
    probabilities: np.ndarray,
    prior: np.ndarray,
    counts: np.ndarray | None = None,
    start: np.ndarray | None = None,
    steps: int = 100,
) -> np.ndarray:
    """Returns ``float64[classes]``: the shares under which the probabilities are most likely.

    Args:
        probabilities: ``float64[n, classes]`` of new rows, calibrated under ``prior``.
        prior: ``float64[classes]``: the shares these were calibrated for; their mean over the reference.
        counts: ``float[n]``: how often each row counts; default: once.
        start: Where to begin; default: ``prior``.
        steps: At most, each of three passes over the rows.

    Example:
        >>> sure = np.repeat(np.array([[0.999, 0.001], [0.001, 0.999]]), (80, 20), axis=0)
        >>> by_em(sure, np.array([0.5, 0.5])).round(2).tolist()
        [0.8, 0.2]
    """
    counts = np.ones(len(probabilities)) if counts is None else counts
    ratios = probabilities / np.maximum(prior, SMALLEST)

    def step(shares: np.ndarray) -> np.ndarray:
        new = shares * ((counts / np.maximum(ratios @ shares, SMALLEST)) @ ratios)
        return np.asarray(new / new.sum())

    shares = prior / prior.sum() if start is None else start
    for _ in range(steps):
        first = step(shares)
        second = step(first)
        moved, bent = first - shares, second - 2 * first + shares
        if float(np.abs(moved).max()) < ENOUGH:
            return second
        # A jump along the way that two steps point (SQUAREM, Varadhan and Roland, 2008); never below 0.
        length = max(1.0, float(np.linalg.norm(moved)) / max(float(np.linalg.norm(bent)), SMALLEST))
        jumped = shares + 2 * length * moved + length**2 * bent
        while float(jumped.min()) < 0 and length > 1:
            length = max(1.0, (length - 1) / 2)
            jumped = shares + 2 * length * moved + length**2 * bent
        shares = step(np.maximum(jumped, 0) / np.maximum(jumped, 0).sum())
    return shares


def by_bbse(confusion: np.ndarray, answered: np.ndarray) -> np.ndarray:
    """Returns ``float64[classes]``: the shares that explain how often each class is answered; none below 0.

    Args:
        confusion: ``float[classes, classes]``: counts of the reference by truth and answer; each class has a row.
        answered: ``float[classes]``: how often each is answered on new rows.

    Example:
        >>> by_bbse(np.array([[90, 10], [20, 80]]), np.array([62, 38])).round(2).tolist()
        [0.6, 0.4]
    """
    given = confusion / np.maximum(confusion.sum(axis=1, keepdims=True), SMALLEST)
    # A heavy last equation: that the shares sum to 1.
    left = np.vstack([given.T, np.full((1, len(given)), 100.0)])
    shares, _ = nnls(left, np.concatenate([answered / max(answered.sum(), SMALLEST), [100.0]]))
    return shares / max(shares.sum(), SMALLEST)
