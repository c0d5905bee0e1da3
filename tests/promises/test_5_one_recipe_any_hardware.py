"""Promise 5: replicas and workers change nothing: weights to 1e-6, metrics, predictions. Logical CPUs stand in."""

import csv
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from kft.train.checkpoint import load_checkpoint
from tests import forked, tiny
from tests.ended import events_of
from tests.waiting import wait_until

ROOT = Path(__file__).parents[2]
PHASES = [
    {"name": "head", "unfreeze": "none", "epochs": 2, "lr": 1e-2},
    {"name": "top", "unfreeze": "top-1", "epochs": 2, "lr": 1e-4},
    {"name": "lora", "unfreeze": {"lora": {"rank": 2}}, "epochs": 2, "lr": 1e-4},
    {"name": "all", "unfreeze": "all", "epochs": 2, "lr": 1e-4, "layer_decay": 0.7},
]


@pytest.fixture(scope="module")
def recipe(tmp_path_factory):
    """61 examples in batches of 16: the last batch has 13; of 37 to validate on, it has 5; of 33 in test, one."""
    folder = tmp_path_factory.mktemp("replicas")
    backbone = tiny.write_backbone(folder / "tiny", unused=40)  # so that token embeddings train by rows
    path = tiny.recipe(
        folder,
        backbone,
        rows=61,
        phases=PHASES,
        schedule="cosine",
        warmup="20%",
        clip_norm=0.5,
        gradient_accumulation=2,
        weight_decay=0.05,
        class_weight="balanced",
        early_stopping=None,
    )
    values = json.loads(path.read_text())
    for name, rows in (("valid", 37), ("test", 33)):
        values["data"][name] = tiny.write_table(folder / f"{name}.csv", rows, seed=rows).name
    values["model"]["dropout"] = 0
    path.write_text(json.dumps(values))
    return path


def environment(folder, name):
    return {**os.environ, "KFT_CACHE": str(folder / f"cache-{name}"), "PYTHONPATH": str(ROOT)}


def train(recipe, name, devices, *more):
    """Runs the recipe in a process of its own, with a feature store of its own; returns the run folder."""
    folder = recipe.parent
    command = ("kft.cli.main", "train", recipe, "--run", folder / name, "--devices", devices, *more)
    done = forked.run(*command, env=environment(folder, name))
    assert done.returncode == 0, done.stderr
    return folder / name


def workers(recipe, name, *command):
    """Starts two real workers; returns the process of their supervisor."""
    folder = recipe.parent
    start = [sys.executable, "-m", "kft.cli.main", "workers", "2", "--logs", str(folder / f"logs-{name}"), "--"]
    return subprocess.Popen(
        [*start, *map(str, command)], cwd=ROOT, env=environment(folder, name), stderr=subprocess.PIPE, text=True
    )


def finished(process, folder, name):
    """Waits and returns what the supervisor and the first worker said."""
    _, err = process.communicate(timeout=500)
    logs = "".join(path.read_text() for path in (folder / f"logs-{name}").glob("*.log"))
    assert process.returncode == 0, err[-3000:] + logs[-3000:]
    return err


@pytest.fixture(scope="module")
def alone(recipe):
    return train(recipe, "alone", "one")


def require_alike(alone, other):
    first, second = (load_checkpoint(run / "checkpoints", "last") for run in (alone, other))
    for phase in ("head", "top", "lora", "all"):
        for name, array in first.more[f"best/{phase}"].items():
            np.testing.assert_allclose(second.more[f"best/{phase}"][name], array, atol=1e-6, err_msg=f"{phase} {name}")
    events = [events_of(run) for run in (alone, other)]
    for one, two in zip(*events, strict=True):
        assert set(one) == set(two)
        for key in {"valid_loss", "valid_accuracy", "loss", "accuracy", "valid_macro_f1"} & set(one):
            assert two[key] == pytest.approx(one[key], abs=1e-6), f"{key} of {one}"
    metrics = [json.loads((run / "metrics.json").read_text())["metrics"] for run in (alone, other)]
    for name, value in metrics[0].items():
        assert metrics[1][name]["value"] == pytest.approx(value["value"], abs=1e-5), name
    rows = [list(csv.DictReader((run / "predictions.csv").read_text().splitlines())) for run in (alone, other)]
    for one, two in zip(*rows, strict=True):
        assert (one["id"], one["prediction"]) == (two["id"], two["prediction"])
        assert float(two["confidence"]) == pytest.approx(float(one["confidence"]), abs=1e-5)


def test_two_replicas(recipe, alone):
    run = train(recipe, "two", "cpu:2", "--set", "train.steps_per_call=3")  # alone, updates are made one by one
    require_alike(alone, run)
    assert "2 replicas (MirroredStrategy)" in json.loads((run / "receipt.json").read_text())["strategy"]


