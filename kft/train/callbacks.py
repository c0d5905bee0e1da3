"""Keras callbacks, driven from our own loop.

Callbacks see the full model, with ``model.optimizer`` set, and logs under the names Keras people know
(``loss``, ``val_loss``, ``val_accuracy``).
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import keras
import numpy as np

from kft.errors import RecipeError
from kft.recipe.training import CallbackSpec
from kft.records.files import write_file
from kft.records.run_folder import RunFolder
from kft.registry import Registry
from kft.train.trackers import MlflowTracker, WandbTracker

CALLBACKS: Registry[type[keras.callbacks.Callback]] = Registry("callback")
CALLBACKS.register("reduce-lr-on-plateau", keras.callbacks.ReduceLROnPlateau)
CALLBACKS.register("terminate-on-nan", keras.callbacks.TerminateOnNaN)
CALLBACKS.register("csv-logger", keras.callbacks.CSVLogger)
CALLBACKS.register("mlflow", MlflowTracker)
CALLBACKS.register("wandb", WandbTracker)


STATES: dict[type[keras.callbacks.Callback], tuple[str, ...]] = {
    keras.callbacks.ReduceLROnPlateau: ("best", "wait", "cooldown_counter"),
    keras.callbacks.ModelCheckpoint: (
        "best",
        "epochs_since_last_save",
        "_batches_seen_since_last_saving",
        "_last_batch_seen",
        "_current_epoch",
    ),
    keras.callbacks.LearningRateScheduler: (),
    keras.callbacks.TerminateOnNaN: (),
    keras.callbacks.CSVLogger: (),
    keras.callbacks.Callback: (),
}
"""What Keras's own callbacks remember from one epoch to the next. One that is not here, and has no
``get_state() -> dict`` and ``set_state(dict)``, starts anew when a run goes on."""

STOPPED = "stopped"
"""Under this key stands, beside the callbacks' states, whether one of them stopped the run."""

TRACKERS = {MlflowTracker: "mlflow", WandbTracker: "wandb"}
"""Below the run folder, what each writes into."""
FILE_WRITERS = (
    keras.callbacks.CSVLogger,
    keras.callbacks.ModelCheckpoint,
    keras.callbacks.TensorBoard,
    *TRACKERS,
)
"""Of several processes that train together, one runs these: all of them would write the same files."""


def make_callbacks(specs: Sequence[CallbackSpec], folder: Path | None) -> list[keras.callbacks.Callback]:
    """Builds the callbacks a recipe names.

    Raises:
        RecipeError: A name is not registered, an argument is not the callback's own, or it names a file outside the run
            folder or one that kft writes itself.
    """
    made = []
    for position, spec in enumerate(specs):
        cls = CALLBACKS.get(spec.name, RecipeError)
        args: dict[str, Any] = dict(spec.args)
        if folder is not None:
            if cls is keras.callbacks.CSVLogger:
                args.setdefault("filename", "epochs.csv")
            if cls in TRACKERS:
                args.setdefault("folder", TRACKERS[cls])
            where = f"train.callbacks[{position}].args"
            args = {key: _kept_inside(key, value, folder, f"{where}.{key}") for key, value in args.items()}
        try:
            made.append(cls(**args))
        except (TypeError, ValueError, OverflowError) as error:
            raise RecipeError(
                f"the callback {spec.name} does not take these arguments",
                where=f"train.callbacks[{position}].args",
                received=str(error),
                expected=f"the arguments of {cls.__name__}",
            ) from None
    return made


FILE_ARGUMENT = re.compile(r"file|path|dir|folder|log$|root", re.IGNORECASE)
"""What the arguments are called that name a file or a folder."""
OWN_FILES = {each.name for each in vars(RunFolder).values() if hasattr(each, "name")}


def _kept_inside(key: str, value: Any, folder: Path, where: str) -> Any:
    """Returns an argument; a file that it names lies in the run folder, where relative names start.

    Raises:
        RecipeError: It lies outside, or kft writes it.
    """
    if not isinstance(value, str):
        return value
    steps = PurePosixPath(value.replace("\\", "/"))
    leaves = ".." in steps.parts or steps.is_absolute() or "://" in value or value.startswith("~")
    if not leaves and not FILE_ARGUMENT.search(key):
        return value
    inside = (folder / value).resolve()
    base = folder.resolve()
    if leaves or not inside.is_relative_to(base) or inside == base:
        raise RecipeError(
            "a callback writes inside the run folder only",
            where=where,
            received=value,
            expected="a name below the run folder, such as epochs.csv",
            next_step="leave the folder out",
        )
    if inside.relative_to(base).parts[0] in OWN_FILES:
        raise RecipeError(
            "kft writes this file of the run folder itself", where=where, received=value, expected="another name"
        )
    return str(inside)


