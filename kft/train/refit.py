"""Training again on train and valid, with what was chosen: ``train.refit``.

The phases that the kept weights went through are repeated from the first weights on, each for the epochs that were
kept of it, under the schedule it had: a row is seen as often as before, at the same rates. Strengths, and a blend's
weights and settings, stay what they were. Nothing can be validated from here on, so nothing is chosen. What was set
aside for abstention is no part of valid here: the refit never sees it.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace

import keras
import numpy as np

from kft.errors import RecipeError
from kft.features.boundary import SplitModel, split_at_boundary
from kft.model.freeze import apply, what_trains_in
from kft.recipe.training import PhaseSpec
from kft.records.history import RefitEpochDone, Refitted
from kft.replicas import any_process
from kft.train import events
from kft.train.blending import refit_blend
from kft.train.callbacks import CallbackDriver
from kft.train.checkpoint import Arrays, Checkpoint, restore, snapshot
from kft.train.due import state_due
from kft.train.events import Events
from kft.train.frozen import features_of, solve_head_again
from kft.train.job import (
    OPTIMIZER,
    FitState,
    Job,
    Labelled,
    LoopState,
    Patience,
    TrainData,
    learned_of_both,
    restore_random_states,
)
from kft.train.loop import TracedPhase, begin_warm, make_fitting, take_steps
from kft.train.phases import is_tuned, starts_of
from kft.train.step import StepSums
from kft.train.unmoved import frozen_fingerprint, require_unmoved

RATE_CHANGERS = (keras.callbacks.ReduceLROnPlateau, keras.callbacks.LearningRateScheduler)
"""Callbacks whose rates a refit could not repeat."""


@dataclass(frozen=True)
class Begin:
    """What a refit begins from.

    Attributes:
        initial: The weights that any phase moves, before the first phase.
        resumed: The checkpoint that this process goes on from; None where it has begun the run.
    """

    initial: Arrays
    resumed: Checkpoint | None


def require_repeatable(callbacks: list[keras.callbacks.Callback]) -> None:
    """Refuses callbacks that change the learning rate: they act on what valid says, and a refit has no valid.

    Raises:
        RecipeError: One does.
    """
    wrong = [type(each).__name__ for each in callbacks if isinstance(each, RATE_CHANGERS)]
    if wrong:
        raise RecipeError(
            "a refit cannot repeat the rates that a callback sets",
            where="train.refit, train.callbacks",
            received=", ".join(wrong),
            expected="train.schedule alone to set them",
            next_step="leave the callback out, or --set train.refit=false",
        )


def refit_kept(job: Job, state: LoopState, begin: Begin) -> Events[None]:
    """Trains what was kept again, on train and valid; its weights are the run's from then on.

    Args:
        job: What is given.
        state: Of a run whose phases are done.
        begin: Where it starts from.

    Raises:
        TrainingError: The loss is not finite, or a frozen weight moved.
    """
    if state.refitted:
        restore(state.moving, state.refitted)
        return
    kept = state.best_phase
    chain = tuple(reversed(list(starts_of(job.phases, kept))))
    epochs = {result.name: result.best_epoch for result in state.results}
    if why := _why_not(job, chain, epochs):
        yield events.NothingToRefit(kept, why)
        return
    found = begin.resumed if state.fit is not None or state.refit_phases else None
    restore(state.moving, begin.initial if found is None else found.weights)
    if found is not None:
        restore_random_states(job.model, found)
    views: Arrays = {}
    for phase in chain[state.refit_phases :]:
        views = yield from _repeat(job, state, phase, epochs[phase.name], found)
        found, state.fit = None, None
        state.refit_phases += 1
        if phase.name != kept:
            yield state_due(state)
    state.refitted = snapshot(state.moving) | views
    done = Refitted(
        kept, {p.name: epochs[p.name] for p in chain}, len(job.data.train.source), len(job.data.valid.source)
    )
    state.best_facts = {**state.best_facts, "refit": {"epochs": done.epochs, "train": done.train, "valid": done.valid}}
    yield done
    yield events.BestFound()
    yield state_due(state)


def _why_not(job: Job, chain: tuple[PhaseSpec, ...], epochs: Mapping[str, int]) -> str:
    """Says why nothing would come out other than it is; empty where something would."""
    if _has_learned_from_valid(job, chain[-1]):
        return "has learned from train and valid already"
    if all(not phase.solved and epochs[phase.name] == 0 for phase in chain):
        return "is what training began with: no epoch was better"
    return ""


def _has_learned_from_valid(job: Job, phase: PhaseSpec) -> bool:
    """Whether a phase fits all that answers on both splits by itself: a blend that takes no head as it stands."""
    return phase.solver == "blend" and not is_tuned(job.phases, phase.name) and not job.data.kind.learning.per_token


def _repeat(job: Job, state: LoopState, phase: PhaseSpec, epochs: int, found: Checkpoint | None) -> Events[Arrays]:
    """Repeats one phase; returns what it has beside the model's weights: a blend's arrays."""
    again = phase.model_copy(update={"name": f"{phase.name}, refit"})
    last = phase.name == state.best_phase
    begin_warm(job, state.moving, phase)
    if (phase.solver == "blend" and not last) or (not phase.solved and epochs == 0):
        return {}  # what starts from a blend starts from its head's weights; no epoch was better than the start
    planned = what_trains_in(job.model, phase)
    apply(job.model, planned)
    yield events.PhaseBegins(again, planned.table)
    yield events.RefitBegins(phase.name, len(job.data.train.source) + len(job.data.valid.source))
    before = frozen_fingerprint(job.model, planned)
    split = split_at_boundary(job.model)
    views: Arrays = {}
    if phase.solver == "blend":
        views = yield from refit_blend(job, again, split, state.chosen[phase.name])
    elif phase.solver == "lbfgs":
        train, valid = yield from features_of(job, again, split)
        solve_head_again(job, state.chosen[phase.name]["strength"], train, valid)
    else:
        yield from _train(job, state, again, split, epochs, found)
    require_unmoved(job.model, planned, before, again.name)
    return views


def _train(
    job: Job, state: LoopState, phase: PhaseSpec, split: SplitModel, epochs: int, found: Checkpoint | None
) -> Events[None]:
    """Takes the steps of so many epochs, from the phase's start or from where a checkpoint left it."""
    train, valid = yield from features_of(job, phase, split)
    quiet = replace(job, data=_both(job.data), callbacks=CallbackDriver(job.model, [], writes=False))
    fitting = make_fitting(quiet, phase, split, (train.joined(valid), valid))
    yield events.StepsPlanned(str(fitting.execution))
    if state.fit is None:
        state.fit = FitState(Patience(None, 1))
        yield state_due(state, fitting.variables)
    elif found is not None:
        restore(state.moving, found.weights)
        restore(fitting.variables, found.more["training"], prefix=OPTIMIZER)
        restore_random_states(job.model, found)
    interrupted = False
    with job.stop.listening():
        while state.fit.epoch < epochs and not interrupted:
            interrupted = not (yield from _run_epoch(quiet, state, fitting, state.fit))
    if any_process(job.stop.asked or interrupted):
        yield events.Interrupted(state.steps_done)
        job.stop.obey()


