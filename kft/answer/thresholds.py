"""Thresholds that a person's own figures decide: what a mistake costs, or how right the answers of one label must be.

They are rules of thumb beside the promise of kft/answer/selective.py: what costs say holds as far as the
probabilities are calibrated, and a precision that was read off valid is met by new examples in about half of all
cases. Both are therefore measured again on test, with intervals.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from kft.recipe.evaluation import ThresholdSpec
from kft.records.rules import CostRule, PrecisionRule


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
