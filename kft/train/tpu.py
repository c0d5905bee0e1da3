"""What a TPU asks of a recipe, checked on any hardware: a batch its cores share, steps that compile under XLA.

Static shapes and numbers alone need no check: a batch's length is one of the source's few edges, and its columns are
arrays of numbers, for every recipe.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from kft.features.boundary import Forward, forward_of, split_at_boundary
from kft.features.policy import decide
from kft.model.freeze import as_if, what_trains_in
from kft.recipe.training import PhaseSpec
from kft.replicas import rows_per_replica
from kft.train.execution import updates_a_call
from kft.train.feeding import CallBatches, Execution
from kft.train.objectives import objective_of
from kft.train.optimizer import make_optimizer
from kft.train.prepare import Prepared
from kft.train.step import make_train_step
from kft.train.tpu_rules import TpuCheck, check_batch, check_precision


def check_tpu(prepared: Prepared, cores: int) -> list[TpuCheck]:
    """Checks a recipe's model and batches; the longest batch of each phase is compiled under XLA, on this machine.

    Args:
        prepared: What training would take; left as it is.
        cores: Of the TPU slice, such as 8.
    """
    spec, model, data = prepared.spec.train, prepared.model, prepared.data
    sources = [data.train.source, data.valid.source]
    longest = data.train.source.with_edges(data.valid.source).longest
    checks = [check_batch(spec.batch_size, cores), *check_precision(prepared.spec.features.precision)]
    for phase in (phase for phase in prepared.phases if not phase.solved):
        with as_if(model, what_trains_in(model, phase)):
            split = objective_of(phase, prepared.split.kind).outputs(split_at_boundary(model))
            store, _ = decide(model, split, sources, prepared.spec.features)
            what = "on stored features" if store.store else "from the input on"
            prepared.progress.note(
                f"compiling  the step of phase {phase.name} {what} under XLA, at the longest shape, {longest}"
            )
            error = _compile_error(prepared, phase, forward_of(split, stored=store.store), longest)
        checks.append(
            TpuCheck(
                f"the step of phase {phase.name} compiles under XLA",
                not error,
                error or f"{spec.batch_size} rows of {longest}, {what}",
                "report this as a bug in kft, with the recipe" if error else "",
            )
        )
    return checks


def _compile_error(prepared: Prepared, phase: PhaseSpec, forward: Forward, longest: int) -> str:
    spec, objective = prepared.spec.train, objective_of(phase, prepared.split.kind)
    data = objective.data(prepared.data, phase)
    steps = len(objective.deal(data, phase, prepared.spec)(0))
    optimizer = make_optimizer(prepared.model, phase, spec, steps=steps)
    minimised = objective.minimised(data, phase, spec)
    updates = updates_a_call(spec, forward.inputs, longest, several=True)
    lead = (updates, rows_per_replica(spec.batch_size, spec.gradient_accumulation))
    inputs = tuple(
        tf.zeros((*lead, *(longest if size is None else size for size in tensor.shape[1:])), tensor.dtype)
        for tensor in forward.inputs
    )
    row = tf.ones(lead)
    shape = [longest if size is None else size for size in minimised.target_shape]
    targets, lengths = tf.zeros((*lead, *shape), minimised.target_dtype), np.zeros((updates, len(inputs) + 1), np.int32)
    block = CallBatches(inputs, targets, row, row, lengths)
    step: Any = make_train_step(forward, prepared.model, optimizer, spec, minimised, Execution(updates, whole=True))
    try:
        step.experimental_get_compiler_ir(block, tf.zeros((1,)), tf.constant(1))(stage="optimized_hlo")
    except (tf.errors.OpError, ValueError, TypeError) as error:
        return str(error).strip().splitlines()[0]
    return ""
