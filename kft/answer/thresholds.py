"""Thresholds that a person's own figures decide: what a mistake costs, or how right the answers of one label must be.

They are rules of thumb beside the promise of kft/answer/selective.py: what costs say holds as far as the
probabilities are calibrated, and a precision that was read off valid is met by new examples in about half of all
cases. Both are therefore measured again on test, with intervals.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from kft.metrics.intervals import Estimate, Groups, estimate
from kft.metrics.shares import MEAN, SHARE
from kft.recipe.schema import ThresholdSpec


@dataclass(frozen=True)
class CostRule:
    """Chow's rule (1970): an answer is given where a mistake is expected to cost less than declining to answer.

    Attributes:
        wrong: What a wrong answer costs; a right one costs nothing.
        abstain: What it costs to decline.

    Example:
        >>> CostRule(wrong=10, abstain=1).threshold
        0.9
    """

    wrong: float
    abstain: float

    @property
    def threshold(self) -> float:
        """The confidence at which both cost the same: ``(1 - confidence) * wrong = abstain``."""
        return 1 - self.abstain / self.wrong

    def withholds(self, answers: np.ndarray) -> np.ndarray:
        """Returns ``bool[n]``: which calibrated answers, ``float[n, classes]``, are not worth their risk."""
        return answers.max(axis=1) < self.threshold

    def judge(
        self, targets: np.ndarray, answers: np.ndarray, withheld: np.ndarray, groups: Groups | None
    ) -> dict[str, Estimate]:
        """Returns the expected cost of an example, beside that of answering everything, and what is saved, paired.

        Args:
            targets: ``int[n]``.
            answers: ``float[n, classes]``.
            withheld: ``bool[n]``: what is declined, for whatever reason.
            groups: Examples of one group are resampled together.
        """
        everything = self.wrong * (answers.argmax(axis=1) != targets)
        own = np.where(withheld, self.abstain, everything)
        costs = {"per_example": own, "answering_everything": everything, "saved": everything - own}
        return {name: estimate(MEAN, cost, cost, groups=groups) for name, cost in costs.items()}


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
    """

    asked: float
    label: str
    place: int
    threshold: float | None
    n: int
    answered: int
    right: int

    @property
    def why(self) -> str:
        """Why nothing is withheld; empty where something is."""
        if self.threshold is not None:
            return ""
        return f"none of {self.n:,} answers {self.label!r} on valid is sure enough for a precision of {self.asked:g}"

    def withholds(self, answers: np.ndarray) -> np.ndarray:
        """Returns ``bool[n]``: which calibrated answers, ``float[n, classes]``, name the label and are not sure."""
        return (answers.argmax(axis=1) == self.place) & (answers.max(axis=1) < (self.threshold or 0.0))

    def judge(
        self, targets: np.ndarray, answers: np.ndarray, withheld: np.ndarray, groups: Groups | None
    ) -> dict[str, Estimate]:
        """Returns precision and recall of the label, beside those of answering everything; see ``CostRule.judge``."""
        named, true = answers.argmax(axis=1) == self.place, targets == self.place
        found: dict[str, Estimate] = {}
        for ending, given in (("", named & ~withheld), ("_answering_everything", named)):
            found["reached" + ending] = estimate(SHARE, given & true, given, groups=groups)
            found["recall" + ending] = estimate(SHARE, given & true, true, groups=groups)
        return found


def choose_threshold(
    spec: ThresholdSpec, labels: Sequence[str], targets: np.ndarray, answers: np.ndarray, foreign: np.ndarray
) -> CostRule | PrecisionRule:
    """Returns the rule that is asked for; what it has to be fitted to are calibrated answers of the valid split.

    Args:
        spec: Costs, or a precision and a label.
        labels: The classes' names.
        targets: ``int[n]``.
        answers: ``float[n, classes]``.
        foreign: ``bool[n]``: what is withheld anyway.

    Example:
        >>> spec = ThresholdSpec(precision=0.75, label="spam")
        >>> sure = np.array([0.9, 0.8, 0.7, 0.6])
        >>> answers = np.stack([sure, 1 - sure], axis=1)
        >>> rule = choose_threshold(spec, ("spam", "ham"), np.array([0, 1, 0, 0]), answers, np.zeros(4, bool))
        >>> rule.threshold, rule.right, rule.answered
        (0.6, 3, 4)
    """
    if spec.costs is not None:
        return CostRule(spec.costs.wrong, spec.costs.abstain)
    assert spec.precision is not None and spec.label is not None  # the schema asks for both
    place = list(labels).index(spec.label)
    confidence = answers.max(axis=1)
    (named,) = np.nonzero((answers.argmax(axis=1) == place) & ~foreign)
    named = named[np.argsort(-confidence[named], kind="stable")]
    right = np.cumsum(targets[named] == place)
    answered = np.arange(1, len(named) + 1)
    # Answers of one confidence are given together: only the last of them can be the loosest.
    last = np.append(np.diff(confidence[named]) != 0, True)[: len(named)]
    (fine,) = np.nonzero(last & (right >= spec.precision * answered))
    k = int(fine[-1]) if len(fine) else None
    return PrecisionRule(
        asked=spec.precision,
        label=spec.label,
        place=place,
        threshold=None if k is None else float(confidence[named[k]]),
        n=len(named),
        answered=0 if k is None else k + 1,
        right=0 if k is None else int(right[k]),
    )
