"""MLflow and Weights & Biases, the real libraries, offline: one run there, however often ours is killed and goes on."""

import json
import os
import shutil
from pathlib import Path

import keras
import pytest

from kft import extras
from kft.errors import RecipeError, RunError, StorageError
from kft.recipe.training import CallbackSpec
from kft.train import trackers
from kft.train.callbacks import CallbackDriver, make_callbacks


def needs(extra):
    return pytest.mark.skipif(bool(extras.missing(extras.EXTRAS[extra])), reason=f"needs the extra {extra}")


def driver(folder, name="mlflow"):
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    return CallbackDriver(model, make_callbacks([CallbackSpec(name=name)], folder))


def epochs(made, losses, first=0):
    made.use_optimizer(keras.optimizers.AdamW(0.01))
    for epoch, loss in enumerate(losses, first):
        made.epoch_begin(epoch)
        made.epoch_end(epoch, {"loss": loss, "val_accuracy": 1 - loss})


def interrupted(folder, name="mlflow"):
    """Trains two epochs and is ended by Ctrl-C."""
    first = driver(folder, name)
    assert first.forgetful == []
    first.begin()
    epochs(first, [0.75, 0.5])
    try:
        raise KeyboardInterrupt
    except KeyboardInterrupt:
        first.end()
    return first


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
@needs("mlflow")
def test_a_run_that_was_killed_goes_on_as_the_same_mlflow_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(trackers.SERVER, raising=False)
    folder = tmp_path / "runs" / "tickets-1"
    folder.mkdir(parents=True)
    first = interrupted(folder)
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


def parts(folder):
    """Reads what W&B wrote offline: id, points and exit code of each part. Files hold records as LevelDB's logs do."""
    from wandb.proto import wandb_internal_pb2

    for path in sorted((folder / "wandb" / "wandb").glob("offline-run-*/*.wandb")):
        data, at, ids, points, codes = path.read_bytes(), 7, [], [], []
        assert data[:4] == b":W&B" and len(data) < 2**15  # one block
        while at < len(data):
            size = int.from_bytes(data[at + 4 : at + 6], "little")
            record = wandb_internal_pb2.Record.FromString(data[at + 7 : at + 7 + size])
            at += 7 + size
            which = record.WhichOneof("record_type")
            if which == "run":
                ids.append((record.run.run_id, record.run.display_name, record.run.project))
            elif which == "exit":
                codes.append(record.exit.exit_code)
            elif which == "history":
                row = {item.key or item.nested_key[0]: json.loads(item.value_json) for item in record.history.item}
                points.append((row["_step"], row["epoch/epoch"], row["epoch/loss"], row["epoch/val_accuracy"]))
                assert row["epoch/learning_rate"] == pytest.approx(0.01)
        yield ids, points, codes


@pytest.mark.slow
@needs("wandb")
def test_a_run_that_was_killed_goes_on_under_its_wandb_id(tmp_path, monkeypatch, capfd):
    import wandb

    monkeypatch.chdir(tmp_path)
    for name in [each for each in os.environ if each.startswith("WANDB_")]:
        monkeypatch.delenv(name)
    folder = tmp_path / "runs" / "tickets-1"
    folder.mkdir(parents=True)
    first = interrupted(folder, "wandb")
    again = driver(folder, "wandb")
    again.begin(first.state, epochs_done=2)
    with pytest.raises(StorageError, match="another run open in this process"):
        driver(tmp_path / "runs" / "other", "wandb").begin()
    epochs(again, [0.25], first=2)
    again.end()
    wandb.teardown()  # as a process does that ends: its service has written all then
    assert wandb.run is None and [each.name for each in Path().iterdir()] == ["runs"]
    named = [(json.loads((folder / "wandb" / "run.json").read_text())["run_id"], "tickets-1", "kft")]
    assert list(parts(folder)) == [
        (named, [(0, 0, 0.75, 0.25), (1, 1, 0.5, 0.5)], [1]),
        (named, [(2, 2, 0.25, 0.75)], [0]),
    ]
    assert capfd.readouterr().out == ""  # a command's --json is alone there
    monkeypatch.setenv(trackers.MODE, "online")
    with pytest.raises(RunError, match="tracked elsewhere before") as told:
        driver(folder, "wandb").begin(first.state)
    assert told.value.expected == "offline, in the run folder"
    (folder / "wandb" / "run.json").unlink()
    monkeypatch.setenv(trackers.MODE, "sometimes")
    with pytest.raises(StorageError, match="does not take the run") as told:
        driver(folder, "wandb").begin()
    assert "unset WANDB_MODE" in told.value.next_step


@pytest.mark.parametrize(("name", "needed"), [("mlflow", "mlflow, sqlalchemy, alembic"), ("wandb", "wandb")])
def test_a_missing_extra_is_named(tmp_path, monkeypatch, name, needed):
    monkeypatch.setattr(extras, "find_spec", lambda name: None)
    with pytest.raises(RecipeError, match=f"the callback {name} needs packages that are not installed") as told:
        driver(tmp_path, name)
    assert told.value.received == f"no {needed}" and f"kft[{name}]" in told.value.next_step


@pytest.mark.parametrize("name", ["mlflow", "wandb"])
def test_trackers_write_inside_the_run_folder_only(tmp_path, name):
    with pytest.raises(RecipeError, match="inside the run folder only"):
        make_callbacks([CallbackSpec(name=name, args={"folder": "../x"})], tmp_path)
