"""What a recipe asks of the audit, of scoring, of answering and of what ships."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    model_validator,
)

from kft.recipe.spec import Spec
from kft.recipe.values import (
    Gate,
    GateName,
)


class AuditSpec(Spec):
    """What `kft check` looks for."""

    skip: tuple[str, ...] = Field((), description="checks to leave out; `kft check --list` names them")


SAME = "same"
"""A written answer is right where it is the right text, or as JSON the same value."""
NEARNESS = ("token_f1", "slot_f1", "field_accuracy", "rouge_l", "chrf")
"""By which else a written answer can be called right: from 0 to 1, of one answer."""


def right_by(rule: str) -> tuple[str, float] | None:
    """Returns a metric and the least value of it that a right answer has; None where it has to be the same.

    Raises:
        ValueError: It is no such rule.

    Example:
        >>> right_by("token_f1 >= 0.8"), right_by("same")
        (('token_f1', 0.8), None)
    """
    if rule == SAME:
        return None
    match = re.fullmatch(r"\s*(\w+)\s*>=\s*(1(?:\.0*)?|0?\.\d+)\s*", rule)
    if match is None or match.group(1) not in NEARNESS or not float(match.group(2)):
        raise ValueError(f'{SAME}, or a rule such as "token_f1 >= 0.8" of {", ".join(NEARNESS)}, up to 1')
    return match.group(1), float(match.group(2))


def _right(rule: str) -> str:
    right_by(rule)
    return rule


class AbstainSpec(Spec):
    """A promise: among the answered, at most so large a share is wrong; the other answers are withheld."""

    error: float = Field(gt=0, lt=1, description="largest share of wrong answers among the answered, such as 0.05")
    confidence: float = Field(0.95, ge=0.5, lt=1, description="how sure the promise is, over calibration examples")
    right: Annotated[str, AfterValidator(_right)] = Field(
        SAME, description='of written answers: same (text, or JSON), or as near as "token_f1 >= 0.8" says'
    )


class RetainSpec(Spec):
    """Examples of what the pretrained model could do before, other than the task's own; a text alone is ``data``."""

    data: str = Field("auto", description="auto: a small general set, for texts in English; none; or as data.train")
    text: str | None = Field(None, description="column of texts, or of image paths, where it has no usual name")
    label: str | None = Field(None, description="what they are about; left out, only neighbourhoods are compared")

    @property
    def named(self) -> bool:
        return self.data not in ("auto", "none")


def _retain(value: Any) -> Any:
    return {"data": value} if isinstance(value, str) else value


Retain = Annotated[RetainSpec, BeforeValidator(_retain, json_schema_input_type=str | RetainSpec)]


class CostsSpec(Spec):
    """What an example costs, in any unit; a right answer costs nothing."""

    wrong: float = Field(gt=0, le=1e15, description="a wrong answer, such as 10")
    abstain: float = Field(ge=0, description="declining to answer, such as 1")

    @model_validator(mode="after")
    def _worth_it(self) -> CostsSpec:
        if self.abstain >= self.wrong:
            raise ValueError("abstain to cost less than wrong: else every answer is worth giving")
        return self


class ThresholdSpec(Spec):
    """Withholds answers that a person's own figures make too risky: by costs, or by a precision for one label."""

    costs: CostsSpec | None = Field(None, description="such as {wrong: 10, abstain: 1} (Chow, 1970)")
    precision: float | None = Field(None, gt=0, le=1, description="share of right ones among the answers `label`")
    label: str | None = Field(None, description="whose answers have to be that precise; others are given as they are")

    @model_validator(mode="after")
    def _one(self) -> ThresholdSpec:
        if (self.costs is None) == (self.precision is None) or (self.precision is None) != (self.label is None):
            raise ValueError("{costs: {wrong: 10, abstain: 1}} or {precision: 0.95, label: spam}")
        return self


