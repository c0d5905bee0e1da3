"""What written answers are worth: by which metric, against which constant, and which approach is recommended."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from kft.compare.saved import FittedApproach
from kft.compare.verdict import BASELINE, Lead, Reached, decide
from kft.compare.written_setting import WritingSetting, responses_of
from kft.data.examples import Examples
from kft.metrics.constant_response import constant_response
from kft.metrics.intervals import estimate_all, paired_difference
from kft.metrics.language import decided_by, of_texts, spoken
from kft.metrics.metric import Metric
from kft.records.compare import ApproachResult, Risk, Verdict
from kft.records.estimate import Estimate, widen

NOT_MEASURED = "not measured where responses are written"


def metric_of(given: WritingSetting) -> Metric:
    """Returns what decides; see ``kft.metrics.language.decided_by``."""
    truth = responses_of(given.split.valid)
    return decided_by(of_texts(truth, spoken(truth)))


def recommend(given: WritingSetting, fitted: Mapping[str, FittedApproach]) -> Verdict:
    """Recommends the cheapest approach that is not significantly worse than the best, paired by row of valid."""
    metric, valid = metric_of(given), given.split.valid
    said: dict[str, Sequence[str]] = {BASELINE: [constant_response(given.responses, metric.name)] * len(valid)}
    said |= {name: each.valid.tolist() for name, each in fitted.items()}
    reached = {name: Reached(metric.value(responses_of(valid), spoken(said[name]))) for name in fitted}

    def lead(first: str, second: str) -> Lead:
        return Lead(_paired(valid, metric, (said[first], said[second]), len(fitted) - 1), len(valid), False)

    return decide(
        reached,
        lead,
        metric=metric.name,
        higher_is_better=metric.higher_is_better,
        alike=(),
        baseline="the constant response",
    )


def outcome_of(
    given: WritingSetting, test: Examples, each: FittedApproach, best: FittedApproach, looks: int
) -> ApproachResult:
    """Judges what an approach wrote; here test's right responses are read.

    Args:
        given: The comparison.
        test: With its labels.
        each: The approach.
        best: The best on valid.
        looks: How many differences a verdict may rest on.
    """
    metric = metric_of(given)
    parts = {"valid": (given.split.valid, each.valid, best.valid), "test": (test, each.test, best.test)}
    estimates, paired = {}, {}
    for name, (part, own, others) in parts.items():
        truth, answers = responses_of(part), spoken(own.tolist())
        # A response of test that is no JSON takes nothing from what valid was decided by.
        metrics = of_texts(truth, answers) | {metric.name: metric}
        estimates[name] = estimate_all(truth, answers, groups=part.groups, metrics=metrics)
        paired[name] = _paired(part, metric, (own.tolist(), others.tolist()), looks)
    return ApproachResult(
        name=each.name,
        metrics=estimates["test"],
        valid=estimates["valid"],
        paired=paired,
        cost=each.cost,
        risk=Risk.not_measured(NOT_MEASURED),
        chosen=each.chosen,
        rows=len(given.split.valid),
    )


def _paired(part: Examples, metric: Metric, said: tuple[Sequence[str], Sequence[str]], looks: int) -> Estimate:
    first, second = map(spoken, said)
    return widen(paired_difference(metric, responses_of(part), first, second, groups=part.groups), max(1, looks))
