"""Out of scope: how foreign an example is to what a model was trained on, by its place among the training features.

A softmax must give its certainty to some class, so it is often sure of what belongs to none (Hendrycks and Gimpel,
2017). Distances in the space of the pooled features know nothing of classes that are none of theirs. All scores
are higher the more foreign; docs/log.md has what each reached.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

NEIGHBOUR = 1
"""Which nearest neighbour's distance counts. The best of 1, 5, 10 and 50 on BANKING77 (docs/log.md)."""
ROWS_AT_ONCE = 1024


def softmax_score(probabilities: np.ndarray) -> np.ndarray:
    """Returns ``float[n]``: one less the largest probability (Hendrycks and Gimpel, 2017); the baseline.

    Example:
        >>> softmax_score(np.array([[0.75, 0.25]])).tolist()
        [0.25]
    """
    return 1 - probabilities.max(axis=1)


def neighbour_score(known: np.ndarray, features: np.ndarray, k: int = NEIGHBOUR) -> np.ndarray:
    """Returns ``float[n]``: the cosine distance to the k-th nearest training example (Sun et al., 2022).

    Args:
        known: ``float[rows, width]``: features of the training examples.
        features: ``float[n, width]``.
        k: Which neighbour; at most ``rows``.

    Example:
        >>> neighbour_score(np.array([[1.0, 0.0]]), np.array([[2.0, 0.0], [0.0, 1.0]])).tolist()
        [0.0, 1.0]
    """
    known, features = _unit(known), _unit(features)
    place = len(known) - min(k, len(known))
    parts = [features[start : start + ROWS_AT_ONCE] for start in range(0, len(features), ROWS_AT_ONCE)]
    return np.concatenate([1 - np.partition(part @ known.T, place, axis=1)[:, place] for part in parts])


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


def combined_score(scores: Sequence[np.ndarray], usual: Sequence[np.ndarray]) -> np.ndarray:
    """Returns ``float[n]``: the sum of several scores, each in its own standard deviations over in-scope examples.

    Args:
        scores: Each ``float[n]``.
        usual: The same scores of in-scope examples that were not trained on, such as the valid split.

    Example:
        >>> combined_score([np.array([3.0]), np.array([0.5])], [np.array([1.0, 3.0]), np.array([0.0, 1.0])]).tolist()
        [1.0]
    """
    return sum(
        ((score - known.mean()) / max(float(known.std()), 1e-12) for score, known in zip(scores, usual, strict=True)),
        start=np.zeros(len(scores[0])),
    )


def _distances(deviations: np.ndarray, features: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """Returns ``float64[n, centres]``: squared distances where the deviations' covariance is the unit of length."""
    covariance = deviations.T.astype(np.float64) @ deviations / len(deviations)
    # A feature that never changes has no variance: a little of the mean one keeps the inverse finite.
    variance, axes = np.linalg.eigh(covariance)
    turn = axes / np.sqrt(np.maximum(variance, 0) + 1e-6 * variance.mean())
    points, middles = features @ turn, centres @ turn
    squares = (points**2).sum(axis=1)[:, None] - 2 * points @ middles.T + (middles**2).sum(axis=1)
    return np.maximum(squares, 0)


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
