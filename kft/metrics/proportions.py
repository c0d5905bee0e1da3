"""Shares with their 95 % intervals: Wilson's score, with groups on as many rows as the groups are worth.

Wilson (1927) has a width where all rows are alike: 10 of 10 are no proof of always. Rows of one group are alike, so
they are worth fewer: the effective number of rows is what gives independent rows the variance that the groups show
(Korn and Graubard, 1998). Near the edge the groups show too little of it: where all is right, nothing at all. So half a
group of each kind, one all right and one all wrong, is added to what the variance is estimated from. docs/evaluation.md
has the coverage.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from kft.errors import UsageError
from kft.metrics.metric import sum_by_group
from kft.records.estimate import Estimate

Z = 1.959963984540054
NOT_SEEN = 0.5
"""Groups of each kind that the variance is estimated with beside those that there are."""

Groups = Sequence[object] | np.ndarray


def group_codes(groups: Groups | None, n: int) -> np.ndarray:
    """Returns ``int[n]``: groups numbered from 0 without a gap, in the order in which they appear.

    Args:
        groups: One of each example; None where each stands alone.
        n: Examples.

    Raises:
        UsageError: There is not one group for each example.

    Example:
        >>> group_codes(["b", "a", "b"], 3).tolist()
        [0, 1, 0]
    """
    if groups is None:
        return np.arange(n)
    if len(groups) != n:
        raise UsageError("groups do not fit the examples", received=f"{len(groups)} groups", expected=f"{n}")
    # A dictionary, not numpy.unique: ids may be of mixed types, which do not sort.
    numbers: dict[object, int] = {}
    return np.array([numbers.setdefault(group, len(numbers)) for group in groups])


def share_interval(share: float, n: float) -> Estimate:
    """Returns a share of independent yes-or-no outcomes with its interval by Wilson's score (1927).

    Args:
        share: From 0 to 1.
        n: Outcomes; those that hang together count as one. Of none, nothing is known.

    Example:
        >>> print(share_interval(1.0, 20))
        1.000 [0.839, 1.000]
    """
    if n <= 0:
        return Estimate(share, 0.0, 1.0)
    middle = (share + Z**2 / (2 * n)) / (1 + Z**2 / n)
    half = Z / (1 + Z**2 / n) * (share * (1 - share) / n + Z**2 / (4 * n**2)) ** 0.5
    return Estimate(share, max(0.0, min(middle - half, share)), min(1.0, max(middle + half, share)))


def share_of(hits: np.ndarray, among: np.ndarray, codes: np.ndarray) -> Estimate:
    """Returns the share of hits among what could be hits, with its interval.

    Args:
        hits: ``float[n]``: at most as many as could be.
        among: ``float[n]``: what could be a hit of each row; a text may hold several entities.
        codes: ``int[n]``: each row's group, numbered from 0 without a gap.

    Example:
        >>> right = np.array([1.0, 1.0, 0.0, 0.0] * 10)
        >>> print(share_of(right, np.ones(40), np.arange(40)), share_of(right, np.ones(40), np.arange(40) // 2))
        0.500 [0.352, 0.648] 0.500 [0.299, 0.701]
    """
    among_sum = float(among.sum())
    share = float(hits.sum()) / among_sum if among_sum else 0.0
    return share_interval(share, effective_rows(hits, among, codes))


def effective_rows(hits: np.ndarray, among: np.ndarray, codes: np.ndarray) -> float:
    """Returns how many independent rows these are worth; see ``share_of``.

    Example:
        >>> alike = np.repeat(np.arange(10) % 2, 5).astype(float)
        >>> effective_rows(alike, np.ones(50), np.arange(50) // 5)
        10.0
    """
    sums = sum_by_group(np.stack([hits, among], axis=1).astype(np.float64), codes)
    found, sizes = sums[sums[:, 1] > 0].T
    n, groups = float(sizes.sum()), len(sizes)
    if groups == 0 or (sizes == 1).all() or groups == 1:
        return float(groups)
    typical = float((sizes**2).sum()) / n
    kish = n / typical  # what rows are worth whose groups are right or wrong as a whole
    more = NOT_SEEN * typical
    share = (float(found.sum()) + more) / (n + 2 * more)
    squares = float(((found - share * sizes) ** 2).sum()) * groups / (groups - 1)
    squares += NOT_SEEN * typical**2 * (share**2 + (1 - share) ** 2)
    worth = share * (1 - share) * n * (n + 2 * more) / squares
    return float(np.clip(worth, min(kish, n), max(n, min(kish, n))))
