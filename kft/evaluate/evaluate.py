"""Scores labelled examples: metrics with intervals, baselines, classes, gates; and writes them down."""

from __future__ import annotations

import csv
import io
import operator
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from kft.metrics.classification import ClassRow
from kft.metrics.intervals import Estimate, estimate_all, paired_difference
from kft.metrics.metric import Metric
from kft.rundir import RunFolder, write_file, write_json
from kft.tasks.task import AnswerKind, AnswerSpace

COMPARISONS = {">=": operator.ge, "<=": operator.le, ">": operator.gt, "<": operator.lt}


@dataclass(frozen=True)
class GateResult:
    """A gate of the recipe and whether the metric's value passes it."""

    rule: str
    value: float
    passed: bool

    def as_dict(self) -> dict[str, Any]:
        """Returns the form of metrics.json."""
        return {"rule": self.rule, "value": self.value, "passed": self.passed}


@dataclass(frozen=True)
class Scored:
    """Examples with their answers: what the metrics are computed from.

    Attributes:
        ids: One id an example.
        truth: What is right, ``[examples, ...]``.
        answers: What the model says, as the metrics take it.
        groups: Examples of one group are resampled together; None where each stands alone.
    """

    ids: Sequence[str]
    truth: Any
    answers: Any
    groups: np.ndarray | None = None


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

    @property
    def main_metric(self) -> Metric:
        """The first of the task's metrics."""
        return next(iter(self.kind.metrics.values()))

    @property
    def failed_gates(self) -> dict[str, GateResult]:
        """The gates that say no."""
        return {name: gate for name, gate in self.gates.items() if not gate.passed}

    def as_dict(self) -> dict[str, Any]:
        """Returns the content of metrics.json."""
        return {
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

    def _repr_html_(self) -> str:
        rows = [("this model", self.metrics), *self.baselines.items()]
        head = "".join(f"<th>{name}</th>" for name in self.metrics)
        body = "".join(
            f"<tr><td>{name}</td>" + "".join(f"<td>{values[metric]}</td>" for metric in self.metrics) + "</tr>"
            for name, values in rows
        )
        return f"<p>{self.split}, {self.n:,} examples</p><table><tr><th></th>{head}</tr>{body}</table>"


def score(
    scored: Scored,
    *,
    split: str,
    kind: AnswerKind,
    space: AnswerSpace,
    shares: Sequence[float],
    probe: Any,
    gates: Mapping[str, str],
) -> EvaluateResult:
    """Computes everything that is reported about one set of examples.

    Args:
        scored: The examples and the model's answers.
        split: What the set is called.
        kind: What is answered.
        space: Everything that an answer can be.
        shares: What the baseline knows of the training split's labels.
        probe: The probe's answers to the same examples, for the paired gain; None without a probe.
        gates: Metric name to a rule such as ``>= 0.85``.
    """
    truth, groups = scored.truth, scored.groups
    constant = kind.constant(shares, space, len(truth))
    baselines = {kind.baseline_name: estimate_all(truth, constant, groups=groups, metrics=kind.metrics)}
    gain = None
    if probe is not None:
        baselines["probe"] = estimate_all(truth, probe, groups=groups, metrics=kind.metrics)
        gain = paired_difference(next(iter(kind.metrics.values())), truth, scored.answers, probe, groups=groups)
    metrics = estimate_all(truth, scored.answers, groups=groups, metrics=kind.metrics)
    return EvaluateResult(
        split=split,
        n=len(truth),
        kind=kind,
        space=space,
        metrics=metrics,
        baselines=baselines,
        gain_over_probe=gain,
        gates={name: check_gate(rule, metrics[name].value) for name, rule in gates.items()},
        classes=tuple(kind.by_label(truth, scored.answers, space)),
        confusion=kind.confusion(truth, scored.answers, space),
    )


def check_gate(rule: str, value: float) -> GateResult:
    """Compares a value with a rule such as ``>= 0.85``.

    Example:
        >>> check_gate(">= 0.85", 0.8).passed
        False
    """
    match = re.match(r"\s*(>=|<=|>|<)\s*(\S+)", rule)
    assert match is not None  # the recipe's schema accepts no other form
    return GateResult(rule, value, bool(COMPARISONS[match.group(1)](value, float(match.group(2)))))


def write_evaluation(run: RunFolder, result: EvaluateResult, scored: Scored) -> None:
    """Writes metrics.json, predictions.csv and, where there are classes, per_class.csv and confusion.csv."""
    rows = zip(scored.ids, scored.truth, scored.answers, strict=True)
    write_csv(
        run.predictions,
        ("id", "target", "prediction", "confidence", "abstain"),
        [(name, *result.kind.row(truth, answer, result.space), "false") for name, truth, answer in rows],
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
    write_json(run.metrics, result.as_dict())


def write_csv(path: Any, header: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Writes a CSV file, whole or not at all."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    write_file(path, text.getvalue())
