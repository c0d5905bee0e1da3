"""The training loop: set what trains, build, step, validate, keep the best. It yields events and writes nothing.

It is our own because Keras 3's ``fit`` is wrong under tf.distribute (uneven batches, clipping before the all-reduce,
and more), and because a change of what trains needs a new optimizer and a new trace, which Keras forgets in silence.
Whoever takes an event (recorder.py) is done with it when the loop goes on: a checkpoint holds what came before it.
"""

from __future__ import annotations

import hashlib
import math
import time
from dataclasses import dataclass, replace
from typing import Any

import keras
import numpy as np

from kft.errors import TrainingError
from kft.features.boundary import Forward, fast_forward_of, split_at_boundary
from kft.features.inference import make_inference
from kft.feed.source import Column, Source, batches
from kft.model.freeze import FreezePlan, FreezeTable, apply, what_trains_in
from kft.recipe.durations import parse_interval
from kft.recipe.training import PhaseSpec, TrainSpec
from kft.records.history import EpochDone, PhaseEnded, PhaseStarted
from kft.replicas import any_process, pad_rows, process_count, replica_count, rows_per_replica, to_replicas
from kft.train import events
from kft.train.best import Validated, is_best_of_phase, is_best_of_run, not_preferred, nothing_left
from kft.train.blending import solve_blend
from kft.train.checkpoint import restore
from kft.train.events import Events
from kft.train.frozen import features_of, solve_head
from kft.train.job import (
    OPTIMIZER,
    FitState,
    Job,
    LoopState,
    PhaseResult,
    new_patience,
    restore_random_states,
)
from kft.train.judging import judge, validate
from kft.train.objectives import Deal, Judge, objective_of, steps_in
from kft.train.optimizer import make_optimizer
from kft.train.self_training import with_confident
from kft.train.step import Step, StepSums, make_train_step
from kft.train.token_table import TokenTable, token_table

NOTHING = StepSums(0.0, 0.0, 0.0, 0.0, 0.0)


@dataclass(frozen=True)
class Fitting:
    """What one phase trains with, built and traced once."""

    phase: PhaseSpec
    optimizer: Any
    step: Step
    deal: Deal
    judge: Judge
    train: Source
    column: Column
    table: TokenTable | None

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
        yield _where_it_goes_on(job, state)
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


def _train_phase(job: Job, state: LoopState, phase: PhaseSpec, table: FreezeTable) -> Events[PhaseResult]:
    started = time.perf_counter()
    objective = objective_of(phase)
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
        forward = fast_forward_of(split, stored=tuple(train.columns) == split.names)
        if phase.solver == "lbfgs":
            state.chosen[phase.name] = {"strength": (yield from solve_head(job, phase, train, valid))}
            validated = validate(make_inference(forward, job.train.batch_size), valid, job.data)
            yield from _keep_epoch(job, state, phase, 0, validated)
        else:
            fit = yield from fit_phase(job, state, phase, forward, (train, valid))
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
    job: Job, state: LoopState, phase: PhaseSpec, forward: Forward, sources: tuple[Source, Source]
) -> Events[FitState]:
    """Trains one phase, from its start or from where a checkpoint left it; returns where it ended.

    Raises:
        TrainingError: The loss is not finite any more.
    """
    fitting = make_fitting(job, phase, forward, sources)
    job.callbacks.use_optimizer(fitting.optimizer)
    if state.fit is None:
        # Epoch 0 is the best of the phase it starts from: the same weights, so the same metrics.
        validated = _known(job, state, phase) or (yield from fitting.judge())
        state.fit = FitState(new_patience(job))
        yield from _keep_epoch(job, state, phase, 0, validated)
        yield state_due(state, fitting)
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


def make_fitting(job: Job, phase: PhaseSpec, forward: Forward, sources: tuple[Source, Source]) -> Fitting:
    """Builds the phase's optimizer and traces its step, for what trains now."""
    objective = objective_of(phase)
    deal = objective.deal(job.data, phase, job.spec)
    table = token_table(job.model, sources[0], job.train)
    optimizer = make_optimizer(job.model, phase, job.train, steps_in(deal(0)), table)
    minimised = objective.minimised(job.data, phase, job.train)
    step = make_train_step(forward, job.model, optimizer, job.train, minimised)
    if table is not None:
        table.read()
        step = table.during(step)
    judge_epoch = objective.judge(job, phase, forward, sources)
    return Fitting(phase, optimizer, step, deal, judge_epoch, sources[0], objective.column(job.data), table)


def _run_epoch(job: Job, state: LoopState, fitting: Fitting, fit: FitState) -> Events[bool]:
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
    own, measures = job.data.kind.learning.hits_name, objective_of(fitting.phase).measures
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
    yield state_due(state, fitting)
    return True