def _run_epoch(job: Job, state: LoopState, fitting: TracedPhase, fit: FitState) -> Events[bool]:
    """Runs what is left of an epoch; returns False when the process was told to end before that."""
    started, optimizer = time.perf_counter(), fitting.optimizer
    if fit.step == 0:
        fit.rate = float(optimizer.learning_rate * optimizer.schedule(optimizer.iterations))
    if not (yield from take_steps(job, state, fitting, fit)):
        return False
    if fitting.table is not None:
        fitting.table.write()
    sums = StepSums(*fit.sums)
    fit.epoch, fit.step, fit.sums = fit.epoch + 1, 0, ()
    state.epochs_done += 1
    training = {
        "loss": sums.loss / max(1, sums.count),
        job.data.kind.learning.hits_name: sums.hits / max(1, sums.count),
        "lr": fit.rate,
        "seconds": time.perf_counter() - started,
    }
    if sums.left_out:
        yield events.UpdatesLeftOut(sums.left_out)
    name = fitting.phase.name.removesuffix(", refit")
    yield RefitEpochDone(name, fit.epoch, state.steps_done, training)
    yield state_due(state, fitting.variables)
    return True


def _both(data: TrainData) -> TrainData:
    """Returns the data with valid's rows after train's, to learn from."""
    train, valid = data.train, data.valid
    learned, weights = learned_of_both(data)
    soft = train.shares is not None
    targets = np.concatenate([train.targets, valid.targets]) if soft else learned
    joined = Labelled(train.source.joined(valid.source), targets, None, shares=learned if soft else None)
    return replace(data, train=joined, weights=weights)
