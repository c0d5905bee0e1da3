"""What smaller numbers cost: a quantized artifact beside what was evaluated, row by row."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from kft.records.estimate import Estimate
from kft.records.fields import absent, rounded
from kft.records.metrics import GateResult


@dataclass(frozen=True)
class Footprint:
    """What a model file takes, on the machine that exported.

    Attributes:
        p50_ms: Half of the answers to a single example came sooner, reading included; one example at a time.
        p99_ms: Likewise, 99 of 100.
        bytes: The model's file or files.
    """

    p50_ms: float = rounded(2)
    p99_ms: float = rounded(2)
    bytes: int = 0


@dataclass(frozen=True)
class Quantized:
    """What a quantized artifact costs, in a process without kft, paired with the answers that were evaluated.

    Attributes:
        how: As ``--quantize`` has it.
        n: Test rows that were answered.
        of: Test rows there are.
        before: Metrics of the evaluated answers to these rows.
        after: Those of what ships.
        metric: The task's first: accuracy, or what stands in its place.
        drop: How much worse that is now, whichever way is better, with its paired 95 % interval.
        labels_changed: Share of the rows whose label, labels, spans or first document are others; None of numbers.
        abstentions_changed: Share of the rows that are answered where they were withheld, or withheld where answered.
        whole: Of the same format, not quantized.
        ships: Of what ships.
        gates: ``export.gates`` of the recipe.
        documents: Those that queries were answered with, by both models; 0 where answers are no vectors.
    """

    how: str
    n: int
    of: int
    before: Mapping[str, float]
    after: Mapping[str, float]
    metric: str
    drop: Estimate
    labels_changed: float | None
    abstentions_changed: float
    whole: Footprint
    ships: Footprint
    gates: Mapping[str, GateResult]
    documents: int = absent(0)

    def gate_values(self) -> dict[str, float | None]:
        """Returns what ``export.gates`` of a recipe can ask for."""
        return {
            "drop": self.drop.value,
            "accuracy_drop": self.drop.value if self.metric == "accuracy" else None,
            **{f"{name}_drop": self._lost(name) for name in ("recall_at_1", "recall_at_10")},
            "labels_changed": self.labels_changed,
            "p50_ms": self.ships.p50_ms,
            "p99_ms": self.ships.p99_ms,
            "megabytes": self.ships.bytes / 1e6,
        }

    def _lost(self, name: str) -> float | None:
        return self.before[name] - self.after[name] if name in self.before else None
