"""What the loop is given, what changes while it runs, and the keeping of the best and the last weights."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import keras
import numpy as np

from kft.data.source import Source
from kft.recipe.schema import FeaturesSpec, PhaseSpec, TrainSpec
from kft.train.callbacks import CallbackDriver
from kft.train.checkpoint import Arrays, Checkpoint, save_checkpoint, snapshot
from kft.train.optimizer import ScheduledAdamW
from kft.train.progress import Progress


@dataclass(frozen=True)
class TrainData:
    """Inputs and targets of the two splits that selection may see."""

    train: Source
    targets: np.ndarray
    valid: Source
    valid_targets: np.ndarray
    classes: int


@dataclass(frozen=True)
class PhaseResult:
    """What a phase reached on the validation split; epoch 0 is its starting point."""

    name: str
    unfreeze: str
    trainable: int
    parameters: int
    best_epoch: int
    epochs: int
    metrics: dict[str, float]
    seconds: float
    stopped: str


@dataclass
class LoopState:
    """What changes while the phases run; ``moving`` are the weights that any phase moves, and checkpoints hold."""

    moving: list[keras.Variable] = field(default_factory=list)
    epochs_done: int = 0
    steps_done: int = 0
    best: tuple[float, float] | None = None
    best_phase: str = ""
    best_metrics: dict[str, float] | None = None
    phase_weights: dict[str, Arrays] = field(default_factory=dict)
    phase_metrics: dict[str, dict[str, float]] = field(default_factory=dict)


@dataclass(frozen=True)
class Job:
    """Everything the loop needs; nothing in it changes but ``state``."""

    model: keras.Model
    data: TrainData
    phases: tuple[PhaseSpec, ...]
    spec: TrainSpec
    seed: int
    callbacks: CallbackDriver
    progress: Progress
    record: Callable[[dict[str, Any]], None]
    model_name: str = "model"
    features: FeaturesSpec = field(default_factory=FeaturesSpec)
    checkpoints: Path | None = None
    state: LoopState = field(default_factory=LoopState)


def _score(job: Job, metrics: dict[str, float]) -> tuple[float, float]:
    """Orders results by the chosen metric; ties go to the lower validation loss."""
    value = metrics[job.spec.best]
    return (-value if job.spec.best == "valid_loss" else value), -metrics["valid_loss"]


def keep_if_best(job: Job, phase: PhaseSpec, epoch: int, metrics: dict[str, float]) -> bool:
    """Keeps the weights when they are the phase's best, and writes them when they are the run's."""
    state = job.state
    known = state.phase_metrics.get(phase.name)
    if known is not None and _score(job, metrics) <= _score(job, known):
        return False
    state.phase_metrics[phase.name] = metrics
    state.phase_weights[phase.name] = snapshot(job.state.moving)
    # Epoch 0 of training that starts from another phase has that phase's weights, so nothing is better.
    starts_from_another = epoch == 0 and phase.start is not None and phase.solver != "lbfgs"
    if state.best is None or (_score(job, metrics) > state.best and not starts_from_another):
        state.best, state.best_phase, state.best_metrics = _score(job, metrics), phase.name, metrics
        if job.checkpoints:
            facts = {"phase": phase.name, "epoch": epoch, "step": state.steps_done, "metrics": metrics}
            save_checkpoint(job.checkpoints, "best", Checkpoint(state.phase_weights[phase.name], facts))
    return True


def save_last(job: Job, phase: PhaseSpec, epoch: int, optimizer: ScheduledAdamW | None) -> None:
    """Writes the last checkpoint: the weights that any phase moves, and the optimizer's moments where there is one."""
    if not job.checkpoints:
        return
    arrays = snapshot(job.state.moving)
    if optimizer is not None:
        arrays |= snapshot(optimizer.variables, prefix="optimizer/")
    facts = {"phase": phase.name, "epoch": epoch, "step": job.state.steps_done}
    save_checkpoint(job.checkpoints, "last", Checkpoint(arrays, facts))


def record_epoch(job: Job, phase: PhaseSpec, epoch: int, metrics: dict[str, float], **training: float) -> None:
    """Adds one validated epoch to the history and shows it."""
    is_best = job.state.best_metrics is metrics  # the best of the run, over all phases
    event = {"event": "epoch", "phase": phase.name, "epoch": epoch, "step": job.state.steps_done}
    job.record({**event, **training, **metrics, "is_best": is_best})
    job.progress.epoch(phase, epoch, {**training, **metrics}, is_best)
