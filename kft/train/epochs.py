"""Training with AdamW, epoch by epoch: step, validate, keep the best, write what a run needs to go on."""

from __future__ import annotations

import math
import time
from typing import Any

import numpy as np

from kft.errors import TrainingError
from kft.features.boundary import Forward
from kft.features.inference import Inference, make_inference, run_in_batches
from kft.feed.batches import Ragged, plan
from kft.feed.source import Source, batches
from kft.model.blocks import find_blocks
from kft.recipe.durations import duration_in_steps
from kft.recipe.schema import PhaseSpec, TrainSpec
from kft.replicas import any_process, pad_rows, process_count, replica_count, rows_per_replica, to_replicas
from kft.train.checkpoint import restore
from kft.train.job import (
    OPTIMIZER,
    FitState,
    Job,
    TrainData,
    is_due,
    keep_if_best,
    new_patience,
    record_epoch,
    restore_random_states,
    save_last,
)
from kft.train.optimizer import ScheduledAdamW, rate_factors
from kft.train.schedules import make_schedule
from kft.train.step import Step, StepSums, make_train_step

NOTHING = StepSums(0.0, 0.0, 0.0, 0.0, 0.0)


def fit_phase(job: Job, phase: PhaseSpec, forward: Forward, train: Source, valid: Source) -> FitState:
    """Trains one phase, from its start or from where a checkpoint left it; returns where it ended.

    Raises:
        TrainingError: The loss is not finite any more.
        StorageError: A checkpoint could not be written.
    """
    state = job.state
    optimizer = make_optimizer(job, phase, train)
    job.callbacks.use_optimizer(optimizer)
    objective = job.data.kind.learning.objective(job.data.space, job.spec.label_smoothing)
    step = make_train_step(forward, job.model, optimizer, job.spec, objective)
    inference = make_inference(forward, job.spec.batch_size)
    if state.fit is None:
        # Epoch 0 is the best of the phase it starts from: the same weights, so the same metrics.
        known = state.phase_metrics.get(phase.start or "")
        metrics = dict(known) if known else validate(inference, valid, job.data)
        state.fit = FitState(new_patience(job))
        keep_if_best(job, phase, 0, metrics)
        record_epoch(job, phase, 0, metrics)
        save_last(job, optimizer)
    elif state.resumed is not None:
        if state.fit.step > 0:  # what callbacks did on this epoch's beginning is in the state, which comes after it
            job.callbacks.epoch_begin(state.epochs_done)
        restore(state.moving, state.resumed.weights)
        restore(optimizer.variables, state.resumed.more["training"], prefix=OPTIMIZER)
        restore_random_states(job)
        job.callbacks.restore(state.resumed.state["callbacks"])
        state.resumed = None
    interrupted = False
    with job.stop.listening():
        while not state.fit.stopped and not interrupted:
            interrupted = not _run_epoch(job, phase, state.fit, optimizer, step, train, inference, valid)
    # Between the last step and here, one process alone may have been told.
    if any_process(job.stop.asked or interrupted):
        if job.last_writer:
            job.last_writer.wait()
        job.progress.note(f"stopped    on SIGTERM, after step {state.steps_done:,}; the state is written")
        job.stop.obey()
    return state.fit


def make_optimizer(job: Job, phase: PhaseSpec, train: Source) -> ScheduledAdamW:
    """Builds the phase's optimizer for what trains now, with its schedule over all the phase's epochs."""
    assert phase.epochs is not None and phase.lr is not None
    spec = job.spec
    steps = math.ceil(len(train) / spec.batch_size)
    total = steps * phase.epochs
    optimizer = ScheduledAdamW(
        phase.lr,
        schedule=make_schedule(
            spec.schedule,
            total_steps=total,
            warmup_steps=duration_in_steps(spec.warmup, total_steps=total, steps_per_epoch=steps),
        ),
        rate_factors=rate_factors(find_blocks(job.model), phase.layer_decay),
        weight_decay=spec.weight_decay,
    )
    optimizer.build(job.model.trainable_variables)
    return optimizer


