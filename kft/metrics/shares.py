"""Plain means and shares of numbers that are known one by one."""

from __future__ import annotations

from typing import Any

import numpy as np

from kft.metrics.metric import Form, Metric, mean, share, with_ones
from kft.metrics.ranking import check_pairs


def _values(values: np.ndarray, same: np.ndarray) -> np.ndarray:
    return with_ones(values)


def _hits(hits: np.ndarray, among: np.ndarray) -> np.ndarray:
    return np.stack([hits, among], axis=1).astype(np.float64)


def mean_between(low: float, high: float, *, higher_is_better: bool = False) -> Metric:
    """Returns the mean of one number an example, ``float[n]``, handed over twice, that can only be from low to high.

    The limits of its interval allow for one more example at the end of the range, drawn as the others are, which for
    zeros and ones comes to the exact limits (Gaffke, 2005; Phan, Thomas and Learned-Miller, 2021).

    Example:
        >>> values = np.array([0.0, 0.5, 1.0])
        >>> mean_between(0, 1).value(values, values)
        0.5
    """

    def unseen(values: Any, same: Any, better: bool, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        end = np.array([high if better == higher_is_better else low])
        return end, end

    form = Form(check_pairs, unseen, lambda values, same: values > (low + high) / 2)
    return Metric("mean", higher_is_better, _values, mean, form)


def _all_or_none(
    hits: np.ndarray, among: np.ndarray, better: bool, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    return np.array([better]), np.array([True])


SHARE = Metric("share", True, _hits, share, Form(check_pairs, _all_or_none, lambda hits, among: hits > 0))
"""The hits, ``bool[n]``, among those that could be hits, ``bool[n]``, which hold them all; 0 where there are none."""
