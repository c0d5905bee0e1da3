"""What counts as equal: how far figures may lie apart, and which answers may then fall on either side."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from kft.answer.decide import Decisions
from kft.deploy.runner.trace import Row


@dataclass(frozen=True)
class Near:
    """What counts as equal.

    Attributes:
        form: Of the labels.
        decisions: How the model decides.
        tolerance: How far a probability, or another figure in its standard deviations, may lie from the evaluated one.
    """

    form: str
    decisions: Decisions
    tolerance: float

    def may_differ(self, outputs: Row) -> bool:
        """Whether an answer lies so near a threshold, or two labels so near each other, that either is right."""
        return BORDERS[self.form](outputs, self.decisions, self.tolerance) or self._at_the_limit(outputs)

    def _at_the_limit(self, outputs: Row) -> bool:
        """Whether an input is about as foreign as what is just not withheld."""
        scope = self.decisions.scope
        if scope is None:
            return False
        answers = outputs["probabilities"][None] if "probabilities" in outputs else None
        step = 1 / scope.distance[1] + (1 / scope.unsure[1] if scope.unsure else 0)
        score = scope.score(outputs["vectors"][None], answers)[0]
        return bool(abs(score - scope.limit) <= self.tolerance * step)


def _one_class(outputs: Row, decisions: Decisions, tolerance: float) -> bool:
    second, first = np.sort(outputs["probabilities"])[-2:]
    if first - second <= 2 * tolerance:
        return True
    return decisions.rule is not None and abs(first - (decisions.rule.threshold or 0.0)) <= tolerance


def _labels(outputs: Row, decisions: Decisions, tolerance: float) -> bool:
    thresholds = 0.5 if decisions.labels is None else np.array(decisions.labels.values)
    return bool((np.abs(outputs["probabilities"] - thresholds) <= tolerance).any())


def _spans(outputs: Row, decisions: Decisions, tolerance: float) -> bool:
    ordered = np.sort(outputs["logits"], axis=-1)
    # A difference of logits d parts probabilities by at most d / 2.
    return bool((ordered[:, -1] - ordered[:, -2] <= 4 * tolerance).any())


def _number(outputs: Row, decisions: Decisions, tolerance: float) -> bool:
    """Whether a number lies where the interval around it jumps."""
    rule = decisions.interval
    if rule is None or not rule.edges:
        return False
    # Equal are numbers within the tolerance in standard deviations of all answers, which edges part evenly.
    spread = max(np.ptp(rule.edges), abs(float(outputs["value"]))) or 1.0
    return bool((np.abs(outputs["value"] - np.array(rule.edges)) <= tolerance * spread).any())


BORDERS: dict[str, Callable[[Row, Decisions, float], bool]] = {
    "class": _one_class,
    "set": _labels,
    "number": _number,
    "documents": lambda outputs, decisions, tolerance: False,
    "spans": _spans,
}
"""By the form of the labels."""
