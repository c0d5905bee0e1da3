"""MLflow, the real library, offline: one MLflow run for one run, however often that is killed and goes on."""

import importlib.util
import json
import os
import shutil
from pathlib import Path

import keras
import pytest

from kft.errors import RecipeError, RunError, StorageError
from kft.recipe.training import CallbackSpec
from kft.train import trackers
from kft.train.callbacks import CallbackDriver, make_callbacks

HERE = all(importlib.util.find_spec(name) for name in trackers.NEEDS)


def driver(folder):
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    return CallbackDriver(model, make_callbacks([CallbackSpec(name="mlflow")], folder))


def epochs(made, losses, first=0):
    made.use_optimizer(keras.optimizers.AdamW(0.01))
    for epoch, loss in enumerate(losses, first):
        made.epoch_begin(epoch)
        made.epoch_end(epoch, {"loss": loss, "val_accuracy": 1 - loss})


def tracked(folder):
    import mlflow

    assert not os.environ.get(trackers.SERVER)  # or the next run of this process would go to the same database
    assert [each.name for each in Path().iterdir()] == ["runs"]  # nothing beside the run folders
    note = json.loads((folder / "mlflow" / "run.json").read_text())
    client = mlflow.MlflowClient(f"sqlite:///{folder / 'mlflow' / 'mlflow.db'}")
    (experiment,) = [each for each in client.search_experiments() if each.name == "kft"]
    (run,) = client.search_runs([experiment.experiment_id])  # one, whatever happened
    assert run.info.run_id == note["run_id"]
    shutil.rmtree("mlruns", ignore_errors=True)  # of this very client
    points = [(each.step, each.value) for each in client.get_metric_history(run.info.run_id, "loss")]
    return run, points, client


@pytest.mark.slow
@pytest.mark.skipif(not HERE, reason="needs the extra mlflow")
def test_a_run_that_was_killed_goes_on_as_the_same_mlflow_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(trackers.SERVER, raising=False)
    folder = tmp_path / "runs" / "tickets-1"
    folder.mkdir(parents=True)
    first = driver(folder)
    assert first.forgetful == []
    first.begin()
    epochs(first, [0.75, 0.5])
    try:
        raise KeyboardInterrupt
    except KeyboardInterrupt:
        first.end()
    run, points, _ = tracked(folder)
    assert (run.info.status, points) == ("KILLED", [(0, 0.75), (1, 0.5)])
    again = driver(folder)
    again.begin(first.state, epochs_done=2)
    epochs(again, [0.25], first=2)
    again.end()
    run, points, client = tracked(folder)
    assert (run.info.status, points) == ("FINISHED", [(0, 0.75), (1, 0.5), (2, 0.25)])
    assert run.data.params["optimizer_name"] and run.info.run_name == "tickets-1"
    assert [each.path for each in client.list_artifacts(run.info.run_id)] == ["model_summary.txt"]
    monkeypatch.setenv(trackers.SERVER, "sqlite:///elsewhere.db")
    with pytest.raises(RunError, match="tracked elsewhere before"):
        driver(folder).begin(first.state)
    (folder / "mlflow" / "run.json").unlink()
    monkeypatch.setenv(trackers.SERVER, "nothing://there")
    with pytest.raises(StorageError, match="MLflow does not take the run") as told:
        driver(folder).begin()
    assert trackers.SERVER in told.value.next_step


def test_a_missing_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(trackers, "find_spec", lambda name: None)
    with pytest.raises(RecipeError, match="needs packages that are not installed") as told:
        driver(tmp_path)
    assert told.value.received == "no mlflow, sqlalchemy, alembic" and "kft[mlflow]" in told.value.next_step


def test_mlflow_writes_inside_the_run_folder_only(tmp_path):
    with pytest.raises(RecipeError, match="inside the run folder only"):
        make_callbacks([CallbackSpec(name="mlflow", args={"folder": "../x"})], tmp_path)
