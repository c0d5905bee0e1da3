"""What the containers of a job run: taken out of the job file, and run here."""

import csv
import json
import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from kft.train.checkpoint import load_checkpoint
from tests import tiny
from tests.ended import events_of
from tests.launch.files import here_document, job_file, scripts
from tests.waiting import wait_until

ROOT = Path(__file__).parents[2]
HEAD = {"name": "head", "unfreeze": "none", "epochs": 4, "lr": 1e-2}
TOP = {"name": "top", "unfreeze": "top-1", "epochs": 12, "lr": 1e-4}


@pytest.fixture
def recipe(tmp_path, tiny_folder):
    """61 examples in batches of 16, without dropout, of which each replica draws its own."""
    train = {"phases": [HEAD, TOP], "early_stopping": None, "checkpoints": {"every": "3 steps"}}
    path = tiny.recipe(tmp_path, tiny_folder, rows=61, **train)
    values = json.loads(path.read_text())
    values["model"]["dropout"] = 0
    path.write_text(json.dumps(values))
    return path


def on_this_machine(script, folder):
    """Returns a worker's script with the bucket as a folder; what is mounted is what Cloud Storage holds."""
    return script.replace("gs://bucket", f"{folder}/bucket").replace("/gcs/bucket", f"{folder}/bucket")


def command_named(folder, name, text, interpreter="/bin/bash"):
    """Puts a command of that name into a folder for PATH."""
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(f"#!{interpreter}\n{text}\n")
    (folder / name).chmod(0o755)


def run(script, folder, **environ):
    """Starts a worker's script as its container does, in a session of its own."""
    path = f"{folder / 'bin'}:{os.environ['PATH']}"
    environ = {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT), **environ}
    return subprocess.Popen(
        ["bash", "-c", script], env=environ, text=True, stderr=subprocess.PIPE, start_new_session=True
    )


@pytest.fixture
def script(recipe, tmp_path):
    command_named(tmp_path / "bin", "sleep", "")
    return on_this_machine(scripts(job_file(recipe, "vertex").text, "vertex")[0], tmp_path)


def test_an_end_that_a_restart_may_mend_is_tried_again(script, tmp_path):
    log = tmp_path / "log"
    command_named(tmp_path / "bin", "kft", f"echo $1 >> {log}; [ $(wc -l < {log}) = 3 ] || exit 137")
    worker = run(script, tmp_path)
    assert worker.communicate(timeout=30)[1].splitlines() == [
        "kft ended with 137: once more from its last checkpoint (1 of 10)",
        "kft ended with 137: once more from its last checkpoint (2 of 10)",
    ]
    assert worker.returncode == 0


@pytest.mark.parametrize(("code", "tries"), [(2, 1), (3, 10)])
def test_an_error_that_stays_ends_the_container(script, tmp_path, code, tries):
    command_named(tmp_path / "bin", "kft", f"echo >> {tmp_path}/log; exit {code}")
    worker = run(script, tmp_path)
    worker.communicate(timeout=60)
    assert worker.returncode == code
    assert (tmp_path / "log").read_text() == "\n" * tries


def test_sigterm_reaches_kft_and_its_code_is_the_containers(script, tmp_path):
    text = (
        "import pathlib, signal, sys, time\n"
        f"def save(*_): time.sleep(1); pathlib.Path('{tmp_path}/saved').touch(); sys.exit(143)\n"
        f"signal.signal(signal.SIGTERM, save); pathlib.Path('{tmp_path}/up').touch()\n"
        "while True: time.sleep(0.1)"
    )
    command_named(tmp_path / "bin", "kft", text, sys.executable)
    worker = run(script, tmp_path)
    wait_until((tmp_path / "up").exists, seconds=30)
    os.kill(worker.pid, signal.SIGTERM)  # the container's first process alone, as platforms do
    worker.communicate(timeout=30)
    assert worker.returncode == 143 and (tmp_path / "saved").exists()


def clusters(on):
    """Returns what makes each of two workers one of a cluster here: changes to the script, and to its environment."""
    sockets = [socket.socket() for _ in range(2)]
    for held in sockets:
        held.bind(("localhost", 0))
    first, second = (f"localhost:{held.getsockname()[1]}" for held in sockets)
    for held in sockets:
        held.close()
    if on == "gke":
        hosts = {rf"[\w-]+-0-{index}\.[\w-]+:2222": address for index, address in enumerate((first, second))}
        return hosts, [{"JOB_COMPLETION_INDEX": "0"}, {"JOB_COMPLETION_INDEX": "1"}]
    # What Vertex AI sets: https://cloud.google.com/vertex-ai/docs/training/distributed-training#tf-config
    cluster = {"chief": [first], "worker": [second]}
    tasks = [{"type": kind, "index": 0, "trial": ""} for kind in ("chief", "worker")]
    return {}, [{"TF_CONFIG": json.dumps({"cluster": cluster, "environment": "cloud", "task": task})} for task in tasks]


