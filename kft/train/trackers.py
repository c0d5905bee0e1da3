"""MLflow and Weights & Biases: their own Keras callbacks, in a run that a resumed training continues."""

from __future__ import annotations

import json
import os
import re
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

import keras

from kft.errors import RecipeError, RunError, StorageError
from kft.extras import EXTRAS, lacking, missing
from kft.records.files import write_file

SERVER = "MLFLOW_TRACKING_URI"
"""MLflow's own variable: where runs are tracked; without it in the run folder, offline."""
MODE = "WANDB_MODE"
"""Weights & Biases's own variable: online, offline or disabled; without it offline, in the run folder."""
NOTE = "run.json"
"""In a tracker's folder: which of its runs this is, and where that is tracked; an empty place is offline."""


class MlflowTracker(keras.callbacks.Callback):
    """Logs the epochs of a run to MLflow by MLflow's own callback.

    Args:
        folder: Below the run folder: which MLflow run it is, so that a resumed training continues it; and, where
            MLFLOW_TRACKING_URI is not set, the database and the artifacts.
        experiment: What MLflow files it under.

    Raises:
        RecipeError: The extra is not installed.
    """

    def __init__(self, folder: str = "mlflow", experiment: str = "kft") -> None:
        super().__init__()
        _require("mlflow")
        self._folder, self._experiment = Path(folder), experiment
        self._own: Any = None
        self._is_new, self._is_offline = False, True

    def get_state(self) -> dict[str, Any]:
        """Returns nothing: which run it is stands in the folder, where a run without a checkpoint finds it too."""
        return {}

    def set_state(self, state: dict[str, Any]) -> None:
        """Takes what ``get_state`` gave."""

    def on_train_begin(self, logs: Any = None) -> None:
        """Opens the MLflow run, or opens it again.

        Raises:
            StorageError: MLflow cannot be reached, or does not take the run.
            RunError: The run was tracked elsewhere before.
        """
        import mlflow

        self._folder.mkdir(parents=True, exist_ok=True)
        stray = Path("mlruns")  # MLflow makes it beside us, whatever the experiment says
        there = stray.exists()
        self._is_offline = not os.environ.get(SERVER)  # asked once: set_tracking_uri sets the variable
        uri = os.environ.get(SERVER) or f"sqlite:///{self._folder.absolute() / 'mlflow.db'}"
        place = "" if self._is_offline else _shown(uri)
        known = _known(self._folder, place, SERVER)
        self._is_new = known is None
        try:
            mlflow.set_tracking_uri(uri)
            self._choose_experiment(mlflow)
            run = mlflow.start_run(run_id=known, run_name=None if known else self._folder.absolute().parent.name)
        except Exception as error:  # of whatever lies behind: a database, HTTP, MLflow itself
            self._leave(mlflow)
            raise StorageError(
                "MLflow does not take the run",
                where=_shown(uri),
                received=f"{type(error).__name__}: {_shown(str(error))[:300]}",
                next_step=f"see that it answers, or set {SERVER} to where it does, or leave the callback mlflow out",
            ) from None
        if not there:
            with suppress(OSError):
                stray.rmdir()  # what is in it stays
        if known is None:
            _note(self._folder, place, run.info.run_id)
        self._own = None

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Has MLflow's callback begin: it asks for the optimizer, which there is only now."""
        if self._own is not None:
            return
        from mlflow.keras.callback import MlflowCallback

        self._own = MlflowCallback()
        self._own.set_model(self.model)
        if self._is_new:
            self._own.on_train_begin()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Has MLflow's callback log an epoch, counted over all phases."""
        self._own.on_epoch_end(epoch, logs)

    def on_train_end(self, logs: Any = None) -> None:
        """Ends the MLflow run by how training ended; it waits until all is written."""
        import mlflow

        mlflow.flush_async_logging()
        ended = sys.exc_info()[0]  # what is under way where the loop is left
        mlflow.end_run("FINISHED" if ended is None else "FAILED" if issubclass(ended, Exception) else "KILLED")
        self._leave(mlflow)

    def _leave(self, mlflow: Any) -> None:
        """Takes back what was set for this run: another of this process has a database of its own."""
        if self._is_offline:
            mlflow.set_tracking_uri(None)
            os.environ.pop(SERVER, None)

    def _choose_experiment(self, mlflow: Any) -> None:
        if self._is_offline and mlflow.get_experiment_by_name(self._experiment) is None:
            place = (self._folder.absolute() / "artifacts").as_uri()  # else below the current folder
            mlflow.create_experiment(self._experiment, artifact_location=place)
        mlflow.set_experiment(self._experiment)


