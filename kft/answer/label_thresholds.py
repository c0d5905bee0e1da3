"""From which probability on each of several labels is said, chosen on answers to examples that were not learned from.

A model of several labels is trained by the loss, and the loss says nothing of one half: a label that few examples have
is rarely given a probability that large, though it may be the likeliest of its kind. A threshold that is read off few
examples is luck, though: labels with fewer than ``FEWEST`` examples take one that all labels together chose.
"""

from __future__ import annotations

import numpy as np

from kft.recipe.evaluation import LabelThresholdsSpec
from kft.records.rules import LabelThresholds

FEWEST = 20
"""Examples that have a label, below which it has no threshold of its own."""
FEWEST_SAID = 10
"""Answers that a precision is read off at least: of one answer that is right by luck it is 1."""
EDGE = 1e-6
"""Thresholds are as far from 0 and from 1, so that both sides of one have room."""


def choose_thresholds(spec: LabelThresholdsSpec, targets: np.ndarray, answers: np.ndarray) -> LabelThresholds | None:
    """Returns the thresholds that are asked for; None where one half serves.

    Args:
        spec: What they are chosen by.
        targets: ``[n, labels]`` of 0 and 1, of valid or out of fold.
        answers: ``float[n, labels]``: the probabilities.

    Example:
        >>> targets = np.array([[1], [1], [0], [0]] * 20)
        >>> answers = np.array([[0.4], [0.3], [0.2], [0.1]] * 20)
        >>> choose_thresholds(LabelThresholdsSpec(by="f1"), targets, answers).values
        (0.25,)
    """
    if spec.by == "half":
        return None
    there = targets > 0
    shared, reached = _choose(spec, there.ravel(), answers.ravel())
    counts = there.sum(axis=0)
    values, alone, never = [], [], 0
    for place, count in enumerate(counts):
        own, fine = _choose(spec, there[:, place], answers[:, place]) if count >= FEWEST else (shared, False)
        # Easy labels lead the shared one: a label that reaches the precision nowhere would be said for nothing.
        lost = reached and count >= FEWEST and not fine
        values.append(own if fine else 1 - EDGE if lost else shared)
        alone.append(fine)
        never += lost
    why = [] if reached else ["no threshold reaches that precision: one half serves"]
    if never:
        why.append(f"{never} of {len(counts)} labels reach that precision nowhere: they are said from {1 - EDGE} on")
    return LabelThresholds(
        by=spec.by,
        precision=spec.precision,
        values=tuple(values),
        shared=shared,
        alone=tuple(alone),
        positives=tuple(map(int, counts)),
        n=len(targets),
        why="; ".join(why),
    )


def _choose(spec: LabelThresholdsSpec, there: np.ndarray, answers: np.ndarray) -> tuple[float, bool]:
    """Returns a threshold, and whether one does what is asked; one half where none does."""
    order = np.argsort(-answers, kind="stable")
    scores, right = answers[order], np.cumsum(there[order])
    said = np.arange(1, len(scores) + 1)
    # What has one probability is said together: only the last of these can be the least that is said.
    (ends,) = np.nonzero(np.append(np.diff(scores) != 0, True))
    if not len(ends) or not right[-1]:
        return 0.5, False
    if spec.precision is not None:
        fine = ends[(right[ends] >= spec.precision * said[ends]) & (said[ends] >= FEWEST_SAID)]
        return (_inside(float(scores[fine[-1]])), True) if len(fine) else (0.5, False)
    f1 = 2 * right[ends] / (said[ends] + right[-1])
    best = int(ends[int(f1.argmax())])
    below = float(scores[best + 1]) if best + 1 < len(scores) else 0.0
    return _inside((float(scores[best]) + below) / 2), True


def _inside(value: float) -> float:
    return min(max(value, EDGE), 1 - EDGE)
