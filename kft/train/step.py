"""One training step, written so that it is right under every tf.distribute strategy.

Each replica sums its examples' losses and never averages them; one all-reduce sums gradients, counts and the wish to
stop; the division by the global count, the clipping by global norm and the look for NaN come after it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import keras
import tensorflow as tf

from kft.errors import TrainingError
from kft.features.boundary import Forward
from kft.features.inference import signature
from kft.model.freeze import moving_variables
from kft.recipe.training import TrainSpec
from kft.replicas import counting_rows, knowing_replicas, needs_static_shapes, replica_specs, rows_per_replica
from kft.train.optimizer import ScheduledAdamW

Step = Callable[..., tf.Tensor]


class Minimised(Protocol):
    """What a step minimises, and what a target looks like: a task's ``Objective``, or one across rows."""

    @property
    def target_shape(self) -> tuple[int | None, ...]:
        """Of one example's target; None is the token axis."""

    @property
    def target_dtype(self) -> str:
        """Of a target."""

    def sums(self, targets: Any, outputs: Any, mask: Any, weights: Any) -> tuple[Any, Any, Any]:
        """Returns loss, hits and count of a replica's rows, summed; padding has mask and weight 0."""


class StepSums(NamedTuple):
    """What a call of the step sums up over its updates and the replicas.

    Attributes:
        loss: Of every example whose update was made.
        hits: What the objective counts beside the loss, such as right answers.
        count: How many examples had a loss.
        left_out: Updates that a NaN or an infinity kept from being made.
        stop: How many replicas asked to stop.
    """

    loss: Any
    hits: Any
    count: Any
    left_out: Any
    stop: Any


def make_train_step(
    forward: Forward,
    model: keras.Model,
    optimizer: ScheduledAdamW,
    spec: TrainSpec,
    objective: Minimised,
    *,
    static: bool = False,
) -> Step:
    """Traces one call of the device for the variables that are trainable now: ``spec.steps_per_call`` updates.

    Args:
        forward: From batch tensors to logits; shares its weights with ``model``.
        model: The full model, whose statistics of BatchNorms move beside.
        optimizer: What it was built for moves.
        spec: Batch size, parts of a batch, updates a call, clipping.
        objective: What is minimised, and what a target looks like.
        static: Trace and compile each padded length by itself under XLA, as a TPU does.

    Returns:
        A function of (tensors, targets ``[updates, batch, ...]``, mask and weights ``float[batch]`` likewise, stop
        ``float[replicas]``, updates ``int``), dealt out by ``to_replicas``, that makes the first ``updates`` updates
        and returns ``float32[5]``, the ``StepSums``.
    """
    strategy = tf.distribute.get_strategy()
    variables = optimizer.moved
    statistics = [variable for variable in moving_variables(model) if not variable.trainable]  # of BatchNorms
    rows = rows_per_replica(spec.batch_size, spec.gradient_accumulation)

    def part_gradients(tensors: Any, targets: Any, mask: Any, weights: Any) -> tuple[list, list]:
        with tf.GradientTape() as tape, counting_rows(mask):
            outputs = forward(list(tensors), training=True)
            loss, hits, count = objective.sums(targets, outputs, mask, weights)
            extra = [tf.cast(term, tf.float32) * count for term in forward.losses]
            total = tf.add_n([loss, *extra])
        gradients = tape.gradient(total, [variable.value for variable in variables])
        _require_gradients(variables, gradients)
        return [tf.convert_to_tensor(gradient) for gradient in gradients], [loss, hits, count]

    def replica_step(batch: Any, stop: Any, update: Any) -> Any:
        batch = tf.nest.map_structure(lambda tensor: tensor[update], batch)
        before = [tf.identity(variable.value) for variable in statistics]
        gradients, sums = _in_parts(part_gradients, batch, rows, spec.gradient_accumulation)
        context = tf.distribute.get_replica_context()
        *gradients, loss, hits, count, stop = context.all_reduce(
            tf.distribute.ReduceOp.SUM, [*gradients, *sums, tf.reduce_sum(stop)]
        )
        # Divided by the number of examples with a loss, not by the sum of class weights, which would rescale batches.
        scale = 1 / tf.maximum(count, 1)
        norm = tf.linalg.global_norm(gradients) * scale
        # Every replica sees the same sums, so all of them leave the same update out.
        finite = tf.math.is_finite(norm) & tf.math.is_finite(loss)
        if spec.clip_norm is not None:
            scale *= tf.minimum(1.0, spec.clip_norm / tf.maximum(norm, 1e-12))
        scale = tf.where(finite, scale, 0.0)
        gradients = [tf.math.multiply_no_nan(gradient, tf.cast(scale, gradient.dtype)) for gradient in gradients]
        optimizer.apply_if(finite, gradients, variables)
        for variable, value in zip(statistics, before, strict=True):  # the forward pass moved them already
            variable.assign(tf.where(finite, variable.value, value))
        made = tf.cast(finite, tf.float32)
        counted = [tf.math.multiply_no_nan(value, made) for value in (loss, hits, count)]
        return tf.stack([*counted, 1 - made, stop])

    def call(tensors: Any, targets: Any, mask: Any, weights: Any, stop: Any, updates: Any) -> tf.Tensor:
        def body(update: Any, sums: Any) -> Any:
            found = strategy.run(replica_step, args=((tensors, targets, mask, weights), stop, update))
            return update + 1, sums + strategy.experimental_local_results(found)[0]

        with knowing_replicas(model):
            if spec.steps_per_call == 1:
                return body(0, tf.zeros(5))[1]
            return tf.while_loop(lambda update, sums: update < updates, body, (0, tf.zeros(5)))[1]

    if static or needs_static_shapes(strategy):
        return tf.function(call, autograph=False, jit_compile=static or None)
    lead = (spec.steps_per_call, rows)
    inputs = [tf.TensorSpec((*lead, *spec_.shape[1:]), spec_.dtype) for spec_ in signature(forward.inputs, rows)]
    row = tf.TensorSpec(lead, tf.float32)
    target = tf.TensorSpec((*lead, *objective.target_shape), objective.target_dtype)
    specs = (tuple(inputs), target, row, row, tf.TensorSpec((1,), tf.float32))
    dealt = tf.nest.map_structure(lambda spec_: replica_specs([spec_])[0], specs)
    return tf.function(call, input_signature=(*dealt, tf.TensorSpec((), tf.int32)), autograph=False)


def _in_parts(work: Callable[..., tuple[list, list]], batch: Any, rows: int, parts: int) -> tuple[list, list]:
    """Works through a replica's rows part by part and adds up the gradients and the sums."""
    size = rows // parts
    if parts == 1:
        return work(*batch)
    gradients, sums = [], []
    for part in range(parts):
        here = slice(part * size, (part + 1) * size)
        found = work(*tf.nest.map_structure(lambda tensor, here=here: tensor[here], batch))
        gradients.append(found[0])
        sums.append(found[1])
    return [tf.add_n(list(each)) for each in zip(*gradients, strict=True)], [
        tf.add_n(list(each)) for each in zip(*sums, strict=True)
    ]


def _require_gradients(variables: list[keras.Variable], gradients: list[Any]) -> None:
    unused = [variable.path for variable, gradient in zip(variables, gradients, strict=True) if gradient is None]
    if unused:
        raise TrainingError(
            "weights are set to train but have no part in the answer",
            received=", ".join(unused[:5]),
            expected="a gradient for every trainable weight",
            next_step="freeze the block they belong to",
        )
