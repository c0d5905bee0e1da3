"""Scores labelled examples: metrics with intervals, baselines, classes, gates; and writes them down."""

from __future__ import annotations

import operator
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from kft.answer.decide import Decisions
from kft.evaluate.apart import SelectionResult, judge_valid
from kft.evaluate.certainty import (
    judge_calibration,
    judge_interval,
    judge_scope,
    judge_selection,
    judge_withholding,
)
from kft.evaluate.slices import cut, judge_slices, worst_of
from kft.metrics.intervals import estimate, estimate_all, paired_difference, same_answers
from kft.metrics.language import BESIDE_CONSTANT, of_passages, right_answers
from kft.metrics.soft import entropy
from kft.recipe.schema import DataSpec
from kft.records.edge_cases import EdgeCaseResult
from kft.records.estimate import Estimate
from kft.records.forgetting import ForgettingResult
from kft.records.general_text import GeneralText
from kft.records.metrics import (
    CalibrationResult,
    EvaluateResult,
    GateResult,
    IntervalResult,
    ScopeResult,
    SelectiveResult,
    SliceResult,
)
from kft.records.overfitting import OverfittingResult
from kft.records.rounding import RoundingResult
from kft.records.rules import LabelThresholds
from kft.tasks.task import AnswerKind, AnswerSpace

YARDSTICK = "right responses"
"""What stands beside the baselines, and is none: how much of the right responses their own passages hold."""
COMPARISONS = {">=": operator.ge, "<=": operator.le, ">": operator.gt, "<": operator.lt}


@dataclass(frozen=True)
class Scored:
    """Examples with their answers: what the metrics are computed from.

    Attributes:
        kind: What is answered.
        space: Everything that an answer can be.
        ids: One id an example.
        truth: What is right, ``[examples, ...]``.
        answers: What the model says, as the metrics take it; probabilities as they are before calibration.
        probe: What the probe says, likewise; None without a probe.
        linear: What a linear model on words says, calibrated; None where there is none.
        groups: Examples of one group are resampled together; None where each stands alone.
        inputs: What the model read.
        columns: Columns that slices are cut by.
        vectors: What the head's last layer reads of each, ``float[n, width]``; None where nobody asked for it.
        shares: ``float[n, classes]``: soft labels; None where labels are not soft.
        shown: The answers as people read them; None where these are ``answers``.
        rivals: What others answer that know no training row, by their names.
        constant: By metric the best single response of train, once an example; None where there is none. It is judged
            by what is written alone.
        right: The right responses as if somebody had written them, with what their passages hold of them; None where
            there are no passages.
        general: What tuning cost on general text; None where nobody asked.
        declined: ``bool[n]``: what is not answered, however sure the model is; None where all is.
    """

    kind: AnswerKind
    space: AnswerSpace
    ids: Sequence[str]
    truth: Any
    answers: Any
    probe: Any = None
    linear: Any = None
    groups: np.ndarray | None = None
    inputs: Sequence[Any] = ()
    columns: Mapping[str, np.ndarray] = field(default_factory=dict)
    vectors: np.ndarray | None = None
    shares: np.ndarray | None = None
    shown: Any = None
    rivals: Mapping[str, Any] = field(default_factory=dict)
    constant: Mapping[str, Any] | None = None
    right: Any = None
    general: GeneralText | None = None
    declined: np.ndarray | None = None

    def take(self, places: np.ndarray) -> Scored:
        """Returns some of the examples with their answers, and nothing beside."""
        ids = [self.ids[place] for place in places]
        groups = None if self.groups is None else self.groups[places]
        return Scored(self.kind, self.space, ids, taken(self.truth, places), taken(self.answers, places), groups=groups)

    def estimates(self, answers: Any) -> dict[str, Estimate]:
        """Returns every metric of some answers to these examples; against the shares too where labels are soft."""
        judging = self.kind.judging
        found = estimate_all(self.truth, answers, groups=self.groups, metrics=judging.metrics)
        if more := judging.of_texts(self.truth, answers):
            found |= estimate_all(self.truth, answers, groups=self.groups, metrics=more)
        if self.shares is not None:
            found |= estimate_all(self.shares, answers, groups=self.groups, metrics=judging.soft)
        return found

    def withheld(self, decisions: Decisions) -> np.ndarray:
        """Returns ``bool[n]``: what is not answered, for whatever reason; of ``calibrated`` examples."""
        shown = self.answers if self.shown is None else self.shown
        abstains = decisions.abstains(self.kind.judging.weighed(shown), self.vectors)
        return abstains if self.declined is None else abstains | self.declined


