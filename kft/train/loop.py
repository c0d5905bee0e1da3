"""The training loop: for each phase set what trains, build the optimizer, trace, step, validate, keep the best.

It is our own because Keras 3's ``fit`` is wrong under tf.distribute (uneven batches, clipping before the
all-reduce, and more), and because a change of what trains needs a new optimizer and a new trace, which
Keras forgets in silence.
"""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from kft.data.batches import plan
from kft.data.source import Source, Vectors, batches
from kft.errors import TrainingError
from kft.features.boundary import Forward, FrozenFront, SplitModel, frozen_blocks, split_at_boundary
from kft.features.cache import features_root
from kft.features.inference import Inference, make_inference, run_in_batches
from kft.features.policy import make_room, plan_store, stored_dtype
from kft.features.probe import STRENGTHS, solve_probe
from kft.features.store import compute_features, make_front, store_features
from kft.metrics.classification import METRICS, softmax
from kft.model.blocks import find_blocks
from kft.model.freeze import FreezeTable, freeze, moving_variables
from kft.recipe.durations import duration_in_steps
from kft.recipe.schema import PhaseSpec, TrainSpec
from kft.train.callbacks import Patience
from kft.train.checkpoint import restore
from kft.train.job import Job, PhaseResult, keep_if_best, record_epoch, save_last
from kft.train.optimizer import ScheduledAdamW, rate_factors
from kft.train.schedules import make_schedule
from kft.train.step import make_train_step


def train_phases(job: Job) -> tuple[PhaseResult, ...]:
    """Runs the phases; the model ends with the best weights of the run, chosen on the validation split.

    Raises:
        TrainingError: The loss is not finite, or a frozen weight moved.
        StorageError: A checkpoint could not be written.
    """
    results = []
    job.state.moving = _moved_by(job.model, job.phases)
    job.callbacks.begin()
    try:
        for phase in job.phases:
            results.append(_start_phase(job, phase))
            if job.callbacks.wants_stop:
                break
    finally:
        job.callbacks.end()
    restore(job.state.moving, job.state.phase_weights[job.state.best_phase])
    return tuple(results)


def _start_phase(job: Job, phase: PhaseSpec) -> PhaseResult:
    """Sets the weights to start from and what trains, says so, runs, and proves that nothing else moved."""
    if phase.start is not None:
        restore(job.state.moving, job.state.phase_weights[phase.start])
    table = freeze(job.model, phase.unfreeze)
    job.progress.phase(phase, table)
    job.record(
        {
            "event": "phase",
            "phase": phase.name,
            "unfreeze": phase.unfreeze,
            "solver": phase.solver,
            "start": phase.start,
            "trainable": table.trainable,
            "parameters": table.parameters,
            "blocks": {row.block: row.trainable for row in table.rows},
        }
    )
    before = frozen_fingerprint(job.model)
    result = _run_phase(job, phase, table)
    if frozen_fingerprint(job.model) != before:
        raise TrainingError(
            "a frozen weight moved during training",
            where=f"phase {phase.name}",
            expected="frozen weights that are bit-identical",
            next_step="report this as a bug in kft, with the recipe",
        )
    return result


def _run_phase(job: Job, phase: PhaseSpec, table: FreezeTable) -> PhaseResult:
    started = time.perf_counter()
    split = split_at_boundary(job.model)
    train, valid = _features(job, phase, split)
    forward = split.back if tuple(train.columns) == split.names else FrozenFront(split.front, split.back)
    if phase.solver == "lbfgs":
        _solve(job, phase, train, valid)
        epochs, stopped = 0, "converged"
        metrics = validate(make_inference(forward, job.spec.batch_size), valid, job.data.valid_targets)
        best_epoch = 0
        keep_if_best(job, phase, 0, metrics)
        record_epoch(job, phase, 0, metrics)
        save_last(job, phase, 0, None)
    else:
        best_epoch, epochs, stopped = _fit(job, phase, forward, train, valid)
        metrics = job.state.phase_metrics[phase.name]
    result = PhaseResult(
        name=phase.name,
        unfreeze=phase.unfreeze,
        trainable=table.trainable,
        parameters=table.parameters,
        best_epoch=best_epoch,
        epochs=epochs,
        metrics=metrics,
        seconds=time.perf_counter() - started,
        stopped=stopped,
    )
    job.record({"event": "phase_end", "phase": phase.name, "best_epoch": best_epoch, "stopped": stopped, **metrics})
    return result


