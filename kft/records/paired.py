"""Two models on the same examples, pair by pair."""

from __future__ import annotations

from dataclasses import dataclass

from kft.records.estimate import Estimate


@dataclass(frozen=True)
class Difference:
    """One model's metric less the other's, with its paired 95 % interval."""

    metric: str
    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return str(Estimate(self.value, self.low, self.high))


@dataclass(frozen=True)
class PairedResult:
    """One run against another.

    Attributes:
        run: The other run's folder.
        n: Examples.
        difference: This run less the other.
        fixed: Ids of what the other gets wrong and this one right.
        broke: Ids of what the other gets right and this one wrong.
        p_value: Of so unequal counts by chance: McNemar's test (1947), exact.
    """

    run: str
    n: int
    difference: Difference
    fixed: tuple[str, ...]
    broke: tuple[str, ...]
    p_value: float
