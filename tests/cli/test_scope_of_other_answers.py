"""What looks foreign is withheld also where an answer is labels, a number or spans: trained, told, shipped, watched."""

import csv
import json

import numpy as np
import pytest
from PIL import Image

import kft
from kft.deploy.load import open_artifact
from kft.tasks.decode import FOREIGN
from tests import tiny
from tests.cli.planted import write_data

pytestmark = pytest.mark.slow

ODD = "! ! ! ! ! ! ! ! ! ! ! ?"
TASKS = [
    pytest.param("token-tagging", [tiny.PROBE]),
    pytest.param("text-regression", [tiny.PROBE]),
    pytest.param("text-multi-label", [tiny.PROBE, {"name": "blend", "unfreeze": "none", "solver": "blend"}]),
    pytest.param("image-multi-label", [tiny.PROBE]),
]
MAIN = {"token-tagging": "entity_f1", "text-regression": "mae"}


@pytest.mark.parametrize(
    ("task", "phases"), [TASKS[0], *(pytest.param(*p.values, marks=pytest.mark.slow) for p in TASKS[1:])]
)
def test_what_is_foreign_is_withheld_wherever_it_is_asked(task, phases, tiny_folder, tiny_images, tmp_path, kft_cli):
    source, (native, *_) = write_data(task, tmp_path)
    images = task.startswith("image")
    recipe = {
        "task": task,
        "data": {"train": source, "valid": "25%", "test": "25%"},
        "model": {"backbone": str(tiny_images if images else tiny_folder)},
        "train": {"batch_size": 16, "phases": phases},
        "evaluate": {"out_of_scope": {"keep": 0.9}},
    }
    (tmp_path / "recipe.yaml").write_text(json.dumps(recipe))
    code, out, err = kft_cli("train", "recipe.yaml", "--run", "run")
    assert code == 0 and "scope      flags what looks less familiar than 90 % of valid" in err, err
    metrics = json.loads((tmp_path / "run/metrics.json").read_text())
    found, main = metrics["out_of_scope"], MAIN.get(task, "micro_f1")
    assert found["keep"] == 0.9 and found["flagged"]["low"] <= 0.1 <= found["flagged"]["high"] + 0.1
    assert set(found["answered"]) == {main} and ("right" in found) == (task != "text-regression")
    assert "scope       flags 0." in out and " of the others: " in out
    kept = json.loads((tmp_path / "run/calibration.json").read_text())["scope"]
    assert kept["unsure"] is None and kept["n"] > 25
    with (tmp_path / "run/predictions.csv").open() as file:
        withheld = [row["abstain"] == "true" for row in csv.DictReader(file)]
    assert np.mean(withheld) == pytest.approx(found["flagged"]["value"])
    odd = ODD
    if images:
        odd = str(tmp_path / "odd.png")
        Image.new("RGB", (32, 32), (250, 250, 0)).save(odd)
    asked = [odd, native]
    told = kft.predict(tmp_path / "run", asked)
    assert [answer.abstain for answer in told] == [True, False] and told[0].why == FOREIGN
    about = kft.export(tmp_path / "run", tmp_path / "shipped", quiet=True)
    assert about.parity is not None and {"abstain", "foreign", "vectors"} <= set(about.outputs)
    opened = open_artifact(tmp_path / "shipped")
    answers = opened.predict(asked)
    assert [answer["abstain"] for answer in answers] == [True, False] and answers[0]["why"] == FOREIGN
    assert opened.see(asked)[1].values["withheld"].tolist() == [1, 0]
    assert {"withheld", "distance"} <= set(opened.reference.gauges)
