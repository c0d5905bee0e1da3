"""Scores labelled examples: metrics with intervals, baselines, classes, gates; and writes them down."""

from __future__ import annotations

import csv
import io
import operator
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from kft import notebook
from kft.answer.calibration import CalibrationResult
from kft.answer.decide import Decisions
from kft.answer.scope import ScopeResult
from kft.answer.selective import SelectiveResult
from kft.evaluate.certainty import judge_calibration, judge_scope, judge_selection
from kft.evaluate.overfitting import OverfittingResult
from kft.evaluate.paired import PairedResult
from kft.evaluate.slices import SliceResult, cut, judge_slices, worst_of
from kft.forgetting.meter import ForgettingResult
from kft.metrics.classification import ClassRow
from kft.metrics.intervals import Estimate, estimate_all, paired_difference
from kft.metrics.metric import Metric, metric_title, shown_value
from kft.records.files import write_file, write_json
from kft.records.run_folder import RunFolder
from kft.suites.edge_cases import EdgeCaseResult
from kft.tasks.task import AnswerKind, AnswerSpace

COMPARISONS = {">=": operator.ge, "<=": operator.le, ">": operator.gt, "<": operator.lt}


@dataclass(frozen=True)
class GateResult:
    """A gate of the recipe and whether the value passes it; one that could not be measured (None) does not."""

    rule: str
    value: float | None
    passed: bool

    @property
    def reached(self) -> str:
        """The value for people."""
        return shown_value(self.value)

    def as_dict(self) -> dict[str, Any]:
        """Returns the form of metrics.json."""
        return {"rule": self.rule, "value": self.value, "passed": self.passed}


@dataclass(frozen=True)
class Scored:
    """Examples with their answers: what the metrics are computed from.

    Attributes:
        ids: One id an example.
        truth: What is right, ``[examples, ...]``.
        answers: What the model says, as the metrics take it; probabilities as they are before calibration.
        probe: What the probe says, likewise; None without a probe.
        groups: Examples of one group are resampled together; None where each stands alone.
        inputs: What the model read.
        columns: Columns that slices are cut by.
        vectors: What the head's last layer reads of each, ``float[n, width]``; None where nobody asked for it.
    """

    ids: Sequence[str]
    truth: Any
    answers: Any
    probe: Any = None
    groups: np.ndarray | None = None
    inputs: Sequence[Any] = ()
    columns: Mapping[str, np.ndarray] = field(default_factory=dict)
    vectors: np.ndarray | None = None


@dataclass(frozen=True)
class ClassReport:
    """What is reported beside the metrics where each example has one class of many.

    Attributes:
        calibration: How well the probabilities fit.
        selective: What abstention comes to.
        slices: The same metrics on parts of the examples.
        overfitting: The gap along training.
        scope: What flagging foreign inputs takes away; None where that was not asked for.
    """

    calibration: CalibrationResult
    selective: SelectiveResult
    slices: tuple[SliceResult, ...]
    overfitting: OverfittingResult
    scope: ScopeResult | None = None

    def as_dict(self) -> dict[str, Any]:
        """Returns its part of metrics.json."""
        values = {
            "calibration": self.calibration.as_dict(),
            "selective": self.selective.as_dict(),
            "slices": [part.as_dict() for part in self.slices],
            "overfitting": self.overfitting.as_dict(),
        }
        return values | ({"out_of_scope": self.scope.as_dict()} if self.scope else {})

    def gate_values(self, metrics: Mapping[str, Estimate]) -> dict[str, float]:
        """Returns what a gate can ask for beside the metrics; see ``Judging.gates``."""
        return {
            **{
                f"slices.worst.{name}": worst_of(self.slices, name, metrics[name].value)
                for name in ("accuracy", "log_loss")
            },
            "calibration.brier": self.calibration.brier.value,
            "selective.coverage": self.selective.coverage.value,
            "selective.error": self.selective.error.value,
            "selective.aurc": self.selective.aurc.value,
        }


