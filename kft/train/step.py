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
from kft.train.feeding import CallBatches, Execution
from kft.train.optimizer import ScheduledAdamW

Step = Callable[..., tf.Tensor]
ONE_BY_ONE = Execution()


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
    """What an update sums up over the replicas.

    Attributes:
        loss: Of every example, where the update was made.
        hits: What the objective counts beside the loss, such as right answers.
        count: How many examples had a loss.
        left_out: 1 where a NaN or an infinity kept the update from being made.
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
    execution: Execution = ONE_BY_ONE,
) -> Step:
    """Traces one call of the device for the variables that are trainable now.

    Args:
        forward: From batch tensors to logits; shares its weights with ``model``.
        model: The full model, whose statistics of BatchNorms move beside.
        optimizer: What it was built for moves.
        spec: Batch size, parts of a batch, clipping.
        objective: What is minimised, and what a target looks like.
        execution: How many updates a call makes, and whether they are compiled.

    Returns:
        A function of (``CallBatches``, stop ``float[replicas]``, updates ``int``) that makes the first ``updates``
        updates of the block, each on the batch as it is by itself, and returns ``float32[updates, 5]``: the
        ``StepSums`` of each, zeros for what is not made.
    """
    strategy = tf.distribute.get_strategy()
    variables = optimizer.moved
    statistics = [variable for variable in moving_variables(model) if not variable.trainable]  # of BatchNorms
    rows = rows_per_replica(spec.batch_size, spec.gradient_accumulation)
    alone, static = strategy.num_replicas_in_sync == 1, execution.whole or needs_static_shapes(strategy)
    shapes = (*(tensor.shape[1:] for tensor in forward.inputs), objective.target_shape)
    # One shape serves a whole call where shapes are static, or where it has one batch.
    varying = tuple(shape[:1] == (None,) and not static and execution.updates > 1 for shape in shapes)

    def part_gradients(tensors: Any, targets: Any, mask: Any, weights: Any) -> tuple[list, list]:
        with tf.GradientTape() as tape, counting_rows(mask):
            outputs = forward(list(tensors), training=True)
            loss, hits, count = objective.sums(targets, outputs, mask, weights)
            extra = [tf.cast(term, tf.float32) * count for term in forward.losses]
            total = tf.add_n([loss, *extra])
        gradients = tape.gradient(total, [variable.value for variable in variables])
        _require_gradients(variables, gradients)
        return [tf.convert_to_tensor(gradient) for gradient in gradients], [loss, hits, count]

    def update_once(batch: Any, stop: Any) -> Any:
        before = [tf.identity(variable.value) for variable in statistics]
        work = _compiled(part_gradients) if execution.compiled and not alone else part_gradients
        gradients, sums = _in_parts(work, batch, rows, spec.gradient_accumulation)
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

    # Alone, all of an update is compiled; on several replicas its gradients are, and what goes between them is not.
    make_update = _compiled(update_once) if execution.compiled and alone else update_once

    def replica_step(block: CallBatches, stop: Any, update: Any) -> Any:
        return make_update(_cut_out(block, update, varying), stop)

    call = _several(replica_step, model, execution.updates)
    if static:
        return tf.function(call, autograph=False, jit_compile=execution.whole or None)
    return tf.function(call, input_signature=_specs(forward, objective, (execution.updates, rows)), autograph=False)


def _several(replica_step: Callable[..., Any], model: keras.Model, count: int) -> Callable[..., Any]:
    """Returns what makes the first updates of a block of so many, one after the other, on all replicas."""
    strategy = tf.distribute.get_strategy()

    def call(block: CallBatches, stop: Any, updates: Any) -> tf.Tensor:
        def made(update: Any) -> Any:
            found = strategy.run(replica_step, args=(block, stop, update))
            return strategy.experimental_local_results(found)[0][tf.newaxis]

        def body(update: Any, sums: Any) -> Any:
            return update + 1, tf.tensor_scatter_nd_update(sums, [[update]], made(update))

        with knowing_replicas(model):
            if count == 1:
                return made(0)
            none = tf.zeros((count, len(StepSums._fields)))
            return tf.while_loop(lambda update, sums: update < updates, body, (0, none))[1]

    return call


def _specs(forward: Forward, objective: Minimised, lead: tuple[int, int]) -> tuple[Any, ...]:
    """Returns the one input signature of a step: free token axes, so that one trace serves all lengths."""
    inputs = [tf.TensorSpec((*lead, *spec.shape[1:]), spec.dtype) for spec in signature(forward.inputs, lead[1])]
    target = tf.TensorSpec((*lead, *objective.target_shape), objective.target_dtype)
    row, wish = tf.TensorSpec(lead, tf.float32), tf.TensorSpec((1,), tf.float32)
    *tensors, targets, rows, stop = replica_specs([*inputs, target, row, wish])
    lengths = tf.TensorSpec((lead[0], len(inputs) + 1), tf.int32)
    return CallBatches(tuple(tensors), targets, rows, rows, lengths), stop, tf.TensorSpec((), tf.int32)


def _compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """Returns the function as XLA compiles it, when it is called, for the shapes that it is then given."""
    compiled: Callable[..., Any] = tf.function(function, autograph=False, jit_compile=True)
    return compiled


def _cut_out(block: CallBatches, update: Any, varying: tuple[bool, ...]) -> tuple[Any, ...]:
    """Returns one batch of a block, as long as it is by itself where that varies: tensors, targets, mask, weights."""
    tensors = [tensor[update] for tensor in (*block.tensors, block.targets)]
    for place in (place for place, varies in enumerate(varying) if varies):
        tensors[place] = tensors[place][:, : block.lengths[update, place]]
    return tuple(tensors[:-1]), tensors[-1], block.mask[update], block.weights[update]


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