@pytest.mark.slow
@pytest.mark.parametrize("on", ["vertex", "gke", "tpu-vm"])
def test_the_entry_command_trains_in_a_clean_environment(recipe, tmp_path, installed, on):
    """As in a container: kft from its wheel, and no variables of this process."""
    text = job_file(recipe, on).text
    (script,) = scripts(text, on)
    put_into_the_bucket(recipe, tmp_path, text)
    environ = {"PATH": f"{installed.parent}:/usr/bin:/bin", "HOME": str(tmp_path), "KFT_CACHE": str(tmp_path / "cache")}

    def container(script):
        command = ["bash", "-c", on_this_machine(script, tmp_path)]
        return subprocess.run(command, cwd=tmp_path, env=environ, text=True, capture_output=True, timeout=900)

    if on == "tpu-vm":  # this machine has none, which kft says; the rest runs on its CPU
        refused = container(script)
        assert refused.returncode == 2 and "--devices tpu is not available here" in refused.stderr, refused.stderr
        script = script.replace("--devices tpu", "--devices one")
    done = container(script)
    assert done.returncode == 0, done.stderr[-3000:]
    run_folder = tmp_path / "bucket/runs/tickets"
    assert 0 <= json.loads((run_folder / "metrics.json").read_text())["metrics"]["accuracy"]["low"] <= 1
    assert (tmp_path / "bucket/runs/tickets-checkpoints").is_dir()
    where = [installed, "-c", "import kft; print(kft.__file__)"]
    own = subprocess.run(where, cwd=tmp_path, env=environ, text=True, capture_output=True)
    assert Path(own.stdout.strip()).is_relative_to(installed.parents[1])


@pytest.mark.slow
@pytest.mark.parametrize("on", ["gke", "vertex"])
def test_two_workers_of_which_one_is_lost_end_as_one_that_nothing_happened_to(recipe, tmp_path, on):
    command_named(tmp_path / "bin", "kft", f'exec {sys.executable} -m kft.cli.main "$@"')
    text = job_file(recipe, on, workers=2).text
    own = [on_this_machine(script, tmp_path) for script in scripts(text, on)] * 2
    hosts, environs = clusters(on)
    for pattern, address in hosts.items():
        own = [re.sub(pattern, address, script) for script in own]
    put_into_the_bucket(recipe, tmp_path, text)

    def start(index):
        # Each machine has a cache of its own.
        return run(own[index], tmp_path, KFT_CACHE=str(tmp_path / f"cache-{index}"), **environs[index])

    history = tmp_path / "bucket/runs/tickets/history.jsonl"
    first, second = start(0), start(1)
    wait_until(lambda: history.exists() and '"phase": "top", "epoch": 2' in history.read_text(), seconds=300)
    os.killpg(second.pid, signal.SIGKILL)  # the whole machine is gone
    second.communicate()
    second = start(1)  # which the platform replaces
    said = [worker.communicate(timeout=500)[1] for worker in (first, second)]
    assert [first.returncode, second.returncode] == [0, 0], said[0][-3000:] + said[1][-3000:]
    assert "once more from its last checkpoint" in said[0]
    assert json.loads((tmp_path / "bucket/runs/tickets/receipt.json").read_text())["resumed"]

    (tmp_path / "recipe-sent.yaml").write_text(here_document(own[0], "KFT_RECIPE"))
    alone = [sys.executable, "-m", "kft.cli.main", "train", "recipe-sent.yaml", "--run", "alone", "--devices", "one"]
    environ = {**os.environ, "KFT_CACHE": str(tmp_path / "cache-alone"), "PYTHONPATH": str(ROOT)}
    subprocess.run(alone, cwd=tmp_path, env=environ, check=True, timeout=400, capture_output=True)
    require_alike(tmp_path / "alone", tmp_path / "bucket/runs/tickets")


def put_into_the_bucket(recipe, folder, text):
    """Does what the first lines of the job file say, with cp for gcloud storage cp."""
    for local, target in re.findall(r"^# before:  gcloud storage cp --recursive (\S+) gs://(\S+)$", text, re.MULTILINE):
        (folder / target).mkdir(parents=True, exist_ok=True)
        subprocess.run(["cp", "-r", local, folder / target], check=True)


def require_alike(alone, other):
    first, second = (load_checkpoint(run / "checkpoints", "best") for run in (alone, other))
    assert first.weights.keys() == second.weights.keys()
    for name, array in first.weights.items():
        np.testing.assert_allclose(second.weights[name], array, atol=1e-6, err_msg=name)
    events = [events_of(run) for run in (alone, other)]
    for one, two in zip(*events, strict=True):
        for key in {"loss", "valid_loss", "valid_accuracy"} & set(one):
            assert two[key] == pytest.approx(one[key], abs=1e-6), f"{key} of {one}"
    rows = [list(csv.DictReader((run / "predictions.csv").read_text().splitlines())) for run in (alone, other)]
    for one, two in zip(*rows, strict=True):
        assert (one["id"].rpartition("/")[2], one["prediction"]) == (two["id"].rpartition("/")[2], two["prediction"])
        assert float(two["confidence"]) == pytest.approx(float(one["confidence"]), abs=1e-5)
