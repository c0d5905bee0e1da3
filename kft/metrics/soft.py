"""Metrics against soft labels: shares of each class, such as annotators' votes, in the place of one class."""

from __future__ import annotations

import numpy as np

from kft.errors import UsageError
from kft.metrics.classification import (
    ECE_BINS,
    SMALLEST_PROBABILITY,
    SUM_TOLERANCE,
    bin_of,
    ece_by_chance,
    one_of_each_class,
    total_gap,
)
from kft.metrics.metric import Form, Metric, mean, with_ones


def check_shares(shares: np.ndarray, probabilities: np.ndarray) -> None:
    """Refuses shares and probabilities that do not belong together, or are none.

    Raises:
        UsageError: The shapes do not fit, there are no examples, or a row is no distribution.

    Example:
        >>> check_shares(np.array([[0.5, 0.5]]), np.array([[0.9, 0.1]]))
    """
    if shares.ndim != 2 or shares.shape != probabilities.shape or not shares.size:
        raise UsageError(
            "shares and probabilities do not fit",
            received=f"shapes {shares.shape} and {probabilities.shape}",
            expected="[n, classes] for both, with n >= 1",
        )
    for name, rows in (("shares", shares), ("probabilities", probabilities)):
        fine = (rows >= 0).all(axis=1) & (np.abs(rows.sum(axis=1) - 1) <= SUM_TOLERANCE)
        if not fine.all():
            row = int(fine.argmin())
            raise UsageError(
                f"these are no {name}",
                where=f"row {row}",
                received=np.array2string(rows[row], precision=3, threshold=6),
                expected="numbers from 0 to 1 that sum to 1",
            )


def _unseen(
    shares: np.ndarray, probabilities: np.ndarray, better: bool, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    rows, answers = one_of_each_class(shares.argmax(axis=1), probabilities, better, rng)
    return shares[rows], answers


def agreed(shares: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """Returns ``float[n]``: the share of the class that is answered."""
    return shares[np.arange(len(shares)), probabilities.argmax(axis=1)]


SHARES = Form(check_shares, _unseen, lambda shares, answers: answers.argmax(axis=1) == shares.argmax(axis=1))
"""Shares ``float[n, classes]``, and probabilities likewise."""


def _accuracy(shares: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    return with_ones(agreed(shares, probabilities))


def _log_loss(shares: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    logs = np.log(np.maximum(probabilities, SMALLEST_PROBABILITY), dtype=np.float64)
    return with_ones(-(shares * logs).sum(axis=1, dtype=np.float64))


def _brier(shares: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    return with_ones(((probabilities - shares) ** 2).sum(axis=1, dtype=np.float64))


def _ece_bins(shares: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    confidence = probabilities.max(axis=1)
    statistics = np.zeros((len(shares), ECE_BINS + 1))
    statistics[np.arange(len(shares)), bin_of(confidence)] = confidence - agreed(shares, probabilities)
    statistics[:, -1] = 1
    return statistics


SOFT_METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        # How often a judgement drawn at random agrees with the answer.
        Metric("soft_accuracy", True, _accuracy, mean, SHARES),
        # Mean cross-entropy in nats; the least is the shares' own entropy.
        Metric("soft_log_loss", False, _log_loss, mean, SHARES),
        # The squared distance between probabilities and shares, summed over the classes (Brier, 1950).
        Metric("soft_brier", False, _brier, mean, SHARES),
        # As ``ece``: of the answers of about one confidence, how far it is from the mean share that agrees.
        Metric("soft_ece", False, _ece_bins, total_gap, SHARES, by_chance=ece_by_chance),
    )
}


def entropy(shares: np.ndarray) -> float:
    """Returns the mean entropy of shares in nats: the ``soft_log_loss`` that no answer goes below.

    Example:
        >>> round(entropy(np.array([[0.5, 0.5], [1.0, 0.0]])), 4)
        0.3466
    """
    logs = np.log(np.where(shares > 0, shares, 1), dtype=np.float64)
    return float(-(shares * logs).sum(axis=1, dtype=np.float64).mean())
