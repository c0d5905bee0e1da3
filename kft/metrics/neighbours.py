"""Vectors by their direction: rows of length one, and how near the nearest others lie. NumPy alone, so it can ship."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

SMALLEST = 1e-12
"""A shorter row is divided by this, so that zeros stay zeros."""
ROWS_AT_ONCE = 1024
"""Rows that are compared with all others at a time: memory stays flat."""


def unit_rows(vectors: np.ndarray) -> np.ndarray:
    """Returns ``[n, width]``: rows of length one, in their own type; a row of zeros stays one.

    Example:
        >>> unit_rows(np.array([[3.0, 4.0], [0.0, 0.0]])).tolist()
        [[0.6, 0.8], [0.0, 0.0]]
    """
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), SMALLEST)


def cosines(rows: np.ndarray, others: np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
    """Yields places and ``[at most 1024, m]``: the cosines of some rows to all others; both are of length one.

    Example:
        >>> [(places.start, found.tolist()) for places, found in cosines(np.eye(2), np.array([[1.0, 0.0]]))]
        [(0, [[1.0], [0.0]])]
    """
    for start in range(0, len(rows), ROWS_AT_ONCE):
        places = slice(start, min(start + ROWS_AT_ONCE, len(rows)))
        yield places, rows[places] @ others.T


def nearest_first(alike: np.ndarray, k: int) -> np.ndarray:
    """Returns ``int[n, k]``: the columns of the highest values of each row, the highest first, ties in their order.

    Example:
        >>> nearest_first(np.array([[0.1, 0.9, 0.5]]), 2).tolist()
        [[1, 2]]
    """
    return np.argsort(-alike, axis=1, kind="stable")[:, :k]