def taken(values: Any, places: np.ndarray) -> Any:
    """Returns some of truth or answers, whatever holds them."""
    return values[places] if isinstance(values, np.ndarray) else [values[place] for place in places]


@dataclass(frozen=True)
class ClassReport:
    """What is reported beside the metrics where each example has one class of many.

    Attributes:
        calibration: How well the probabilities fit.
        selective: What abstention comes to.
        overfitting: The gap along training.
    """

    calibration: CalibrationResult
    selective: SelectiveResult
    overfitting: OverfittingResult

    def gate_values(self) -> dict[str, float]:
        """Returns what a gate can ask for beside the metrics; see ``Judging.gates``."""
        return {
            "calibration.brier": self.calibration.brier.value,
            **self.selective.gate_values(),
        }


def calibrated(scored: Scored, given: Decisions, probe: Decisions | None) -> Scored:
    """Returns the examples with the answers that are given, and the probe's, each at its own temperature."""
    of_probe = scored.probe if probe is None else probe.temperature.apply(scored.probe)
    shown = given.temperature.apply(scored.answers)
    return replace(scored, answers=given.given(scored.answers), shown=shown, probe=of_probe)


def slices_of(given: Scored, smallest: int) -> tuple[SliceResult, ...]:
    """Returns the metrics of parts of the examples, and which parts are weaker than the rest.

    Args:
        given: The examples with the answers that are given.
        smallest: Smaller parts are not judged.
    """
    judging, answers = given.kind.judging, given.answers
    sure = None if judging.confidence is None else judging.confidence(answers)
    cuts = cut(given.columns, given.inputs, sure)
    return judge_slices(judging.slice_metrics, given.truth, answers, cuts, smallest=smallest, groups=given.groups)


def report_classes(raw: Scored, given: Scored, decisions: Decisions, overfitting: OverfittingResult) -> ClassReport:
    """Computes what is reported beside the metrics where each example has one class of many.

    Args:
        raw: The examples with the model's own probabilities.
        given: The same after calibration.
        decisions: Temperature, rule and scope.
        overfitting: From the run's history.
    """
    truth, answers, groups = given.truth, given.answers, given.groups
    withheld = decisions.abstains(answers, given.vectors)
    return ClassReport(
        calibration=judge_calibration(
            truth if given.shares is None else given.shares, raw.answers, decisions.temperature, groups
        ),
        selective=judge_selection(truth, answers, decisions.rule, withheld, groups),
        overfitting=overfitting,
    )


def selection_of(given: Scored, decisions: Decisions, right: str) -> SelectiveResult | None:
    """Returns what withholding written answers comes to; None where none were written.

    Args:
        given: The examples with the answers that are given.
        decisions: When one is withheld.
        right: Which are right: see ``kft.metrics.language.right_answers``.
    """
    judging, answers = given.kind.judging, given.answers
    sure = None if judging.confidence is None else judging.confidence(answers)
    if sure is None:
        return None
    are_right = right_answers(right, given.truth, answers)
    found = judge_withholding(sure, are_right, decisions.rule, given.withheld(decisions), given.groups)
    return replace(found, right=right)