@dataclass(frozen=True)
class EvaluateResult:
    """What the model reached on one set of examples.

    Attributes:
        split: ``test``, or the name of the file that was scored.
        n: How many examples.
        kind: What is answered.
        space: Everything that an answer can be; its labels are in the order of the confusion matrix.
        metrics: Metric name to value and 95 % interval.
        baselines: The same for what answers without looking and, where there was one, ``probe``.
        gain_over_probe: Paired difference in the first metric, fine-tuned less probe; None without a probe.
        gates: The recipe's gates.
        classes: Precision, recall and F1 of each class, label or kind of span; none for numbers.
        confusion: ``int[classes, classes]``, targets down, predictions across; None where an example has not exactly
            one class.
        report: Calibration, abstention, slices, overfitting; None where an example has not exactly one class.
        against: The paired comparison with another run, where one was asked for.
        edge_cases: How the recipe's suite went; None without one.
        seen: Examples of another file that the run was trained on or chose by: what they say flatters.
        forgetting: What the tuned backbone keeps; None where none was tuned, or nothing could be measured.
    """

    split: str
    n: int
    kind: AnswerKind
    space: AnswerSpace
    metrics: dict[str, Estimate]
    baselines: dict[str, dict[str, Estimate]]
    gain_over_probe: Estimate | None
    gates: dict[str, GateResult]
    classes: tuple[ClassRow, ...]
    confusion: np.ndarray | None
    report: ClassReport | None = None
    against: PairedResult | None = None
    edge_cases: EdgeCaseResult | None = None
    seen: int = 0
    forgetting: ForgettingResult | None = None

    @property
    def main_metric(self) -> Metric:
        """The first of the task's metrics."""
        return self.kind.judging.main

    @property
    def failed_gates(self) -> dict[str, GateResult]:
        """The gates that say no."""
        return {name: gate for name, gate in self.gates.items() if not gate.passed}

    @property
    def says_no(self) -> bool:
        """Whether a gate fails, or a check of the suite has too few cases that pass."""
        return bool(self.failed_gates or (self.edge_cases and self.edge_cases.failed))

    def as_dict(self) -> dict[str, Any]:
        """Returns the content of metrics.json; and ``against``, where another run was compared with."""
        values = {
            "split": self.split,
            "n": self.n,
            "metrics": {name: value.as_dict() for name, value in self.metrics.items()},
            "baselines": {
                name: {metric: value.as_dict() for metric, value in values.items()}
                for name, values in self.baselines.items()
            },
            "gain_over_probe": self.gain_over_probe.as_dict() if self.gain_over_probe else None,
            "gates": {name: gate.as_dict() for name, gate in self.gates.items()},
        }
        values |= self.report.as_dict() if self.report else {}
        values |= {"edge_cases": self.edge_cases.summary()} if self.edge_cases else {}
        values |= {"forgetting": self.forgetting.as_dict()} if self.forgetting else {}
        values |= {"seen_in_training": self.seen} if self.seen else {}
        return values | ({"against": self.against.as_dict()} if self.against else {})

    def _repr_html_(self) -> str:
        weak = [f"{part.by} {part.value}" for part in (self.report.slices if self.report else ()) if part.weak]
        rows = [("this model", self.metrics), *self.baselines.items()]
        gates = [
            (name, gate.rule, gate.reached, "holds" if gate.passed else "fails") for name, gate in self.gates.items()
        ]
        return (
            notebook.paragraph(
                f"{self.split}, {self.n:,} examples, 95 % intervals", weak and f"weak: {', '.join(weak)}"
            )
            + notebook.table(("", *map(metric_title, self.metrics)), [(name, *found.values()) for name, found in rows])
            + (notebook.table(("gate", "asks for", "reached", ""), gates) if gates else "")
            + (self.edge_cases._repr_html_() if self.edge_cases else "")
            + (notebook.paragraph("forgetting", *self.forgetting.lines) if self.forgetting else "")
        )


def calibrated(scored: Scored, given: Decisions, probe: Decisions | None) -> Scored:
    """Returns the examples with the answers that are given, and the probe's, each at its own temperature."""
    of_probe = scored.probe if probe is None else probe.temperature.apply(scored.probe)
    return replace(scored, answers=given.temperature.apply(scored.answers), probe=of_probe)


