"""How near passages come to a query: by their vectors, one by one or through a graph of neighbours; and by words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from kft.search.contents import AT_ONCE, GRAPH, WORDS, Contents
from kft.search.words import WordIndex, load_words, require_package

EXACT = 200_000
"""Passages up to which every vector is compared with a query: some 70 ms on two cores, and 300 MB for 384 numbers each.
Beyond, a graph (HNSW; Malkov and Yashunin, 2016) proposes candidates, and only these are compared."""
CANDIDATES = 1000
"""That the graph proposes, and as many by words: the best of them are the best of all but for rare misses."""
BREADTH = 200
"""Passages that a search of the graph keeps in sight."""
GRAPH_MODULE = "usearch"


@dataclass(frozen=True)
class Hits:
    """What is near a query.

    Attributes:
        places: ``int64[m]``: passages, in their order; those that are not among them are farther.
        cosines: ``float32[m]``: by vectors, from 0: what points away is as far as what has nothing to do with it.
        shares: ``float32[m]``: by words; see ``WordIndex.shares``.
    """

    places: np.ndarray
    cosines: np.ndarray
    shares: np.ndarray

    def weighed(self, words: float) -> np.ndarray:
        """Returns ``float32[m]``: both together, from 0 to 1."""
        return (1 - words) * self.cosines + words * self.shares


@dataclass(frozen=True)
class Scorer:
    """Compares queries with all passages.

    Attributes:
        contents: The passages.
        approximate: Whether through the graph.
    """

    contents: Contents
    approximate: bool

    def find(self, vectors: np.ndarray, queries: Sequence[str]) -> list[Hits]:
        """Returns what is near each query.

        Args:
            vectors: ``float[queries, width]``, of length one.
            queries: Their texts.
        """
        shares = self.words.shares(queries)
        if self.approximate:
            return [self._through_graph(*pair) for pair in zip(vectors, shares, strict=True)]
        cosines = np.maximum(vectors.astype(np.float32) @ self.rows.T, 0)
        everything = np.arange(len(self.rows))
        return [Hits(everything, *pair) for pair in zip(cosines, shares, strict=True)]

    @cached_property
    def rows(self) -> np.ndarray:
        """``float32[passages, width]``, in memory: NumPy multiplies float16 ten times slower."""
        stored = self.contents.vectors
        rows = np.empty(stored.shape, np.float32)
        for start in range(0, len(rows), AT_ONCE):
            rows[start : start + AT_ONCE] = stored[start : start + AT_ONCE]
        return rows

    @cached_property
    def words(self) -> WordIndex:
        return load_words(self.contents.folder / WORDS)

    def _through_graph(self, vector: np.ndarray, shares: np.ndarray) -> Hits:
        near = self._graph.search(vector.astype(np.float16), CANDIDATES).keys.astype(np.int64)
        most = min(CANDIDATES, len(shares))
        worded = np.argpartition(-shares, most - 1)[:most]
        places = np.union1d(near, worded[shares[worded] > 0])
        cosines = self.contents.vectors[places].astype(np.float32) @ vector.astype(np.float32)
        return Hits(places, np.maximum(cosines, 0), shares[places])

    @cached_property
    def _graph(self) -> Any:
        require_package(GRAPH_MODULE, "more passages than are compared one by one")
        from usearch.index import Index

        return Index.restore(str(self.contents.folder / GRAPH), view=True)


def write_graph(contents: Contents) -> None:
    """Writes the graph of neighbours, on one thread, so that the same vectors give the same graph.

    Raises:
        UsageError: The extra is not installed.
    """
    require_package(GRAPH_MODULE, f"more than {EXACT:,} passages")
    from usearch.index import Index

    graph = Index(ndim=contents.vectors.shape[1], metric="ip", dtype="f16", expansion_search=BREADTH)
    for start in range(0, len(contents.vectors), AT_ONCE):
        part = np.ascontiguousarray(contents.vectors[start : start + AT_ONCE])
        graph.add(np.arange(start, start + len(part)), part, threads=1)
    path: Path = contents.folder / GRAPH
    graph.save(str(path))


def best_documents(scores: np.ndarray, documents: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns the k best documents by their best passage, and the place of that passage; ties in their order.

    Args:
        scores: ``float[m]``, one a passage.
        documents: ``int[m]``: which document each belongs to, ascending.
        k: How many.

    Returns:
        Numbers of documents ``int64[at most k]``, and places among the passages given, of the same shape.

    Example:
        >>> best_documents(np.array([0.1, 0.9, 0.9, 0.5]), np.array([0, 0, 3, 3]), 5)
        (array([0, 3]), array([1, 2]))
    """
    if not len(scores):
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    starts = np.flatnonzero(np.diff(documents, prepend=-1))
    best = np.maximum.reduceat(scores, starts)
    if k < len(best):  # those that could be among the first k, ties with the last of them included
        least = -np.partition(-best, k - 1)[k - 1]
        among = np.flatnonzero(best >= least)
    else:
        among = np.arange(len(best))
    order = among[np.argsort(-best[among], kind="stable")][:k]
    ends = np.append(starts[1:], len(scores))
    places = np.array([starts[each] + int(scores[starts[each] : ends[each]].argmax()) for each in order], np.int64)
    return documents[starts[order]].astype(np.int64), places
