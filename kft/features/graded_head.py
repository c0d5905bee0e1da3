"""A square map of stored vectors whose cosines follow the scores of pairs; see pair_head.py. NumPy alone.

CoSENT (Su, 2022): the logarithm of one plus, for every two pairs of which one has the higher score, e to the power of
how far the other's cosine lies above it, times a scale.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from kft.features.pair_head import PAIRS_AT_ONCE, PairHead, map_of, solve_map
from kft.recipe.pairs import GradedSpec


def graded_loss(cosines: np.ndarray, scores: np.ndarray, spec: GradedSpec) -> tuple[float, np.ndarray]:
    """Returns the loss of pairs that are all compared with each other, and its slope by their cosines.

    Args:
        cosines: ``float64[n]``.
        scores: ``float64[n]``, between 0 and 1.
        spec: Which loss.

    Example:
        >>> loss, slope = graded_loss(np.array([0.5, 0.5]), np.array([0.0, 1.0]), GradedSpec())
        >>> round(loss, 4), slope.tolist()  # the logarithm of two
        (0.6931, [10.0, -10.0])
    """
    if spec.loss == "squared":
        apart = cosines - scores
        return float((apart**2).mean()), 2 * apart / len(apart)
    scaled = spec.scale * np.asarray(cosines, np.float64)
    # wrong[i, j]: how far pair i, whose score is lower, lies above pair j.
    wrong = np.where(scores[:, None] < scores[None], scaled[:, None] - scaled[None], -np.inf)
    top = max(0.0, float(wrong.max(initial=0.0)))
    shares = np.exp(wrong - top)
    total = np.exp(-top) + float(shares.sum())
    slope = spec.scale * (shares.sum(axis=1) - shares.sum(axis=0)) / total
    return top + float(np.log(total)), slope


def mean_loss(cosines: np.ndarray, scores: np.ndarray, spec: GradedSpec) -> float:
    """Returns the mean loss over parts of at most ``PAIRS_AT_ONCE`` pairs, drawn once and for all."""
    parts = _parts(len(scores))
    losses = [graded_loss(cosines[rows], scores[rows], spec)[0] * len(rows) for rows in parts]
    return float(sum(losses)) / len(scores)


def solve_graded(
    first: np.ndarray,
    second: np.ndarray,
    scores: np.ndarray,
    spec: GradedSpec,
    score: Callable[[np.ndarray, np.ndarray], float],
    tick: Callable[[int], None] = lambda count: None,
) -> PairHead:
    """Solves the map for each C, and keeps the best; see ``solve_pairs``.

    Args:
        first: ``float32[n, width]``: stored vectors of the first texts.
        second: Likewise of the second ones.
        scores: ``float64[n]``, between 0 and 1.
        spec: Which loss.
        score: From kernel and bias to what chooses; higher is better.
        tick: Called with 1 after each C.
    """
    parts = _parts(len(scores))

    def loss_of(moved: np.ndarray) -> tuple[float, np.ndarray]:
        kernel, bias = map_of(moved)
        total, slope = 0.0, np.zeros(moved.shape)
        for rows in parts:
            sides = [side[rows] for side in (first, second)]
            turned = [side @ kernel + bias for side in sides]
            lengths = [np.maximum(np.linalg.norm(side, axis=1, keepdims=True), 1e-12) for side in turned]
            units = [side / length for side, length in zip(turned, lengths, strict=True)]
            cosines = (units[0] * units[1]).sum(axis=1, dtype=np.float64)
            loss, by_cosine = graded_loss(cosines, scores[rows], spec)
            total += loss * len(rows)
            for side, unit, other, length in zip(sides, units, units[::-1], lengths, strict=True):
                by_side = ((other - unit * cosines[:, None]) / length * by_cosine[:, None] * len(rows)).astype(
                    np.float32
                )
                slope[:-1] += side.T @ by_side
                slope[-1] += by_side.sum(axis=0)
        return total / len(scores), slope / len(scores)

    return solve_map(loss_of, first.shape[1], score, tick)


def _parts(count: int) -> list[np.ndarray]:
    order = np.random.default_rng(0).permutation(count)
    return [order[start : start + PAIRS_AT_ONCE] for start in range(0, count, PAIRS_AT_ONCE)]
