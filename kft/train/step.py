"""One training step, written so that it is right under every tf.distribute strategy.

Each replica sums its examples' losses and never averages them; one all-reduce sums gradients and counts; the
division by the global count and the clipping by global norm come after it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from kft.errors import TrainingError
from kft.features.boundary import Forward
from kft.features.inference import signature
from kft.recipe.schema import TrainSpec
from kft.train.optimizer import ScheduledAdamW


def cross_entropy(targets: tf.Tensor, logits: tf.Tensor, label_smoothing: float) -> tf.Tensor:
    """Returns each example's cross-entropy in nats, with smoothed targets (Szegedy et al., 2016)."""
    log_probabilities = tf.nn.log_softmax(tf.cast(logits, tf.float32))
    picked = tf.gather(log_probabilities, targets, axis=1, batch_dims=1)
    uniform = tf.reduce_mean(log_probabilities, axis=1)
    return -(1 - label_smoothing) * picked - label_smoothing * uniform


def make_train_step(
    forward: Forward, model: keras.Model, optimizer: ScheduledAdamW, spec: TrainSpec
) -> Callable[..., tuple[tf.Tensor, tf.Tensor, tf.Tensor]]:
    """Traces one step for the variables that are trainable now.

    Args:
        forward: From batch tensors to logits; shares its weights with ``model``.
        model: The full model, whose trainable variables move.
        optimizer: Built for exactly these variables.
        spec: Batch size, clipping, label smoothing.

    Returns:
        A function of (tensors, targets ``int[batch]``, mask ``float[batch]``, weights ``float[batch]``) that
        updates the model and returns the sums of loss, correct answers and examples over the global batch.
    """
    strategy = tf.distribute.get_strategy()
    variables = list(model.trainable_variables)

    def replica_step(tensors: Any, targets: Any, mask: Any, weights: Any) -> Any:
        with tf.GradientTape() as tape:
            logits = forward(list(tensors), training=True)
            losses = cross_entropy(targets, logits, spec.label_smoothing) * weights
            count = tf.reduce_sum(mask)
            loss = tf.reduce_sum(losses)
            extra = [tf.cast(term, tf.float32) * count for term in forward.losses]
            total = tf.add_n([loss, *extra])
        gradients = tape.gradient(total, [variable.value for variable in variables])
        _require_gradients(variables, gradients)
        gradients = [tf.convert_to_tensor(gradient) for gradient in gradients]
        right = tf.cast(tf.equal(tf.argmax(logits, axis=1, output_type=tf.int32), targets), tf.float32)
        sums = [loss, tf.reduce_sum(right * mask), count]
        context = tf.distribute.get_replica_context()
        *gradients, loss, correct, count = context.all_reduce(tf.distribute.ReduceOp.SUM, [*gradients, *sums])
        # Divided by the number of real examples, not by the sum of class weights, which would rescale batches.
        gradients = [gradient / tf.maximum(count, 1) for gradient in gradients]
        if spec.clip_norm is not None:
            gradients, _ = tf.clip_by_global_norm(gradients, spec.clip_norm)
        optimizer.apply(gradients, variables)
        return loss, correct, count

    batch = tf.TensorSpec((spec.batch_size,), tf.float32)
    targets = tf.TensorSpec((spec.batch_size,), tf.int32)

    @tf.function(input_signature=(signature(forward.inputs, spec.batch_size), targets, batch, batch), autograph=False)
    def step(tensors: Any, targets: Any, mask: Any, weights: Any) -> Any:
        return strategy.run(replica_step, args=(tensors, targets, mask, weights))

    return step


def _require_gradients(variables: list[keras.Variable], gradients: list[Any]) -> None:
    unused = [variable.path for variable, gradient in zip(variables, gradients, strict=True) if gradient is None]
    if unused:
        raise TrainingError(
            "weights are set to train but have no part in the answer",
            received=", ".join(unused[:5]),
            expected="a gradient for every trainable weight",
            next_step="freeze the block they belong to",
        )
