"""A square map of stored vectors that brings queries to their documents, by L-BFGS that ends early; NumPy alone.

It minimises the mean in-batch loss (see kft/train/pairs.py), or another one of pairs (graded_head.py), plus half the
squared distance of the map from the identity over C: with the smallest C the map is the identity, so the solution is
never worse by its own loss. The loss is not convex. So vectors that differ in their last bits may lead to another map,
as good as this one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from kft.runtime import one_blas_thread

STRENGTHS = tuple(float(c) for c in 10.0 ** np.arange(-1.0, 3.01, 0.5))
"""Values of C that are tried, from the identity outwards."""
PAIRS_AT_ONCE = 512
"""Pairs whose documents are told apart: with all at once, each step would compare each query with each document."""
OPTIONS = {"maxiter": 40, "ftol": 1e-4}
"""Of the solver, for each C."""


@dataclass(frozen=True)
class PairVectors:
    """Stored vectors of pairs.

    Attributes:
        queries: ``float32[pairs, width]``.
        documents: ``float32[m, width]``.
        own: ``int64[pairs]``: the place of each pair's document.
        answers: Of each pair, the places of all documents that answer its query.
    """

    queries: np.ndarray
    documents: np.ndarray
    own: np.ndarray
    answers: Sequence[np.ndarray]


@dataclass(frozen=True)
class PairHead:
    """A solved map.

    Attributes:
        kernel: ``float32[width, width]``.
        bias: ``float32[width]``.
        strength: C, 0 for the identity.
        tried: Every C, its loss, and the score that chose.
    """

    kernel: np.ndarray
    bias: np.ndarray
    strength: float
    tried: tuple[tuple[float, float, float], ...]


def solve_pairs(
    vectors: PairVectors,
    temperature: float,
    widths: Sequence[int],
    score: Callable[[np.ndarray, np.ndarray], float],
    tick: Callable[[int], None] = lambda count: None,
) -> PairHead:
    """Solves the map for each C, each from the one before, and keeps the best; ties go to the smaller.

    Args:
        vectors: What it learns from.
        temperature: What cosines are divided by.
        widths: Of which the loss is the mean; none: the whole.
        score: From kernel and bias to what chooses; higher is better.
        tick: Called with 1 after each C.
    """
    blocks = _blocks(vectors)
    return solve_map(lambda moved: _loss(blocks, moved, temperature, widths), vectors.queries.shape[1], score, tick)


def solve_map(
    loss_of: Callable[[np.ndarray], tuple[float, np.ndarray]],
    width: int,
    score: Callable[[np.ndarray, np.ndarray], float],
    tick: Callable[[int], None] = lambda count: None,
) -> PairHead:
    """Solves a map of vectors for each C, as ``solve_pairs`` does, by any loss of it.

    Args:
        loss_of: From how far the map has moved from the identity, ``float64[width + 1, width]`` with the bias last, to
            the loss and its slope.
        width: Of the vectors.
        score: As of ``solve_pairs``.
        tick: Likewise.
    """
    from scipy.optimize import minimize

    unmoved = np.zeros((width + 1, width))
    with one_blas_thread():
        best = (score(*map_of(unmoved)), 0.0, unmoved)
        tried = [(0.0, loss_of(unmoved)[0], best[0])]
        solution = unmoved
        for strength in STRENGTHS:

            def objective(flat: np.ndarray, strength: float = strength) -> tuple[float, np.ndarray]:
                moved = flat.reshape(unmoved.shape)
                loss, slope = loss_of(moved)
                return loss + float((moved**2).sum()) / (2 * strength), (slope + moved / strength).ravel()

            found = minimize(objective, solution.ravel(), jac=True, method="L-BFGS-B", options=OPTIONS)
            solution = found.x.reshape(unmoved.shape)
            reached = score(*map_of(solution))
            tried.append((strength, float(found.fun), reached))
            tick(1)
            if reached > best[0]:
                best = (reached, strength, solution)
            if len(tried) > 2 and tried[-1][2] < tried[-2][2] < tried[-3][2]:
                break
    kernel, bias = map_of(best[2])
    return PairHead(kernel, bias, best[1], tuple(tried))


def map_of(moved: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns kernel and bias, from how far the map has moved from the identity."""
    return (np.eye(moved.shape[1]) + moved[:-1]).astype(np.float32), moved[-1].astype(np.float32)


@dataclass(frozen=True)
class _Block:
    """Pairs that are told apart: their vectors, the column of each one's document, and what does not count.

    Attributes:
        queries: ``float32[n, width]``.
        documents: ``float32[m, width]``.
        own: ``int64[n]``.
        left_out: ``bool[n, m]``: documents that answer the query too.
    """

    queries: np.ndarray
    documents: np.ndarray
    own: np.ndarray
    left_out: np.ndarray


def _blocks(vectors: PairVectors) -> list[_Block]:
    order = np.random.default_rng(0).permutation(len(vectors.own))
    found = []
    for start in range(0, len(order), PAIRS_AT_ONCE):
        rows = order[start : start + PAIRS_AT_ONCE]
        places, own = np.unique(vectors.own[rows], return_inverse=True)
        left_out = np.array([np.isin(places, vectors.answers[row]) for row in rows])
        left_out[np.arange(len(rows)), own] = False
        found.append(_Block(vectors.queries[rows], vectors.documents[places], own, left_out))
    return found


def _loss(
    blocks: Sequence[_Block], moved: np.ndarray, temperature: float, widths: Sequence[int]
) -> tuple[float, np.ndarray]:
    """Returns the mean loss, and its slope by the map."""
    kernel, bias = map_of(moved)
    total, slope, count = 0.0, np.zeros(moved.shape), sum(len(block.own) for block in blocks)
    for block in blocks:
        near, far = block.queries @ kernel + bias, block.documents @ kernel + bias
        slope_near, slope_far = np.zeros_like(near), np.zeros_like(far)
        for width in widths or (near.shape[1],):
            loss, one, other = _in_block(near[:, :width], far[:, :width], block, temperature)
            total += loss
            slope_near[:, :width] += one
            slope_far[:, :width] += other
        slope[:-1] += block.queries.T @ slope_near + block.documents.T @ slope_far
        slope[-1] += slope_near.sum(axis=0) + slope_far.sum(axis=0)
    share = count * max(1, len(widths))
    return total / share, slope / share


def _in_block(
    near: np.ndarray, far: np.ndarray, block: _Block, temperature: float
) -> tuple[float, np.ndarray, np.ndarray]:
    """Returns the summed loss of a block, and its slopes by the vectors of queries and documents."""
    rows = np.arange(len(near))
    lengths = [np.maximum(np.linalg.norm(part, axis=1, keepdims=True), 1e-12) for part in (near, far)]
    one, other = near / lengths[0], far / lengths[1]
    logits = one @ other.T / np.float32(temperature)
    logits[block.left_out] = -np.inf
    logits -= logits.max(axis=1, keepdims=True)
    picked = logits[rows, block.own].astype(np.float64)
    shares = np.exp(logits, out=logits)
    totals = shares.sum(axis=1, keepdims=True)
    loss = float((np.log(totals[:, 0].astype(np.float64)) - picked).sum())
    shares /= totals
    shares[rows, block.own] -= 1
    shares /= np.float32(temperature)
    slopes = []
    for slope, unit, length in ((shares @ other, one, lengths[0]), (shares.T @ one, other, lengths[1])):
        slopes.append((slope - unit * (slope * unit).sum(axis=1, keepdims=True)) / length)
    return loss, slopes[0], slopes[1]
