"""Metrics of several labels an example, each there or not; a label is predicted from a probability of one half."""

from __future__ import annotations

import numpy as np

from kft.errors import UsageError
from kft.metrics.metric import Form, Metric, no_statistics

THRESHOLD = 0.5
MOST_UNSEEN = 64
"""Labels of which an example stands for what was not seen."""


def check_labels(targets: np.ndarray, answers: np.ndarray) -> None:
    """Refuses targets that are not 0 or 1 and answers that are no probabilities.

    Raises:
        UsageError: The shapes do not fit, there are no examples, or a number is out of range.
    """
    if targets.ndim != 2 or targets.shape != answers.shape or not targets.size:
        raise UsageError(
            "targets and probabilities do not fit",
            received=f"shapes {targets.shape} and {answers.shape}",
            expected="[n, labels] and [n, labels] with n >= 1",
        )
    for name, fine in (("target", np.isin(targets, (0, 1))), ("probability", (answers >= 0) & (answers <= 1))):
        if not fine.all():
            row = int(fine.all(axis=1).argmin())
            received = (targets if name == "target" else answers)[row]
            raise UsageError(
                f"a {name} is out of range",
                where=f"row {row}",
                received=np.array2string(received, precision=3, threshold=6),
                expected="0 or 1" if name == "target" else "numbers from 0 to 1",
            )


def _unseen(
    targets: np.ndarray, answers: np.ndarray, better: bool, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """For each label an example that has it, whose answer is right about it, or wrong; and as sure as it was."""
    shuffled = rng.permutation(len(targets))
    labels = np.flatnonzero(targets.any(axis=0))[:MOST_UNSEEN]
    if not len(labels):
        labels = np.arange(1)
    rows = shuffled[targets[shuffled][:, labels].argmax(axis=0)]
    truth, said = targets[rows], answers[rows].copy()
    if better:
        return truth, np.where(truth > 0, np.maximum(said, 1 - said), np.minimum(said, 1 - said))
    places = np.arange(len(rows))
    sure = np.maximum(said[places, labels], 1 - said[places, labels])
    said[places, labels] = np.where(truth[places, labels] > 0, 1 - sure, sure)
    return truth, said


SETS = Form(check_labels, _unseen, lambda targets, answers: ((answers >= THRESHOLD) == (targets > 0)).all(axis=1))
"""0 or 1 of each label, ``[n, labels]``, and its probability."""


def _counts(targets: np.ndarray, answers: np.ndarray) -> np.ndarray:
    """Per label: true positives, targets, predictions."""
    there, said = targets > 0, answers >= THRESHOLD
    return np.concatenate([there & said, there, said], axis=1).astype(np.float64)


def _micro_f1(sums: np.ndarray) -> np.ndarray:
    hits, targets, predictions = (part.sum(axis=-1) for part in np.split(sums, 3, axis=-1))
    return 2 * hits / np.maximum(targets + predictions, 1e-12)


def _micro_hits(counts: np.ndarray) -> np.ndarray:
    """F1 is the share of the hits among the mean of targets and predictions."""
    hits, targets, predictions = (part.sum(axis=1) for part in np.split(counts, 3, axis=1))
    return np.stack([hits, (targets + predictions) / 2], axis=1)


def _macro_f1(sums: np.ndarray) -> np.ndarray:
    hits, targets, predictions = np.split(sums, 3, axis=-1)
    f1, occurs = 2 * hits / np.maximum(targets + predictions, 1e-12), targets > 0
    return (f1 * occurs).sum(axis=-1) / np.maximum(occurs.sum(axis=-1), 1)


def _average_precision(targets: np.ndarray, answers: np.ndarray, weights: np.ndarray) -> np.ndarray:
    total, labels = np.zeros(len(weights)), np.zeros(len(weights))
    for there, score in zip(targets.T, answers.T, strict=True):
        order = np.argsort(-score, kind="stable")
        ends = np.flatnonzero(np.append(np.diff(score[order]) != 0, True))  # equal scores are one threshold
        drawn = weights[:, order]
        found = np.cumsum(drawn * there[order], axis=1)[:, ends]
        precision = found / np.maximum(np.cumsum(drawn, axis=1)[:, ends], 1e-12)
        gained = np.diff(found, axis=1, prepend=0)
        positives = found[:, -1]
        total += np.where(positives > 0, (gained * precision).sum(axis=1) / np.maximum(positives, 1e-12), 0)
        labels += positives > 0
    return total / np.maximum(labels, 1)


METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric("micro_f1", True, _counts, _micro_f1, SETS, hits=_micro_hits),
        # The mean over the labels that occur among the targets of each label's F1.
        Metric("macro_f1", True, _counts, _macro_f1, SETS),
        # The mean over the labels that occur of the area under precision over recall, by steps.
        Metric("average_precision", True, no_statistics, _micro_f1, SETS, _average_precision, turned=True),
    )
}
