"""Overfitting: how far training and validation part along a run, from its history."""

from __future__ import annotations

import math
from collections.abc import Sequence

from kft.records.history import EpochDone, HistoryEvent, PhaseStarted, refit_of
from kft.records.overfitting import EpochGap, OverfittingResult

LARGE_GAP = 0.10
"""Training accuracy above validation accuracy by so much is large; chance is allowed for on top."""
LARGE_RISE = 0.10
"""A validation loss that has risen from its lowest by this share, while the training loss fell, is growing."""


def judge_overfitting(history: Sequence[HistoryEvent], valid_rows: int) -> OverfittingResult:
    """Judges a run's history: is the gap of the kept epoch large, does validation get worse while training gets better.

    What phases did that led to nothing kept is told apart: it is no fault of the model.

    Args:
        history: The events of history.jsonl.
        valid_rows: How many examples the validation figures come from.

    Example:
        >>> def epoch(place, is_best, accuracy, valid_accuracy, loss, valid_loss):
        ...     valid = {"valid_accuracy": valid_accuracy, "valid_loss": valid_loss}
        ...     return EpochDone("top", place, 9 * place, valid, is_best, {"accuracy": accuracy, "loss": loss})
        >>> events = [epoch(1, False, 0.8, 0.78, 0.5, 0.5), epoch(2, True, 0.99, 0.8, 0.1, 0.9)]
        >>> for warning in judge_overfitting(events, 500).warnings:
        ...     print(warning)
        top, epoch 2, which was kept: accuracy .99 in training, .80 in validation
        top: the validation loss rose from 0.50 (epoch 1) to 0.90 (epoch 2) while the training loss fell
    """
    measured = [event for event in history if isinstance(event, EpochDone)]
    epochs = tuple(
        EpochGap(
            phase=event.phase,
            epoch=event.epoch,
            train_accuracy=event.training["accuracy"],
            valid_accuracy=event.metrics["valid_accuracy"],
            train_loss=event.training["loss"],
            valid_loss=event.metrics["valid_loss"],
        )
        for event in measured
        if "loss" in event.training
    )
    best = [(event.phase, event.epoch) for event in measured if event.is_best]
    kept = next((each for each in epochs if (each.phase, each.epoch) in best[-1:]), None)
    when = ", before the refit" if refit_of(history) else ""
    warnings = [_large(kept, valid_rows, when)] if kept else []
    led = _led_to([phase for phase, _ in best][-1:], history)
    growing = {
        name: _growing([each for each in epochs if each.phase == name])
        for name in dict.fromkeys(e.phase for e in epochs)
    }
    warnings += [f"{name}: {said}" for name, said in growing.items() if said and name in led]
    beside = [f"{name}, not kept: {said}" for name, said in growing.items() if said and name not in led]
    return OverfittingResult(epochs, kept, tuple(filter(None, warnings)), tuple(beside))


def _led_to(kept: Sequence[str], history: Sequence[HistoryEvent]) -> list[str]:
    """Returns the kept phase and those that it started from, the first of them first."""
    starts = {event.phase: event.start for event in history if isinstance(event, PhaseStarted)}
    led = list(kept)
    while led and (start := starts.get(led[0])) and start not in led:
        led.insert(0, start)
    return led


def _large(kept: EpochGap, valid_rows: int, when: str) -> str:
    p = kept.valid_accuracy
    chance = 2 * math.sqrt(p * (1 - p) / max(1, valid_rows))
    if kept.gap <= LARGE_GAP + chance:
        return ""
    train, valid = (f"{value:.2f}".removeprefix("0") for value in (kept.train_accuracy, kept.valid_accuracy))
    which = f"{kept.phase}, epoch {kept.epoch}, which was kept"
    return f"{which}: accuracy {train} in training, {valid} in validation{when}"


def _growing(epochs: Sequence[EpochGap]) -> str:
    last, lowest = epochs[-1], min(epochs, key=lambda epoch: epoch.valid_loss)
    if last.valid_loss <= (1 + LARGE_RISE) * lowest.valid_loss or last.train_loss >= lowest.train_loss:
        return ""
    return (
        f"the validation loss rose from {lowest.valid_loss:.2f} (epoch {lowest.epoch}) to "
        f"{last.valid_loss:.2f} (epoch {last.epoch}) while the training loss fell"
    )
