"""Groups of rows that look alike to a frozen backbone: photos of one object, shelf or day, texts of one template.

What two rows of different classes show cannot be the same thing. How alike such rows can look is therefore the
measure: rows of one class that look more alike than that are taken for views of one thing, and stay together.
"""

from __future__ import annotations

import numpy as np

from kft.metrics.neighbours import cosines, unit_rows

QUANTILE = 0.99
"""Of the similarities of each row to its nearest of another class; the rest is left to wrong labels and twins."""
SAMPLE = 2048
"""Rows that the limit is measured on."""
HALVINGS = 12
"""Steps in which a limit is raised for one class; finer ones would hang on the last digits of a cosine."""


def similar_groups(vectors: np.ndarray, strata: np.ndarray, largest: float = 1.0) -> np.ndarray:
    """Joins rows of one class that look more alike than rows of different classes do (single linkage).

    Single linkage, because a series of photos is a chain: each is like the next, the first hardly like the last. Where
    classes lie far apart, all of one would become one group: its limit is raised until none is too large.

    Args:
        vectors: ``float[n, width]``; their cosine is the similarity.
        strata: ``str[n]``: the classes.
        largest: The share of its class that a group may have: what train gets of it, so that something is left.

    Returns:
        ``int64[n]``: the lowest row of each one's group; each row by itself where there is one class alone.

    Example:
        >>> vectors = np.array([[1, 0, 0], [1, 0.1, 0], [1, 1, 1], [0, 1, 0], [0, 1, 0.8]])
        >>> similar_groups(vectors, np.array(["a", "a", "a", "b", "b"])).tolist()
        [0, 0, 2, 3, 4]
    """
    unit, groups = unit_rows(vectors.astype(np.float32)), np.arange(len(vectors))
    _, stratum = np.unique(strata.astype(str), return_inverse=True)
    limit = likeness_between(unit, stratum)
    for place in range(int(stratum.max(initial=-1)) + 1):
        rows = np.flatnonzero(stratum == place)
        groups[rows] = rows[_parted(unit[rows], limit, max(1, int(largest * len(rows))))]
    return groups


def likeness_between(unit: np.ndarray, stratum: np.ndarray) -> float:
    """Returns the cosine that a row hardly ever reaches with its nearest of another class; infinite with one class.

    Args:
        unit: ``float32[n, width]``, of length one.
        stratum: ``int[n]``.
    """
    if not stratum.any():
        return np.inf
    sample = np.unique(np.linspace(0, len(unit) - 1, min(SAMPLE, len(unit))).astype(int))
    nearest = []
    for places, cosine in cosines(unit[sample], unit):
        own_class = stratum[sample[places], None] == stratum
        nearest.append(np.where(own_class, -np.inf, cosine).max(axis=1))
    return float(np.quantile(np.concatenate(nearest), QUANTILE))


def _parted(unit: np.ndarray, limit: float, most: int) -> np.ndarray:
    """Returns what ``_linked`` does, at the lowest limit from this one on that leaves no group above ``most`` rows."""
    groups, lowest, highest = _linked(unit, limit), limit, 1.0
    if np.bincount(groups).max() <= most:
        return groups
    groups = np.arange(len(unit))
    for _ in range(HALVINGS):
        middle = (lowest + highest) / 2
        tried = _linked(unit, middle)
        if np.bincount(tried).max() > most:
            lowest = middle
        else:
            groups, highest = tried, middle
    return groups


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
            reached = [(cosine > limit).any(axis=0) for _, cosine in cosines(unit[frontier], unit[rest])]
            frontier = rest[np.any(reached, axis=0)]
            left[frontier] = False
            groups[frontier] = first
    return groups
