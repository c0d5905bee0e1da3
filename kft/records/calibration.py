"""calibration.json: what was fitted after training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from kft.records.fields import absent
from kft.records.rules import CostRule, IntervalRule, LabelThresholds, PrecisionRule, Promise, Rule


@dataclass(frozen=True)
class ScopeNumbers:
    """What tells inputs that are in scope from foreign ones, beside the vectors in scope.safetensors.

    Attributes:
        distance: Mean and standard deviation of the neighbours' distance over the valid split.
        unsure: The same of the softmax's doubt; None of answers that are no one class of many.
        limit: What scores higher is flagged.
        keep: The share of in-scope examples that should not be.
        n: Valid examples it was fitted on.
    """

    distance: tuple[float, float]
    unsure: tuple[float, float] | None
    limit: float
    keep: float
    n: int


@dataclass(frozen=True)
class Calibration:
    """What was fitted on valid.

    Attributes:
        temperature: What logits are divided by.
        n: Examples it was fitted on; 0 where it was not.
        probe_temperature: The probe's own.
        checkpoint: Hash of the weights that all of it belongs to.
        promise: When to abstain, one of the three; None without.
        costs: Likewise.
        precision: Likewise.
        scope: None where it was not asked for.
        interval: How far from a number the right one may lie; None where it was not asked for.
        labels: From which probability on each of several labels is said; None where one half serves.
    """

    KEYS: ClassVar = (
        *("temperature", "n", "how", "probe_temperature", "threshold"),
        *("promise", "costs", "precision", "scope", "labels", "interval", "checkpoint"),
    )

    temperature: float
    n: int
    probe_temperature: float
    checkpoint: str
    promise: Promise | None = None
    costs: CostRule | None = None
    precision: PrecisionRule | None = None
    scope: ScopeNumbers | None = None
    labels: LabelThresholds | None = absent()
    interval: IntervalRule | None = absent()

    @property
    def how(self) -> str:
        return "temperature scaling on valid" if self.n else "none"

    @property
    def rule(self) -> Rule | None:
        return self.promise or self.costs or self.precision

    @property
    def threshold(self) -> float | None:
        return self.rule.threshold if self.rule else None
