"""forgetting.json: what the tuned backbone keeps of what the pretrained one could do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from kft.records.estimate import Estimate, percent
from kft.records.fields import absent


@dataclass(frozen=True)
class Retain:
    """The retain set: its name, where it comes from, how many examples it has."""

    name: str
    source: str
    n: int


@dataclass(frozen=True)
class Retained:
    """What one set of weights keeps.

    Attributes:
        weights: Which, for people.
        tuned: The tuned backbone's figure.
        retained: The share of the pretrained backbone's, both less what chance finds: 1 keeps all, 0 nothing.
    """

    weights: str
    tuned: Estimate
    retained: Estimate


@dataclass(frozen=True)
class ForgettingResult:
    """What a run's backbone keeps.

    Attributes:
        retain: What it was measured on.
        metric: What the figures are.
        weights: Those that are the run's, for people.
        pretrained: The pretrained backbone's figure.
        tuned: The tuned one's.
        retained: The share that is left; see ``Retained``.
        not_kept: The weights that the last phase ended with, where a start that trained nothing was kept instead.
        warns_below: A warning comes where the whole interval of what is retained lies below.
        checkpoint: Hash of the run's weights.
    """

    KEYS: ClassVar = (
        *("retain", "metric", "weights", "pretrained", "tuned", "retained", "not_kept", "warns_below", "warning"),
        "checkpoint",
    )

    retain: Retain
    metric: str
    weights: str
    pretrained: Estimate
    tuned: Estimate
    retained: Estimate
    not_kept: Retained | None
    warns_below: float
    checkpoint: str = absent("")

    @property
    def kept(self) -> Retained:
        return Retained(self.weights, self.tuned, self.retained)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What a person should know, in words; nothing where little was forgotten, or it may be chance."""
        both = (self._warning(one) for one in (self.kept, self.not_kept) if one is not None)
        return tuple(warning for warning in both if warning)

    @property
    def warning(self) -> str | None:
        return "; ".join(self.warnings) or None

    @property
    def kept_warning(self) -> str:
        """The warning about the weights that were kept; empty where there is none."""
        return self._warning(self.kept)

    def _warning(self, one: Retained) -> str:
        return _in_words(one) if one.retained.high < self.warns_below else ""

    @property
    def lines(self) -> tuple[str, ...]:
        about = self.retain
        retained = (
            f"retained {self.retained} ({self.weights}; {about.name}, {about.n:,} examples: "
            f"{self.pretrained.value:.3f} before, {self.tuned.value:.3f} now)"
        )
        return retained, *self.warnings


def _in_words(one: Retained) -> str:
    share = f"{percent(one.retained.value, 0)} ({percent(one.retained.low, 0)} to {percent(one.retained.high, 0)})"
    return (
        f"{one.weights}: {share} of what the pretrained model knew is left, the rest is forgotten; "
        "a lower lr, fewer epochs, fewer blocks or lora keep more"
    )
