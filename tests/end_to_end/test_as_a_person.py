"""The command line in processes of its own, as a person runs it: three commands, signals, a full disk, silence."""

import json
import signal
import subprocess
import sys

import pytest

from kft.train.checkpoint import load_checkpoint
from tests import forked, tiny
from tests.waiting import wait_until

KFT = [sys.executable, "-m", "kft.cli.main"]
NOISE = ("cuda", "oneDNN", "TensorRT", "WARNING", "I0000", "E0000", "tensorflow/", "UserWarning", "rebuild TensorFlow")


def kft(folder, *arguments, **kwargs):
    command = [*KFT, *map(str, arguments)]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300, **kwargs)


def test_three_commands_from_a_bare_csv_without_any_noise(tmp_path, tiny_folder):
    tiny.write_table(tmp_path / "tickets.csv", 120)
    init = kft(tmp_path, "init", "tickets.csv", "-o", "recipe.yaml")
    assert init.returncode == 0, init.stderr
    # The recipe that init writes, as it is; only the backbone is the tiny one.
    train = kft(tmp_path, "train", "recipe.yaml", "--set", f"model.backbone={tiny_folder}", "--set", "train.warmup=0%")
    assert train.returncode == 0, train.stderr
    assert "next       kft predict runs/recipe-1" in train.stdout
    assert "majority" in train.stdout and "probe" in train.stdout
    predict = kft(tmp_path, "predict", "runs/recipe-1", "the battery is awful.")
    assert predict.returncode == 0, predict.stderr
    assert set(json.loads(predict.stdout)["probabilities"]) == {"positive", "negative"}
    for done in (init, train, predict):
        for word in NOISE:
            assert word not in done.stdout + done.stderr, word
    assert predict.stderr == ""


def long_recipe(tmp_path, tiny_folder):
    deep = {"name": "deep", "unfreeze": "all", "epochs": 900, "lr": 1e-4}
    return tiny.recipe(tmp_path, tiny_folder, rows=200, phases=[tiny.PROBE, deep], early_stopping=None)


@pytest.mark.slow
@pytest.mark.parametrize(("sent", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_in_training_keeps_the_best_weights_and_says_so(tmp_path, tiny_folder, sent, code):
    recipe = long_recipe(tmp_path, tiny_folder)
    process = subprocess.Popen(
        [*KFT, "train", str(recipe), "--run", "cut"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    history = tmp_path / "cut" / "history.jsonl"
    wait_until(lambda: history.is_file() and '"epoch": 2' in history.read_text(), seconds=200, pause=0.2)
    process.send_signal(sent)
    _, err = process.communicate(timeout=60)
    assert process.returncode == code, err
    assert "Traceback" not in err
    assert "where:    cut" in err and "kept:     the best weights so far" in err and "kft evaluate cut" in err
    assert not [path for path in (tmp_path / "cut").rglob("*.tmp")]
    done = forked.run("kft.cli.main", "evaluate", "cut", "--json", "--quiet", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["n"] == 50
    refused = forked.run("kft.cli.main", "train", recipe, "--run", "cut", cwd=tmp_path)
    assert refused.returncode == 2 and "never overwritten" in refused.stderr


def test_a_full_disk_in_training_is_one_message(tmp_path, tiny_folder):
    """A limit on the size of files stands in for a full disk: the system refuses the write, for real.

    It is lifted once kft is done, because whoever measures coverage in that process writes a file at its end.
    """
    recipe = tiny.recipe(tmp_path, tiny_folder, rows=60, phases=[tiny.PROBE, tiny.TOP])
    done = forked.run("tests.limited", "train", recipe, "--run", "full", cwd=tmp_path)
    assert done.returncode == 3, done.stderr
    assert "the disk is full" in done.stderr and "MiB free" in done.stderr and "next:" in done.stderr
    assert "Traceback" not in done.stderr
    assert not [path for path in (tmp_path / "full").rglob("*.tmp")]
    checkpoints = tmp_path / "full" / "checkpoints"
    for manifest in checkpoints.glob("*.json"):  # what was kept before the disk was full is whole
        assert load_checkpoint(checkpoints, manifest.stem).weights


def test_json_goes_alone_to_standard_output(tmp_path, tiny_folder):
    recipe = tiny.recipe(tmp_path, tiny_folder, rows=60, phases=[tiny.PROBE])
    done = forked.run("kft.cli.main", "train", recipe, "--json", cwd=tmp_path, env={"COLUMNS": "40"})
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["run"] == "runs/recipe-1" and found["best_phase"] == "probe"
    assert (tmp_path / "runs" / "recipe-1" / "metrics.json").is_file()


def test_a_reader_that_goes_away_is_no_failed_gate(tmp_path):
    """As with `kft ... | head`: the exit code 1 means that a gate says no."""
    command = [sys.executable, "-m", "kft.cli.main", "recipe", "schema"]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.close()
        err = process.stderr.read()
    assert process.returncode == 0, err
