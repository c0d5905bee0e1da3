"""Trains what was prepared: drives the loop, hands its events to the recorder, finds the probe's head."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass

import keras

from kft.model.blocks import Block, find_blocks
from kft.recipe.training import PhaseSpec
from kft.train.callbacks import CallbackDriver, make_callbacks
from kft.train.checkpoint import Arrays, Checkpoint
from kft.train.job import Job, LoopState, PhaseResult, state_from
from kft.train.loop import train_phases
from kft.train.phases import describe
from kft.train.prepare import Prepared
from kft.train.recorder import Files, Recorder


@dataclass(frozen=True)
class FitResult:
    """A trained model.

    Attributes:
        model: Holds the best weights of the run.
        phases: What each phase reached on the validation split.
        best_phase: Whose best epoch was kept.
        probe: The head's arrays after the probe; None without one.
        backbone_kept: Whether no phase moved a weight of the backbone: it is still the pretrained one.
    """

    model: keras.Model
    phases: tuple[PhaseResult, ...]
    best_phase: str
    probe: Arrays | None
    backbone_kept: bool


def fit(
    prepared: Prepared,
    files: Files,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    resume: Checkpoint | None = None,
) -> FitResult:
    """Trains; what it is given has no test split. Call it in the strategy's scope.

    Args:
        prepared: From ``prepare``; its model is trained.
        files: What is kept, and where.
        callbacks: Keras callbacks beside those of the recipe.
        resume: A ``last`` checkpoint of the same run, which goes on exactly there.

    Raises:
        TrainingError: The loss is not finite, or a frozen weight moved.
        StorageError: A file could not be written.
    """
    spec, model, data, progress = prepared.spec, prepared.model, prepared.data, prepared.progress
    progress.note(f"phases     {describe(prepared.phases)}")
    own = make_callbacks(spec.train.callbacks, files.folder)
    driver = CallbackDriver(model, [*own, *callbacks], writes=files.writes)
    job = Job(model, prepared.backbone.name, data, prepared.phases, spec, driver, progress)
    state = LoopState() if resume is None else state_from(resume, job)
    history = [] if resume is None else list(resume.state["history"])
    with Recorder(job, state, files, progress, history) as recorder:
        with closing(train_phases(job, state)) as events:
            for event in events:
                recorder.take(event)
        probe = _probe_head(job, state)
        if probe is not None:
            recorder.keep_probe(probe)
    in_head = {id(variable) for variable in _head(model).variables}
    kept = all(id(variable) in in_head for variable in state.moving)
    return FitResult(model, tuple(state.results), state.best_phase, probe, kept)


def _starts(phases: Mapping[str, PhaseSpec], name: str) -> Iterator[str]:
    """Yields the phases that a phase's weights went through before it."""
    start = phases[name].start
    while start is not None:
        yield start
        start = phases[start].start


def _probe_head(job: Job, state: LoopState) -> Arrays | None:
    by_name = {phase.name: phase for phase in job.phases}
    solved = [name for name, phase in by_name.items() if phase.solver == "lbfgs" and name in state.phase_weights]
    # A probe is a head on the pretrained weights: one that was solved on tuned blocks is none.
    solved = [name for name in solved if not any(by_name[start].moves_backbone for start in _starts(by_name, name))]
    if not solved:
        return None
    weights = state.phase_weights[solved[0]]
    return {variable.path: weights[variable.path] for variable in _head(job.model).variables}


def _head(model: keras.Model) -> Block:
    (head,) = (block for block in find_blocks(model) if block.name == "head")
    return head