def scope_of(given: Scored, decisions: Decisions) -> ScopeResult | None:
    """Returns what flagging foreign inputs takes away from labelled examples; None without a scope.

    Args:
        given: The examples with the answers that are given, and their vectors.
        decisions: How these were made.
    """
    if decisions.scope is None:
        return None
    kind, truth, answers = given.kind, given.truth, given.answers
    flags = decisions.foreign(answers if given.shown is None else given.shown, given.vectors)
    right = None if kind.numeric else kind.judging.main.form.right(truth, answers)
    (kept,), others = np.nonzero(~flags), None
    if len(kept) and not kind.one_class:
        rest = given.take(kept)
        main = kind.judging.main
        others = {main.name: estimate(main, rest.truth, rest.answers, groups=rest.groups)}
    return judge_scope(decisions.scope, flags, right, given.groups, others)


def interval_of(given: Scored, decisions: Decisions) -> IntervalResult | None:
    """Returns what intervals around numbers come to; None where there are none; see ``scope_of``."""
    if decisions.interval is None or not decisions.interval.reaches:
        return None
    withheld = decisions.abstains(given.answers, given.vectors)
    return judge_interval(decisions.interval, given.truth, given.answers, withheld, given.groups)


@dataclass(frozen=True)
class FurtherResults:
    """What is reported and asked for by gates beside the metrics.

    Attributes:
        report: From ``report_classes``.
        selective: From ``selection_of``, where no ``report`` holds it.
        out_of_scope: From ``scope_of``.
        interval: From ``interval_of``.
        slices: From ``slices_of``; None where nobody asked.
        edge_cases: How the recipe's suite went.
        forgetting: From ``measure_run``.
        rounding: From ``measure_rounding``.
        chosen: What valid said of the kept weights; None where other examples than the run's own are scored.
        label_thresholds: What several labels were said by; None where one half served.
        data: Where the splits come from; goes with ``chosen``.
        values: What else a gate can ask for, see ``kft.tasks.recipes.RUN_GATES``; None where it is not known.
    """

    report: ClassReport | None = None
    selective: SelectiveResult | None = None
    out_of_scope: ScopeResult | None = None
    interval: IntervalResult | None = None
    slices: tuple[SliceResult, ...] | None = None
    edge_cases: EdgeCaseResult | None = None
    forgetting: ForgettingResult | None = None
    rounding: RoundingResult | None = None
    chosen: SelectionResult | None = None
    label_thresholds: LabelThresholds | None = None
    data: DataSpec | None = None
    values: Mapping[str, float | None] = field(default_factory=dict)


NOTHING_BESIDE = FurtherResults()


def score(
    scored: Scored,
    *,
    split: str,
    shares: Sequence[float],
    gates: Mapping[str, str],
    beside: FurtherResults = NOTHING_BESIDE,
) -> EvaluateResult:
    """Computes everything that is reported about one set of examples.

    Args:
        scored: The examples and the answers that are given.
        split: What the set is called.
        shares: What the baseline knows of the training split's labels.
        gates: Metric name, or one of ``Judging.gates``, to a rule such as ``>= 0.85``.
        beside: What else was measured.
    """
    kind, space, report = scored.kind, scored.space, beside.report
    truth, groups, main = scored.truth, scored.groups, kind.judging.main
    rivals, metrics = _hold_against(scored, shares), scored.estimates(scored.answers)
    valid = None
    if beside.chosen is not None and beside.data is not None:
        # Valid chose among answers with one half as every threshold, so test is held against it with the same.
        alike = scored.answers if scored.shown is None else scored.shown
        on_test = metrics[main.name] if alike is scored.answers else estimate(main, truth, alike, groups=groups)
        valid = judge_valid(beside.chosen, main, on_test, (truth, alike, groups), beside.data)
    values = _gate_values(scored, metrics, beside)
    return EvaluateResult(
        split=split,
        n=len(truth),
        metrics=metrics,
        baselines=rivals.baselines,
        gain_over_probe=rivals.over_probe,
        gain_over_linear=rivals.over_linear,
        gain_over_constant=rivals.over_constant,
        valid=valid,
        gates={name: check_gate(rule, values[name]) for name, rule in gates.items()},
        slices=beside.slices,
        **(vars(report) if report else {"selective": beside.selective}),
        out_of_scope=beside.out_of_scope,
        interval=beside.interval,
        edge_cases=beside.edge_cases,
        forgetting=beside.forgetting,
        general_text=scored.general,
        rounding=beside.rounding,
        least_soft_log_loss=None if scored.shares is None else entropy(scored.shares),
        higher_is_better=main.higher_is_better,
        labels=space.labels,
        label_thresholds=beside.label_thresholds,
        classes=tuple(kind.judging.by_label(truth, scored.answers, space, groups)),
        confusion=kind.judging.confusion(truth, scored.answers, space),
    )


