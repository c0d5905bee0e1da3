"""The training loop: set what trains, build, step, validate, keep the best. It yields events and writes nothing.

It is our own because Keras 3's ``fit`` is wrong under tf.distribute (uneven batches, clipping before the all-reduce,
and more), and because a change of what trains needs a new optimizer and a new trace, which Keras forgets in silence.
Whoever takes an event (recorder.py) is done with it when the loop goes on: a checkpoint holds what came before it.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, replace
from typing import Any

import keras
import numpy as np

from kft.errors import TrainingError
from kft.features.boundary import SplitModel, fast_forward_of, forward_of, split_at_boundary
from kft.feed.source import Source
from kft.model.freeze import FreezeTable, apply, what_trains_in
from kft.recipe.training import PhaseSpec, TrainSpec
from kft.records.history import EpochDone, PhaseEnded, PhaseStarted
from kft.replicas import any_process, on_accelerator, process_count, replica_count, to_replicas
from kft.train import events
from kft.train.best import Validated, is_best_of_phase, is_best_of_run, not_preferred, nothing_left
from kft.train.blending import solve_blend
from kft.train.checkpoint import restore
from kft.train.due import is_due, pause_of, state_due, where_it_goes_on
from kft.train.events import Events
from kft.train.execution import is_compiled, statistics_in_parts, updates_a_call
from kft.train.feeding import Execution, Feed
from kft.train.frozen import features_of
from kft.train.job import (
    OPTIMIZER,
    FitState,
    Job,
    LoopState,
    PhaseResult,
    new_patience,
    restore_random_states,
)
from kft.train.judging import judge
from kft.train.objectives import Deal, Judge, objective_of
from kft.train.optimizer import make_optimizer
from kft.train.phases import no_fall
from kft.train.self_training import with_confident
from kft.train.step import Step, StepSums, make_train_step
from kft.train.token_table import TokenTable, token_table
from kft.train.unmoved import frozen_fingerprint, require_unmoved
from kft.train.warm import begins_warm

NOTHING = StepSums(0.0, 0.0, 0.0, 0.0, 0.0)


@dataclass(frozen=True)
class TracedPhase:
    """What one phase trains with, built and traced once.

    Attributes:
        phase: Which phase.
        optimizer: Of what trains.
        step: Makes the updates of one call.
        deal: Says which rows share a batch.
        feed: Takes the batches to the device.
        judge: Says what an epoch has come to.
        table: What trains in place of all token embeddings, if any.
        execution: How the updates run.
        wishes: What the step is told while nobody asks to stop, and then: on the device once and for all.
    """

    phase: PhaseSpec
    optimizer: Any
    step: Step
    deal: Deal
    feed: Feed
    judge: Judge
    table: TokenTable | None
    execution: Execution
    wishes: tuple[Any, Any]

    @property
    def variables(self) -> list[keras.Variable]:
        """What a checkpoint within the phase has beside the model's weights."""
        return [*self.optimizer.variables, *([] if self.table is None else [self.table.rows])]


def train_phases(job: Job, state: LoopState) -> Events[None]:
    """Runs the phases; the model ends with the best weights of the run, chosen on the validation split.

    Args:
        job: What is given.
        state: What changes. With one of ``state_from``, the run goes on exactly where that checkpoint was made.

    Raises:
        TrainingError: The loss is not finite, or a frozen weight moved.
    """
    state.moving = moving_of(job)
    found = state.resumed
    if found is not None:
        yield where_it_goes_on(job, state)
        restore_random_states(job.model, found)
        yield events.BestFound()  # as this checkpoint knows it: a later one may have been lost
    job.callbacks.begin(found.state["callbacks"] if found else None, epochs_done=state.epochs_done)
    if state.fit is None:  # the checkpoint lies between two phases: there is nothing else to take up
        state.resumed = None
    try:
        # A phase under way is ended properly, also when a callback had stopped the run before it was killed.
        while state.phase < len(job.phases) and (state.fit is not None or not job.callbacks.wants_stop):
            if state.fit is None and nothing_left(job, state):
                left = tuple(phase.name for phase in job.phases[state.phase :])
                yield events.NothingLeft(str(job.train.best), state.best_phase, left)
                state.phase = len(job.phases)
                yield state_due(state)
                break
            state.results.append((yield from _run_phase(job, state, job.phases[state.phase])))
            # A callback that stops the run stops it for good, also for whoever goes on from here.
            state.phase = len(job.phases) if job.callbacks.wants_stop else state.phase + 1
            state.fit = None
            yield state_due(state)
    finally:
        job.callbacks.end()
    restore(state.moving, state.phase_weights[state.best_phase])