class LabelThresholdsSpec(Spec):
    """From which probability on a label is said, chosen on valid; a name alone is ``by``."""

    by: Literal["half", "f1", "precision"] = Field(
        "half", description="half: one half for all; f1: each label's best F1; precision: its loosest that reaches it"
    )
    precision: float | None = Field(None, gt=0, le=1, description="share of right ones among those said, of each label")

    @model_validator(mode="after")
    def _fits(self) -> LabelThresholdsSpec:
        if (self.by == "precision") != (self.precision is not None):
            raise ValueError("half, f1 or {precision: 0.9}")
        return self


def _label_thresholds(value: Any) -> Any:
    if isinstance(value, str):
        return {"by": value}
    if isinstance(value, dict) and set(value) == {"precision"}:
        return {"by": "precision", **value}
    return value


LabelThresholdsChoice = Annotated[
    LabelThresholdsSpec, BeforeValidator(_label_thresholds, json_schema_input_type=str | LabelThresholdsSpec)
]


class ScopeSpec(Spec):
    """Withholds the answers to inputs that look foreign, by their place among the training examples."""

    keep: float = Field(0.95, ge=0.5, lt=1, description="share of in-scope valid examples that is not flagged")


class IntervalSpec(Spec):
    """An interval around each number: a promise of how often the right one lies in it."""

    coverage: float = Field(0.9, ge=0.5, lt=1, description="share of right numbers that lie within")
    widest: float | None = Field(
        None, gt=0, le=1e300, description="answers with a wider interval are withheld; in units of the labels"
    )


class EvaluateSpec(Spec):
    """How answers are judged, how sure they have to be, and what must be reached on the sealed test split."""

    calibrate: Literal["temperature", "none"] = Field(
        "temperature", description="probabilities of one class of many: one number fitted on valid (Guo et al., 2017)"
    )
    abstain_at: AbstainSpec | None = Field(
        None, description="such as {error: 0.05}: half of valid is kept from every choice to calibrate it"
    )
    suite: str | None = Field(None, description="a YAML file of edge cases, which `kft train` then runs")
    retain: Retain = Field(default_factory=RetainSpec, description="auto, none, or what tuning must not unlearn")
    threshold: ThresholdSpec | None = Field(
        None, description="in place of abstain_at: {costs: {wrong: 10, abstain: 1}} or {precision: 0.95, label: spam}"
    )
    label_thresholds: LabelThresholdsChoice = Field(
        default_factory=LabelThresholdsSpec,
        description="of several labels: half, f1 or {precision: 0.9}; labels that valid has seldom share one",
    )
    out_of_scope: ScopeSpec | None = Field(
        None, description="such as {keep: 0.95}: answers to what looks more foreign than 95 % of valid are withheld"
    )
    interval: IntervalSpec | None = Field(
        None, description="of numbers, such as {coverage: 0.9}: half of valid is kept from every choice to calibrate it"
    )
    slice_rows: int = Field(20, ge=2, le=2**53, description="a slice with fewer rows of the test split is not judged")
    write: bool = Field(
        True, description="whether answers to test are written out and judged, which takes a while; only for causal-lm"
    )
    gates: dict[GateName, Gate] = Field(
        default_factory=dict, description='such as {accuracy: ">= 0.85", slices.worst.accuracy: ">= 0.70"}'
    )

    @model_validator(mode="after")
    def _one_threshold(self) -> EvaluateSpec:
        if self.abstain_at is not None and self.threshold is not None:
            raise ValueError("abstain_at or threshold, not both: one rule says when to abstain")
        return self


ExportGate = Literal[
    "drop", "accuracy_drop", "recall_at_1_drop", "recall_at_10_drop", "labels_changed", "p50_ms", "p99_ms", "megabytes"
]
"""What can be asked of what ships; see ``kft.records.quantized.Quantized.gate_values``."""


class ExportSpec(Spec):
    """What must hold of a quantized artifact, as it is measured on the test split and on the machine that exports."""

    gates: dict[ExportGate, Gate] = Field(
        default_factory=dict, description='such as {accuracy_drop: "<= 0.005", p50_ms: "<= 20"}; of --quantize'
    )
