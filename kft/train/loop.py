"""The phases, one after another: set what trains, store what does not, run, prove that nothing else moved.

The loop is our own because Keras 3's ``fit`` is wrong under tf.distribute (uneven batches, clipping before the
all-reduce, and more), and because a change of what trains needs a new optimizer and a new trace, which Keras forgets
in silence.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np

from kft.errors import TrainingError
from kft.features.boundary import FrozenFront, SplitModel, frozen_blocks, split_at_boundary
from kft.features.cache import features_root
from kft.features.inference import make_inference
from kft.features.policy import make_room, plan_store, stored_dtype, why_none
from kft.features.probe import STRENGTHS, solve_probe
from kft.features.store import compute_features, make_front, store_features
from kft.features.words import WordVectors
from kft.feed.source import Source, Vectors
from kft.model.freeze import FreezePlan, FreezeTable, apply, what_trains_in
from kft.recipe.schema import PhaseSpec
from kft.replicas import synchronise
from kft.train.checkpoint import restore
from kft.train.epochs import fit_phase, validate
from kft.train.job import (
    Job,
    PhaseResult,
    keep_if_best,
    note_event,
    record_epoch,
    restore_random_states,
    save_last,
    write_best,
)


def train_phases(job: Job) -> tuple[PhaseResult, ...]:
    """Runs the phases; the model ends with the best weights of the run, chosen on the validation split.

    Where ``load_state`` took up a checkpoint, the run goes on exactly there.

    Raises:
        TrainingError: The loss is not finite, or a frozen weight moved.
        StorageError: A checkpoint could not be written.
    """
    state = job.state
    state.moving = _moved_by(job.model, job.phases)
    if state.resumed is not None:
        restore_random_states(job)
        write_best(job)  # as this checkpoint knows it: a later one may have been lost
    job.callbacks.begin(state.resumed.state["callbacks"] if state.resumed else None, epochs_done=state.epochs_done)
    if state.fit is None:  # the checkpoint lies between two phases: there is nothing else to take up
        state.resumed = None
    try:
        # A phase under way is ended properly, also when a callback had stopped the run before it was killed.
        while state.phase < len(job.phases) and (state.fit is not None or not job.callbacks.wants_stop):
            state.results.append(_start_phase(job, job.phases[state.phase]))
            # A callback that stops the run stops it for good, also for whoever goes on from here.
            state.phase = len(job.phases) if job.callbacks.wants_stop else state.phase + 1
            state.fit = None
            save_last(job)
    finally:
        job.callbacks.end()
    restore(state.moving, state.phase_weights[state.best_phase])
    return tuple(state.results)


def _start_phase(job: Job, phase: PhaseSpec) -> PhaseResult:
    """Sets the weights to start from and what trains, says so, runs, and proves that nothing else moved."""
    state = job.state
    if phase.start is not None:
        restore(state.moving, state.phase_weights[phase.start])
    plan = what_trains_in(job.model, phase)
    apply(job.model, plan)
    table = plan.table
    job.progress.phase(phase, table)
    before = frozen_fingerprint(job.model, plan)
    if state.fit is None:
        note_event(
            job,
            {
                "event": "phase",
                "phase": phase.name,
                "unfreeze": str(phase.unfreeze),
                "solver": phase.solver,
                "start": phase.start,
                "trainable": table.trainable,
                "parameters": table.parameters,
                "blocks": {row.block: row.trainable for row in table.rows},
            },
        )
    result = _run_phase(job, phase, table)
    if frozen_fingerprint(job.model, plan) != before:
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
        metrics = validate(make_inference(forward, job.spec.batch_size), valid, job.data)
        best_epoch, epochs, stopped = 0, 0, "converged"
        keep_if_best(job, phase, 0, metrics)
        record_epoch(job, phase, 0, metrics)
    else:
        fit = fit_phase(job, phase, forward, train, valid)
        metrics = job.state.phase_metrics[phase.name]
        best_epoch, epochs, stopped = fit.best_epoch, fit.epoch, fit.stopped
    ended = {"event": "phase_end", "phase": phase.name, "best_epoch": best_epoch, "stopped": stopped}
    note_event(job, {**ended, **metrics})
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
    )


def _features(job: Job, phase: PhaseSpec, split: SplitModel) -> tuple[Source, Source]:
    """Returns both splits as boundary tensors, or as the model's own inputs where nothing is stored; says which."""
    names = tuple(tensor.name for tensor in split.front.inputs)
    raw = job.data.train.source.select(names), job.data.valid.source.select(names)
    if set(split.names) == set(names):
        job.progress.note(f"features   recomputed: {why_none(job.model)}")
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
    """Solves the head on its features: with the head alone training, they are one vector an example, or a token."""
    data, kind = job.data, job.data.kind
    (column,), (valid_column,) = train.columns.values(), valid.columns.values()
    features: Any = column
    valid_features: Any = valid_column
    targets, valid_targets, weights = data.train.targets, data.valid.targets, data.weights
    score = _chosen_by(job)
    if kind.learning.per_token:  # the words of all texts, end to end
        words, valid_words = WordVectors(column, targets), WordVectors(valid_column, valid_targets)
        features, targets, weights = words, words.targets, np.ones(len(words.targets), np.float32)
        valid_features, valid_targets, score = valid_words, valid_words.targets, None
    assert isinstance(features, Vectors) and isinstance(valid_features, Vectors)
    with job.progress.task("probe, L-BFGS", len(STRENGTHS)) as tick:
        probe = solve_probe(
            features,
            targets,
            valid_features,
            valid_targets,
            classes=kind.learning.units(data.space),
            solver=kind.learning.solver,
            score=score,
            row_weights=weights,
            tick=tick,
        )
    head = job.model.get_layer("head_logits")
    head.kernel.assign(probe.kernel)
    head.bias.assign(probe.bias)
    synchronise([head.kernel, head.bias])
    note_event(job, {"event": "probe", "phase": phase.name, "strength": probe.strength, "tried": probe.tried})


def _chosen_by(job: Job) -> Callable[[np.ndarray], float] | None:
    """Returns what the probe's strength is chosen by on the validation split; None stands for the loss."""
    data, best = job.data, job.spec.best
    if best is None or best == "valid_loss":
        return None
    judging = data.kind.judging
    sign, metric = judging.sign(best), judging.metrics[best.removeprefix("valid_")]
    return lambda outputs: sign * metric.value(data.valid.truth, judging.answers(outputs, data.space, None))


def frozen_fingerprint(model: keras.Model, plan: FreezePlan) -> str:
    """Returns a hash over every weight that must not move."""
    moving = {id(variable) for variable in plan.moving}
    digest = hashlib.blake2b()
    for variable in model.weights:
        if id(variable) not in moving:
            digest.update(variable.path.encode())
            digest.update(np.ascontiguousarray(variable.numpy()).data)
    return digest.hexdigest()


def _moved_by(model: keras.Model, phases: Sequence[PhaseSpec]) -> list[keras.Variable]:
    """Returns the weights that any of the phases moves: all that a checkpoint has to hold."""
    found = {id(variable) for phase in phases for variable in what_trains_in(model, phase).moving}
    return [variable for variable in model.weights if id(variable) in found]