def moving_of(job: Job) -> list[keras.Variable]:
    """Returns the weights that any phase moves, in the model's order."""
    moving = {id(variable) for phase in job.phases for variable in what_trains_in(job.model, phase).moving}
    return [variable for variable in job.model.weights if id(variable) in moving]


def _run_phase(job: Job, state: LoopState, phase: PhaseSpec) -> Events[PhaseResult]:
    """Sets the weights to start from and what trains, says so, runs, and proves that nothing else moved."""
    if phase.unlabelled is not None:
        job = replace(job, data=(yield from with_confident(job, state, phase)))
    if phase.start is not None:
        restore(state.moving, state.phase_weights[phase.start])
    begin_warm(job, state.moving, phase)
    planned = what_trains_in(job.model, phase)
    apply(job.model, planned)
    table = planned.table
    yield events.PhaseBegins(phase, table)
    before = frozen_fingerprint(job.model, planned)
    if state.fit is None:
        yield PhaseStarted(
            phase=phase.name,
            unfreeze=str(phase.unfreeze),
            solver=phase.solver if phase.solved else job.train.optimizer.name,
            start=phase.start,
            trainable=table.trainable,
            parameters=table.parameters,
            blocks={row.block: row.trainable for row in table.rows},
            objective=str(phase.objective),
        )
    result = yield from _train_phase(job, state, phase, table)
    require_unmoved(job.model, planned, before, phase.name)
    return result


def begin_warm(job: Job, moving: list[keras.Variable], phase: PhaseSpec) -> None:
    """Sets the weights of a warm start where a phase begins with them; see kft/train/warm.py."""
    if job.warm and begins_warm(job.phases, phase):
        restore([variable for variable in moving if variable.path in job.warm], job.warm)


def _train_phase(job: Job, state: LoopState, phase: PhaseSpec, table: FreezeTable) -> Events[PhaseResult]:
    started = time.perf_counter()
    objective = objective_of(phase, job.data.kind)
    job = replace(job, data=objective.data(job.data, phase))
    yield from objective.begins(job.data)
    split = objective.outputs(split_at_boundary(job.model))
    best_epoch, epochs, stopped = 0, 0, "converged"
    if phase.solver == "blend":
        found = yield from solve_blend(job, phase, split)
        state.chosen[phase.name] = found.chosen
        validated = judge(found.valid, job.data)
        yield from _keep_epoch(job, state, phase, 0, replace(validated, answers=found.answers, views=found.weights))
    else:
        train, valid = yield from features_of(job, phase, split)
        if phase.solver == "lbfgs":
            state.chosen[phase.name] = {"strength": (yield from objective.solve(job, phase, train, valid))}
            forward = fast_forward_of(split, stored=is_stored(split, train))
            validated = yield from objective.judge(job, phase, forward, (train, valid), False)()
            yield from _keep_epoch(job, state, phase, 0, validated)
        else:
            fit = yield from fit_phase(job, state, phase, split, (train, valid))
            best_epoch, epochs, stopped = fit.best_epoch, fit.epoch, fit.stopped
    metrics = state.phase_metrics[phase.name]
    if gain := not_preferred(job, state, phase):
        yield events.NotPreferred(phase.name, state.best_phase, gain)
    yield PhaseEnded(phase.name, best_epoch, stopped, metrics)
    return PhaseResult(
        name=phase.name,
        unfreeze=str(phase.unfreeze),
        trainable=table.trainable,
        parameters=table.parameters,
        best_epoch=best_epoch,
        epochs=epochs,
        metrics=metrics,
        seconds=time.perf_counter() - started,
        stopped=stopped,
        start=phase.start,
    )


def fit_phase(
    job: Job, state: LoopState, phase: PhaseSpec, split: SplitModel, sources: tuple[Source, Source]
) -> Events[FitState]:
    """Trains one phase, from its start or from where a checkpoint left it; returns where it ended.

    Raises:
        TrainingError: The loss is not finite any more.
    """
    fitting = make_fitting(job, phase, split, sources)
    assert phase.epochs is not None
    rising = no_fall(job.train.warmup, epochs=phase.epochs, steps_per_epoch=len(fitting.deal(0)))
    apart = statistics_in_parts(job.train, job.model)
    yield events.StepsPlanned("; ".join(filter(None, (str(fitting.execution), apart, rising))))
    job.callbacks.use_optimizer(fitting.optimizer)
    if state.fit is None:
        # Epoch 0 is the best of the phase it starts from: the same weights, so the same metrics.
        validated = _known(job, state, phase) or (yield from fitting.judge())
        state.fit = FitState(new_patience(job))
        yield from _keep_epoch(job, state, phase, 0, validated)
        yield state_due(state, fitting.variables)
    elif state.resumed is not None:
        if state.fit.step > 0:  # what callbacks did on this epoch's beginning is in the state, which comes after it
            job.callbacks.epoch_begin(state.epochs_done)
        restore(state.moving, state.resumed.weights)
        restore(fitting.variables, state.resumed.more["training"], prefix=OPTIMIZER)
        restore_random_states(job.model, state.resumed)
        job.callbacks.restore(state.resumed.state["callbacks"])
        state.resumed = None
    interrupted = False
    with job.stop.listening():
        while not state.fit.stopped and not interrupted:
            interrupted = not (yield from _run_epoch(job, state, fitting, state.fit))
    # Between the last step and here, one process alone may have been told.
    if any_process(job.stop.asked or interrupted):
        yield events.Interrupted(state.steps_done)
        job.stop.obey()
    return state.fit


