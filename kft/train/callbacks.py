"""Keras callbacks, driven from our own loop, and early stopping, which belongs to the loop.

Callbacks see the full model, with ``model.optimizer`` set, and logs under the names Keras people know
(``loss``, ``val_loss``, ``val_accuracy``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras

from kft.errors import RecipeError
from kft.recipe.schema import CallbackSpec, EarlyStoppingSpec
from kft.registry import Registry

CALLBACKS: Registry[type[keras.callbacks.Callback]] = Registry("callback")
CALLBACKS.register("reduce-lr-on-plateau", keras.callbacks.ReduceLROnPlateau)
CALLBACKS.register("terminate-on-nan", keras.callbacks.TerminateOnNaN)
CALLBACKS.register("csv-logger", keras.callbacks.CSVLogger)


def make_callbacks(specs: Sequence[CallbackSpec], folder: Path | None) -> list[keras.callbacks.Callback]:
    """Builds the callbacks a recipe names.

    Raises:
        RecipeError: A name is not registered, or an argument is not the callback's own.
    """
    made = []
    for position, spec in enumerate(specs):
        cls = CALLBACKS.get(spec.name, RecipeError)
        args = dict(spec.args)
        if cls is keras.callbacks.CSVLogger and folder is not None:
            args.setdefault("filename", str(folder / "epochs.csv"))
        try:
            made.append(cls(**args))
        except (TypeError, ValueError) as error:
            raise RecipeError(
                f"the callback {spec.name} does not take these arguments",
                where=f"train.callbacks[{position}].args",
                received=str(error),
                expected=f"the arguments of keras.callbacks.{cls.__name__}",
            ) from None
    return made


class CallbackDriver:
    """Calls a list of Keras callbacks at the moments ``fit`` would.

    Example:
        >>> driver = CallbackDriver(model, [keras.callbacks.TerminateOnNaN()])  # doctest: +SKIP
        >>> driver.epoch_end(0, {"loss": 0.3, "val_loss": 0.4})  # doctest: +SKIP
    """

    def __init__(self, model: keras.Model, callbacks: Sequence[keras.callbacks.Callback]) -> None:
        self.model = model
        self.list = keras.callbacks.CallbackList(list(callbacks), add_history=False, model=model)
        hooks = ("on_batch_begin", "on_batch_end", "on_train_batch_begin", "on_train_batch_end")
        own = keras.callbacks.Callback
        # Fetching a step's loss waits for the device: only for a callback that looks at steps.
        self.active = any(getattr(type(made), hook) is not getattr(own, hook) for made in callbacks for hook in hooks)

    def begin(self) -> None:
        """Training begins."""
        self.model.stop_training = False
        self.list.on_train_begin()

    def use_optimizer(self, optimizer: Any) -> None:
        """Gives callbacks the phase's optimizer, so that they can set ``learning_rate``."""
        self.model.optimizer = optimizer

    def epoch_begin(self, epoch: int) -> None:
        """An epoch begins; epochs count on over the phases."""
        self.list.on_epoch_begin(epoch)

    def batch_begin(self, step: int) -> None:
        """A step begins."""
        if self.active:
            self.list.on_train_batch_begin(step)

    def batch_end(self, step: int, sums: Sequence[Any]) -> None:
        """A step is done; its sums of loss, correct answers and examples are fetched only when someone listens."""
        if self.active:
            self.list.on_train_batch_end(step, {"loss": float(sums[0]) / float(sums[2])})

    def epoch_end(self, epoch: int, logs: dict[str, float]) -> None:
        """An epoch is done and validated."""
        self.list.on_epoch_end(epoch, logs)

    def end(self) -> None:
        """Training is over."""
        self.list.on_train_end()

    @property
    def wants_stop(self) -> bool:
        """Whether a callback set ``model.stop_training``."""
        return bool(self.model.stop_training)


@dataclass
class Patience:
    """Early stopping within one phase: counts the epochs since the monitor's best.

    The phase's starting point does not count: right after a probe the first epoch often falls below it and
    recovers as the rate decays.
    """

    spec: EarlyStoppingSpec | None
    best: float | None = None
    waited: int = 0

    def should_stop(self, metrics: dict[str, float]) -> bool:
        """Takes one epoch's validation metrics and says whether the phase is over."""
        if self.spec is None:
            return False
        value = metrics[self.spec.monitor]
        score = -value if self.spec.monitor == "valid_loss" else value
        if self.best is None or score > self.best:
            self.best, self.waited = score, 0
        else:
            self.waited += 1
        return self.waited >= self.spec.patience