class WandbTracker(keras.callbacks.Callback):
    """Logs the epochs of a run to Weights & Biases by its own callback, ``WandbMetricsLogger``.

    Args:
        folder: Below the run folder: which W&B run it is, so that a resumed training continues it, and what W&B writes.
        project: What W&B files it under.

    Raises:
        RecipeError: The extra is not installed.
    """

    def __init__(self, folder: str = "wandb", project: str = "kft") -> None:
        super().__init__()
        _require("wandb")
        self._folder, self._project = Path(folder), project
        self._run: Any = None
        self._own: Any = None

    def get_state(self) -> dict[str, Any]:
        """Returns nothing: which run it is stands in the folder, where a run without a checkpoint finds it too."""
        return {}

    def set_state(self, state: dict[str, Any]) -> None:
        """Takes what ``get_state`` gave."""

    def on_train_begin(self, logs: Any = None) -> None:
        """Opens the W&B run; offline, a resumed one is another part with the same id, which ``wandb sync`` joins.

        Raises:
            StorageError: W&B does not take the run, or the process has another one open.
            RunError: The run was tracked elsewhere before.
        """
        import wandb

        mode = os.environ.get(MODE) or "offline"
        if wandb.run is not None:  # its callback logs to the one that is open
            raise StorageError(
                "Weights & Biases has another run open in this process",
                where="train.callbacks",
                received=f"the run {wandb.run.id}",
                next_step="wandb.finish() before training, or leave the callback wandb out",
            )
        self._folder.mkdir(parents=True, exist_ok=True)
        place = "" if mode == "offline" else os.environ.get("WANDB_BASE_URL", mode)
        known = _known(self._folder, place, MODE)
        try:
            self._run = wandb.init(
                project=self._project,
                dir=str(self._folder),
                id=known,
                name=self._folder.absolute().parent.name,
                mode=cast(Any, mode),  # W&B refuses what it does not know
                resume=None if mode == "offline" else "allow",
                # What a run prints is not W&B's to take or to add to: `--json` is one object.
                settings=wandb.Settings(
                    console="off", silent=True, disable_git=True, save_code=False, disable_job_creation=True
                ),
            )
        except Exception as error:  # of whatever lies behind: HTTP, a key, W&B itself
            raise StorageError(
                "Weights & Biases does not take the run",
                where=place or str(self._folder),
                received=f"{type(error).__name__}: {str(error)[:300]}",
                next_step=f"unset {MODE} to track offline, or see that wandb login works, or leave the callback out",
            ) from None
        if known is None and mode != "disabled":
            _note(self._folder, place, self._run.id)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Has W&B's callback log an epoch; W&B's step is the epoch, counted over all phases and parts."""
        if self._own is None:
            from wandb.integration.keras import WandbMetricsLogger

            self._own = WandbMetricsLogger()
        self._own.set_model(self.model)  # each phase has an optimizer, whose rate is logged
        self._run.log({}, step=epoch, commit=False)
        self._own.on_epoch_end(epoch, logs)

    def on_train_end(self, logs: Any = None) -> None:
        """Ends the W&B run, as failed where training did not end; W&B's own process writes the rest."""
        self._run.finish(exit_code=0 if sys.exc_info()[0] is None else 1)


def _require(extra: str) -> None:
    if absent := missing(EXTRAS[extra]):
        raise lacking(
            extra,
            f"the callback {extra} needs packages that are not installed",
            f"no {', '.join(absent)}",
            where="train.callbacks",
            error=RecipeError,
        )


def _note(folder: Path, place: str, run: str) -> None:
    write_file(folder / NOTE, json.dumps({"place": place, "run_id": run}))


def _known(folder: Path, place: str, variable: str) -> str | None:
    """Returns the tracker's run that a process before this one began; None where there is none.

    Raises:
        RunError: That one is tracked at another place.
    """
    try:
        found = json.loads((folder / NOTE).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    if found["place"] == place:
        return str(found["run_id"])
    raise RunError(
        "the run was tracked elsewhere before",
        where=str(folder / NOTE),
        received=place or "offline",
        expected=found["place"] or "offline, in the run folder",
        next_step=f"set {variable} to that, or unset it where the run was tracked offline",
    )


def _shown(uri: str) -> str:
    """Returns a URI without the name and the password in it.

    Example:
        >>> _shown("https://me:secret@mlflow.example/a")
        'https://mlflow.example/a'
    """
    return re.sub(r"//[^/@\s]*@", "//", uri)