class CallbackDriver:
    """Calls a list of Keras callbacks at the moments ``fit`` would.

    Args:
        model: The full model.
        callbacks: In the order they are called in.
        writes: Whether this process writes files; else a callback that does is a silent one in the same place.

    Example:
        >>> driver = CallbackDriver(model, [keras.callbacks.TerminateOnNaN()])  # doctest: +SKIP
        >>> driver.epoch_end(0, {"loss": 0.3, "val_loss": 0.4})  # doctest: +SKIP
    """

    def __init__(
        self, model: keras.Model, callbacks: Sequence[keras.callbacks.Callback], *, writes: bool = True
    ) -> None:
        self.model = model
        # Of several processes, each says the same, whichever of them writes the files.
        self.watched = _look_at_steps(callbacks)
        if not writes:
            callbacks = [keras.callbacks.Callback() if isinstance(each, FILE_WRITERS) else each for each in callbacks]
        self.list = keras.callbacks.CallbackList(list(callbacks), add_history=False, model=model)
        # Fetching a step's loss waits for the device: only for a callback that looks at steps.
        self.active = _look_at_steps(callbacks)

    def begin(self, state: Mapping[str, Any] | None = None, *, epochs_done: int = 0) -> None:
        """Training begins, or goes on from the state of a checkpoint."""
        self.model.stop_training = False
        for made in self.list.callbacks:
            if isinstance(made, keras.callbacks.CSVLogger):
                Path(made.filename).parent.mkdir(parents=True, exist_ok=True)
            if state is not None and isinstance(made, keras.callbacks.CSVLogger):
                _cut_rows(Path(made.filename), epochs_done)
                made.append = True
        self.list.on_train_begin()
        if state is not None:
            self.restore(state)

    @property
    def state(self) -> dict[str, Any]:
        """What the callbacks remember, by place and class, and whether one stopped the run, as JSON holds it."""
        remembered = {key: found for key, made in self._keyed() if (found := _state_of(made)) is not None}
        return {STOPPED: self.wants_stop, **remembered}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Gives the callbacks what they remembered; Keras empties them when training begins."""
        self.model.stop_training = state.get(STOPPED, False)
        for key, made in self._keyed():
            if key in state and hasattr(made, "set_state"):
                made.set_state(state[key])
            elif key in state:
                vars(made).update(state[key])

    @property
    def forgetful(self) -> list[str]:
        """The callbacks whose state cannot be kept, so that they start anew when a run goes on."""
        return [type(made).__name__ for _, made in self._keyed() if _state_of(made) is None]

    def _keyed(self) -> list[tuple[str, keras.callbacks.Callback]]:
        return [(f"{place} {type(made).__name__}", made) for place, made in enumerate(self.list.callbacks)]

    def use_optimizer(self, optimizer: Any) -> None:
        """Gives callbacks the phase's optimizer, so that they can set ``learning_rate``."""
        self.model.optimizer = optimizer

    def epoch_begin(self, epoch: int) -> None:
        """An epoch begins; epochs count on over the phases."""
        self.list.on_epoch_begin(epoch)

    def batch_begin(self, step: int) -> None:
        if self.active:
            self.list.on_train_batch_begin(step)

    def batch_end(self, step: int, sums: Any) -> None:
        """A step, or the last of those that went together, is done; their sums are fetched only if someone listens."""
        if self.active:
            loss, _, count, left_out, _ = np.asarray(sums).sum(axis=0).tolist()
            # Keras people look for a NaN here; the sums leave such an update out.
            self.list.on_train_batch_end(step, {"loss": math.nan if left_out and not count else loss / count})

    def epoch_end(self, epoch: int, logs: dict[str, float]) -> None:
        self.list.on_epoch_end(epoch, logs)

    def end(self) -> None:
        self.list.on_train_end()

    @property
    def wants_stop(self) -> bool:
        """Whether a callback set ``model.stop_training``."""
        return bool(self.model.stop_training)


def _look_at_steps(callbacks: Sequence[keras.callbacks.Callback]) -> bool:
    hooks = ("on_batch_begin", "on_batch_end", "on_train_batch_begin", "on_train_batch_end")
    own = keras.callbacks.Callback
    return any(getattr(type(made), hook) is not getattr(own, hook) for made in callbacks for hook in hooks)


def _state_of(callback: keras.callbacks.Callback) -> dict[str, Any] | None:
    if hasattr(callback, "get_state"):
        return dict(callback.get_state())
    names = STATES.get(type(callback))
    if names is None:
        return None
    values = {name: getattr(callback, name) for name in names if hasattr(callback, name)}
    return {name: value.item() if isinstance(value, np.generic) else value for name, value in values.items()}


def _cut_rows(path: Path, rows: int) -> None:
    """Takes the rows out of a log that a checkpoint does not know of; they are written again."""
    if path.is_file():
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
        write_file(path, "".join(lines[: rows + 1]))
