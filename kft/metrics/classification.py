"""Metrics of one class out of many, each defined once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from kft.errors import UsageError
from kft.metrics.metric import Metric, mean
from kft.records.metrics import ClassRow, ReliabilityBin

ECE_BINS = 15
SMALLEST_PROBABILITY = 1e-15
SUM_TOLERANCE = 0.01


def check_inputs(targets: np.ndarray, probabilities: np.ndarray) -> None:
    """Refuses targets and probabilities that do not belong together, or are none.

    Raises:
        UsageError: The shapes do not fit, there are no examples, a target is no class (-1 would count from the
            end without a word), or a row is no distribution (logits, NaN).
    """
    shapes = f"shapes {targets.shape} and {probabilities.shape}"
    if targets.ndim != 1 or probabilities.ndim != 2 or len(targets) != len(probabilities) or not probabilities.size:
        raise UsageError(
            "targets and probabilities do not fit",
            received=shapes,
            expected="[n] and [n, classes] with n >= 1",
        )
    _check_classes(targets, probabilities.shape[1], "target")
    # Written so that NaN fails the comparison.
    fine = (probabilities >= 0).all(axis=1) & (np.abs(probabilities.sum(axis=1) - 1) <= SUM_TOLERANCE)
    if not fine.all():
        row = int(fine.argmin())
        raise UsageError(
            "these are not probabilities",
            where=f"row {row}",
            received=np.array2string(probabilities[row], precision=3, threshold=6),
            expected="numbers from 0 to 1 that sum to 1",
            next_step="turn logits into probabilities with kft.tasks.decode.softmax",
        )


def _check_classes(numbers: np.ndarray, classes: int, name: str) -> None:
    if not np.issubdtype(numbers.dtype, np.integer):
        raise UsageError(
            f"a {name} is the number of a class",
            received=f"{name}s of type {numbers.dtype}",
            expected=f"whole numbers from 0 to {classes - 1}",
        )
    outside = (numbers < 0) | (numbers >= classes)
    if outside.any():
        row = int(outside.argmax())
        raise UsageError(
            f"a {name} is not among the classes",
            where=f"row {row}",
            received=str(numbers[row]),
            expected=f"0 to {classes - 1}",
        )


def _accuracy(targets: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    right = probabilities.argmax(axis=1) == targets
    return np.stack([right, np.ones(len(targets))], axis=1)


def _log_loss(targets: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    picked = probabilities[np.arange(len(targets)), targets]
    return np.stack([-np.log(np.maximum(picked, SMALLEST_PROBABILITY)), np.ones(len(targets))], axis=1)


def _f1_counts(targets: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """Per class: true positives, targets, predictions."""
    classes = np.arange(probabilities.shape[1])
    is_target = targets[:, None] == classes
    is_predicted = probabilities.argmax(axis=1)[:, None] == classes
    return np.concatenate([is_target & is_predicted, is_target, is_predicted], axis=1).astype(np.float64)


def _macro_f1(sums: np.ndarray) -> np.ndarray:
    hits, targets, predictions = np.split(sums, 3, axis=-1)
    f1 = 2 * hits / np.maximum(targets + predictions, 1e-12)
    occurs = targets > 0
    return (f1 * occurs).sum(axis=-1) / np.maximum(occurs.sum(axis=-1), 1)


def bin_of(confidence: np.ndarray) -> np.ndarray:
    """Returns ``int[n]``: which of the 15 equal-width bins each confidence falls into.

    Example:
        >>> bin_of(np.array([0.0, 0.5, 1.0])).tolist()
        [0, 7, 14]
    """
    return np.minimum((confidence * ECE_BINS).astype(int), ECE_BINS - 1)


def _ece_bins(targets: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """Per bin of the top confidence: confidence less correctness; and the count of examples."""
    confidence = probabilities.max(axis=1)
    gap = confidence - (probabilities.argmax(axis=1) == targets)
    statistics = np.zeros((len(targets), ECE_BINS + 1))
    statistics[np.arange(len(targets)), bin_of(confidence)] = gap
    statistics[:, -1] = 1
    return statistics


def _ece(sums: np.ndarray) -> np.ndarray:
    return np.abs(sums[..., :-1]).sum(axis=-1) / sums[..., -1]


def _brier(targets: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    squares = (probabilities**2).sum(axis=1)
    picked = probabilities[np.arange(len(targets)), targets]
    return np.stack([squares - 2 * picked + 1, np.ones(len(targets))], axis=1)


METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric("accuracy", True, _accuracy, mean, check_inputs),
        # The mean over the classes that occur among the targets of each class's F1.
        Metric("macro_f1", True, _f1_counts, _macro_f1, check_inputs),
        # Mean negative log-likelihood in nats, probabilities clipped at 1e-15.
        Metric("log_loss", False, _log_loss, mean, check_inputs),
        # Expected calibration error: 15 equal-width bins of the top confidence (Guo et al., 2017).
        Metric("ece", False, _ece_bins, _ece, check_inputs),
    )
}

BRIER = Metric("brier", False, _brier, mean, check_inputs)
"""The squared distance between probabilities and what is right, summed over the classes: 0 to 2 (Brier, 1950)."""


def reliability(targets: np.ndarray, probabilities: np.ndarray) -> list[ReliabilityBin]:
    """Returns the bins of a reliability diagram, those of ``ece``, without the empty ones.

    Raises:
        UsageError: Targets and probabilities do not belong together.

    Example:
        >>> answers = np.array([[0.9, 0.1], [0.9, 0.1]])
        >>> reliability(np.array([0, 1]), answers)
        [ReliabilityBin(low=0.8666666666666667, high=0.9333333333333333, n=2, confidence=0.9, accuracy=0.5)]
    """
    check_inputs(targets, probabilities)
    confidence, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == targets
    bins = bin_of(confidence)
    counts, sure, hits = (np.bincount(bins, w, ECE_BINS) for w in (None, confidence, right.astype(float)))
    return [
        ReliabilityBin(b / ECE_BINS, (b + 1) / ECE_BINS, int(n), float(sure[b] / n), float(hits[b] / n))
        for b, n in enumerate(counts)
        if n
    ]


def per_class(targets: np.ndarray, probabilities: np.ndarray, labels: Sequence[str]) -> list[ClassRow]:
    """Returns one row a class, in the order of the labels.

    Raises:
        UsageError: The shapes do not fit, or there is not one label for each class.

    Example:
        >>> answers = np.array([[0.9, 0.1], [0.8, 0.2], [0.3, 0.7], [0.4, 0.6]])
        >>> for row in per_class(np.array([0, 0, 0, 1]), answers, ["cat", "dog"]):
        ...     print(row.label, row.n, row.precision, round(row.recall, 2), round(row.f1, 2))
        cat 3 1.0 0.67 0.8
        dog 1 0.5 1.0 0.67
    """
    check_inputs(targets, probabilities)
    if len(labels) != probabilities.shape[1]:
        raise UsageError(
            "labels and probabilities do not fit",
            received=f"{len(labels)} labels, {probabilities.shape[1]} columns of probabilities",
            expected="one label for each column",
        )
    matrix = confusion_matrix(targets, probabilities.argmax(axis=1), len(labels))
    return class_rows(labels, matrix.diagonal(), matrix.sum(axis=1), matrix.sum(axis=0))


def class_rows(labels: Sequence[str], hits: np.ndarray, targets: np.ndarray, predictions: np.ndarray) -> list[ClassRow]:
    """Returns one row a label from its counts.

    Example:
        >>> class_rows(["cat"], np.array([2]), np.array([4]), np.array([2]))
        [ClassRow(label='cat', n=4, precision=1.0, recall=0.5, f1=0.6666666666666666)]
    """
    return [
        ClassRow(
            label=label,
            n=int(n),
            precision=float(right / max(1, predicted)),
            recall=float(right / max(1, n)),
            f1=float(2 * right / max(1, n + predicted)),
        )
        for label, right, n, predicted in zip(labels, hits, targets, predictions, strict=True)
    ]


def confusion_matrix(targets: np.ndarray, predictions: np.ndarray, classes: int) -> np.ndarray:
    """Returns ``int64[classes, classes]``: targets down, predictions across.

    Raises:
        UsageError: The shapes do not fit, or a number is no class.

    Example:
        >>> import numpy as np
        >>> confusion_matrix(np.array([0, 0, 1]), np.array([0, 1, 1]), 2).tolist()
        [[1, 1], [0, 1]]
    """
    if targets.ndim != 1 or targets.shape != predictions.shape:
        raise UsageError(
            "targets and predictions do not fit",
            received=f"shapes {targets.shape} and {predictions.shape}",
            expected="two lists of the same length",
        )
    _check_classes(targets, classes, "target")
    _check_classes(predictions, classes, "prediction")
    cells = targets.astype(np.int64) * classes + predictions  # int8 would overflow
    return np.bincount(cells, minlength=classes * classes).reshape(classes, classes)