def report_classes(
    raw: Scored, given: Scored, decisions: Decisions, overfitting: OverfittingResult, smallest_slice: int
) -> ClassReport:
    """Computes what is reported beside the metrics where each example has one class of many.

    Args:
        raw: The examples with the model's own probabilities.
        given: The same after calibration.
        decisions: Temperature, rule and scope.
        overfitting: From the run's history.
        smallest_slice: Smaller parts are not judged.
    """
    truth, answers, groups = given.truth, given.answers, given.groups
    cuts = cut(given.columns, given.inputs, answers.max(axis=1))
    scope = None
    if decisions.scope is not None:
        foreign = decisions.foreign(answers, given.vectors)
        scope = judge_scope(decisions.scope, foreign, answers.argmax(axis=1) == truth, groups)
    withheld = decisions.abstains(answers, given.vectors)
    return ClassReport(
        calibration=judge_calibration(truth, raw.answers, decisions.temperature, groups),
        selective=judge_selection(truth, answers, decisions.rule, withheld, groups),
        slices=judge_slices(truth, answers, cuts, smallest=smallest_slice, groups=groups),
        overfitting=overfitting,
        scope=scope,
    )


def score(
    scored: Scored,
    *,
    split: str,
    kind: AnswerKind,
    space: AnswerSpace,
    shares: Sequence[float],
    gates: Mapping[str, str],
    report: ClassReport | None = None,
    edge_cases: EdgeCaseResult | None = None,
    forgetting: ForgettingResult | None = None,
    beside: Mapping[str, float | None] | None = None,
) -> EvaluateResult:
    """Computes everything that is reported about one set of examples.

    Args:
        scored: The examples and the answers that are given.
        split: What the set is called.
        kind: What is answered.
        space: Everything that an answer can be.
        shares: What the baseline knows of the training split's labels.
        gates: Metric name, or one of ``Judging.gates``, to a rule such as ``>= 0.85``.
        report: From ``report_classes``.
        edge_cases: How the recipe's suite went.
        forgetting: From ``measure_run``.
        beside: What else a gate can ask for, see ``kft.tasks.recipes.RUN_GATES``; None where it is not known.
    """
    truth, groups, probe = scored.truth, scored.groups, scored.probe
    constant = kind.judging.constant(shares, space, len(truth))
    baselines = {kind.judging.baseline_name: estimate_all(truth, constant, groups=groups, metrics=kind.judging.metrics)}
    gain = None
    if probe is not None:
        baselines["probe"] = estimate_all(truth, probe, groups=groups, metrics=kind.judging.metrics)
        gain = paired_difference(kind.judging.main, truth, scored.answers, probe, groups=groups)
    metrics = estimate_all(truth, scored.answers, groups=groups, metrics=kind.judging.metrics)
    values: dict[str, float | None] = {name: estimate.value for name, estimate in metrics.items()}
    values |= report.gate_values(metrics) if report else {}
    values |= edge_cases.gate_values() if edge_cases else {}
    values |= beside or {}
    return EvaluateResult(
        split=split,
        n=len(truth),
        kind=kind,
        space=space,
        metrics=metrics,
        baselines=baselines,
        gain_over_probe=gain,
        gates={name: check_gate(rule, values[name]) for name, rule in gates.items()},
        classes=tuple(kind.judging.by_label(truth, scored.answers, space)),
        confusion=kind.judging.confusion(truth, scored.answers, space),
        report=report,
        edge_cases=edge_cases,
        forgetting=forgetting,
    )


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


def write_evaluation(run: RunFolder, result: EvaluateResult, scored: Scored, decisions: Decisions) -> None:
    """Writes metrics.json, predictions.csv and, where there are any, per_class.csv, confusion.csv, edge_cases.json."""
    abstains = decisions.abstains(scored.answers, scored.vectors)
    rows = zip(scored.ids, scored.truth, scored.answers, abstains, strict=True)
    write_csv(
        run.predictions,
        ("id", "target", "prediction", "confidence", "abstain"),
        [
            (name, *result.kind.judging.row(truth, answer, result.space), "true" if abstain else "false")
            for name, truth, answer, abstain in rows
        ],
    )
    if result.classes:
        write_csv(
            run.per_class,
            ("label", "n", "precision", "recall", "f1"),
            [(c.label, c.n, f"{c.precision:.4f}", f"{c.recall:.4f}", f"{c.f1:.4f}") for c in result.classes],
        )
    if result.confusion is not None:
        labels = result.space.labels
        write_csv(
            run.confusion,
            ("target", *labels),
            [(label, *map(int, row)) for label, row in zip(labels, result.confusion, strict=True)],
        )
    if result.edge_cases is not None:
        write_json(run.edge_cases, result.edge_cases.as_dict())
    write_json(run.metrics, result.as_dict())


def write_csv(path: Any, header: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Writes a CSV file, whole or not at all."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    write_file(path, text.getvalue())
