"""Trains what was prepared: drives the loop, hands its events to the recorder, finds the probe's head."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, replace

import keras

from kft.model.blend import PREFIX
from kft.model.blocks import Block, find_blocks
from kft.train.callbacks import CallbackDriver, make_callbacks
from kft.train.checkpoint import Arrays, Checkpoint, snapshot
from kft.train.events import Events
from kft.train.job import Job, LoopState, PhaseResult, state_from
from kft.train.loop import moving_of, train_phases
from kft.train.phases import describe, is_tuned, unheeded
from kft.train.prepare import Prepared
from kft.train.recorder import Files, Recorder
from kft.train.refit import Begin, refit_kept, require_repeatable
from kft.train.warm import read_warm, require_warm, warm_weights


@dataclass(frozen=True)
class FitResult:
    """A trained model.

    Attributes:
        model: Holds the best weights of the run.
        phases: What each phase reached on the validation split.
        best_phase: Whose best epoch was kept.
        probe: The head's arrays after the probe; None without one.
        blend: The arrays of the views that the best weights are blended from; empty where they are of no blend.
        out_of_fold: What was said of valid, of a blend also of train, before anything learned from these rows: where
            the best weights are a blend's or a refit's; else empty.
        refitted: Whether the best weights have learned from valid as well, by ``train.refit``.
        backbone_kept: Whether the best weights are on the pretrained backbone, as it was.
    """

    model: keras.Model
    phases: tuple[PhaseResult, ...]
    best_phase: str
    probe: Arrays | None
    blend: Arrays
    out_of_fold: Arrays
    backbone_kept: bool
    refitted: bool


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
    if idle := unheeded(spec.train, prepared.phases):
        progress.note(f"unheeded   {idle}")
    own = make_callbacks(spec.train.callbacks, files.folder)
    driver = CallbackDriver(model, [*own, *callbacks], writes=files.writes)
    job = Job(model, prepared.backbone.name, data, prepared.phases, spec, driver, progress)
    job = replace(job, warm=_warm(prepared, job))
    if job.train.refit:
        require_repeatable([*own, *callbacks])
    state = LoopState() if resume is None else state_from(resume, job)
    history = [] if resume is None else list(resume.state["history"])
    with Recorder(job, state, files, progress, history) as recorder:
        with closing(_all_of_it(job, state)) as events:
            for event in events:
                recorder.take(event)
        probe = _probe_head(job, state)
        if probe is not None:
            recorder.keep_probe(probe)
    best = state.best_weights
    blend = {path: array for path, array in best.items() if path.startswith(PREFIX)}
    return FitResult(
        model=model,
        phases=tuple(state.results),
        best_phase=state.best_phase,
        probe=probe,
        blend=blend,
        out_of_fold=state.phase_answers[state.best_phase] if blend or state.refitted else {},
        backbone_kept=not is_tuned(job.phases, state.best_phase),
        refitted=bool(state.refitted),
    )


def _all_of_it(job: Job, state: LoopState) -> Events[None]:
    if not job.train.refit:
        yield from train_phases(job, state)
        return
    begin = Begin(snapshot(moving_of(job)), state.resumed)
    yield from train_phases(job, state)
    yield from refit_kept(job, state, begin)


def _warm(prepared: Prepared, job: Job) -> Arrays:
    """Returns the weights of the recipe's warm start; none without one."""
    if prepared.spec.train.warm_start is None:
        return {}
    head = {variable.path for variable in _head(job.model).variables}
    found = read_warm(prepared.spec.train.warm_start)
    require_warm(found, prepared.backbone, job.phases)
    arrays = warm_weights(found, moving_of(job), job.data.space, head)
    prepared.progress.note(f"warm       {len(arrays):,} weights of {found.run}")
    return arrays


def _probe_head(job: Job, state: LoopState) -> Arrays | None:
    solved = [phase.name for phase in job.phases if phase.solver == "lbfgs" and phase.name in state.phase_weights]
    # A probe is a head on the pretrained weights: one that was solved on tuned blocks is none.
    solved = [name for name in solved if not is_tuned(job.phases, name)]
    if not solved:
        return None
    weights = state.phase_weights[solved[0]]
    return {variable.path: weights[variable.path] for variable in _head(job.model).variables}


def _head(model: keras.Model) -> Block:
    (head,) = (block for block in find_blocks(model) if block.name == "head")
    return head
