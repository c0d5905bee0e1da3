"""A few labels: accuracy, or the mean absolute error, of new rows by prediction-powered inference."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from kft.metrics.proportions import share_interval
from kft.monitor.estimates.correctness import distance_units, fit_correctness
from kft.monitor.estimates.powered import Powered, drawn_mean, powered_mean
from kft.monitor.estimates.scores import Scores, damage, known_rows
from kft.records.estimate import Estimate
from kft.records.estimated import ACCURACY, AccuracyEstimate

LEAST_LABELS = 10
LEAST_ERRORS = 30
"""Errors on the reference that the expected error of a number is learned from; with fewer, labels stand alone."""
METHOD = "prediction-powered inference: labels of some rows, and what the model expects of all (PPI++)"
ASSUMPTIONS = ("the rows with a label were drawn by chance, with the chances that are given", "the labels are right")
ALIKE = ("the rows with a label were drawn by chance, each alike", "the labels are right")


@dataclass(frozen=True, eq=False)
class Numbers:
    """Predicted numbers of some rows.

    Attributes:
        value: ``float[n]``: predicted.
        truth: ``float[n]``: nan where it is not known; None where nothing is.
        foreign: ``float[n]``: as of ``Scores``; None where there are none.
    """

    value: np.ndarray
    truth: np.ndarray | None = None
    foreign: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.value)

    @property
    def error(self) -> np.ndarray:
        """``float64[n]``: absolute; nan where the truth is not known."""
        if self.truth is None:
            return np.full(len(self), np.nan)
        return np.abs(np.asarray(self.value, np.float64) - np.asarray(self.truth, np.float64))


def estimate_with_labels(reference: Scores, seen: Scores, inclusion: np.ndarray | None = None) -> AccuracyEstimate:
    """Returns the accuracy on new rows of which some have a label, with a 95 % interval.

    It needs no calibration: where what the model expects is worth nothing, labels alone count.

    Args:
        reference: Test rows of the model, their truth known.
        seen: All new rows; ``UNLABELLED`` is the truth of those without a label.
        inclusion: ``float[n]``: the chance with which each row was drawn for a label, nan where it was not; read where
            a row has a label. Where every row has one, these are the rows that were drawn: labels alone count. None:
            all rows alike.
    """
    chance, refused = _chances(seen.labelled, inclusion)
    refused = damage(reference, seen) + refused
    assumptions = ALIKE if inclusion is None else ASSUMPTIONS
    if refused:
        return AccuracyEstimate(ACCURACY, None, None, None, METHOD, assumptions, refused, len(seen))
    known = known_rows(reference)
    own = share_interval(float(known.right.mean()), len(known))
    if inclusion is not None and np.isfinite(chance).all():
        told = _told(ACCURACY, drawn_mean(seen.right, chance), assumptions, seen.labelled, own)
        return replace(told, n=round(float((1 / chance).sum())))  # about as many rows as they stand for
    units = distance_units(known, seen)
    expected = fit_correctness(known, units).of(seen)
    return _told(ACCURACY, powered_mean(seen.right, expected, chance), assumptions, seen.labelled, own)


def estimate_mean_error(reference: Numbers, seen: Numbers, inclusion: np.ndarray | None = None) -> AccuracyEstimate:
    """Returns the mean absolute error on new rows of which some have a label, with a 95 % interval.

    What is expected of a row's error comes from the reference: a line over the predicted number, its square and the
    distance. Without a label nothing is estimated: a number says nothing of how sure it is.

    Args:
        reference: Test rows of the model; its truth makes what is expected.
        seen: All new rows.
        inclusion: As for ``estimate_with_labels``.
    """
    labelled = ~np.isnan(seen.error)
    chance, refused = _chances(labelled, inclusion)
    if not labelled.any():
        refused = ("a predicted number says nothing of how sure it is: without labels its error cannot be estimated",)
    if not np.isfinite(np.asarray(seen.value, np.float64)).all():
        refused = ("some new rows have predictions that are no numbers", *refused)
    assumptions = ALIKE if inclusion is None else ASSUMPTIONS
    if refused:
        return AccuracyEstimate("mae", None, None, None, METHOD, assumptions, refused, len(seen))
    errors = reference.error[~np.isnan(reference.error)]
    half = 1.96 * float(np.std(errors)) / max(len(errors), 1) ** 0.5 if len(errors) else 0.0
    own = (
        Estimate(float(errors.mean()), float(errors.mean()) - half, float(errors.mean()) + half)
        if len(errors)
        else None
    )
    if inclusion is not None and np.isfinite(chance).all():
        powered = drawn_mean(seen.error, chance, None)
    else:
        powered = powered_mean(seen.error, _expected_error(reference, seen), chance, None)
    return _told("mae", powered, assumptions, labelled, own)


def not_estimated(task: str) -> AccuracyEstimate:
    """Returns the refusal for a task whose answers are neither one class of many nor a number.

    Args:
        task: Its name, for people.

    Example:
        >>> print(not_estimated("token-tagging").line)
        accuracy not estimated: for token-tagging nothing is estimated: label rows and run kft evaluate on them
    """
    why = f"for {task} nothing is estimated: label rows and run kft evaluate on them"
    return AccuracyEstimate(ACCURACY, None, None, None, "none", (), (why,), 0)


def _expected_error(reference: Numbers, seen: Numbers) -> np.ndarray:
    """Returns ``float64[n]``: the error that is expected of each new row; a constant where too little is known."""
    known = ~np.isnan(reference.error)
    if known.sum() < LEAST_ERRORS:
        return np.zeros(len(seen))
    middle, scale = float(np.mean(reference.value)), max(float(np.std(reference.value)), 1e-12)

    def columns(numbers: Numbers) -> np.ndarray:
        z = np.clip((np.asarray(numbers.value, np.float64) - middle) / scale, -4, 4)
        parts = [np.ones(len(z)), z, z**2]
        if reference.foreign is not None and seen.foreign is not None:
            near, wide = float(np.mean(reference.foreign)), max(float(np.std(reference.foreign)), 1e-12)
            parts.append(np.clip((np.asarray(numbers.foreign, np.float64) - near) / wide, -4, 4))
        return np.stack(parts, axis=1)

    weights, *_ = np.linalg.lstsq(columns(reference)[known], reference.error[known], rcond=None)
    return np.maximum(columns(seen) @ weights, 0.0)


def _chances(labelled: np.ndarray, inclusion: np.ndarray | None) -> tuple[np.ndarray, tuple[str, ...]]:
    """Returns the chance of each row to be labelled, and why nothing can be estimated with them."""
    labels, rows = int(labelled.sum()), len(labelled)
    found = []
    if labels < LEAST_LABELS:
        found.append(f"{labels} new rows have a label, {LEAST_LABELS} are needed")
    if inclusion is None:
        return np.full(rows, labels / max(rows, 1)), tuple(found)
    chance = np.asarray(inclusion, np.float64)
    if len(chance) != rows:
        return chance, (*found, f"there are {len(chance):,} inclusion probabilities for {rows:,} new rows")
    wrong = labelled & ~((chance > 0) & (chance <= 1))
    if wrong.any():
        example = chance[wrong][0]
        found.append(
            f"{wrong.sum():,} rows with a label have an inclusion probability that is not above 0 and at most 1, such "
            f"as {example:g}: what could not be drawn stands for nothing"
        )
    return chance, tuple(found)


def _told(
    metric: str, powered: Powered, assumptions: tuple[str, ...], labelled: np.ndarray, own: Estimate | None
) -> AccuracyEstimate:
    value, labels = powered.estimate, int(labelled.sum())
    told = AccuracyEstimate(metric, value.value, value.low, value.high, METHOD, assumptions, (), len(labelled), own)
    return replace(told, labels=labels, labels_alone=powered.alone, more_labels=powered.more)