def _features(job: Job, phase: PhaseSpec, split: SplitModel) -> tuple[Source, Source]:
    """Returns both splits as boundary tensors, or as the model's own inputs where nothing is stored; says which."""
    names = tuple(tensor.name for tensor in split.front.inputs)
    raw = job.data.train.select(names), job.data.valid.select(names)
    if set(split.names) == set(names):
        job.progress.note("features   recomputed: all of the model trains")
        return raw
    front, root = make_front(split), features_root()
    planned = plan_store(front, raw, frozen_blocks(job.model, split), job.features, root)
    job.progress.note(f"features   {planned}")
    if not planned.store and phase.solver != "lbfgs":
        return raw
    with job.progress.task("frozen blocks, once", planned.examples) as tick:
        if not planned.store:  # the solver sees one vector an example, again and again: they stay in memory
            train, valid = (compute_features(front, source, tick) for source in raw)
            return train, valid
        make_room(planned, front, job.features, root)
        about = {"model": job.model_name, "boundary": list(front.tensors), "phase": phase.name}
        dtype = stored_dtype(job.features)

        def wait() -> None:
            job.progress.note("features   another process computes them; waiting for it")

        train, valid = (
            store_features(front, source, root, dtype=dtype, about=about, tick=tick, wait=wait) for source in raw
        )
        return train, valid


def _solve(job: Job, phase: PhaseSpec, train: Source, valid: Source) -> None:
    """Solves the head on its features: with the head alone training, they are one vector an example."""
    (features,) = train.columns.values()
    (valid_features,) = valid.columns.values()
    assert isinstance(features, Vectors) and isinstance(valid_features, Vectors)
    weights = class_weights(job.spec, job.data.targets, job.data.classes)
    with job.progress.task("probe, L-BFGS", len(STRENGTHS)) as tick:
        probe = solve_probe(
            features,
            job.data.targets,
            valid_features,
            job.data.valid_targets,
            classes=job.data.classes,
            monitor=job.spec.best,
            row_weights=weights[job.data.targets],
            tick=tick,
        )
    head = job.model.get_layer("head_logits")
    head.kernel.assign(probe.kernel)
    head.bias.assign(probe.bias)
    job.record({"event": "probe", "phase": phase.name, "strength": probe.strength, "tried": probe.tried})


def _fit(job: Job, phase: PhaseSpec, forward: Forward, train: Source, valid: Source) -> tuple[int, int, str]:
    """Trains with AdamW; returns the best epoch, the epochs run, and why it ended."""
    assert phase.epochs is not None and phase.lr is not None
    spec, state = job.spec, job.state
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
    job.callbacks.use_optimizer(optimizer)
    step = make_train_step(forward, job.model, optimizer, spec)
    weights = class_weights(spec, job.data.targets, job.data.classes)
    patience = Patience(spec.early_stopping)
    inference = make_inference(forward, spec.batch_size)
    # Epoch 0 is the best of the phase it starts from: the same weights, so the same metrics.
    known = state.phase_metrics.get(phase.start or "")
    metrics = dict(known) if known else validate(inference, valid, job.data.valid_targets)
    best_epoch = 0
    keep_if_best(job, phase, 0, metrics)
    record_epoch(job, phase, 0, metrics)
    for epoch in range(1, phase.epochs + 1):
        started = time.perf_counter()
        job.callbacks.epoch_begin(state.epochs_done)
        rates = optimizer.learning_rate * optimizer.schedule(optimizer.iterations)
        loss, accuracy = _train_epoch(job, phase, epoch, step, train, weights)
        metrics = validate(inference, valid, job.data.valid_targets)
        seconds = time.perf_counter() - started
        is_best = keep_if_best(job, phase, epoch, metrics)
        best_epoch = epoch if is_best else best_epoch
        record_epoch(job, phase, epoch, metrics, loss=loss, accuracy=accuracy, lr=float(rates), seconds=seconds)
        save_last(job, phase, epoch, optimizer)
        logs = {"loss": loss, "accuracy": accuracy, "val_loss": metrics["valid_loss"]}
        logs |= {"val_accuracy": metrics["valid_accuracy"], "val_macro_f1": metrics["valid_macro_f1"]}
        job.callbacks.epoch_end(state.epochs_done, logs)
        state.epochs_done += 1
        if job.callbacks.wants_stop:
            return best_epoch, epoch, "callback"
        if patience.should_stop(metrics):
            assert spec.early_stopping is not None
            job.progress.note(f"stopped    {spec.early_stopping.monitor} has not improved for {patience.waited} epochs")
            return best_epoch, epoch, "early stopping"
    return best_epoch, phase.epochs, "all epochs"


