"""`kft plan`: what a recipe would do, without training."""

import json
import re

import pytest

from tests import tiny

DECAYED = {"name": "top", "unfreeze": "top-2", "epochs": 2, "lr": 1e-3, "layer_decay": 0.5}
PROBED = "train.phases=[{name: probe, unfreeze: none, solver: lbfgs}]"
ALL = {"name": "all", "unfreeze": "all", "epochs": 1, "lr": 1e-3}


@pytest.fixture
def recipe(tmp_path, tiny_folder, monkeypatch):
    monkeypatch.setenv("KFT_CACHE", str(tmp_path / "cache"))
    return tiny.recipe(tmp_path, tiny_folder, phases=[tiny.PROBE, DECAYED, ALL])


def test_the_plan_names_work_rate_and_size_of_each_block(recipe, kft_cli, tmp_path):
    code, out, err = kft_cli("plan", recipe, "--json")
    assert code == 0, err
    probe, top, whole = json.loads(out)["phases"]
    assert [block["work"] for block in probe["blocks"]] == ["stored"] * 4 + ["trained"]
    assert [block["work"] for block in top["blocks"]] == ["stored"] * 2 + ["trained"] * 3
    assert [block["work"] for block in whole["blocks"]] == ["trained"] * 5
    assert [block["lr"] for block in top["blocks"]] == [None, None, 0.00025, 0.0005, 0.001]
    assert top["trainable"] == sum(block["trainable"] for block in top["blocks"])
    assert probe["features"]["stored"] and not whole["features"]["stored"]
    assert probe["features"]["present"] == 0
    examples = probe["features"]["examples"]
    assert probe["features"]["bytes"] == examples * tiny.WIDTH * 4  # one float32 vector an example
    assert whole["memory"]["optimizer"] == 12 * whole["trainable"]
    assert whole["memory"]["activations"] > top["memory"]["activations"] > probe["memory"]["activations"]
    assert not (tmp_path / "runs").exists() and not list((tmp_path / "cache").rglob("*.safetensors"))


@pytest.mark.slow
def test_after_a_run_the_plan_finds_the_features_and_train_agrees_with_it(recipe, kft_cli):
    _, out, _ = kft_cli("plan", recipe, "--json")
    planned = json.loads(out)["phases"]
    code, out, err = kft_cli("train", recipe, "--json", "--run", "run")
    assert code == 0, err
    trained = json.loads(out)["phases"]
    assert [phase["trainable"] for phase in trained] == [phase["trainable"] for phase in planned]
    after = json.loads(kft_cli("plan", recipe, "--json")[1])["phases"]
    assert after[0]["features"]["present"] == after[0]["features"]["examples"]


def test_the_table_is_for_people(recipe, kft_cli):
    code, out, _ = kft_cli("plan", recipe)
    assert code == 0
    for words in ("phase probe: L-BFGS to convergence", "phase top: 2 epochs", "once an example, then stored"):
        assert words in out
    assert re.search(r"block_00 to block_\d+ +│ +\d x [\d,]+ +│ +frozen", out)  # alike blocks share a line
    assert re.search(r"│ block_01 +│ +[\d,]+ │ +[\d,]+ │ +0.00025", out)  # its rate is another's
    assert "features   recomputed: all of the model trains" in out and "next       kft train" in out


@pytest.mark.slow
def test_what_a_tpu_asks_for_is_checked_on_any_hardware(kft_cli, recipe):
    code, out, err = kft_cli("train", recipe, "--check-tpu", "--json", "--run", "never")
    assert code == 0, err
    found = json.loads(out)
    assert found["ok"] and [check["ok"] for check in found["checks"]] == [True] * len(found["checks"])
    assert any("compiles under XLA" in check["name"] for check in found["checks"])


@pytest.mark.slow
def test_a_batch_that_the_cores_cannot_share_is_told_with_one_that_they_can(kft_cli, recipe):
    code, out, err = kft_cli("plan", recipe, "--check-tpu", "--set", "train.batch_size=12", "--set", PROBED)
    assert code == 2, err
    assert "12 on 8 cores" in out and "train.batch_size=16" in out
