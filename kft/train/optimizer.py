"""AdamW for a loop that reduces gradients itself, with a rate for each block."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import tensorflow as tf
from keras import ops

from kft.model.blocks import Block, find_blocks
from kft.recipe.durations import duration_in_steps
from kft.recipe.schema import PhaseSpec, TrainSpec
from kft.train.schedules import Schedule, make_schedule


class ScheduledAdamW(keras.optimizers.Adam):
    """AdamW (Loshchilov and Hutter, 2019) with a schedule and a rate factor for each variable.

    ``learning_rate`` stays a settable variable, as Keras callbacks expect; the step's rate is
    ``learning_rate * schedule(iterations) * rate_factor``, and the decoupled decay is scaled with it.

    Args:
        learning_rate: The peak rate.
        schedule: From ``make_schedule``.
        rate_factors: By variable path; a path that is missing trains at the full rate.
        weight_decay: Decoupled decay; none on vectors (biases and norms).
    """

    def __init__(
        self,
        learning_rate: float,
        *,
        schedule: Schedule,
        rate_factors: Mapping[str, float],
        weight_decay: float,
    ) -> None:
        # Below 1e-7, attention's key biases, whose true gradient is zero, drift apart between devices.
        super().__init__(learning_rate=learning_rate, beta_1=0.9, beta_2=0.999, epsilon=1e-7, name="adamw")
        self.schedule = schedule
        self._rate_factors_by_path = dict(rate_factors)
        self._decay = weight_decay
        self._applies: Any = 1.0

    def build(self, variables: Sequence[keras.Variable]) -> None:
        """Makes the moments, and notes each variable's factor: ``update_step`` sees no paths."""
        super().build(variables)
        self._factors = [self._rate_factors_by_path.get(variable.path, 1.0) for variable in variables]
        self._decays = [self._decay if len(variable.shape) > 1 else 0.0 for variable in variables]

    def apply_if(self, finite: Any, gradients: Sequence[Any], variables: Sequence[keras.Variable]) -> None:
        """Applies the gradients, or leaves weights and moments as they are; the schedule moves on in either case.

        No branch: an update inside ``tf.cond`` is refused under several of the strategies.

        Args:
            finite: A scalar bool tensor.
            gradients: Finite themselves, whatever ``finite`` says.
            variables: Those the optimizer was built for.
        """
        self._applies = tf.cast(finite, tf.float32)
        try:
            self.apply(gradients, variables)
        finally:
            self._applies = 1.0

    def _backend_update_step(self, grads: list, trainable_variables: list, learning_rate: Any) -> None:
        # Computed here, once, because `update_step` runs for each variable: the step's rate, and Adam's own
        # correction of the moments' bias towards zero (Kingma and Ba, 2015, end of section 2).
        rate = self._applies * ops.cast(learning_rate, "float32") * self.schedule(self.iterations)
        step = ops.cast(self.iterations + 1, "float32")
        correction = ops.sqrt(1 - ops.power(self.beta_2, step)) / (1 - ops.power(self.beta_1, step))
        super()._backend_update_step(grads, trainable_variables, ops.stack([rate, rate * correction, self._applies]))

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Decays, then moves, one variable; one fused kernel instead of a dozen operations."""
        index = self._get_variable_index(variable)
        factor = self._factors[index]
        if self._decays[index]:
            variable.assign_sub(variable * (learning_rate[0] * factor * self._decays[index]))
        tf.raw_ops.ResourceApplyAdam(
            var=variable.handle,
            m=self._momentums[index].value.handle,
            v=self._velocities[index].value.handle,
            beta1_power=0.0,  # the correction is in the rate already
            beta2_power=0.0,
            lr=learning_rate[1] * factor,
            beta1=1 - (1 - self.beta_1) * learning_rate[2],  # 1 where the update is left out
            beta2=1 - (1 - self.beta_2) * learning_rate[2],
            epsilon=self.epsilon,
            grad=tf.cast(gradient, variable.dtype),
        )

    def _all_reduce_sum_gradients(self, grads_and_vars: list) -> list:
        # The loop has already summed the gradients over replicas, and clipped them after that; Keras would
        # sum them again. A private hook: setup.cfg pins Keras, tests/train/test_step.py guards it.
        return list(grads_and_vars)


def make_optimizer(model: keras.Model, phase: PhaseSpec, spec: TrainSpec, rows: int) -> ScheduledAdamW:
    """Builds a phase's optimizer for what trains now, with its schedule over all the phase's epochs.

    Args:
        model: What is trained, with what trains set.
        phase: With epochs and a rate.
        spec: The recipe's part on training.
        rows: Training examples.
    """
    assert phase.epochs is not None and phase.lr is not None
    steps = math.ceil(rows / spec.batch_size)
    total = steps * phase.epochs
    warmup = duration_in_steps(spec.warmup, total_steps=total, steps_per_epoch=steps)
    optimizer = ScheduledAdamW(
        phase.lr,
        schedule=make_schedule(spec.schedule, total_steps=total, warmup_steps=warmup),
        rate_factors=rate_factors(find_blocks(model), phase.layer_decay),
        weight_decay=spec.weight_decay,
    )
    optimizer.build(model.trainable_variables)
    return optimizer


def block_factors(blocks: Sequence[Block], layer_decay: float) -> dict[str, float]:
    """Returns each block's rate factor under layer-wise decay (Howard and Ruder, 2018).

    The head has 1, the block below it ``layer_decay``, the next ``layer_decay ** 2``, and so on down.
    """
    return {block.name: layer_decay**depth for depth, block in enumerate(reversed(blocks))}


def rate_factors(blocks: Sequence[Block], layer_decay: float) -> dict[str, float]:
    """Returns each variable's rate factor: its block's."""
    by_block = block_factors(blocks, layer_decay)
    return {variable.path: by_block[block.name] for block in blocks for variable in block.variables}