@pytest.mark.slow
def test_four_replicas(recipe, alone):
    require_alike(alone, train(recipe, "four", "cpu:4"))


@pytest.mark.slow
def test_two_processes_one_of_them_killed_and_both_restarted(recipe, alone):
    folder, run = recipe.parent, recipe.parent / "workers"
    command = [sys.executable, "-m", "tests.killable", recipe, run, "--devices", "multi-worker", "--step", 6]
    process = workers(recipe, "workers", *command, "--worker", 1, "--once", folder / "killed")
    said = finished(process, folder, "workers")
    assert "worker 1 was ended by signal 9" in said and "restarting all 2 workers (1 of at most 10)" in said
    assert (folder / "killed").exists()
    require_alike(alone, run)
    assert len(json.loads((run / "receipt.json").read_text())["resumed"]) == 1


@pytest.mark.slow
def test_sigterm_saves_on_both_workers_at_one_step_and_a_single_device_goes_on(recipe, alone):
    """Four replicas, two processes or one device: the checkpoint is the same."""
    folder, run = recipe.parent, recipe.parent / "told"
    command = [sys.executable, "-m", "tests.killable", recipe, run, "--devices", "multi-worker", "--step", 6]
    process = workers(recipe, "told", *command, "--worker", 1, "--once", folder / "told-once", "--signal", "SIGTERM")
    wait_until((folder / "told-once").exists, seconds=300, pause=0.2)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=200)
    assert process.returncode == 143
    state = load_checkpoint(run / "checkpoints", "last").state
    assert 6 <= state["steps_done"] < 32
    again = ("kft.cli.main", "train", recipe, "--run", run, "--resume")
    done = forked.run(*again, env=environment(folder, "alone"))
    assert done.returncode == 0, done.stderr
    assert "resumed    in phase" in done.stderr
    require_alike(alone, run)


@pytest.mark.slow
def test_a_checkpoint_of_four_replicas_goes_on_on_one(recipe, alone):
    folder, run = recipe.parent, recipe.parent / "four-then-one"
    for arguments, code in ((("--devices", "cpu:4", "--step", "7", "--signal", "SIGTERM"), 143), ((), 0)):
        done = forked.run("tests.killable", recipe, run, *arguments, env=environment(folder, "four-then-one"))
        assert done.returncode == code, done.stderr
    require_alike(alone, run)


@pytest.mark.slow
@pytest.mark.parametrize("devices", ["cpu:2", "cpu:4"])
def test_a_loss_across_the_rows_of_a_batch_is_the_same_on_replicas(tmp_path, tiny_folder, devices):
    """The head is solved on vectors that differ in their last bits: it agrees within the solver's tolerance alone."""
    contrast = {"name": "contrast", "unfreeze": "top-1", "epochs": 2, "lr": 1e-3, "objective": "contrastive"}
    path = tiny.recipe(tmp_path, tiny_folder, rows=61, phases=[contrast], early_stopping=None, class_weight="balanced")
    values = json.loads(path.read_text())
    values["model"]["dropout"] = 0
    path.write_text(json.dumps(values))
    runs = [train(path, name, name) for name in ("one", devices)]
    first, second = (load_checkpoint(run / "checkpoints", "last").weights for run in runs)
    for name, array in first.items():
        # A softmax does not see the bias of the keys: its gradient is 0 but for rounding, which AdamW blows up.
        atol = 1e-5 if name.endswith("key/bias") else 1e-6
        if not name.startswith("head_logits"):
            np.testing.assert_allclose(second[name], array, atol=atol, err_msg=name)
    lines = [events_of(run) for run in runs]
    for one, two in zip(*lines, strict=True):
        for key in {"contrastive_loss", "nearest_alike", "valid_accuracy"} & set(one):
            assert two[key] == pytest.approx(one[key], abs=1e-6), f"{key} of {one}"
        if "valid_loss" in one:
            assert two["valid_loss"] == pytest.approx(one["valid_loss"], abs=1e-2)


@pytest.mark.parametrize(
    ("devices", "environ", "expected"),
    [
        ("gpu", {}, "received: gpu"),
        ("multi-gpu", {}, "TensorFlow sees 0 GPUs"),
        ("multi-worker", {}, "the environment variable TF_CONFIG names no workers"),
        ("multi-worker", {"TF_CONFIG": "{"}, "TF_CONFIG cannot be read"),
        ("tpu", {"TPU_NAME": ""}, "--devices tpu is not available here"),
    ],
)
def test_an_explicit_choice_that_is_not_there_is_an_error(recipe, devices, environ, expected):
    command = ("kft.cli.main", "train", recipe, "--devices", devices, "--run", "never")
    done = forked.run(*command, cwd=recipe.parent, env=environ)
    assert done.returncode == 2, done.stderr
    assert expected in done.stderr and "next:" in done.stderr
    assert not (recipe.parent / "never").exists()
