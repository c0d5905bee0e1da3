"""Plain means and shares, with the intervals of every other metric."""

from __future__ import annotations

import numpy as np

from kft.metrics.metric import Metric, mean
from kft.metrics.ranking import AURC


def _values(values: np.ndarray, same: np.ndarray) -> np.ndarray:
    return np.stack([values, np.ones(len(values))], axis=1)


def _hits(hits: np.ndarray, among: np.ndarray) -> np.ndarray:
    return np.stack([hits, among], axis=1).astype(np.float64)


def _share(sums: np.ndarray) -> np.ndarray:
    return sums[..., 0] / np.maximum(sums[..., 1], 1)  # of none, none


MEAN = Metric("mean", False, _values, mean, AURC.check)
"""Of one number an example, ``float[n]``, handed over twice."""

SHARE = Metric("share", True, _hits, _share, AURC.check)
"""The hits, ``bool[n]``, among those that could be hits, ``bool[n]``, which hold them all; 0 where there are none."""
