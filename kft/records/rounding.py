"""rounding.json: what frozen blocks in int8 cost beside float32."""

from __future__ import annotations

from dataclasses import dataclass

from kft.records.estimate import Estimate
from kft.records.fields import absent


@dataclass(frozen=True)
class RoundingResult:
    """Two heads, solved alike on the same rows: one on features in int8, one on features in float32.

    Attributes:
        metric: The task's first.
        int8: What the head on int8 reaches on valid.
        float32: What the other one reaches on the same rows.
        difference: The first less the second, paired.
        n: Rows of valid.
        train: Rows of train that both heads learned from.
        mean_cosine: Between the features of a row in both, on average.
        least_cosine: Of the row where they are least alike.
        cpu_seconds: What the features in float32 took.
        by: What computes int8, with its version.
        checkpoint: Hash of the run's weights.
    """

    metric: str
    int8: Estimate
    float32: Estimate
    difference: Estimate
    n: int
    train: int
    mean_cosine: float
    least_cosine: float
    cpu_seconds: float
    by: str
    checkpoint: str = absent("")

    def costs(self, higher_is_better: bool) -> bool:
        """Whether int8 is worse by more than chance."""
        return self.difference.high < 0 if higher_is_better else self.difference.low > 0

    @property
    def line(self) -> str:
        return (
            f"{self.metric} {self.difference} beside float32 (a head on each: {self.int8.value:.3f}, "
            f"{self.float32.value:.3f}; {self.n:,} rows of valid, from {self.train:,} of train; cosine "
            f"{self.mean_cosine:.4f}, least {self.least_cosine:.3f}; {self.cpu_seconds:.1f} CPU s)"
        )