def make_fitting(job: Job, phase: PhaseSpec, split: SplitModel, sources: tuple[Source, Source]) -> TracedPhase:
    """Builds the phase's optimizer and traces its step, for what trains now."""
    assert phase.epochs is not None
    model, spec, objective = job.model, job.train, objective_of(phase, job.data.kind)
    deal = objective.deal(job.data, phase, job.spec)
    steps = len(deal(0))
    edged = sources[0].with_edges(sources[1]), sources[1].with_edges(sources[0])
    lengths = len(edged[0].edges)
    compiled = is_compiled(spec, model, phase, steps * phase.epochs, lengths, kind=job.data.kind)
    train, valid = edged if compiled else sources
    forward = (forward_of if compiled else fast_forward_of)(split, stored=is_stored(split, train))
    several = on_accelerator() and not job.callbacks.watched  # a callback sees the same on any hardware
    updates = updates_a_call(spec, forward.inputs, train.longest, several=several)
    execution = Execution(updates, compiled, lengths)
    table = token_table(model, train, spec)
    optimizer = make_optimizer(model, phase, spec, steps, table)
    step = make_train_step(forward, model, optimizer, spec, objective.minimised(job.data, phase, spec), execution)
    if table is not None:
        table.read()
        step = table.during(step)
    column, weights = objective.column(job.data), job.data.weights
    feed = Feed(train, column, weights, spec.batch_size, spec.gradient_accumulation, updates)
    judge_epoch = objective.judge(job, phase, forward, (train, valid), compiled)
    wishes = [to_replicas([np.full(replica_count(), asked, np.float32)])[0] for asked in (False, True)]
    return TracedPhase(phase, optimizer, step, deal, feed, judge_epoch, table, execution, (wishes[0], wishes[1]))


def is_stored(split: SplitModel, source: Source) -> bool:
    """Whether a source holds what passes the boundary, and not the model's inputs."""
    return tuple(source.columns) == split.names


def _run_epoch(job: Job, state: LoopState, fitting: TracedPhase, fit: FitState) -> Events[bool]:
    """Runs what is left of an epoch and validates; returns False when the process was told to end before that."""
    started, optimizer = time.perf_counter(), fitting.optimizer
    if fit.step == 0:
        job.callbacks.epoch_begin(state.epochs_done)
        fit.rate = float(optimizer.learning_rate * optimizer.schedule(optimizer.iterations))
    if not (yield from take_steps(job, state, fitting, fit)):
        return False
    if fitting.table is not None:
        fitting.table.write()
    sums = StepSums(*fit.sums)
    validated = yield from fitting.judge()
    metrics = validated.metrics
    fit.epoch, fit.step, fit.sums = fit.epoch + 1, 0, ()
    means = sums.loss / max(1, sums.count), sums.hits / max(1, sums.count)
    own, measures = job.data.kind.learning.hits_name, objective_of(fitting.phase, job.data.kind).measures
    training = dict(zip(measures or ("loss", own), means, strict=True))
    shown = training | {"lr": fit.rate, "seconds": time.perf_counter() - started}
    if sums.left_out:
        shown["left_out"] = sums.left_out
    if (yield from _keep_epoch(job, state, fitting.phase, fit.epoch, validated, training=shown)):
        fit.best_epoch = fit.epoch
    # The same names in every phase, as Keras's callbacks expect; a loss of another kind counts no hits of the task's.
    logs = {"loss": means[0], own: math.nan if measures else means[1]} | {
        name.replace("valid_", "val_", 1): value for name, value in metrics.items()
    }
    job.callbacks.epoch_end(state.epochs_done, logs)
    state.epochs_done += 1
    if job.callbacks.wants_stop:
        fit.stopped = "callback"
    elif fit.patience.should_stop(metrics):
        assert job.train.early_stopping is not None
        fit.stopped = "early stopping"
        yield events.StoppedEarly(job.train.early_stopping.monitor, fit.patience.waited)
    elif fit.epoch == fitting.phase.epochs:
        fit.stopped = "all epochs"
    yield state_due(state, fitting.variables)
    return True


