"""Metrics against soft labels: shares of each class in the place of one class."""

from __future__ import annotations

import numpy as np

from kft.metrics.classification import SMALLEST_PROBABILITY


def soft_log_loss(shares: np.ndarray, probabilities: np.ndarray) -> float:
    """Returns the mean cross-entropy in nats of answers against shares; least where the two are equal.

    Args:
        shares: ``float[n, classes]``; rows sum to 1.
        probabilities: Likewise.

    Example:
        >>> round(soft_log_loss(np.array([[0.5, 0.5]]), np.array([[0.25, 0.75]])), 4)
        0.837
    """
    logs = np.log(np.maximum(probabilities, SMALLEST_PROBABILITY), dtype=np.float64)
    return float(-(shares * logs).sum(axis=1, dtype=np.float64).mean())
