"""Overfitting along training: how far training rows and validation lie apart."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from kft.records.fields import absent


@dataclass(frozen=True)
class EpochGap:
    """One epoch: training, measured while it went on (with dropout), and validation after it."""

    KEYS: ClassVar = ("phase", "epoch", "train_accuracy", "valid_accuracy", "train_loss", "valid_loss", "gap")

    phase: str
    epoch: int
    train_accuracy: float
    valid_accuracy: float
    train_loss: float
    valid_loss: float

    @property
    def gap(self) -> float:
        return self.train_accuracy - self.valid_accuracy


@dataclass(frozen=True)
class OverfittingResult:
    """The gap along training.

    Attributes:
        epochs: Every trained epoch, in order; a solved probe has none.
        kept: The epoch whose weights are the run's; None where that is a phase's start or a probe.
        warnings: What a person should know of the model, in words.
        beside: Likewise of phases that led to nothing kept: no fault of the model, but of a rate, say.
    """

    epochs: tuple[EpochGap, ...]
    kept: EpochGap | None
    warnings: tuple[str, ...]
    beside: tuple[str, ...] = absent(())

    @property
    def told(self) -> tuple[str, ...]:
        """All of it."""
        return (*self.warnings, *self.beside)
