"""What a TPU asks of a recipe, checked on any hardware: a batch its cores share, steps that compile under XLA.

Static shapes and numbers alone need no check: a batch's length is one of the source's few edges, and its columns are
arrays of numbers, for every recipe.
"""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from kft.features.boundary import Forward
from kft.model.freeze import as_if, what_trains_in
from kft.recipe.schema import FeaturesSpec, PhaseSpec, TrainSpec
from kft.replicas import rows_per_replica
from kft.tasks.task import Objective
from kft.train.job import TrainData
from kft.train.optimizer import ScheduledAdamW
from kft.train.plan import plan_forward
from kft.train.progress import Progress
from kft.train.schedules import make_schedule
from kft.train.step import make_train_step
from kft.train.tpu_rules import TpuCheck, check_batch


def check_tpu(
    model: keras.Model,
    phases: tuple[PhaseSpec, ...],
    data: TrainData,
    features: FeaturesSpec,
    spec: TrainSpec,
    cores: int,
    progress: Progress,
) -> list[TpuCheck]:
    """Checks a recipe's model and batches; the longest batch of each phase is compiled under XLA, on this machine.

    Args:
        model: From ``build_model``; left as it is.
        phases: From ``plan_phases``.
        data: The examples.
        features: The recipe's part on stored features: it decides whether a step runs through the frozen blocks.
        spec: The recipe's part on training.
        cores: Of the TPU slice, such as 8.
        progress: Says what is compiled.
    """
    checks = [check_batch(spec.batch_size, cores)]
    longest = data.train.source.edges[-1]
    objective = data.kind.learning.objective(data.space, spec.label_smoothing)
    trained = [phase for phase in phases if phase.solver == "adamw"]
    for phase in trained:
        with as_if(model, what_trains_in(model, phase)):
            store, forward, _ = plan_forward(model, data.train.source, data.valid.source, features)
            what = "on stored features" if store.store else "from the input on"
            progress.note(
                f"compiling  the step of phase {phase.name} {what} under XLA, at the longest shape, {longest}"
            )
            error = _compile_error(forward, model, phase, longest, spec, objective)
        checks.append(
            TpuCheck(
                f"the step of phase {phase.name} compiles under XLA",
                not error,
                error or f"{spec.batch_size} rows of {longest}, {what}",
                "report this as a bug in kft, with the recipe" if error else "",
            )
        )
    return checks


def _compile_error(
    forward: Forward, model: keras.Model, phase: PhaseSpec, longest: int, spec: TrainSpec, objective: Objective
) -> str:
    assert phase.lr is not None
    schedule = make_schedule(spec.schedule, total_steps=10, warmup_steps=1)
    optimizer = ScheduledAdamW(phase.lr, schedule=schedule, rate_factors={}, weight_decay=spec.weight_decay)
    optimizer.build(model.trainable_variables)
    lead = (spec.steps_per_call, rows_per_replica(spec.batch_size, spec.gradient_accumulation))
    inputs = tuple(
        tf.zeros((*lead, *(longest if size is None else size for size in tensor.shape[1:])), tensor.dtype)
        for tensor in forward.inputs
    )
    row = tf.ones(lead)
    shape = [longest if size is None else size for size in objective.target_shape]
    arguments = (inputs, tf.zeros((*lead, *shape), objective.target_dtype), row, row, tf.zeros((1,)), tf.constant(1))
    step: Any = make_train_step(forward, model, optimizer, spec, objective, static=True)
    try:
        step.experimental_get_compiler_ir(*arguments)(stage="optimized_hlo")
    except (tf.errors.OpError, ValueError, TypeError) as error:
        return str(error).strip().splitlines()[0]
    return ""
