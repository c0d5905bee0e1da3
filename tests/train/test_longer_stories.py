"""Phases in unusual orders, and texts that do not fit."""

import json

import numpy as np
import pandas as pd
import pytest

import kft
from kft.answer.load import read_run
from kft.errors import ModelError, RecipeError
from kft.train.checkpoint import load_checkpoint
from tests import tiny

pytestmark = pytest.mark.slow

HEAD = {"name": "head", "unfreeze": "none", "epochs": 1, "lr": 1e-5}


def test_a_probe_after_another_phase_can_be_kept(tiny_folder, tmp_path):
    path = tiny.recipe(tmp_path, tiny_folder, best="valid_loss", phases=[HEAD, tiny.PROBE])
    result = kft.train(path, run=tmp_path / "run", quiet=True)
    assert result.best_phase == "probe"
    assert load_checkpoint(tmp_path / "run" / "checkpoints", "best").state["phase"] == "probe"


def test_a_probe_on_tuned_blocks_is_no_baseline(tiny_folder, tmp_path):
    path = tiny.recipe(tmp_path, tiny_folder, best="valid_loss", phases=[tiny.TOP, tiny.PROBE])
    result = kft.train(path, run=tmp_path / "run", quiet=True)
    assert not (tmp_path / "run" / "checkpoints" / "probe.json").exists()
    assert set(result.evaluation.baselines) == {"majority", "linear"} and result.evaluation.gain_over_probe is None


def test_a_checkpoint_of_other_layers_is_refused(tiny_folder, tmp_path):
    from kft.answer.load import load_artifact, with_weights
    from kft.records.run_folder import open_run

    path = tiny.recipe(tmp_path, tiny_folder, phases=[tiny.PROBE])
    kft.train(path, run=tmp_path / "run", quiet=True)
    artifact = load_artifact(read_run(open_run(tmp_path / "run")))
    with pytest.raises(kft.KftError, match="weights that the model does not have") as caught:
        with_weights(artifact, {"transformer_layer_9/kernel": np.zeros(3)})
    assert "transformer_layer_9/kernel" in str(caught.value)


def test_a_text_longer_than_the_positions_names_the_setting(tiny_folder, tmp_path):
    path = tiny.recipe(tmp_path, tiny_folder, phases=[tiny.PROBE])
    table = tmp_path / "reviews.csv"
    table.write_text(table.read_text() + "the " * 90 + ",positive\n")
    with pytest.raises(ModelError, match="cannot take texts that long") as caught:
        kft.train(path, run=tmp_path / "run", quiet=True)
    assert "--set model.max_tokens=64" in str(caught.value)
    assert not (tmp_path / "run").exists(), "the next try needs no other name"
    kft.plan(path, overrides=["model.max_tokens=64"], quiet=True)


@pytest.mark.parametrize("start", ["train", "plan", "check", "check_tpu"])
def test_a_limit_that_is_known_is_told_before_anything_is_read(tiny_folder, tmp_path, start):
    path = tiny.recipe(tmp_path, tiny_folder, phases=[tiny.PROBE])
    (tmp_path / "reviews.csv").unlink()
    with pytest.raises(RecipeError, match="cannot take texts that long") as caught:
        getattr(kft, start)(path, overrides=["model.max_tokens=65"], quiet=True)
    assert "at most 64" in caught.value.expected and "--set model.max_tokens=64" in caught.value.next_step
    with pytest.raises(kft.KftError, match=r"reviews.csv|no such"):
        getattr(kft, start)(path, overrides=["model.max_tokens=64"], quiet=True)


@pytest.mark.parametrize(
    ("change", "error", "text"),
    [
        ({"callbacks": [{"name": "csv-loger"}]}, RecipeError, "csv-logger"),
        ({"phases": [{"name": "top", "unfreeze": "top-9", "epochs": 1}]}, ModelError, "top-1 to top-3"),
    ],
)
def test_what_cannot_run_is_refused_before_the_run_folder(change, error, text, tiny_folder, tmp_path):
    path = tiny.recipe(tmp_path, tiny_folder, **{"phases": [tiny.PROBE], **change})
    with pytest.raises(error, match=text):
        kft.train(path, run=tmp_path / "run", quiet=True)
    assert not (tmp_path / "run").exists()


def test_a_run_on_dataframes_is_scored_with_the_same_ones(tiny_folder, tmp_path):
    path = tiny.recipe(tmp_path, tiny_folder, phases=[tiny.PROBE])
    frame = pd.read_csv(tmp_path / "reviews.csv")
    trained = kft.train(kft.load_recipe(path), data=frame, run=tmp_path / "run", quiet=True)
    assert "train: dataframe" in (tmp_path / "run" / "recipe.yaml").read_text()
    again = kft.evaluate(tmp_path / "run", data=frame, quiet=True)
    assert (again.split, again.n) == ("test", trained.evaluation.n)
    assert again.metrics == trained.evaluation.metrics
    other = kft.evaluate(tmp_path / "run", data=frame.iloc[:20], quiet=True)
    assert (other.split, other.n) == ("dataframe", 20)
    with pytest.raises(kft.KftError, match="which is not kept") as caught:
        kft.evaluate(tmp_path / "run", quiet=True)
    assert "kft.evaluate(run, data=frame)" in str(caught.value)
    answers = kft.predict(tmp_path / "run", frame["text"].iloc[:2])
    assert len(answers) == 2


def test_the_backbones_folder_is_found_from_the_recipe(tiny_folder, tmp_path, monkeypatch):
    folder = tmp_path / "project"
    folder.mkdir()
    tiny.write_backbone(folder / "my-bert")
    path = tiny.recipe(folder, tiny_folder, phases=[tiny.PROBE])
    values = json.loads(path.read_text())
    values["model"]["backbone"] = "my-bert"
    path.write_text(json.dumps(values))
    monkeypatch.chdir(tmp_path)
    result = kft.train(path, run=tmp_path / "run", quiet=True)
    monkeypatch.chdir("/")
    assert kft.evaluate(tmp_path / "run", quiet=True).metrics == result.evaluation.metrics
