"""Groups of rows that look alike to a frozen backbone: photos of one object, shelf or day, texts of one template.

What two rows of different classes show cannot be the same thing. How alike such rows can look is therefore the
measure: rows of one class that look more alike than that are taken for views of one thing, and stay together.
"""

from __future__ import annotations

import numpy as np

from kft.data.near import BLOCK, unit_rows

QUANTILE = 0.99
"""Of the similarities of each row to its nearest of another class; the rest is left to wrong labels and twins."""
SAMPLE = 2048
"""Rows that the limit is measured on."""


def similar_groups(vectors: np.ndarray, strata: np.ndarray) -> np.ndarray:
    """Joins rows of one class that look more alike than rows of different classes do (single linkage).

    Single linkage, because a series of photos is a chain: each is like the next, the first hardly like the last.

    Args:
        vectors: ``float[n, width]``; their cosine is the similarity.
        strata: ``str[n]``: the classes.

    Returns:
        ``int64[n]``: the lowest row of each one's group; each row by itself where there is one class alone.

    Example:
        >>> vectors = np.array([[1, 0, 0], [1, 0.1, 0], [1, 1, 1], [0, 1, 0], [0, 1, 0.8]])
        >>> similar_groups(vectors, np.array(["a", "a", "a", "b", "b"])).tolist()
        [0, 0, 2, 3, 4]
    """
    unit, groups = unit_rows(vectors), np.arange(len(vectors))
    _, stratum = np.unique(strata.astype(str), return_inverse=True)
    limit = likeness_between(unit, stratum)
    for place in range(int(stratum.max(initial=-1)) + 1):
        rows = np.flatnonzero(stratum == place)
        groups[rows] = rows[_linked(unit[rows], limit)]
    return groups


def likeness_between(unit: np.ndarray, stratum: np.ndarray) -> float:
    """Returns the cosine that a row hardly ever reaches with its nearest of another class; infinite with one class.

    Args:
        unit: ``float32[n, width]``, of length one.
        stratum: ``int[n]``.
    """
    sample = np.unique(np.linspace(0, len(unit) - 1, min(SAMPLE, len(unit))).astype(int))
    nearest = []
    for rows in np.split(sample, range(BLOCK, len(sample), BLOCK)):
        cosine = np.where(stratum[rows, None] == stratum, -np.inf, unit[rows] @ unit.T)
        nearest.append(cosine.max(axis=1))
    limit = float(np.quantile(np.concatenate(nearest), QUANTILE))
    return limit if np.isfinite(limit) else np.inf


def _linked(unit: np.ndarray, limit: float) -> np.ndarray:
    """Returns ``int64[n]``: the lowest row that each is linked with by steps of at least ``limit``.

    Outwards from one row to all that it reaches: each row is compared with those left once, and no pair is kept.
    """
    groups, left = np.arange(len(unit)), np.ones(len(unit), bool)
    for first in range(len(unit)):
        if not left[first]:
            continue
        left[first] = False
        frontier = np.array([first])
        while frontier.size:
            rest = np.flatnonzero(left)
            pieces = np.split(frontier, range(BLOCK, len(frontier), BLOCK))
            reached = [(unit[piece] @ unit[rest].T > limit).any(axis=0) for piece in pieces]
            frontier = rest[np.any(reached, axis=0)]
            left[frontier] = False
            groups[frontier] = first
    return groups
