"""The rules by which answers are withheld. The standard library and NumPy alone: they ship with a model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from kft.records.estimate import Estimate
from kft.records.fields import absent


@dataclass(frozen=True)
class Promise:
    """What was asked for, and the threshold that keeps it.

    Attributes:
        error: The largest share of wrong answers among the answered.
        confidence: Of the promise.
        threshold: Answers below this confidence are withheld; None where nothing can be promised.
        n: Calibration examples, one a group.
        answered: How many of them reach the threshold.
        errors: How many of those are wrong.
        why: Why nothing can be promised; empty where it can.
    """

    error: float
    confidence: float
    threshold: float | None
    n: int
    answered: int
    errors: int
    why: str = ""

    def withholds(self, answers: np.ndarray) -> np.ndarray:
        """Returns ``bool[n]``: which calibrated answers, ``float[n, classes]``, are not sure enough."""
        return answers.max(axis=1) < (self.threshold or 0.0)


@dataclass(frozen=True)
class CostRule:
    """Chow's rule (1970): an answer is given where a mistake is expected to cost less than declining to answer.

    Attributes:
        wrong: What a wrong answer costs; a right one costs nothing.
        abstain: What it costs to decline.
        per_example: Once it is judged, what an example costs.
        answering_everything: What it costs where everything is answered.
        saved: The difference, paired.

    Example:
        >>> CostRule(wrong=10, abstain=1).threshold
        0.9
    """

    wrong: float
    abstain: float
    per_example: Estimate | None = absent()
    answering_everything: Estimate | None = absent()
    saved: Estimate | None = absent()

    @property
    def threshold(self) -> float:
        """The confidence at which both cost the same: ``(1 - confidence) * wrong = abstain``."""
        return 1 - self.abstain / self.wrong

    def withholds(self, answers: np.ndarray) -> np.ndarray:
        """Returns ``bool[n]``: which calibrated answers, ``float[n, classes]``, are not worth their risk."""
        return answers.max(axis=1) < self.threshold


@dataclass(frozen=True)
class PrecisionRule:
    """The loosest threshold for the answers of one label at which these are right often enough on valid.

    Attributes:
        asked: The precision that was asked for.
        label: Whose answers are withheld below the threshold; those of other labels are given.
        place: Of the label among the classes.
        threshold: None where no threshold reaches the precision: then nothing is withheld.
        n: How often valid is answered with the label.
        answered: How many of these answers reach the threshold.
        right: How many of those are right.
        reached: Once it is judged, the precision.
        recall: The share of the label's examples that are answered with it.
        reached_answering_everything: The precision without the rule.
        recall_answering_everything: Likewise.
    """

    asked: float
    label: str
    place: int
    threshold: float | None
    n: int
    answered: int
    right: int
    reached: Estimate | None = absent()
    recall: Estimate | None = absent()
    reached_answering_everything: Estimate | None = absent()
    recall_answering_everything: Estimate | None = absent()

    @property
    def why(self) -> str:
        """Why nothing is withheld; empty where something is."""
        if self.threshold is not None:
            return ""
        return f"none of {self.n:,} answers {self.label!r} on valid is sure enough for a precision of {self.asked:g}"

    def withholds(self, answers: np.ndarray) -> np.ndarray:
        """Returns ``bool[n]``: which calibrated answers, ``float[n, classes]``, name the label and are not sure."""
        return (answers.argmax(axis=1) == self.place) & (answers.max(axis=1) < (self.threshold or 0.0))


Rule = Promise | CostRule | PrecisionRule
"""Says which answers are withheld; one at most."""

RULES: Mapping[str, type[Rule]] = {"promise": Promise, "costs": CostRule, "precision": PrecisionRule}
"""What each is called in calibration.json and metrics.json."""


def under_its_name(rule: Rule | None) -> dict[str, Any]:
    """Returns the rule under its own name, and None under the names of the others.

    Example:
        >>> under_its_name(CostRule(wrong=10, abstain=1))["costs"].wrong
        10
    """
    return {name: rule if isinstance(rule, kind) else None for name, kind in RULES.items()}
