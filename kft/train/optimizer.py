"""The optimizers that ``train.optimizer`` names, for a loop that reduces gradients itself, with a rate for each block.

An optimizer of your own is one class: register one of Keras's kind in ``OPTIMIZERS``, and it gets per-block rates, the
schedule and decoupled decay as all others do.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import keras
import tensorflow as tf
from keras import ops

from kft.errors import RecipeError, TrainingError
from kft.model.blocks import find_blocks
from kft.recipe.durations import duration_in_steps
from kft.recipe.training import OptimizerSpec, PhaseSpec, TrainSpec
from kft.registry import Registry
from kft.train.rates import rate_factors
from kft.train.schedules import Schedule, make_schedule

if TYPE_CHECKING:
    from kft.train.token_table import TokenTable

OURS = (
    "learning_rate",
    "weight_decay",
    "clipnorm",
    "clipvalue",
    "global_clipnorm",
    "use_ema",
    "ema_momentum",
    "ema_overwrite_frequency",
    "loss_scale_factor",
    "gradient_accumulation_steps",
    "name",
)
"""Arguments of Keras's optimizers that are the loop's own affair: keys of ``train`` and of its phases say them."""


ADAMW = "adamw"


class Scheduled:
    """What each optimizer of ours does beside its own update: mixed into a Keras optimizer.

    ``learning_rate`` stays a settable variable, as Keras callbacks expect; the step's rate is
    ``learning_rate * schedule(iterations) * factor``, and the decoupled decay is scaled with it.
    """

    schedule: Schedule

    @property
    def moved(self) -> list[keras.Variable]:
        """What it was built for. Keras keeps it under a private name; setup.cfg pins Keras."""
        return list(self._trainable_variables)  # type: ignore[attr-defined]

    def plan(self, schedule: Schedule, factors: Mapping[str, float], weight_decay: float) -> None:
        """Takes what hangs on the phase.

        Args:
            schedule: From ``make_schedule``.
            factors: Of the rate, by variable path.
            weight_decay: Decoupled decay; none on vectors (biases and norms).
        """
        self.schedule = schedule
        self._factor_of = dict(factors)
        self._decay = weight_decay
        self._applies: Any = 1.0
        self._slots: dict[str, list[keras.Variable]] = {}

    def build(self, variables: Sequence[keras.Variable]) -> None:
        """Makes the slots, and notes each variable's factor: ``update_step`` sees no paths.

        Raises:
            TrainingError: A variable has no factor.
        """
        lost = [variable.path for variable in variables if variable.path not in self._factor_of]
        if lost:
            raise TrainingError(
                "weights that train have no rate: they belong to no block",
                received=", ".join(lost[:5]),
                expected="a factor for every trainable weight",
                next_step="build the model with kft.build_model, whose blocks hold every weight",
            )
        super().build(variables)  # type: ignore[misc]
        self._factors = [self._factor_of[variable.path] for variable in variables]
        self._decays = [self._decay if len(variable.shape) > 1 else 0.0 for variable in variables]
        self._slots_of = [self._slots.get(variable.path, []) for variable in variables]

    def add_variable_from_reference(self, reference_variable: keras.Variable, *args: Any, **named: Any) -> Any:
        made = super().add_variable_from_reference(reference_variable, *args, **named)  # type: ignore[misc]
        self._slots.setdefault(reference_variable.path, []).append(made)
        return made

    def apply_if(self, finite: Any, gradients: Sequence[Any], variables: Sequence[keras.Variable]) -> None:
        """Applies the gradients, or leaves weights and slots as they are; the schedule moves on in either case.

        No branch: an update inside ``tf.cond`` is refused under several of the strategies.

        Args:
            finite: A scalar bool tensor.
            gradients: Finite themselves, whatever ``finite`` says.
            variables: Those the optimizer was built for.
        """
        self._applies = tf.cast(finite, tf.float32)
        try:
            self.apply(gradients, variables)  # type: ignore[attr-defined]
        finally:
            self._applies = 1.0

    def _backend_update_step(self, grads: list, trainable_variables: list, learning_rate: Any) -> None:
        # Computed here, once, because `update_step` runs for each variable.
        rate = ops.cast(learning_rate, "float32") * self.schedule(self.iterations)  # type: ignore[attr-defined]
        asked = ops.stack([rate, ops.cast(self._applies, "float32")])
        super()._backend_update_step(grads, trainable_variables, asked)  # type: ignore[misc]

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Decays, then moves, one variable, and takes both back where the update is to be left out."""
        index = self._get_variable_index(variable)  # type: ignore[attr-defined]
        rate, applies = learning_rate[0] * self._factors[index], learning_rate[1] > 0
        moving = [variable, *self._slots_of[index]]
        before = [tf.identity(ops.convert_to_tensor(each)) for each in moving]
        if self._decays[index]:
            self.assign_sub(variable, before[0] * ops.cast(rate * self._decays[index], before[0].dtype))  # type: ignore[attr-defined]
        super().update_step(gradient, variable, rate)  # type: ignore[misc]
        for each, value in zip(moving, before, strict=True):
            self.assign(each, tf.where(applies, ops.convert_to_tensor(each), value))  # type: ignore[attr-defined]

    def _all_reduce_sum_gradients(self, grads_and_vars: list) -> list:
        # The loop has already summed the gradients over replicas, and clipped them after that; Keras would
        # sum them again. A private hook: setup.cfg pins Keras, tests/train/test_step.py guards it.
        return list(grads_and_vars)


