"""calibration.json: what was fitted after training, and the rules by which answers are withheld."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from kft.records.document import absent
from kft.records.estimate import Estimate


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


@dataclass(frozen=True)
class ScopeNumbers:
    """What tells inputs that are in scope from foreign ones, beside the vectors in scope.safetensors.

    Attributes:
        distance: Mean and standard deviation of the neighbours' distance over the valid split.
        unsure: The same of the softmax's doubt.
        limit: What scores higher is flagged.
        keep: The share of in-scope examples that should not be.
        n: Valid examples it was fitted on.
    """

    distance: tuple[float, float]
    unsure: tuple[float, float]
    limit: float
    keep: float
    n: int


@dataclass(frozen=True)
class Calibration:
    """What was fitted on valid.

    Attributes:
        temperature: What logits are divided by.
        n: Examples it was fitted on; 0 where it was not.
        probe_temperature: The probe's own.
        checkpoint: Hash of the weights that all of it belongs to.
        promise: When to abstain, one of the three; None without.
        costs: Likewise.
        precision: Likewise.
        scope: None where it was not asked for.
    """

    KEYS: ClassVar = (
        *("temperature", "n", "how", "probe_temperature", "threshold"),
        *("promise", "costs", "precision", "scope", "checkpoint"),
    )

    temperature: float
    n: int
    probe_temperature: float
    checkpoint: str
    promise: Promise | None = None
    costs: CostRule | None = None
    precision: PrecisionRule | None = None
    scope: ScopeNumbers | None = None

    @property
    def how(self) -> str:
        return "temperature scaling on valid" if self.n else "none"

    @property
    def rule(self) -> Rule | None:
        return self.promise or self.costs or self.precision

    @property
    def threshold(self) -> float | None:
        return self.rule.threshold if self.rule else None
