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
        """Returns ``bool[n]``: which answers are not sure enough.

        Args:
            answers: Calibrated, ``float[n, classes]``; of other answers how sure each is, ``float[n]``.
        """
        return (answers if answers.ndim == 1 else answers.max(axis=1)) < (self.threshold or 0.0)


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
class IntervalRule:
    """How far from a number that is answered the right one may lie, and which answers say too little.

    Attributes:
        coverage: The share of right numbers that should lie within.
        widest: Answers with a wider interval are withheld; None withholds none.
        edges: Where answers are parted into bins, ascending.
        reaches: Of each bin how far an interval reaches on either side; empty where nothing can be promised.
        n: Calibration examples, or groups of them.
        why: Why nothing can be promised; empty where it can.
    """

    coverage: float
    widest: float | None
    edges: tuple[float, ...]
    reaches: tuple[float, ...]
    n: int
    why: str = ""

    def bounds(self, answers: np.ndarray) -> np.ndarray:
        """Returns ``float[n, 2]``: the ends of the intervals around ``float[n]``.

        Example:
            >>> IntervalRule(0.9, None, (3.0,), (0.5, 1.0), 90).bounds(np.array([2.0, 3.0])).tolist()
            [[1.5, 2.5], [2.0, 4.0]]
        """
        reach = self._reach(answers)
        return np.stack([answers - reach, answers + reach], axis=-1)

    def withholds(self, answers: np.ndarray) -> np.ndarray:
        """Returns ``bool[n]``: around which answers the interval is too wide."""
        if self.widest is None or not self.reaches:
            return np.zeros(len(answers), bool)
        return 2 * self._reach(answers) > self.widest

    def _reach(self, answers: np.ndarray) -> np.ndarray:
        return np.array(self.reaches)[np.searchsorted(self.edges, answers, side="right")]

    @property
    def described(self) -> str:
        """In words, for people.

        Example:
            >>> IntervalRule(0.9, 1.5, (3.0,), (0.5, 1.0), 90).described
            '0.9 of right numbers within 0.5 to 1 of the answer, by 90 set aside; wider than 1.5 is withheld'
        """
        if not self.reaches:
            return f"none: {self.why}"
        low, high = min(self.reaches), max(self.reaches)
        within = f"{low:.3g}" if low == high else f"{low:.3g} to {high:.3g}"
        withheld = "" if self.widest is None else f"; wider than {self.widest:g} is withheld"
        return f"{self.coverage:g} of right numbers within {within} of the answer, by {self.n:,} set aside{withheld}"


BEFORE_HALF = float(np.nextafter(0.5, 0.0))
"""The largest number below one half."""


@dataclass(frozen=True)
class LabelThresholds:
    """From which probability on each of several labels is said.

    Attributes:
        by: What they were chosen by: ``f1`` or ``precision``.
        precision: The share of right ones that was asked for; None elsewhere.
        values: Of each label, in the order of the labels; above 0 and below 1.
        shared: That of all labels together.
        alone: Which labels have one of their own; the others are too rare, or none of their own does what is asked.
        positives: Examples with each label that it was chosen by.
        n: Examples that all were chosen by.
        why: What could not be had: why ``shared`` is one half, and how many labels are all but never said.
    """

    by: str
    precision: float | None
    values: tuple[float, ...]
    shared: float
    alone: tuple[bool, ...]
    positives: tuple[int, ...]
    n: int
    why: str = ""

    def said(self, probabilities: np.ndarray) -> np.ndarray:
        """Returns ``bool[..., labels]``: what is said."""
        return np.asarray(probabilities) >= np.array(self.values)

    def centred(self, probabilities: np.ndarray) -> np.ndarray:
        """Returns probabilities moved so that one half parts what is said from what is not, as metrics have it.

        The order of a label's examples stays. These are no probabilities any more: people are shown those that went in.

        Example:
            >>> cut = LabelThresholds("f1", None, (0.2,), 0.2, (True,), (30,), 90)
            >>> cut.centred(np.array([[0.1], [0.2], [0.6], [1.0]])).round(3).ravel().tolist()
            [0.25, 0.5, 0.75, 1.0]
        """
        given, cut = np.asarray(probabilities, np.float64), np.array(self.values)
        low = np.minimum(0.5 * given / cut, BEFORE_HALF)
        return np.where(given >= cut, 0.5 + 0.5 * (given - cut) / (1 - cut), low)

    @property
    def described(self) -> str:
        """In words, for people.

        Example:
            >>> LabelThresholds("f1", None, (0.2, 0.3), 0.2, (False, True), (3, 30), 90).described
            'by F1 on 90 examples: 1 of 2 labels from 0.300 to 0.300, the others at 0.200'
        """
        own = [value for value, alone in zip(self.values, self.alone, strict=True) if alone]
        what = "by F1" if self.precision is None else f"by a precision of {self.precision:g}"
        if not own:
            return f"{what} on {self.n:,} examples: all {len(self.values):,} labels at {self.shared:.3f}"
        others = "" if len(own) == len(self.values) else f", the others at {self.shared:.3f}"
        spread = f"from {min(own):.3f} to {max(own):.3f}{others}"
        return f"{what} on {self.n:,} examples: {len(own):,} of {len(self.values):,} labels {spread}"
