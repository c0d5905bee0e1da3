"""metrics.json: what a model reached on one set of examples."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from kft.notebook import Line, Piece, ShownTable, shows
from kft.records.apart import ValidResult
from kft.records.constant import not_beaten
from kft.records.edge_cases import EdgeCaseResult
from kft.records.estimate import Estimate, metric_title, shown_value
from kft.records.fields import absent, unwritten
from kft.records.forgetting import ForgettingResult
from kft.records.general_text import GeneralText
from kft.records.overfitting import OverfittingResult
from kft.records.paired import PairedResult
from kft.records.rounding import RoundingResult
from kft.records.rules import CostRule, IntervalRule, LabelThresholds, PrecisionRule, Promise, Rule

LEVEL = 0.05
"""A slice is weak where so many errors, or more, come by chance less often than that."""


@dataclass(frozen=True)
class GateResult:
    """A gate of the recipe and whether the value passes it; one that could not be measured (None) does not."""

    rule: str
    value: float | None
    passed: bool

    @property
    def reached(self) -> str:
        return shown_value(self.value)


@dataclass(frozen=True)
class ClassRow:
    """One class: how many examples, precision, recall, F1 (0 where undefined), and the 95 % interval of each."""

    label: str
    n: int
    precision: float
    recall: float
    f1: float
    precision_range: tuple[float, float] = (0.0, 1.0)
    recall_range: tuple[float, float] = (0.0, 1.0)
    f1_range: tuple[float, float] = (0.0, 1.0)


@dataclass(frozen=True)
class ReliabilityBin:
    """Examples of about the same confidence: how sure the model is of them, and how often it is right.

    Attributes:
        low: Where the bin begins.
        high: Where it ends.
        n: How many examples.
        confidence: Their mean confidence.
        accuracy: The share of right answers among them.
    """

    low: float
    high: float
    n: int
    confidence: float
    accuracy: float


@dataclass(frozen=True)
class CalibrationResult:
    """How well the probabilities fit what happened.

    Attributes:
        temperature: Fitted on valid.
        n: Examples it was fitted on; 0 where nothing was.
        ece_before: The expected calibration error on these examples at temperature 1.
        brier: The Brier score, after calibration.
        reliability: The reliability diagram, after calibration.
        reliability_before: The same at temperature 1.
    """

    temperature: float
    n: int
    ece_before: Estimate
    brier: Estimate
    reliability: tuple[ReliabilityBin, ...]
    reliability_before: tuple[ReliabilityBin, ...] = ()


@dataclass(frozen=True)
class RiskPoint:
    """The share that is answered, the surest first, and the share of wrong answers among these."""

    coverage: float
    error: float


@dataclass(frozen=True)
class SelectiveResult:
    """What abstention comes to on examples that nothing was fitted on.

    Attributes:
        promise: When to abstain, one of the three, with what it has to show; None without.
        costs: Likewise.
        precision: Likewise.
        coverage: The share that is answered.
        error: The share of wrong answers among the answered.
        aurc: The error averaged over every coverage (Geifman and El-Yaniv, 2017).
        risk_coverage: From the surest answers to all.
        right: Of written answers, which count as right: ``evaluate.abstain_at.right``; empty elsewhere.
    """

    KEYS: ClassVar = (
        *("promise", "costs", "precision", "threshold"),
        *("coverage", "error", "aurc", "risk_coverage", "right"),
    )

    coverage: Estimate
    error: Estimate
    aurc: Estimate
    risk_coverage: tuple[RiskPoint, ...]
    promise: Promise | None = None
    costs: CostRule | None = None
    precision: PrecisionRule | None = None
    right: str = absent("")

    def gate_values(self) -> dict[str, float]:
        """Returns what a gate can ask for."""
        return {f"selective.{name}": getattr(self, name).value for name in ("coverage", "error", "aurc")}

    @property
    def rightness(self) -> str:
        """What counts as right, in words; empty where that needs none."""
        return {"": "", "same": "right: the same text, or the same JSON"}.get(self.right, f"right: {self.right}")

    @property
    def rule(self) -> Rule | None:
        return self.promise or self.costs or self.precision

    @property
    def threshold(self) -> float | None:
        """Answers below this confidence are withheld; those of one label alone, where a precision was asked for."""
        return self.rule.threshold if self.rule else None


@dataclass(frozen=True)
class SliceResult:
    """What the model reached on a part of the examples.

    Attributes:
        by: A column, ``length`` or ``confidence``.
        value: What its examples have in common.
        n: How many examples.
        metrics: Those of the task for slices, with 95 % intervals; the first judges.
        p_value: Of as many errors by chance, were the slice like the rest; corrected for all looks. None where the
            slice is not judged.
    """

    KEYS: ClassVar = ("by", "value", "n", "metrics", "p_value", "weak")

    by: str
    value: str
    n: int
    metrics: Mapping[str, Estimate]
    p_value: float | None

    @property
    def said(self) -> str:
        """The metric that judges it, by name, with its interval.

        Example:
            >>> SliceResult("region", "north", 90, {"mae": Estimate(0.5, 0.4, 0.6)}, None).said
            'MAE 0.500 [0.400, 0.600]'
        """
        name, found = next(iter(self.metrics.items()))
        return f"{metric_title(name)} {found}"

    @property
    def weak(self) -> bool:
        return self.p_value is not None and self.p_value < LEVEL


@dataclass(frozen=True)
class ScopeResult:
    """What flagging comes to on labelled, so in-scope, examples.

    Attributes:
        keep: The share of in-scope examples that should not be flagged.
        n: Valid examples that the limit was fitted on.
        flagged: The share that looks foreign: what the flag costs in scope.
        right: The share of these whose answers would have been right: of several labels or spans all of them. None of
            numbers, which are more or less wrong.
        answered: The task's first metric, by its name, over the examples that are not flagged; None of one class of
            many, which ``selective`` speaks of.
    """

    keep: float
    n: int
    flagged: Estimate
    right: Estimate | None = absent()
    answered: Mapping[str, Estimate] | None = absent()

    @property
    def costs(self) -> str:
        """What is lost of the flagged examples, and what the others reach, in words.

        Example:
            >>> rate = Estimate(0.5, 0.4, 0.6)
            >>> ScopeResult(0.95, 90, rate, answered={"mae": rate}).costs
            'MAE of the others: 0.500 [0.400, 0.600]'
        """
        lost = [] if self.right is None else [f"right answers among them: {self.right}"]
        others = [f"{metric_title(name)} of the others: {found}" for name, found in (self.answered or {}).items()]
        return "; ".join([*lost, *others])


@dataclass(frozen=True)
class IntervalResult:
    """What intervals around numbers come to on examples that nothing was fitted on.

    Attributes:
        rule: What is judged.
        covered: The share of right numbers in the intervals that are given, which was promised.
        width: Their mean width, in units of the labels.
        answered: The share of examples whose answer is given: not too wide, and not foreign.
    """

    rule: IntervalRule
    covered: Estimate
    width: Estimate
    answered: Estimate

    def gate_values(self) -> dict[str, float]:
        """Returns what a gate can ask for."""
        return {f"interval.{name}": getattr(self, name).value for name in ("covered", "width", "answered")}

    @property
    def said(self) -> str:
        """In words, with the promise beside what was measured."""
        given = f", given for {self.answered}" if self.answered.value < 1 else ""
        return f"{self.covered} of right numbers lie within, promised {self.rule.coverage:g}; width {self.width}{given}"


@shows
@dataclass(frozen=True)
class EvaluateResult:
    """What the model reached on one set of examples.

    Attributes:
        split: ``test``, or the name of the file that was scored.
        n: How many examples.
        metrics: Metric name to value and 95 % interval, the task's first metric first.
        baselines: The same for what answers without looking and, where there was one, ``probe``.
        gain_over_probe: Paired difference in the first metric, fine-tuned less probe; None without a probe.
        gates: The recipe's gates.
        gain_over_linear: The same over a linear model on words; None where there is none.
        gain_over_constant: Of what was written, by metric: the same over the best single response of train, written for
            every prompt; None where that is not known.
        valid: What valid said of the kept weights, and whether test says something else; None of other examples.
        calibration: How well the probabilities fit; this, ``selective`` and ``overfitting`` are None where an example
            has not exactly one class.
        selective: What abstention comes to.
        slices: Metrics on parts of the examples.
        overfitting: The gap along training.
        out_of_scope: What flagging foreign inputs takes away; None where that was not asked for.
        edge_cases: How the recipe's suite went; None without one.
        forgetting: What the tuned backbone keeps; None where none was tuned, or nothing could be measured.
        general_text: What tuning a language model costs on general text; None elsewhere.
        rounding: What frozen blocks in int8 cost; None where they are in float32, or it was not measured.
        label_thresholds: What several labels were said by; None where one half served.
        interval: What intervals around numbers come to; None where nobody asked, or nothing can be promised.
        least_soft_log_loss: The entropy of soft labels, below which no ``soft_log_loss`` can be; None where labels are
            not soft.
        seen_in_training: Examples of another file that the run was trained on or chose by: what they say flatters.
        against: The paired comparison with another run, where one was asked for.
        higher_is_better: Whether more of the first metric is.
        labels: In the order of the confusion matrix.
        classes: Precision, recall and F1 of each class, label or kind of span; none for numbers.
        confusion: ``int[classes, classes]``, targets down, predictions across; None where an example has not exactly
            one class.
    """

    split: str
    n: int
    metrics: Mapping[str, Estimate]
    baselines: Mapping[str, Mapping[str, Estimate]]
    gain_over_probe: Estimate | None
    gates: Mapping[str, GateResult]
    gain_over_linear: Estimate | None = absent()
    gain_over_constant: Mapping[str, Estimate] | None = absent()
    valid: ValidResult | None = absent()
    calibration: CalibrationResult | None = absent()
    selective: SelectiveResult | None = absent()
    slices: tuple[SliceResult, ...] | None = absent()
    overfitting: OverfittingResult | None = absent()
    out_of_scope: ScopeResult | None = absent()
    edge_cases: EdgeCaseResult | None = absent(without=("failures", "cases", "checkpoint"))
    forgetting: ForgettingResult | None = absent(without=("checkpoint",))
    general_text: GeneralText | None = absent()
    rounding: RoundingResult | None = absent(without=("checkpoint",))
    label_thresholds: LabelThresholds | None = absent()
    interval: IntervalResult | None = absent()
    least_soft_log_loss: float | None = absent()
    seen_in_training: int = absent(0)
    against: PairedResult | None = absent()
    higher_is_better: bool = unwritten(True)
    labels: tuple[str, ...] = unwritten(())
    classes: tuple[ClassRow, ...] = unwritten(())
    confusion: Any = unwritten()

    @property
    def main(self) -> str:
        return next(iter(self.metrics))

    @property
    def soft(self) -> bool:
        """Whether answers were compared with soft labels too."""
        return "soft_ece" in self.metrics

    @property
    def own_ece(self) -> Estimate:
        """The calibration error that goes with ``calibration``: against the shares where labels are soft."""
        return self.metrics["soft_ece" if self.soft else "ece"]

    @property
    def failed_gates(self) -> dict[str, GateResult]:
        return {name: gate for name, gate in self.gates.items() if not gate.passed}

    @property
    def weak_slices(self) -> list[SliceResult]:
        return [part for part in self.slices or () if part.weak]

    @property
    def linear_wins(self) -> str:
        """What is said where a linear model on words is as good as this one or better; empty where it is not."""
        gain = self.gain_over_linear
        if gain is None:
            return ""
        value, high = (gain.value, gain.high) if self.higher_is_better else (-gain.value, -gain.low)
        if value > 0:
            return ""
        says = "is ahead of this one, though that may be chance" if value < 0 else "does as well"
        if high < 0:
            says = "is better than this one, by more than chance"
        return f"a linear model on words, which needs no backbone, {says}"

    @property
    def constant_wins(self) -> list[str]:
        """What is said of each metric in which one response for every prompt is not surely beaten."""
        return not_beaten(self.gain_over_constant or {})

    @property
    def says_no(self) -> bool:
        """Whether a gate fails, or a check of the suite has too few cases that pass."""
        return bool(self.failed_gates or (self.edge_cases and self.edge_cases.failed))

    def shown(self) -> Iterator[Piece]:
        weak = [f"{part.by} {part.value}" for part in self.weak_slices]
        rows = [("this model", self.metrics), *self.baselines.items()]
        gates = [
            (name, gate.rule, gate.reached, "holds" if gate.passed else "fails") for name, gate in self.gates.items()
        ]
        yield Line(f"{self.split}, {self.n:,} examples, 95 % intervals", f"weak: {', '.join(weak)}" if weak else "")
        cells = [(row, *(found.get(name, "") for name in self.metrics)) for row, found in rows]
        yield ShownTable(("", *map(metric_title, self.metrics)), cells)
        if self.valid and self.valid.apart:
            yield Line(self.valid.said, *self.valid.causes)
        if self.linear_wins:
            yield Line(self.linear_wins)
        yield from map(Line, self.constant_wins)
        if gates:
            yield ShownTable(("gate", "asks for", "reached", ""), gates)
        if self.edge_cases:
            yield from self.edge_cases.shown()
        if self.forgetting:
            yield Line("forgetting", *self.forgetting.lines)
        if self.general_text:
            yield Line("forgetting", *self.general_text.lines)
        if self.rounding:
            yield Line("int8", self.rounding.line)
