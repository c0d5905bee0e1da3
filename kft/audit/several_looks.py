"""Figures that come with chance: differences between shares, and what is left of them after many looks."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

Z95 = 1.959964
"""Standard errors to either side of a 95 % interval."""


def holm(p_values: Sequence[float]) -> list[float]:
    """Returns p-values corrected for the number of looks (Holm, 1979).

    Example:
        >>> [round(p, 3) for p in holm([0.01, 0.5, 0.04])]
        [0.03, 0.5, 0.08]
    """
    corrected, worst = [1.0] * len(p_values), 0.0
    for rank, place in enumerate(sorted(range(len(p_values)), key=lambda place: p_values[place])):
        worst = max(worst, min(1.0, p_values[place] * (len(p_values) - rank)))
        corrected[place] = worst
    return corrected


def two_sided_p(z: float) -> float:
    """Returns the two-sided p-value of a standard normal figure.

    Example:
        >>> round(two_sided_p(1.96), 3)
        0.05
    """
    return math.erfc(abs(z) / math.sqrt(2))


def difference_of_shares(hits: np.ndarray, inside: np.ndarray, groups: np.ndarray | None) -> tuple[float, float]:
    """Returns the share of hits inside a set less that outside it, and its standard error.

    One hit and one miss are added to each side (Agresti and Caffo, 2000), so that a handful of rows that are all
    right is no certainty; rows of one group count together (the sandwich estimate of Liang and Zeger, 1986).

    Args:
        hits: ``bool[n]``.
        inside: ``bool[n]``: which rows are inside; some are, some are not.
        groups: ``str[n]`` of rows that hang together; None where each stands alone.

    Example:
        >>> hits, inside = np.array([True] * 90 + [False] * 10 + [True] * 50 + [False] * 50), np.arange(200) < 100
        >>> [round(value, 3) for value in difference_of_shares(hits, inside, None)]
        [0.392, 0.058]
    """
    influence, variance, shares = np.zeros(len(hits)), 0.0, []
    for side, sign in ((inside, 1.0), (~inside, -1.0)):
        n = int(side.sum()) + 2
        share = (int(hits[side].sum()) + 1) / n
        shares.append(share)
        influence[side] = sign * (hits[side] - share) / n
        variance += ((1 - share) ** 2 + share**2) / n**2
    if groups is not None:
        _, group_of = np.unique(groups.astype(str), return_inverse=True)
    else:
        group_of = np.arange(len(hits))
    per_group = np.bincount(group_of, influence)
    return shares[0] - shares[1], float(np.sqrt(variance + (per_group**2).sum()))
