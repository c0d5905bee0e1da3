"""The class shares that new rows would have if nothing else had changed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kft.monitor.estimates.prior import SMALLEST, apply_bcts, by_bbse, by_em, fit_bcts
from kft.monitor.estimates.scores import OTHER, Scores


@dataclass(frozen=True, eq=False)
class PriorShift:
    """Class shares of new rows, and of the reference.

    Attributes:
        reference: ``float64[classes]``.
        shares: ``float64[classes]``: by EM.
        bbse: ``float64[classes]``: by BBSE.
        probabilities: ``float64[rows, classes]`` of the new rows, calibrated for the reference's shares.
        of_reference: Likewise of the reference.
        prior: ``float64[classes]``: the mean of ``of_reference``.
    """

    reference: np.ndarray
    shares: np.ndarray
    bbse: np.ndarray
    probabilities: np.ndarray
    of_reference: np.ndarray
    prior: np.ndarray

    def ratios(self) -> tuple[np.ndarray, np.ndarray]:
        """Returns twice ``float64[classes]``: how many times as frequent each class has become, by EM and by BBSE.

        It is 1 where the reference lacks a class.
        """
        there = self.reference > 0
        before = np.where(there, self.reference, 1.0)
        return np.where(there, self.shares / before, 1.0), np.where(there, self.bbse / before, 1.0)

    def at_shares(self) -> np.ndarray:
        """Returns ``float64[rows, classes]``: the new rows' probabilities at the new shares."""
        moved = self.probabilities * (self.shares / np.maximum(self.prior, SMALLEST))
        return moved / np.maximum(moved.sum(axis=1, keepdims=True), SMALLEST)


def find_prior_shift(reference: Scores, seen: Scores) -> PriorShift:
    """Returns the new shares.

    Args:
        reference: With a known truth in each row.
        seen: New rows.
    """
    own = reference.take(np.asarray(reference.truth) != OTHER)
    truth = np.asarray(own.truth)
    slope, bias = fit_bcts(np.asarray(own.probabilities), truth)
    of_reference = apply_bcts(np.asarray(own.probabilities), slope, bias)
    new = apply_bcts(np.asarray(seen.probabilities), slope, bias)
    prior = of_reference.mean(axis=0)
    bbse = by_bbse(_confusion(truth, own.label, None, own.classes), np.bincount(seen.label, minlength=own.classes))
    shares = np.bincount(truth, minlength=own.classes) / len(truth)
    return PriorShift(shares, by_em(new, prior), bbse, new, of_reference, prior)


def _confusion(truth: np.ndarray, label: np.ndarray, counts: np.ndarray | None, classes: int) -> np.ndarray:
    return np.bincount(truth * classes + np.asarray(label), counts, classes**2).reshape(classes, classes)