@dataclass(frozen=True)
class _Rivals:
    """What the answers are held against, and how much better they are: paired differences, None where there is none."""

    baselines: dict[str, dict[str, Estimate]]
    over_probe: Estimate | None
    over_linear: Estimate | None
    over_constant: dict[str, Estimate] | None


def _hold_against(scored: Scored, shares: Sequence[float]) -> _Rivals:
    kind, probe, main = scored.kind, scored.probe, scored.kind.judging.main
    truth, groups = scored.truth, scored.groups
    baselines = {name: scored.estimates(answers) for name, answers in scored.rivals.items()}
    if kind.judging.constant is not None:
        constant = kind.judging.constant(shares, scored.space, len(truth))
        baselines = {kind.judging.baseline_name: scored.estimates(constant), **baselines}
    over_probe = None
    if probe is not None:
        baselines["probe"] = scored.estimates(probe)
        # Thresholds of labels are the model's own: without them on both sides, the gain is that of the weights.
        own = scored.answers if scored.shown is None else scored.shown
        over_probe = paired_difference(main, truth, own, own if same_answers(own, probe) else probe, groups=groups)
    over_linear = None
    if scored.linear is not None:
        baselines["linear"] = scored.estimates(scored.linear)
        over_linear = paired_difference(main, truth, scored.answers, scored.linear, groups=groups)
    over_constant = None
    if scored.constant is not None:
        usual = scored.constant[BESIDE_CONSTANT[0]]
        written = kind.judging.of_texts(truth, usual)
        baselines["constant"] = {
            name: estimate(metric, truth, scored.constant.get(name, usual), groups=groups)
            for name, metric in written.items()
        }
        over_constant = {
            name: paired_difference(written[name], truth, scored.answers, answers, groups=groups)
            for name, answers in scored.constant.items()
            if name in written
        }
    if scored.right is not None:
        baselines[YARDSTICK] = estimate_all(truth, scored.right, groups=groups, metrics=of_passages(scored.right))
    return _Rivals(baselines, over_probe, over_linear, over_constant)


def _gate_values(scored: Scored, metrics: Mapping[str, Estimate], beside: FurtherResults) -> dict[str, float | None]:
    """Returns all that a gate can be asked of, by its name; None where it is not known."""
    judging, report = scored.kind.judging, beside.report
    # Not measured: where labels are not soft, nothing was written, or no interval can be promised.
    values: dict[str, float | None] = dict.fromkeys((*judging.soft, *judging.gates))
    values |= {name: estimate.value for name, estimate in metrics.items()}
    if beside.slices is not None:
        parts = judging.slice_metrics.items()
        values |= {f"slices.worst.{name}": worst_of(beside.slices, by, metrics[name].value) for name, by in parts}
    values |= report.gate_values() if report else {}
    values |= beside.selective.gate_values() if beside.selective else {}
    values |= beside.edge_cases.gate_values() if beside.edge_cases else {}
    values |= beside.interval.gate_values() if beside.interval else {}
    values |= {"forgetting.perplexity_ratio": scored.general.ratio.value} if scored.general else {}
    values |= beside.values
    return values


def check_gate(rule: str, value: float | None) -> GateResult:
    """Compares a value with a rule such as ``>= 0.85``.

    Example:
        >>> check_gate(">= 0.85", 0.8).passed
        False
    """
    match = re.match(r"\s*(>=|<=|>|<)\s*(\S+)", rule)
    assert match is not None  # the recipe's schema accepts no other form
    passed = value is not None and bool(COMPARISONS[match.group(1)](value, float(match.group(2))))
    return GateResult(rule, value, passed)
