"""Metrics of search: how soon the documents that answer a query come, one figure a query, averaged over queries.

Targets are how many documents answer each query, ``int[n]``; answers are whether the document at each rank is one of
them, ``bool[n, depth]``, the first rank first. A document that stands below the last rank was not found.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from kft.errors import UsageError
from kft.metrics.metric import Form, Metric, mean, with_ones
from kft.metrics.neighbours import cosines, nearest_first

DEPTH = 100
"""Ranks that are looked at: ``mrr`` counts a document below them as not found, which is off by 0.01 at most."""


def found_among(
    queries: np.ndarray, documents: np.ndarray, wanted: Sequence[np.ndarray], depth: int = DEPTH
) -> tuple[np.ndarray, np.ndarray]:
    """Ranks documents by the cosine of their vectors; ties in their order.

    Args:
        queries: ``float32[n, width]``, of length one.
        documents: ``float32[m, width]``, likewise.
        wanted: Of each query, the places of the documents that answer it.
        depth: Ranks that are looked at.

    Returns:
        ``int64[n]``: how many answer each; ``bool[n, at most depth]``: whether the document at each rank does.

    Example:
        >>> found_among(np.eye(2), np.eye(2)[::-1], [np.array([1]), np.array([1])])[1].tolist()
        [[True, False], [False, True]]
    """
    found = [rank(alike, wanted[places], depth) for places, alike in cosines(queries, documents)]
    return np.array([len(each) for each in wanted], np.int64), np.concatenate(found)


def rank(scores: np.ndarray, wanted: Sequence[np.ndarray], depth: int = DEPTH) -> np.ndarray:
    """Returns ``bool[n, at most depth]``: whether the document at each rank answers the query; ties in their order.

    Args:
        scores: ``float[n, m]``.
        wanted: Of each query, the places of the documents that answer it.
        depth: Ranks that are looked at.

    Example:
        >>> rank(np.array([[0.1, 0.9, 0.5]]), [np.array([2])]).tolist()
        [[False, True, False]]
    """
    return hits(first_places(scores, depth), wanted)


def first_places(scores: np.ndarray, depth: int = DEPTH) -> np.ndarray:
    """Returns ``int64[n, at most depth]``: the places of the documents with the highest scores, ties in their order.

    Args:
        scores: ``float[n, m]``.
        depth: Ranks that are looked at.

    Example:
        >>> first_places(np.array([[0.1, 0.9, 0.5]]), depth=2).tolist()
        [[1, 2]]
    """
    depth = min(depth, scores.shape[1])
    if depth < scores.shape[1]:  # those that could be among the first, ties with the last of them included
        least = -np.partition(-scores, depth - 1, axis=1)[:, depth - 1 : depth]
        scores = np.where(scores >= least, scores, -np.inf)
    return nearest_first(scores, depth)


def hits(places: np.ndarray, wanted: Sequence[np.ndarray]) -> np.ndarray:
    """Returns ``bool[n, depth]``: which of the documents at ``int[n, depth]`` answer their query."""
    return np.stack([np.isin(order, right) for order, right in zip(places, wanted, strict=True)])


def check_ranks(counts: np.ndarray, found: np.ndarray) -> None:
    """Refuses what are not ranked documents of the same queries.

    Raises:
        UsageError: The shapes do not fit, a query has no document that answers it, or more were found than there are.
    """
    if found.ndim != 2 or counts.shape != found.shape[:1] or not found.size:
        raise UsageError(
            "queries and ranked documents do not fit",
            received=f"shapes {counts.shape} and {found.shape}",
            expected="[n] and [n, depth] with n and depth >= 1",
        )
    wrong = (counts < 1) | (found.sum(axis=1) > counts)
    if wrong.any():
        row = int(wrong.argmax())
        raise UsageError(
            "a query needs a document that answers it, and cannot find more than there are",
            where=f"row {row}",
            received=f"{int(counts[row])} that answer it, {int(found[row].sum())} found",
            expected="at least one, and no more found than that",
        )


def _unseen(
    counts: np.ndarray, found: np.ndarray, better: bool, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """A query whose one document comes first, or not at all."""
    row = np.zeros((1, found.shape[1]), found.dtype)
    row[0, 0] = better
    return np.ones(1, counts.dtype), row


RANKS = Form(check_ranks, _unseen, lambda counts, found: found[:, 0] > 0)
"""How many documents answer each query, and which ranks hold one."""


def _recall(k: int) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    return lambda counts, found: with_ones(found[:, :k].sum(axis=1) / counts)


def _reciprocal(counts: np.ndarray, found: np.ndarray) -> np.ndarray:
    return with_ones(found.any(axis=1) / (found.argmax(axis=1) + 1))


def _gain(k: int) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    def of_each(counts: np.ndarray, found: np.ndarray) -> np.ndarray:
        worth = 1 / np.log2(np.arange(2, k + 2))
        best = np.cumsum(worth)[np.minimum(counts, k) - 1]
        return with_ones((found[:, :k] * worth[: found.shape[1]]).sum(axis=1) / best)

    return of_each


METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        # The share of a query's documents that is found at the first rank, or among the first ten.
        Metric("recall_at_1", True, _recall(1), mean, RANKS),
        Metric("recall_at_10", True, _recall(10), mean, RANKS),
        # One over the rank of the first document that answers the query.
        Metric("mrr", True, _reciprocal, mean, RANKS),
        # What is found counts less the later it comes (Järvelin and Kekäläinen, 2002); over the best there can be.
        Metric("ndcg_at_10", True, _gain(10), mean, RANKS),
    )
}
