"""MLflow as a callback of a recipe: its own Keras callback, in a run that a resumed training continues."""

from __future__ import annotations

import json
import os
import re
import sys
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import keras

from kft.errors import RecipeError, RunError, StorageError
from kft.records.files import write_file

SERVER = "MLFLOW_TRACKING_URI"
"""MLflow's own variable: where runs are tracked; without it in the run folder, offline."""
NOTE = "run.json"
NEEDS = ("mlflow", "sqlalchemy", "alembic")


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
        missing = [name for name in NEEDS if find_spec(name) is None]
        if missing:
            raise RecipeError(
                "the callback mlflow needs packages that are not installed",
                where="train.callbacks",
                received=f"no {', '.join(missing)}",
                expected="the extra mlflow",
                next_step="pip install 'kft[mlflow]', or leave the callback out",
            )
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
        known = self._known(uri)
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
            write_file(
                self._folder / NOTE,
                json.dumps({"tracking_uri": "" if self._is_offline else uri, "run_id": run.info.run_id}),
            )
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
        how = "FINISHED" if ended is None else "FAILED" if issubclass(ended, Exception) else "KILLED"
        mlflow.end_run(how)
        self._leave(mlflow)

    def _leave(self, mlflow: Any) -> None:
        """Takes back what was set for this run: another of this process has a database of its own."""
        if self._is_offline:
            mlflow.set_tracking_uri(None)
            os.environ.pop(SERVER, None)

    def _known(self, uri: str) -> str | None:
        """Returns the MLflow run that a run before this process began; None where there is none."""
        try:
            found = json.loads((self._folder / NOTE).read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        was_offline = found["tracking_uri"] == ""
        if was_offline if self._is_offline else found["tracking_uri"] == _shown(uri):
            return str(found["run_id"])
        raise RunError(
            "the run was tracked elsewhere before",
            where=str(self._folder / NOTE),
            received=f"{SERVER}: {_shown(uri)}",
            expected=found["tracking_uri"] or "the run's own database",
            next_step=f"set {SERVER} to that, or unset it where the run was tracked offline",
        )

    def _choose_experiment(self, mlflow: Any) -> None:
        if self._is_offline and mlflow.get_experiment_by_name(self._experiment) is None:
            place = (self._folder.absolute() / "artifacts").as_uri()  # else below the current folder
            mlflow.create_experiment(self._experiment, artifact_location=place)
        mlflow.set_experiment(self._experiment)


def _shown(uri: str) -> str:
    """Returns a URI without the name and the password in it.

    Example:
        >>> _shown("https://me:secret@mlflow.example/a")
        'https://mlflow.example/a'
    """
    return re.sub(r"//[^/@\s]*@", "//", uri)