def take_steps(job: Job, state: LoopState, fitting: TracedPhase, fit: FitState) -> Events[bool]:
    """Takes the rest of one pass over the examples, each once; returns False when the process was told to end."""
    spec, steps = job.train, fitting.deal(state.epochs_done)
    redrawn = objective_of(fitting.phase, job.data.kind).redrawn
    feed = replace(fitting.feed, train=redrawn(fitting.feed.train, job.spec.seed, state.epochs_done))
    look = max(1, len(steps) // 20)
    waiting: list = []  # sums that were not fetched yet, because fetching waits for the device

    def fetch() -> StepSums:
        for sums in (each for found, made in waiting for each in found.numpy()[:made].tolist()):
            fit.sums = tuple(sum(pair) for pair in zip(fit.sums or NOTHING, sums, strict=True))
        waiting.clear()
        return StepSums(*fit.sums)

    label = f"{fitting.phase.name} {fit.epoch + 1}/{fitting.phase.epochs}"
    yield events.PassBegins(label, int((steps >= 0).sum()), int((steps[: fit.step] >= 0).sum()))
    for call in feed.calls(steps, fit.step, pause_of(spec, state, fit.step)):
        job.callbacks.batch_begin(fit.step)
        found = fitting.step(call.block, fitting.wishes[job.stop.asked], np.int32(call.updates))
        waiting.append((found, call.updates))
        first, fit.step = fit.step, fit.step + call.updates
        state.steps_done += call.updates
        sampled = -(-first // look) * look < fit.step  # some 20 times an epoch
        # Only where all processes look: an error of one alone would leave the others waiting for it.
        total = _require_finite(fetch(), spec, fitting.phase, fit) if sampled else None
        job.callbacks.batch_end(fit.step - 1, found)
        yield events.StepsMade(call.rows, total.loss / max(1, total.count) if total else None)
        # Several processes end at the same step: the wish to stop is among the sums. One need not wait for them.
        told = float(found[0, 4]) > 0 if process_count() > 1 else job.stop.asked
        if told or (fit.step < len(steps) and is_due(spec, state)):
            fetch()
            yield state_due(state, fitting.variables)
        if told:
            yield events.PassEnds()
            return False
    _require_finite(fetch(), spec, fitting.phase, fit)
    yield events.PassEnds()
    return True


def _require_finite(sums: StepSums, spec: TrainSpec, phase: PhaseSpec, fit: FitState) -> StepSums:
    if sums.left_out and spec.non_finite == "stop":
        raise TrainingError(
            "the loss is not finite any more",
            where=f"phase {phase.name}, epoch {fit.epoch + 1}, at or before step {fit.step}",
            received="a loss or gradient that is NaN or infinite; that update was not made",
            expected="finite numbers; the weights before this point are kept",
            next_step=f"lower train.phases lr (it is {phase.lr:g}), or --set train.non_finite=skip",
        )
    return sums


def _known(job: Job, state: LoopState, phase: PhaseSpec) -> Validated | None:
    """Returns what the phase that this one starts from reached, where its weights are the very same."""
    start = next((each for each in job.phases if each.name == phase.start), None)
    if job.warm and begins_warm(job.phases, phase):
        return None  # it begins with other weights
    if start is None or start.solver == "blend" or start.name not in state.phase_metrics:
        return None  # what a blend has beside the model is not trained further
    return Validated(dict(state.phase_metrics[start.name]), state.phase_answers[start.name])


def _keep_epoch(
    job: Job,
    state: LoopState,
    phase: PhaseSpec,
    epoch: int,
    validated: Validated,
    *,
    training: dict[str, float] | None = None,
) -> Events[bool]:
    """Keeps the weights of an epoch that is the best, and reports it; returns whether its phase has no better."""
    training, metrics = training or {}, validated.metrics
    kept = is_best_of_phase(job, state, phase, validated)
    if kept and is_best_of_run(job, state, phase, epoch, metrics):
        yield events.BestFound()
    if "left_out" in training:
        yield events.UpdatesLeftOut(training["left_out"])
    best = (state.best_facts["phase"], state.best_facts["epoch"])  # of the run, over all phases
    yield EpochDone(phase.name, epoch, state.steps_done, metrics, best == (phase.name, epoch), training)
    return kept
