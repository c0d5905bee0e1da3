"""What is said of new rows whose truth is not known, or only of a few: accuracy and class shares, or why not."""

from __future__ import annotations

from dataclasses import dataclass

from kft.records.estimate import Estimate, percent
from kft.records.fields import absent

ACCURACY = "accuracy"


@dataclass(frozen=True)
class EstimateMethod:
    """One way to the figure, beside the others.

    Attributes:
        name: Such as ``atc`` or ``cbpe``.
        value: What it says.
    """

    name: str
    value: float


@dataclass(frozen=True)
class AccuracyEstimate:
    """How good a model is on new rows, or why that cannot be said.

    Attributes:
        metric: ``accuracy``, or ``mae``.
        value: The estimate; None where it is refused, and so for the limits.
        low: Lower limit of its 95 % interval.
        high: Upper limit.
        method: How it was made, in words.
        assumptions: What must hold for it, one sentence each.
        refused: Why there is no estimate, one sentence each; empty where there is one.
        n: New rows.
        reference: What the same figure is on the reference.
        ways: What each way alone says.
        unlike: The share of new rows that are unlike the reference, by their distance from the training rows.
        labels: How many of the new rows have a label.
        labels_alone: The figure by these labels alone.
        more_labels: How many labels more would halve the interval; None where no number would, or nothing is known.
    """

    metric: str
    value: float | None
    low: float | None
    high: float | None
    method: str
    assumptions: tuple[str, ...]
    refused: tuple[str, ...]
    n: int
    reference: Estimate | None = absent(None)
    ways: tuple[EstimateMethod, ...] = absent(())
    unlike: float = absent(0.0)
    labels: int = absent(0)
    labels_alone: Estimate | None = absent(None)
    more_labels: int | None = absent(None)

    @property
    def estimate(self) -> Estimate | None:
        """Value and limits; None where it is refused."""
        if self.value is None or self.low is None or self.high is None:
            return None
        return Estimate(self.value, self.low, self.high)

    @property
    def line(self) -> str:
        """The estimate for people, or why there is none."""
        if self.estimate is None:
            return f"{self.metric} not estimated: {'; '.join(self.refused)}"
        by = f"{self.labels:,} labels" if self.labels else "no label"
        about = "about " if self.labels else ""  # drawn rows tell by their chances how many they stand for
        return f"{self.metric} {self.estimate} on {about}{self.n:,} new rows, {by}"


@dataclass(frozen=True)
class ClassShare:
    """How many of the new rows belong to one class.

    Attributes:
        name: The class.
        reference: Its share on the reference.
        value: Its estimated share of the new rows.
        low: Lower limit of the 95 % interval.
        high: Upper limit.
    """

    name: str
    reference: float
    value: float
    low: float
    high: float

    @property
    def change(self) -> float:
        """The share now, less that on the reference."""
        return self.value - self.reference

    @property
    def moved(self) -> bool:
        """Whether the share on the reference lies outside of the interval."""
        return not self.low <= self.reference <= self.high

    def __str__(self) -> str:
        return (
            f"{self.name}: {percent(self.value)} [{percent(self.low)}, {percent(self.high)}], "
            f"was {percent(self.reference)}"
        )


@dataclass(frozen=True)
class ClassShares:
    """Estimated shares of the classes in new rows, or why they cannot be estimated.

    Attributes:
        shares: One of each class, in the order of the labels; empty where refused.
        method: How they were estimated, in words.
        assumptions: What must hold, one sentence each.
        refused: Why there is no estimate, one sentence each; empty where there is one.
        n: New rows.
        disagreement: The largest difference of a share between the two ways, BBSE and EM.
    """

    shares: tuple[ClassShare, ...]
    method: str
    assumptions: tuple[str, ...]
    refused: tuple[str, ...]
    n: int
    disagreement: float = absent(0.0)
