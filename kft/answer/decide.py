"""What decides an answer after the model has computed: temperature, rules, scope. NumPy alone, so it can ship.

What fits these stands in the other files of this room, what judges them in evaluate/. An exported model holds the same
steps; tests/answer/test_decide.py holds this file, and what it imports, to NumPy and the standard library.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from kft.metrics.neighbours import cosines, unit_rows
from kft.records.rules import IntervalRule, LabelThresholds, Rule
from kft.tasks.decode import softmax

SMALLEST = 1e-300
"""Below it a probability has no logarithm."""
NEIGHBOUR = 1
"""Which nearest neighbour's distance counts. The best of 1, 5, 10 and 50 on BANKING77 (docs/log.md)."""


@dataclass(frozen=True)
class Temperature:
    """A fitted temperature.

    Attributes:
        value: What logits are divided by; 1 leaves them alone.
        n: Examples it was fitted on; 0 where it was not.
    """

    value: float = 1.0
    n: int = 0

    def apply(self, probabilities: np.ndarray) -> np.ndarray:
        """Returns the probabilities at this temperature.

        Args:
            probabilities: ``float[n, classes]``, at temperature 1.

        Example:
            >>> Temperature(2.0).apply(np.array([[0.9, 0.1]])).round(2).tolist()
            [[0.75, 0.25]]
        """
        if self.value == 1:
            return probabilities
        # A softmax does not see what all logits of a row have in common, so logarithms serve as well.
        return softmax(as_logits(probabilities) / self.value)


UNCHANGED = Temperature()


def as_logits(probabilities: np.ndarray) -> np.ndarray:
    """Returns ``float64[n, classes]``: logarithms, finite ones of zeros too."""
    return np.log(np.maximum(probabilities.astype(np.float64), SMALLEST))


@dataclass(frozen=True)
class Scope:
    """What tells inputs that are in scope from foreign ones; see kft/answer/scope.py.

    Attributes:
        known: ``float16[rows, width]``: vectors of training examples, of length 1.
        distance: Mean and standard deviation of ``neighbour_score`` over the valid split.
        unsure: The same of ``softmax_score``; None where answers are no one class of many: then distance decides alone.
        limit: What scores higher is flagged.
        keep: The share of in-scope examples that should not be.
        n: Valid examples it was fitted on.
    """

    known: np.ndarray = field(repr=False, compare=False)
    distance: tuple[float, float]
    unsure: tuple[float, float] | None
    limit: float
    keep: float
    n: int

    def score(self, vectors: np.ndarray, answers: Any) -> np.ndarray:
        """Returns ``float[n]``: how foreign each example is.

        Args:
            vectors: ``float[n, width]``: what the head's last layer reads; of tokens their mean.
            answers: Probabilities ``float[n, classes]``, calibrated; others are not looked at.
        """
        far = _distance(self._known, vectors)
        if self.unsure is None:
            return combined_score([far], [self.distance])
        return combined_score([far, softmax_score(answers)], [self.distance, self.unsure])

    @cached_property
    def _known(self) -> np.ndarray:
        """What is known, made ready once: of thousands of rows that takes longer than an answer does."""
        return unit_rows(self.known.astype(np.float32))

    def flags(self, vectors: np.ndarray, answers: Any) -> np.ndarray:
        """Returns ``bool[n]``: which examples look foreign; see ``score``."""
        return self.score(vectors, answers) > self.limit


def softmax_score(probabilities: np.ndarray) -> np.ndarray:
    """Returns ``float[n]``: one less the largest probability (Hendrycks and Gimpel, 2017); the baseline.

    Example:
        >>> softmax_score(np.array([[0.75, 0.25]])).tolist()
        [0.25]
    """
    return 1 - probabilities.max(axis=1)


def neighbour_score(known: np.ndarray, features: np.ndarray, k: int = NEIGHBOUR) -> np.ndarray:
    """Returns ``float[n]``: the cosine distance to the k-th nearest training example (Sun et al., 2022).

    Args:
        known: ``float[rows, width]``: features of the training examples.
        features: ``float[n, width]``.
        k: Which neighbour; at most ``rows``.

    Example:
        >>> neighbour_score(np.array([[1.0, 0.0]]), np.array([[2.0, 0.0], [0.0, 1.0]])).tolist()
        [0.0, 1.0]
    """
    return _distance(unit_rows(known), features, k)


def _distance(known: np.ndarray, features: np.ndarray, k: int = NEIGHBOUR) -> np.ndarray:
    """Returns ``float[n]``: as ``neighbour_score``, of known rows of length one."""
    place = len(known) - min(k, len(known))
    parts = cosines(unit_rows(features), known)
    return np.concatenate([1 - np.partition(alike, place, axis=1)[:, place] for _, alike in parts])


def combined_score(scores: Sequence[np.ndarray], usual_of: Sequence[tuple[float, float]]) -> np.ndarray:
    """Returns ``float[n]``: the sum of several scores, each in its own standard deviations over in-scope examples.

    Args:
        scores: Each ``float[n]``.
        usual_of: Mean and standard deviation of each over in-scope examples that were not trained on, such as the
            valid split.

    Example:
        >>> combined_score([np.array([3.0]), np.array([0.5])], [(2.0, 1.0), (0.5, 0.5)]).tolist()
        [1.0]
    """
    parts = ((score - mean) / deviation for score, (mean, deviation) in zip(scores, usual_of, strict=True))
    return sum(parts, start=np.zeros(len(scores[0])))


@dataclass(frozen=True)
class Decisions:
    """What turns a model's raw answers into those that are given.

    Attributes:
        temperature: What its logits are divided by.
        rule: When to abstain; None where nothing was asked for.
        scope: What tells foreign inputs, whose answers are withheld as well; None where that was not asked for.
        labels: From which probability on each of several labels is said; None where one half serves.
        interval: How far from a number the right one may lie, and which answers say too little; None where that was not
            asked for.

    Example:
        >>> Decisions().abstains(np.array([[0.6, 0.4]])).tolist()
        [False]
    """

    temperature: Temperature = UNCHANGED
    rule: Rule | None = None
    scope: Scope | None = None
    labels: LabelThresholds | None = None
    interval: IntervalRule | None = None

    def given(self, answers: Any) -> Any:
        """Returns answers as the metrics judge what is given: at the temperature, and with one half as the threshold.

        Args:
            answers: Raw, of any kind.
        """
        found = self.temperature.apply(answers)
        return found if self.labels is None else self.labels.centred(found)

    def foreign(self, answers: Any, vectors: np.ndarray | None) -> np.ndarray:
        """Returns ``bool[n]``: which inputs look foreign; none without a scope.

        Args:
            answers: Of any kind; probabilities calibrated.
            vectors: ``float[n, width]``: what the head's last layer reads; wanted where there is a scope.
        """
        if self.scope is None or vectors is None:
            return np.zeros(len(answers), bool)
        return self.scope.flags(vectors, answers)

    def abstains(self, answers: Any, vectors: np.ndarray | None = None) -> np.ndarray:
        """Returns ``bool[n]``: which calibrated answers are withheld; see ``foreign``."""
        return self.foreign(answers, vectors) | self.unsure(answers)

    def unsure(self, answers: Any) -> np.ndarray:
        """Returns ``bool[n]``: which calibrated answers the rule withholds; none without one."""
        rules = [each.withholds(answers) for each in (self.rule, self.interval) if each is not None]
        return np.logical_or.reduce(rules) if rules else np.zeros(len(answers), bool)


NOTHING = Decisions()
"""Answers as the model gives them."""
