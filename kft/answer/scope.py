"""Out of scope: how foreign an example is to what a model was trained on, by its place among the training features.

A softmax must give its certainty to some class, so it is often sure of what belongs to none (Hendrycks and Gimpel,
2017). Distances in the space of the pooled features know nothing of classes that are none of theirs. All scores
are higher the more foreign; docs/log.md has what each reached. The two that see most together, the nearest neighbour's
distance and the softmax, make up ``Scope``, which a run keeps: arrays and one matrix product. Where an answer is
labels, a number or spans, distance decides alone: each of several labels can be sure of what is none of them.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from kft.answer.decide import Scope, neighbour_score, softmax_score
from kft.metrics.neighbours import unit_rows

MOST_KNOWN = 50_000
"""Training examples that are kept at most, drawn at random: 38 MB of float16 at a width of 384."""


def fit_scope(
    known: np.ndarray, vectors: np.ndarray, probabilities: np.ndarray | None, *, keep: float, seed: int = 0
) -> Scope:
    """Fits the score and its limit, which a new in-scope example exceeds with a chance of about ``1 - keep``.

    The limit is the conformal quantile of the valid scores, the ``ceil((n + 1) * keep)``-th from below (Vovk et al.,
    2005). With less than ``keep / (1 - keep)`` of them it is the largest, and a few more are flagged; and a few more
    because the same examples say in which units the two parts are added (.112 for .10 with 30, tests/evaluate).

    Args:
        known: ``float[rows, width]``: vectors of the training examples.
        vectors: ``float[n, width]``: those of valid.
        probabilities: ``float[n, classes]``: calibrated, of valid; None of answers that are no one class of many.
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
    unsure = None if probabilities is None else usual(softmax_score(probabilities))
    open_ended = Scope(kept, distance, unsure, np.inf, keep, len(vectors))
    scores = np.sort(open_ended.score(vectors, probabilities))
    place = min(int(np.ceil((len(scores) + 1) * keep)), len(scores)) - 1
    return replace(open_ended, limit=float(scores[place]))


def usual(score: np.ndarray) -> tuple[float, float]:
    """Returns the mean and the standard deviation of a score; 1e-12 where all are the same.

    Example:
        >>> usual(np.array([1.0, 3.0]))
        (2.0, 1.0)
    """
    return float(score.mean()), max(float(score.std()), 1e-12)
