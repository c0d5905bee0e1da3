"""A figure and its 95 % interval."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Estimate:
    """A value and its 95 % interval.

    Example:
        >>> print(Estimate(0.787, 0.759, 0.814))
        0.787 [0.759, 0.814]
    """

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"
