"""A run whose frozen blocks are in int8: what its head was fitted on is what answers, everywhere."""

import importlib.util
import json

import numpy as np
import pandas as pd
import pytest

import kft
from kft.errors import ModelError
from kft.features import int8
from kft.records.run_folder import RunFolder
from tests import tiny

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("openvino") is None or not int8.multiplies_in_int8(),
    reason="no kft[int8], or a CPU without products of 8 bits",
)


@pytest.fixture(scope="module")
def trained(tiny_folder, tmp_path_factory):
    folder = tmp_path_factory.mktemp("int8")
    recipe = kft.load_recipe(tiny.recipe(folder, tiny_folder), overrides=["features.precision=int8"])
    return kft.train(recipe, run=folder / "run", quiet=True)


def test_blocks_stay_frozen_and_what_it_costs_is_measured(trained):
    assert [phase.unfreeze for phase in trained.phases] == ["none", "none"]  # of the default, what tunes is left out
    found = json.loads(RunFolder(trained.run).rounding.read_text())
    assert found["n"] > 0 and found["train"] > 0 and 0.97 < found["least_cosine"] <= found["mean_cosine"] < 1
    assert found["by"].startswith("OpenVINO 20")
    assert trained.evaluation.rounding.line.startswith("accuracy ")
    assert json.loads(RunFolder(trained.run).metrics.read_text())["rounding"]["difference"] == found["difference"]


def test_a_loaded_model_answers_what_was_evaluated(trained):
    split = pd.read_parquet(RunFolder(trained.run).splits)
    ids = set(split[split["split"] == "test"]["id"])
    written = pd.read_csv(RunFolder(trained.run).predictions).set_index("id")
    texts = pd.read_csv(trained.run.parent / "reviews.csv")["text"]
    rows = {name: text for name, text in zip(split["id"], _in_order(split, texts), strict=True) if name in ids}
    found = kft.load(trained.run).predict(list(rows.values()))
    for name, answer in zip(rows, found, strict=True):
        assert answer.label == written.loc[name, "prediction"]
        np.testing.assert_allclose(answer.confidence, written.loc[name, "confidence"], atol=2e-6)
    alone = kft.load(trained.run).predict([next(iter(rows.values()))])[0]
    np.testing.assert_allclose(alone.confidence, found[0].confidence, atol=1e-6)


def _in_order(split, texts):
    return [texts[int(name.rsplit(":", 1)[-1]) - 1] for name in split["id"]]


def test_a_second_evaluation_says_the_same(trained):
    again = kft.evaluate(trained.run, quiet=True)
    assert again.metrics == trained.evaluation.metrics and again.rounding.line == trained.evaluation.rounding.line


def test_steps_on_a_head_take_features_in_int8_where_nothing_is_stored(tiny_folder, tmp_path):
    steps = {"name": "head", "unfreeze": "none", "epochs": 1, "lr": 1e-2}
    path = tiny.recipe(tmp_path, tiny_folder, rows=80, phases=[steps])
    runs = {}
    for store in ("auto", "off"):
        recipe = kft.load_recipe(path, overrides=["features.precision=int8", f"features.store={store}"])
        runs[store] = kft.train(recipe, run=tmp_path / store, quiet=True)
    assert runs["off"].phases[0].metrics == runs["auto"].phases[0].metrics
    assert runs["off"].evaluation.metrics == runs["auto"].evaluation.metrics


def test_it_is_not_exported_as_another_model(trained, tmp_path):
    with pytest.raises(ModelError, match="what was evaluated computes its frozen blocks in int8") as caught:
        kft.export(trained.run, tmp_path / "out", format="openvino", quiet=True)
    assert caught.value.next_step == "kft train RECIPE --set features.precision=float32, and export that"
    assert not (tmp_path / "out").exists()
