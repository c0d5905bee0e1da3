"""Metrics of one class out of many, each defined once."""

from __future__ import annotations

import numpy as np

from kft.errors import UsageError
from kft.metrics.metric import Form, Metric, mean, share, with_ones

ECE_BINS = 15
SMALLEST_PROBABILITY = 1e-15
CHANCE_DRAWS = 400
"""Draws of what chance makes of perfect calibration."""
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


def one_of_each_class(
    targets: np.ndarray, probabilities: np.ndarray, better: bool, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Returns one row of each class, drawn at random, and answers that are right, or else wrong; as sure as they were.

    Args:
        targets: ``int[n]``.
        probabilities: ``float[n, classes]``.
        better: Whether they are right.
        rng: Draws.
    """
    shuffled = rng.permutation(len(targets))
    rows = shuffled[np.unique(targets[shuffled], return_index=True)[1]]
    truth, answers = targets[rows], probabilities[rows].copy()
    if answers.shape[1] == 1:
        return rows, answers
    places, first = np.arange(len(rows)), answers.argmax(axis=1)
    second = np.where(answers == answers.max(axis=1, keepdims=True), -1.0, answers).argmax(axis=1)
    second = np.where(second == first, (first + 1) % answers.shape[1], second)
    other = truth if better else np.where(first == truth, second, first)
    answers[places, first], answers[places, other] = answers[places, other], answers[places, first].copy()
    return rows, answers


def _unseen(
    targets: np.ndarray, probabilities: np.ndarray, better: bool, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    rows, answers = one_of_each_class(targets, probabilities, better, rng)
    return targets[rows], answers


ONE_CLASS = Form(check_inputs, _unseen, lambda targets, answers: answers.argmax(axis=1) == targets)
"""Numbers of classes ``int[n]``, and probabilities ``float[n, classes]``."""


def _accuracy(targets: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    return with_ones(probabilities.argmax(axis=1) == targets)


def _log_loss(targets: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    picked = probabilities[np.arange(len(targets)), targets]
    return with_ones(-np.log(np.maximum(picked, SMALLEST_PROBABILITY)))


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


def total_gap(sums: np.ndarray) -> np.ndarray:
    """Combines the sums of gaps in each bin, and the count: the distance of all bins together."""
    return np.abs(sums[..., :-1]).sum(axis=-1) / sums[..., -1]


def ece_by_chance(probabilities: np.ndarray, codes: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Were each answer right as often as it is sure: a group's answers hang together."""
    confidence = probabilities.max(axis=1)
    bins = bin_of(confidence)
    found = []
    for _ in range(CHANCE_DRAWS):
        gap = confidence - (rng.random(int(codes.max()) + 1)[codes] < confidence)
        found.append(np.abs(np.bincount(bins, gap, ECE_BINS)).sum() / len(confidence))
    return np.array(found)


def _brier(targets: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    squares = (probabilities**2).sum(axis=1)
    picked = probabilities[np.arange(len(targets)), targets]
    return with_ones(squares - 2 * picked + 1)


METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric("accuracy", True, _accuracy, share, ONE_CLASS),
        # The mean over the classes that occur among the targets of each class's F1.
        Metric("macro_f1", True, _f1_counts, _macro_f1, ONE_CLASS),
        # Mean negative log-likelihood in nats, probabilities clipped at 1e-15.
        Metric("log_loss", False, _log_loss, mean, ONE_CLASS),
        # Expected calibration error: 15 equal-width bins of the top confidence (Guo et al., 2017).
        Metric("ece", False, _ece_bins, total_gap, ONE_CLASS, by_chance=ece_by_chance),
    )
}

BRIER = Metric("brier", False, _brier, mean, ONE_CLASS)
"""The squared distance between probabilities and what is right, summed over the classes: 0 to 2 (Brier, 1950)."""


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
