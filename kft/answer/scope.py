"""Out of scope: how foreign an example is to what a model was trained on, by its place among the training features.

A softmax must give its certainty to some class, so it is often sure of what belongs to none (Hendrycks and Gimpel,
2017). Distances in the space of the pooled features know nothing of classes that are none of theirs. All scores
are higher the more foreign; docs/log.md has what each reached. The two that see most together, the nearest neighbour's
distance and the softmax, make up ``Scope``, which a run keeps: arrays and one matrix product.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from kft.metrics.intervals import Groups, estimate
from kft.metrics.shares import SHARE
from kft.records.metrics import ScopeResult

NEIGHBOUR = 1
"""Which nearest neighbour's distance counts. The best of 1, 5, 10 and 50 on BANKING77 (docs/log.md)."""
ROWS_AT_ONCE = 1024
MOST_KNOWN = 50_000
"""Training examples that are kept at most, drawn at random: 38 MB of float16 at a width of 384."""


@dataclass(frozen=True)
class Scope:
    """What tells inputs that are in scope from foreign ones.

    Attributes:
        known: ``float16[rows, width]``: vectors of training examples, of length 1.
        distance: Mean and standard deviation of ``neighbour_score`` over the valid split.
        unsure: The same of ``softmax_score``.
        limit: What scores higher is flagged.
        keep: The share of in-scope examples that should not be.
        n: Valid examples it was fitted on.
    """

    known: np.ndarray = field(repr=False, compare=False)
    distance: tuple[float, float]
    unsure: tuple[float, float]
    limit: float
    keep: float
    n: int

    def score(self, vectors: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
        """Returns ``float[n]``: how foreign each example is.

        Args:
            vectors: ``float[n, width]``: what the head's last layer reads.
            probabilities: ``float[n, classes]``, calibrated.
        """
        scores = neighbour_score(self.known.astype(np.float32), vectors), softmax_score(probabilities)
        return combined_score(scores, (self.distance, self.unsure))

    def flags(self, vectors: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
        """Returns ``bool[n]``: which examples look foreign; see ``score``."""
        return self.score(vectors, probabilities) > self.limit


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
    kept = _unit(known[rows]).astype(np.float16)
    distance = usual(neighbour_score(kept.astype(np.float32), vectors))
    open_ended = Scope(kept, distance, usual(softmax_score(probabilities)), np.inf, keep, len(vectors))
    scores = np.sort(open_ended.score(vectors, probabilities))
    place = min(int(np.ceil((len(scores) + 1) * keep)), len(scores)) - 1
    return replace(open_ended, limit=float(scores[place]))


def judge_scope(scope: Scope, flags: np.ndarray, right: np.ndarray, groups: Groups | None) -> ScopeResult:
    """Measures what flagging takes away from examples that are in scope.

    Args:
        scope: What flagged them.
        flags: ``bool[n]``.
        right: ``bool[n]``: whether the answers are.
        groups: Examples of one group are resampled together.
    """
    return ScopeResult(
        keep=scope.keep,
        n=scope.n,
        flagged=estimate(SHARE, flags, np.ones(len(flags), bool), groups=groups),
        right=estimate(SHARE, flags & right, flags, groups=groups),
    )


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


def combined_score(scores: Sequence[np.ndarray], usual_of: Sequence[tuple[float, float]]) -> np.ndarray:
    """Returns ``float[n]``: the sum of several scores, each in its own standard deviations over in-scope examples.

    Args:
        scores: Each ``float[n]``.
        usual_of: What ``usual`` says of each for in-scope examples that were not trained on, such as the valid split.

    Example:
        >>> combined_score([np.array([3.0]), np.array([0.5])], [(2.0, 1.0), (0.5, 0.5)]).tolist()
        [1.0]
    """
    parts = ((score - mean) / deviation for score, (mean, deviation) in zip(scores, usual_of, strict=True))
    return sum(parts, start=np.zeros(len(scores[0])))


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


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
