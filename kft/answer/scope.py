"""Out of scope: how foreign an example is to what a model was trained on, by its place among the training features.

A softmax must give its certainty to some class, so it is often sure of what belongs to none (Hendrycks and Gimpel,
2017). Distances in the space of the pooled features know nothing of classes that are none of theirs. All scores
are higher the more foreign; docs/log.md has what each reached. The two that see most together, the nearest neighbour's
distance and the softmax, make up ``Scope``, which a run keeps: arrays and one matrix product.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from kft.answer.decide import Scope, neighbour_score, softmax_score
from kft.metrics.neighbours import unit_rows

MOST_KNOWN = 50_000
"""Training examples that are kept at most, drawn at random: 38 MB of float16 at a width of 384."""


def fit_scope(
    known: np.ndarray, vectors: np.ndarray, probabilities: np.ndarray, *, keep: float, seed: int = 0
) -> Scope:
    """Fits the score and its limit, which a new in-scope example exceeds with a chance of about ``1 - keep``.

    The limit is the conformal quantile of the valid scores, the ``ceil((n + 1) * keep)``-th from below (Vovk et al.,
    2005). With less than ``keep / (1 - keep)`` of them it is the largest, and a few more are flagged; and a few more
    because the same examples say in which units the two parts are added (.112 for .10 with 30, tests/evaluate).

    Args:
        known: ``float[rows, width]``: vectors of the training examples.
        vectors: ``float[n, width]``: those of valid.
        probabilities: ``float[n, classes]``: calibrated, of valid.
        keep: The share of in-scope examples that is not to be flagged.
        seed: Draws the training examples, where there are too many.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> known, valid, far = rng.normal((5, 0), 1, (200, 2)), rng.normal((5, 0), 1, (99, 2)), np.array([[-5.0, 1.0]])
        >>> scope = fit_scope(known, valid, np.full((99, 2), 0.5), keep=0.95)
        >>> int(scope.flags(valid, np.full((99, 2), 0.5)).sum()), scope.flags(far, np.array([[0.5, 0.5]])).tolist()
        (4, [True])
    """
    rows = np.sort(np.random.default_rng(seed).permutation(len(known))[:MOST_KNOWN])
    kept = unit_rows(known[rows]).astype(np.float16)
    distance = usual(neighbour_score(kept.astype(np.float32), vectors))
    open_ended = Scope(kept, distance, usual(softmax_score(probabilities)), np.inf, keep, len(vectors))
    scores = np.sort(open_ended.score(vectors, probabilities))
    place = min(int(np.ceil((len(scores) + 1) * keep)), len(scores)) - 1
    return replace(open_ended, limit=float(scores[place]))


def mahalanobis_score(
    known: np.ndarray, targets: np.ndarray, features: np.ndarray, *, relative: bool = True
) -> np.ndarray:
    """Returns ``float[n]``: the squared Mahalanobis distance to the nearest class (Lee et al., 2018).

    Classes share one covariance. The relative distance subtracts that to all training examples as one class, which
    leaves only what tells classes apart (Ren et al., 2021).

    Args:
        known: ``float[rows, width]``: features of the training examples.
        targets: ``int[rows]``: their classes.
        features: ``float[n, width]``.
        relative: Whether the distance to the whole is subtracted.

    Example:
        >>> known = np.array([[0.0, 0.0], [0.2, 0.1], [4.0, 4.1], [4.2, 4.0]])
        >>> near, far = mahalanobis_score(known, np.array([0, 0, 1, 1]), np.array([[0.1, 0.0], [2.0, 0.0]]))
        >>> bool(near < far)
        True
    """
    classes, class_of = np.unique(targets, return_inverse=True)
    means = np.stack([known[class_of == place].mean(axis=0) for place in range(len(classes))])
    nearest = _distances(known - means[class_of], features, means).min(axis=1)
    if not relative:
        return nearest
    middle = known.mean(axis=0, keepdims=True)
    return nearest - _distances(known - middle, features, middle)[:, 0]


def usual(score: np.ndarray) -> tuple[float, float]:
    """Returns the mean and the standard deviation of a score; 1e-12 where all are the same.

    Example:
        >>> usual(np.array([1.0, 3.0]))
        (2.0, 1.0)
    """
    return float(score.mean()), max(float(score.std()), 1e-12)


def _distances(deviations: np.ndarray, features: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """Returns ``float64[n, centres]``: squared distances where the deviations' covariance is the unit of length."""
    covariance = deviations.T.astype(np.float64) @ deviations / len(deviations)
    # A feature that never changes has no variance: a little of the mean one keeps the inverse finite.
    variance, axes = np.linalg.eigh(covariance)
    turn = axes / np.sqrt(np.maximum(variance, 0) + 1e-6 * variance.mean())
    points, middles = features @ turn, centres @ turn
    squares = (points**2).sum(axis=1)[:, None] - 2 * points @ middles.T + (middles**2).sum(axis=1)
    return np.maximum(squares, 0)