def _train_epoch(
    job: Job, phase: PhaseSpec, epoch: int, step: Any, train: Source, weights: np.ndarray
) -> tuple[float, float]:
    """Takes one pass over the examples; returns mean loss and accuracy, each example counted once."""
    rows_of = plan(job.seed, job.state.epochs_done, train.lengths, batch_size=job.spec.batch_size)
    sums = []
    with job.progress.task(f"{phase.name} {epoch}/{phase.epochs}", len(train)) as tick:
        for number, (rows, tensors) in enumerate(batches(train, rows_of)):
            job.callbacks.batch_begin(number)
            targets = job.data.targets[np.maximum(rows, 0)]
            mask = (rows >= 0).astype(np.float32)
            found = step(tensors, targets, mask, mask * weights[targets])
            sums.append(found)
            job.state.steps_done += 1
            loss = _finite_mean_loss(found, phase, epoch, number) if _is_sampled(number, len(rows_of)) else None
            job.callbacks.batch_end(number, found)
            tick(int(mask.sum()), loss)
    loss_sum, correct, count = np.sum([[float(value) for value in found] for found in sums], axis=0)
    if not math.isfinite(loss_sum):
        _finite_mean_loss((loss_sum, correct, count), phase, epoch, len(rows_of) - 1)
    return float(loss_sum / count), float(correct / count)


def _is_sampled(number: int, steps: int) -> bool:
    """Fetching a loss waits for the device: do it some 20 times an epoch."""
    return number % max(1, steps // 20) == 0


def _finite_mean_loss(found: Sequence[Any], phase: PhaseSpec, epoch: int, number: int) -> float:
    loss = float(found[0]) / float(found[2])
    if math.isfinite(loss):
        return loss
    raise TrainingError(
        "the loss is not finite any more",
        where=f"phase {phase.name}, epoch {epoch}, step {number + 1}",
        received=str(loss),
        expected="a finite loss; the best checkpoint before this point is kept",
        next_step=f"lower train.phases lr (it is {phase.lr:g}), or keep train.clip_norm at 1.0",
    )


def validate(inference: Inference, valid: Source, targets: np.ndarray) -> dict[str, float]:
    """Scores the validation split; each example counts once."""
    (logits,) = run_in_batches(inference, valid)
    assert isinstance(logits, np.ndarray)
    probabilities = softmax(logits)
    scores = {name: METRICS[name].value(targets, probabilities) for name in ("log_loss", "accuracy", "macro_f1")}
    return {"valid_loss": scores.pop("log_loss"), **{f"valid_{name}": value for name, value in scores.items()}}


def class_weights(spec: TrainSpec, targets: np.ndarray, classes: int) -> np.ndarray:
    """Returns ``float32[classes]``: ones, or ``rows / (classes * rows of the class)`` (King and Zeng, 2001)."""
    if spec.class_weight == "none":
        return np.ones(classes, np.float32)
    counts = np.bincount(targets, minlength=classes)
    return (len(targets) / (classes * np.maximum(counts, 1))).astype(np.float32)


def frozen_fingerprint(model: keras.Model) -> str:
    """Returns a hash over every weight that must not move."""
    moving = {id(variable) for variable in moving_variables(model)}
    digest = hashlib.blake2b()
    for variable in model.weights:
        if id(variable) not in moving:
            digest.update(variable.path.encode())
            digest.update(np.ascontiguousarray(variable.numpy()).data)
    return digest.hexdigest()


def _moved_by(model: keras.Model, phases: Sequence[PhaseSpec]) -> list[keras.Variable]:
    """Returns the weights that any of the phases moves: all that a checkpoint has to hold."""
    found = set()
    for phase in phases:
        freeze(model, phase.unfreeze)
        found |= {id(variable) for variable in moving_variables(model)}
    return [variable for variable in model.weights if id(variable) in found]