class ScheduledAdamW(Scheduled, keras.optimizers.Adam):
    """AdamW (Loshchilov and Hutter, 2019), in one fused kernel."""

    def __init__(self, learning_rate: float, name: str = "adamw", **args: float) -> None:
        # Below 1e-7, attention's key biases, whose true gradient is zero, drift apart between devices.
        moments = {"beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-7}
        super().__init__(learning_rate=learning_rate, name=name, **moments | args)

    def _backend_update_step(self, grads: list, trainable_variables: list, learning_rate: Any) -> None:
        # The step's rate, and Adam's own correction of the moments' bias towards zero (Kingma and Ba, 2015, end of
        # section 2).
        rate = self._applies * ops.cast(learning_rate, "float32") * self.schedule(self.iterations)
        step = ops.cast(self.iterations + 1, "float32")
        correction = ops.sqrt(1 - ops.power(self.beta_2, step)) / (1 - ops.power(self.beta_1, step))
        asked = ops.stack([rate, rate * correction, self._applies])
        super(Scheduled, self)._backend_update_step(grads, trainable_variables, asked)

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


def scheduled(kind: type[keras.optimizers.Optimizer]) -> type[keras.optimizers.Optimizer]:
    """Returns a Keras optimizer's class with what ``Scheduled`` adds."""
    made: type[keras.optimizers.Optimizer] = type(f"Scheduled{kind.__name__}", (Scheduled, kind), {})
    return made


OPTIMIZERS: Registry[Callable[..., Any]] = Registry("optimizer")
"""By name: what takes a learning rate and the arguments of ``train.optimizer``, and gives a ``Scheduled`` optimizer."""
OPTIMIZERS.register(ADAMW, ScheduledAdamW)
OPTIMIZERS.register("sgd", scheduled(keras.optimizers.SGD))
OPTIMIZERS.register("lion", scheduled(keras.optimizers.Lion))


def find_optimizer(spec: OptimizerSpec, learning_rate: float) -> Any:
    """Returns an optimizer that has not been built yet: one of ours, or of Keras's by the name of its class.

    Raises:
        RecipeError: There is none of that name, or an argument is not its own.
    """
    others = {
        name.lower(): made
        for name, made in vars(keras.optimizers).items()
        if isinstance(made, type) and issubclass(made, keras.optimizers.Optimizer) and made.__name__ not in WRAPPERS
    }
    key = spec.name.lower()
    make = scheduled(others[key]) if key in others and key not in OPTIMIZERS else OPTIMIZERS.get(key, _unknown(others))
    wrong = [name for name in spec.args if name in OURS]
    try:
        if wrong:
            raise TypeError(f"{', '.join(wrong)}: keys of train and its phases say that, for every optimizer")
        return make(learning_rate=learning_rate, name=key, **spec.args)  # a name of its own: Keras counts others on
    except (TypeError, ValueError) as error:
        raise RecipeError(
            f"the optimizer {spec.name} does not take these arguments",
            where="train.optimizer",
            received=str(error),
            expected="arguments of its own, such as {name: sgd, momentum: 0.9}",
        ) from None


WRAPPERS = ("Optimizer", "LossScaleOptimizer", "MultiOptimizer", "Muon")
"""No optimizers by themselves, or one that has to know which weights are which."""


def _unknown(others: Mapping[str, Any]) -> Callable[..., RecipeError]:
    def refuse(problem: str, **found: Any) -> RecipeError:
        names = [*OPTIMIZERS.names(), *sorted(name for name in others if name not in OPTIMIZERS)]
        return RecipeError(problem, where="train.optimizer", **{**found, "expected": "one of " + ", ".join(names)})

    return refuse


def make_optimizer(
    model: keras.Model, phase: PhaseSpec, spec: TrainSpec, steps: int, table: TokenTable | None = None
) -> Any:
    """Builds a phase's optimizer for what trains now, with its schedule over all the phase's epochs.

    Args:
        model: What is trained, with what trains set.
        phase: With epochs and a rate.
        spec: The recipe's part on training.
        steps: Updates of one epoch.
        table: What trains in place of all token embeddings, if any.
    """
    assert phase.epochs is not None and phase.lr is not None
    total = steps * phase.epochs
    warmup = duration_in_steps(spec.warmup, total_steps=total, steps_per_epoch=steps)
    schedule = make_schedule(spec.schedule, total_steps=total, warmup_steps=warmup)
    optimizer = find_optimizer(spec.optimizer, phase.lr)
    factors, variables = rate_factors(find_blocks(model), phase.layer_decay), list(model.trainable_variables)
    if table is not None:
        factors[table.rows.path] = factors[table.whole.path]
        variables = table.instead(variables)
    optimizer.plan(schedule, factors, spec.weight_decay)
    optimizer.build(variables)
    return optimizer