def _run_epoch(
    job: Job,
    phase: PhaseSpec,
    fit: FitState,
    optimizer: ScheduledAdamW,
    step: Step,
    train: Source,
    inference: Inference,
    valid: Source,
) -> bool:
    """Runs what is left of an epoch and validates; returns False when the process was told to end before that."""
    state, started = job.state, time.perf_counter()
    if fit.step == 0:
        job.callbacks.epoch_begin(state.epochs_done)
        fit.rate = float(optimizer.learning_rate * optimizer.schedule(optimizer.iterations))
    if not take_steps(job, phase, fit, optimizer, step, train):
        return False
    sums = StepSums(*fit.sums)
    metrics = validate(inference, valid, job.data)
    fit.epoch, fit.step, fit.sums = fit.epoch + 1, 0, ()
    if keep_if_best(job, phase, fit.epoch, metrics):
        fit.best_epoch = fit.epoch
    count = max(1, sums.count)
    training = {"loss": sums.loss / count, job.data.kind.learning.hits_name: sums.hits / count}
    shown = training | {"lr": fit.rate, "seconds": time.perf_counter() - started}
    if sums.left_out:
        shown["left_out"] = sums.left_out
        job.progress.note(f"left out   {sums.left_out:.0f} updates whose loss or gradient was not finite")
    record_epoch(job, phase, fit.epoch, metrics, **shown)
    logs = training | {name.replace("valid_", "val_", 1): value for name, value in metrics.items()}
    job.callbacks.epoch_end(state.epochs_done, logs)
    state.epochs_done += 1
    if job.callbacks.wants_stop:
        fit.stopped = "callback"
    elif fit.patience.should_stop(metrics):
        assert job.spec.early_stopping is not None
        fit.stopped = "early stopping"
        monitor = job.spec.early_stopping.monitor
        job.progress.note(f"stopped    {monitor} has not improved for {fit.patience.waited} epochs")
    elif fit.epoch == phase.epochs:
        fit.stopped = "all epochs"
    save_last(job, optimizer)
    return True


def take_steps(job: Job, phase: PhaseSpec, fit: FitState, optimizer: ScheduledAdamW, step: Step, train: Source) -> bool:
    """Takes the rest of one pass over the examples, each once; returns False when the process was told to end."""
    spec, state = job.spec, job.state
    updates, replicas = spec.steps_per_call, replica_count()
    size = replicas * rows_per_replica(spec.batch_size, spec.gradient_accumulation)
    rows_of = plan(job.seed, state.epochs_done, train.lengths, batch_size=spec.batch_size, group=updates)
    calls = pad_rows(rows_of, size).reshape(-1, updates * size)
    column = job.data.train.column
    waiting: list = []  # sums that were not fetched yet, because fetching waits for the device

    def fetch() -> StepSums:
        for found in waiting:
            fit.sums = tuple(sum(pair) for pair in zip(fit.sums or NOTHING, found.numpy().tolist(), strict=True))
        waiting.clear()
        return StepSums(*fit.sums)

    with job.progress.task(f"{phase.name} {fit.epoch + 1}/{phase.epochs}", len(train)) as tick:
        tick(int((calls[: fit.step] >= 0).sum()))
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
            found = step(tuple(inputs), targets_, mask_, weights_, stop, np.int32(made))
            waiting.append(found)
            fit.step, state.steps_done = fit.step + 1, state.steps_done + made
            sampled = (fit.step - 1) % max(1, len(calls) // 20) == 0  # some 20 times an epoch
            # Only where all processes look: an error of one alone would leave the others waiting for it.
            total = _require_finite(fetch(), spec, phase, fit) if sampled else None
            job.callbacks.batch_end(fit.step - 1, found)
            tick(int(mask.sum()), total.loss / max(1, total.count) if total else None)
            # Several processes end at the same step: the wish to stop is among the sums. One need not wait for them.
            told = float(found[4]) > 0 if process_count() > 1 else job.stop.asked
            if told or (fit.step < len(calls) and is_due(job)):
                fetch()
                save_last(job, optimizer)
            if told:
                return False
        _require_finite(fetch(), spec, phase, fit)
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


NOT_WATCHED = ("log_loss", "ece")
"""Metrics that the validation log leaves out: the one is its loss, the other needs more rows than most have there."""


def validate(inference: Inference, valid: Source, data: TrainData) -> dict[str, float]:
    """Scores the validation split; each example counts once."""
    (outputs,) = run_in_batches(inference, valid)
    rows: Any = [outputs.row(place) for place in range(len(outputs))] if isinstance(outputs, Ragged) else outputs
    answers = data.kind.judging.answers(rows, data.space, data.valid.offsets)
    found = {"valid_loss": data.kind.learning.loss(data.valid.targets, rows, data.space)}
    for name, metric in data.kind.judging.metrics.items():
        if name not in NOT_WATCHED:
            found[f"valid_{name}"] = metric.value(data.valid.truth, answers)
    return found
