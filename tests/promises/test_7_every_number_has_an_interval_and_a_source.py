"""Promise 7: metrics carry a 95 % interval; the run names recipe, data, split, weights, versions and seed."""

import hashlib
import json

import kft
from tests import tiny


def test_metrics_have_intervals_and_the_receipt_names_every_source(tiny_folder, tmp_path):
    path = tiny.recipe(tmp_path, tiny_folder, rows=80, phases=[tiny.PROBE])
    result = kft.train(path, run=tmp_path / "run", quiet=True)
    metrics = json.loads((result.run / "metrics.json").read_text())
    values = [*metrics["metrics"].values(), metrics["gain_over_probe"], metrics["gain_over_linear"]]
    values += [value for baseline in metrics["baselines"].values() for value in baseline.values()]
    assert len(values) == 4 + 2 + 3 * 4
    for value in values:
        assert set(value) == {"value", "low", "high"}
        assert value["low"] <= value["value"] <= value["high"]
    receipt = json.loads((result.run / "receipt.json").read_text())
    recipe_text = (result.run / "recipe.yaml").read_bytes()
    weights = (tiny_folder / "model.safetensors").read_bytes()
    assert receipt["recipe_hash"] == hashlib.sha256(recipe_text).hexdigest()
    assert receipt["weights_hash"] == hashlib.sha256(weights).hexdigest()
    assert len(receipt["split_hash"]) == len(receipt["data_hash"]) == 64
    assert receipt["seed"] == 0
    assert {"python", "kft", "tensorflow", "keras", "keras-hub", "numpy"} <= set(receipt["versions"])
    assert [phase["name"] for phase in receipt["phases"]] == ["probe"]
    assert "# default" in recipe_text.decode() and "# file" in recipe_text.decode()
