"""How far certainty can be trusted: probabilities, abstention and flags, on examples that they were not fitted on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from kft.answer.decide import Scope, Temperature
from kft.metrics.classification import BRIER, METRICS
from kft.metrics.intervals import Groups, estimate, estimate_mean
from kft.metrics.ranking import AURC
from kft.metrics.reliability import reliability
from kft.metrics.shares import SHARE, mean_between
from kft.metrics.soft import SOFT_METRICS
from kft.records.estimate import Estimate
from kft.records.metrics import CalibrationResult, IntervalResult, RiskPoint, ScopeResult, SelectiveResult
from kft.records.rules import CostRule, IntervalRule, PrecisionRule, Rule, under_its_name

CURVE_POINTS = 50


def judge_calibration(
    targets: np.ndarray, raw: np.ndarray, temperature: Temperature, groups: Groups | None
) -> CalibrationResult:
    """Judges probabilities before and after a temperature, on examples that it was not fitted on.

    Args:
        targets: ``int[n]``, or shares of soft labels ``float[n, classes]``: then a probability should be a share.
        raw: ``float[n, classes]``, at temperature 1.
        temperature: From ``fit_temperature``.
        groups: Examples of one group are resampled together.
    """
    probabilities = temperature.apply(raw)
    soft = targets.ndim == 2
    ece, brier = (SOFT_METRICS["soft_ece"], SOFT_METRICS["soft_brier"]) if soft else (METRICS["ece"], BRIER)
    return CalibrationResult(
        temperature=temperature.value,
        n=temperature.n,
        ece_before=estimate(ece, targets, raw, groups=groups),
        brier=estimate(brier, targets, probabilities, groups=groups),
        reliability=tuple(reliability(targets, probabilities)),
        reliability_before=tuple(reliability(targets, raw)),
    )


def judge_selection(
    targets: np.ndarray, probabilities: np.ndarray, rule: Rule | None, withheld: np.ndarray, groups: Groups | None
) -> SelectiveResult:
    """Measures coverage, the error among the answered, and the whole curve between them.

    Args:
        targets: ``int[n]``.
        probabilities: ``float[n, classes]``.
        rule: What is judged; without one everything is answered, but what looks foreign.
        withheld: ``bool[n]``: what is not answered, by the rule or as foreign.
        groups: Examples of one group are resampled together.
    """
    judged = judge_rule(rule, targets, probabilities, withheld, groups)
    confidence, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == targets
    return judge_withholding(confidence, right, replace(rule, **judged) if rule else None, withheld, groups)


def judge_withholding(
    confidence: np.ndarray, right: np.ndarray, rule: Rule | None, withheld: np.ndarray, groups: Groups | None
) -> SelectiveResult:
    """Measures coverage, the error among the answered, and the curve between them, of answers of any kind.

    Args:
        confidence: ``float[n]``: how sure each answer is.
        right: ``bool[n]``: which are right.
        rule: With what it has to show itself; None without one.
        withheld: ``bool[n]``: what is not answered, for whatever reason.
        groups: Examples of one group are resampled together.
    """
    answered = ~withheld
    return SelectiveResult(
        **under_its_name(rule),
        coverage=estimate(SHARE, answered, np.ones(len(answered), bool), groups=groups),
        error=estimate(SHARE, answered & ~right, answered, groups=groups),
        aurc=estimate(AURC, right, confidence, groups=groups),
        risk_coverage=risk_coverage(confidence, right),
    )


def judge_rule(
    rule: Rule | None, targets: np.ndarray, answers: np.ndarray, withheld: np.ndarray, groups: Groups | None
) -> dict[str, Any]:
    """Returns what a rule itself has to show; nothing of a promise: coverage and error are reported in any case.

    Of costs: the expected cost of an example, beside that of answering everything, and what is saved, paired. Of a
    precision: precision and recall of the label, beside those of answering everything.

    Args:
        rule: When to abstain.
        targets: ``int[n]``.
        answers: ``float[n, classes]``.
        withheld: ``bool[n]``: what is declined, for whatever reason.
        groups: Examples of one group are resampled together.
    """
    found: dict[str, Estimate] = {}
    if isinstance(rule, CostRule):
        everything = rule.wrong * (answers.argmax(axis=1) != targets)
        own = np.where(withheld, rule.abstain, everything)
        wrong, abstain = float(rule.wrong), float(rule.abstain)
        each = mean_between(0.0, max(wrong, abstain))
        saved = mean_between(min(0.0, -abstain), max(0.0, wrong - abstain), higher_is_better=True)
        costs = {"per_example": (each, own), "answering_everything": (mean_between(0.0, wrong), everything)}
        costs["saved"] = (saved, everything - own)
        found = {name: estimate(metric, cost, cost, groups=groups) for name, (metric, cost) in costs.items()}
    elif isinstance(rule, PrecisionRule):
        named, true = answers.argmax(axis=1) == rule.place, targets == rule.place
        for ending, given in (("", named & ~withheld), ("_answering_everything", named)):
            found["reached" + ending] = estimate(SHARE, given & true, given, groups=groups)
            found["recall" + ending] = estimate(SHARE, given & true, true, groups=groups)
    return found


def risk_coverage(confidence: np.ndarray, right: np.ndarray) -> tuple[RiskPoint, ...]:
    """Returns the error among the answered at some 50 coverages, the surest answers first.

    Example:
        >>> risk_coverage(np.array([0.9, 0.8]), np.array([True, False]))
        (RiskPoint(coverage=0.5, error=0.0), RiskPoint(coverage=1.0, error=0.5))
    """
    n = len(confidence)
    errors = np.cumsum(~right[np.argsort(-confidence, kind="stable")])
    answered = np.unique(np.linspace(1, n, min(n, CURVE_POINTS)).astype(int))
    return tuple(RiskPoint(float(k / n), float(errors[k - 1] / k)) for k in answered)


def judge_scope(
    scope: Scope,
    flags: np.ndarray,
    right: np.ndarray | None,
    groups: Groups | None,
    answered: Mapping[str, Estimate] | None = None,
) -> ScopeResult:
    """Measures what flagging takes away from examples that are in scope.

    Args:
        scope: What flagged them.
        flags: ``bool[n]``.
        right: ``bool[n]``: whether the answers are; None where one is more or less wrong.
        groups: Examples of one group are resampled together.
        answered: What the answers to the others reach.
    """
    return ScopeResult(
        keep=scope.keep,
        n=scope.n,
        flagged=estimate(SHARE, flags, np.ones(len(flags), bool), groups=groups),
        right=None if right is None else estimate(SHARE, flags & right, flags, groups=groups),
        answered=answered,
    )


def judge_interval(
    rule: IntervalRule, truth: np.ndarray, answers: np.ndarray, withheld: np.ndarray, groups: Groups | None
) -> IntervalResult:
    """Measures how often the right number lies in the intervals that are given, and how wide these are.

    Args:
        rule: That promises something.
        truth: ``float[n]``.
        answers: ``float[n]``.
        withheld: ``bool[n]``: what is not answered, for whatever reason.
        groups: Examples of one group are resampled together.
    """
    low, high = rule.bounds(answers).T
    given, width = ~withheld, high - low
    within, kept = (truth >= low) & (truth <= high), None if groups is None else np.asarray(groups)[given]
    # What is promised is about a random row of a new group, so each group counts once.
    held = within[given] if kept is None else pd.Series(within[given]).groupby(kept).mean().to_numpy()
    mean = mean_between(0.0, 2 * max(rule.reaches))
    none = Estimate(0.0, 0.0, 0.0)
    return IntervalResult(
        rule=rule,
        covered=estimate_mean(held) if len(held) else none,
        width=estimate(mean, width[given], width[given], groups=kept) if given.any() else none,
        answered=estimate(SHARE, given, np.ones(len(given), bool), groups=groups),
    )
