"""The reliability diagram: how often answers of about one confidence are right."""

from __future__ import annotations

import numpy as np

from kft.metrics.classification import ECE_BINS, bin_of, check_inputs
from kft.metrics.soft import agreed, check_shares
from kft.records.metrics import ReliabilityBin


def reliability(targets: np.ndarray, probabilities: np.ndarray) -> list[ReliabilityBin]:
    """Returns the bins of a reliability diagram, those of ``ece``, without the empty ones.

    Args:
        targets: ``int[n]``, or shares of soft labels ``float[n, classes]``: an answer is as right as its class's share.
        probabilities: ``float[n, classes]``.

    Raises:
        UsageError: Targets and probabilities do not belong together.

    Example:
        >>> answers = np.array([[0.9, 0.1], [0.9, 0.1]])
        >>> reliability(np.array([0, 1]), answers)
        [ReliabilityBin(low=0.8666666666666667, high=0.9333333333333333, n=2, confidence=0.9, accuracy=0.5)]
    """
    if targets.ndim == 2:
        check_shares(targets, probabilities)
        right = agreed(targets, probabilities)
    else:
        check_inputs(targets, probabilities)
        right = probabilities.argmax(axis=1) == targets
    confidence = probabilities.max(axis=1)
    bins = bin_of(confidence)
    counts, sure, hits = (np.bincount(bins, w, ECE_BINS) for w in (None, confidence, right.astype(float)))
    return [
        ReliabilityBin(b / ECE_BINS, (b + 1) / ECE_BINS, int(n), float(sure[b] / n), float(hits[b] / n))
        for b, n in enumerate(counts)
        if n
    ]
