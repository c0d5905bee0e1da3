"""What a run's backbone keeps: measured where one was tuned, for the weights that were kept, and for lost ones too."""

import json

import numpy as np
import pytest

import kft
from kft.errors import DataError
from kft.features import store
from kft.forgetting.retain import RetainSet
from kft.forgetting.retention import pretrained_vectors, retain_vectors
from tests import tiny

LORA = {"name": "lora", "unfreeze": {"lora": {"rank": 4}}, "epochs": 1, "lr": 1e-3}


def deep(lr, epochs=2):
    return {"name": "deep", "unfreeze": "all", "epochs": epochs, "lr": lr}


@pytest.fixture(scope="module")
def train(tiny_folder, tmp_path_factory):
    """Trains phases on the tiny backbone, whose retain set is praise and blame, which it knows from the start."""
    folder = tmp_path_factory.mktemp("retention")
    tiny.write_table(folder / "retain.csv", 60, seed=9)

    def run(name, *phases, retain=None, **values):
        path = tiny.recipe(folder, tiny_folder, rows=120, phases=list(phases), **values)
        recipe = json.loads(path.read_text())
        retain = retain or {"data": "retain.csv", "label": "label"}
        recipe["evaluate"] = {"retain": retain, "gates": {"forgetting.retained": ">= 0.9"}}
        path.write_text(json.dumps(recipe))
        return kft.train(path, run=folder / name, quiet=True)

    return run


def written(result):
    """Returns forgetting.json without the checkpoint that it belongs to; metrics.json says the same."""
    found = json.loads((result.run / "forgetting.json").read_text())
    assert found.pop("schema_version") == 1 and len(found.pop("checkpoint")) == 64
    assert json.loads((result.run / "metrics.json").read_text())["forgetting"] == found
    return found


def test_a_probe_alone_keeps_all_and_computes_nothing(train):
    result = train("probe", tiny.PROBE)
    assert result.evaluation.forgetting is None and not (result.run / "forgetting.json").exists()
    gate = result.evaluation.gates["forgetting.retained"]
    assert (gate.value, gate.passed) == (1.0, True)


def test_the_pretrained_backbone_looks_once_for_all_runs_and_sees_the_same(tiny_folder, tmp_path, monkeypatch):
    monkeypatch.setenv("KFT_CACHE", str(tmp_path / "cache"))
    spec = kft.load_recipe(tiny.recipe(tmp_path, tiny_folder)).spec
    backbone = kft.load_backbone(str(tiny_folder))
    retain = RetainSet("words", "here", tiny.texts_and_labels(20)[0], None)
    found = pretrained_vectors(backbone, retain, spec)
    np.testing.assert_array_equal(found, retain_vectors(backbone, retain, spec))
    monkeypatch.setattr(store, "run_in_batches", None)
    np.testing.assert_array_equal(found, pretrained_vectors(backbone, retain, spec))


@pytest.mark.slow
def test_what_was_tuned_gently_keeps_most_and_says_the_same_again(train):
    result = train("gentle", deep(1e-4), best="valid_loss")
    found = written(result)
    assert found["weights"].startswith("deep, epoch ") and found["not_kept"] is None
    assert found["retain"]["n"] == 60 and found["retain"]["name"] == "retain.csv"
    assert found["retained"]["value"] > 0.9 and found["warning"] is None
    assert found["retained"]["value"] == result.evaluation.gates["forgetting.retained"].value
    (result.run / "forgetting.json").unlink()
    assert kft.evaluate(result.run, quiet=True).forgetting == result.evaluation.forgetting


@pytest.mark.slow
def test_a_rate_far_too_high_is_seen_though_the_probe_was_kept(train):
    result = train("torn", tiny.PROBE, {**deep(1.0, 3), "start": "probe"}, clip_norm=None)
    assert result.best_phase == "probe"
    found = written(result)
    assert found["weights"] == "probe, the backbone as it was"
    assert found["retained"] == {"value": 1.0, "low": 1.0, "high": 1.0} and found["tuned"] == found["pretrained"]
    lost = found["not_kept"]
    assert lost["weights"] == "deep, epoch 3, not kept"
    assert lost["retained"]["high"] < 0.7
    assert found["warning"].startswith("deep, epoch 3, not kept: ")


@pytest.mark.slow
def test_adapters_are_part_of_what_is_measured(train):
    found = written(train("lora", LORA))
    assert found["tuned"] != found["pretrained"] or found["retained"]["value"] == 1.0
    assert found["weights"].startswith("lora, epoch ")


def test_a_retain_set_that_is_not_there_is_told_before_anything_is_trained(train):
    with pytest.raises(DataError, match=r"gone\.csv"):
        train("gone", deep(1e-3), retain="gone.csv")