def take_steps(job: Job, state: LoopState, fitting: Fitting, fit: FitState) -> Events[bool]:
    """Takes the rest of one pass over the examples, each once; returns False when the process was told to end."""
    spec, train, column = job.train, fitting.train, fitting.column
    updates, replicas = spec.steps_per_call, replica_count()
    size = replicas * rows_per_replica(spec.batch_size, spec.gradient_accumulation)
    calls = pad_rows(fitting.deal(state.epochs_done), size).reshape(-1, updates * size)
    waiting: list = []  # sums that were not fetched yet, because fetching waits for the device

    def fetch() -> StepSums:
        for found in waiting:
            fit.sums = tuple(sum(pair) for pair in zip(fit.sums or NOTHING, found.numpy().tolist(), strict=True))
        waiting.clear()
        return StepSums(*fit.sums)

    label = f"{fitting.phase.name} {fit.epoch + 1}/{fitting.phase.epochs}"
    yield events.PassBegins(label, int((calls >= 0).sum()), int((calls[: fit.step] >= 0).sum()))
    for rows, tensors in batches(train, calls[fit.step :]):
        job.callbacks.batch_begin(fit.step)
        grid = rows.reshape(updates, size)
        mask = (grid >= 0).astype(np.float32)
        targets = column.take(rows, train.edge(rows))
        dealt = [tensor.reshape(updates, size, *tensor.shape[1:]) for tensor in (*tensors, targets)]
        dealt += [mask, mask * job.data.weights[np.maximum(grid, 0)]]
        *inputs, targets_, mask_, weights_ = to_replicas(dealt, axis=1)
        (stop,) = to_replicas([np.full(replicas, job.stop.asked, np.float32)])
        made = int(mask.any(axis=1).sum())
        found = fitting.step(tuple(inputs), targets_, mask_, weights_, stop, np.int32(made))
        waiting.append(found)
        fit.step, state.steps_done = fit.step + 1, state.steps_done + made
        sampled = (fit.step - 1) % max(1, len(calls) // 20) == 0  # some 20 times an epoch
        # Only where all processes look: an error of one alone would leave the others waiting for it.
        total = _require_finite(fetch(), spec, fitting.phase, fit) if sampled else None
        job.callbacks.batch_end(fit.step - 1, found)
        yield events.StepsMade(int(mask.sum()), total.loss / max(1, total.count) if total else None)
        # Several processes end at the same step: the wish to stop is among the sums. One need not wait for them.
        told = float(found[4]) > 0 if process_count() > 1 else job.stop.asked
        if told or (fit.step < len(calls) and _is_due(spec, state)):
            fetch()
            yield state_due(state, fitting)
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


def state_due(state: LoopState, fitting: Fitting | None = None) -> events.StateDue:
    """Returns the event that has the state kept, and notes when that was."""
    state.saved_at = time.monotonic(), state.steps_done
    return events.StateDue(None if fitting is None else tuple(fitting.variables))


def _is_due(spec: TrainSpec, state: LoopState) -> bool:
    """Whether ``checkpoints.every`` has passed since the last one."""
    amount, unit = parse_interval(spec.checkpoints.every)
    seconds, steps = state.saved_at
    if unit == "step":
        return state.steps_done - steps >= amount
    return time.monotonic() - seconds >= 60 * amount


def _where_it_goes_on(job: Job, state: LoopState) -> events.Resumed:
    phase = job.phases[state.phase].name if state.phase < len(job.phases) else None
    if phase is None and job.train.refit and not state.refitted and (state.fit or state.refit_phases):
        phase = f"{state.best_phase}, refit"
    epoch = None if state.fit is None else state.fit.epoch + (not state.fit.stopped)
    step = 0 if state.fit is None else state.fit.step
    return events.Resumed(phase, epoch, step, state.steps_done, tuple(job.callbacks.forgetful))


def require_unmoved(model: keras.Model, planned: FreezePlan, before: str, name: str) -> None:
    """Refuses to go on where a weight has moved that was frozen.

    Raises:
        TrainingError: One has.
    """
    if frozen_fingerprint(model, planned) != before:
        raise TrainingError(
            "a frozen weight moved during training",
            where=f"phase {name}",
            expected="frozen weights that are bit-identical",
            next_step="report this as a bug in kft, with the recipe",
        )


def frozen_fingerprint(model: keras.Model, planned: FreezePlan) -> str:
    """Returns a hash over every weight that must not move."""
    moving = {id(variable) for variable in planned.moving}
    digest = hashlib.blake2b()
    for variable in model.weights:
        if id(variable) not in moving:
            digest.update(variable.path.encode())
            digest.update(np.ascontiguousarray(variable.numpy()).data)
    return digest.hexdigest()
