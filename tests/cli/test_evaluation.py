"""The real commands: calibration, abstention, slices, gates on them, and runs compared pair by pair."""

import csv
import json
import re
import shutil

import numpy as np
import pandas as pd
import pytest

import kft
from kft.records.manifest import seal
from kft.records.run_folder import RunFolder
from tests import tiny

REGIONS = ("north", "south", "south", "south", "east", "east")


def write_regions(folder, rows=800, seed=0):
    """Labels that three texts of four give away, but for one region of six, where half of them are the other one."""
    texts, labels = tiny.texts_and_labels(rows, seed=seed)
    rng = np.random.default_rng(seed)
    silent = rng.random(rows) < 0.25
    telling = "|".join(tiny.GOOD + tiny.BAD)
    texts = [re.sub(telling, "phone", text) if yes else text for text, yes in zip(texts, silent, strict=True)]
    region = rng.choice(REGIONS, rows)
    turned = (region == "north") & (rng.random(rows) < 1 / 2)
    other = {"positive": "negative", "negative": "positive"}
    labels = [other[label] if turn else label for label, turn in zip(labels, turned, strict=True)]
    pd.DataFrame({"text": texts, "label": labels, "region": region}).to_csv(folder / "rows.csv", index=False)


@pytest.fixture(scope="module")
def judged(tiny_folder, tmp_path_factory):
    """A probe on these rows, with a promise about its errors and gates on what is reported."""
    folder = tmp_path_factory.mktemp("judged")
    write_regions(folder)
    recipe = {
        "task": "text-classification",
        "data": {"train": "rows.csv", "valid": "40%", "test": "30%", "slices": ["region"]},
        "model": {"backbone": str(tiny_folder)},
        "train": {"phases": [tiny.PROBE]},
        "evaluate": {
            "abstain_at": {"error": 0.2},
            "gates": {
                "slices.worst.accuracy": ">= 0.80",
                "calibration.brier": "<= 0.5",
                "selective.error": "<= 0.30",
            },
        },
    }
    return kft.train(kft.load_recipe(recipe, base=folder), run=folder / "run", quiet=True)


def test_what_is_fitted_on_valid_is_kept(judged):
    kept = json.loads((judged.run / "calibration.json").read_text())
    assert kept["n"] == 160 and kept["how"] == "temperature scaling on valid"
    assert kept["promise"]["n"] == 160 and kept["threshold"] == kept["promise"]["threshold"] is not None
    assert json.loads((judged.run / "receipt.json").read_text())["set_aside"] == 160
    found = json.loads((judged.run / "metrics.json").read_text())
    assert set(found["metrics"]) == {"accuracy", "macro_f1", "log_loss", "ece"}
    assert found["calibration"]["temperature"] == kept["temperature"] != 1
    assert found["selective"]["promise"] == kept["promise"]
    for value in (found["calibration"]["brier"], found["selective"]["coverage"], found["selective"]["aurc"]):
        assert value["low"] <= value["value"] <= value["high"]
    assert sum(row["n"] for row in found["calibration"]["reliability"]) == found["n"] == 240


def test_abstention_is_the_same_in_the_file_and_in_python(judged):
    with (judged.run / "predictions.csv").open() as file:
        rows = list(csv.DictReader(file))
    answered = [row for row in rows if row["abstain"] == "false"]
    selective = judged.evaluation.selective
    assert len(answered) / len(rows) == pytest.approx(selective.coverage.value)
    wrong = sum(row["target"] != row["prediction"] for row in answered)
    assert wrong / len(answered) == pytest.approx(selective.error.value)
    texts = pd.read_csv(judged.run.parent / "rows.csv")["text"].tolist()
    answers = kft.predict(judged.run, [texts[int(row["id"].split(":")[1]) - 1] for row in rows])
    for answer, row in zip(answers, rows, strict=True):
        assert answer.confidence == pytest.approx(float(row["confidence"]), abs=1e-4)
        if abs(answer.confidence - selective.threshold) > 1e-4:
            assert answer.abstain is (row["abstain"] == "true") is (answer.confidence < selective.threshold)
    assert {answer.abstain for answer in answers} == {True, False}


def test_the_planted_weak_slice_is_named_and_its_gate_fails(judged, kft_cli):
    assert [(p.by, p.value) for p in judged.evaluation.slices if p.weak] == [("region", "north")]
    code, out, _ = kft_cli("evaluate", judged.run, "--quiet")
    assert code == 1
    assert "weak slice  region north: accuracy 0." in out and "gate slices.worst.accuracy >= 0.80: 0." in out
    assert "calibration temperature" in out and "Brier score" in out and "abstention  answers" in out
    code, out, _ = kft_cli("evaluate", judged.run, "--quiet", "--json")
    assert {"schema_version": 1, **json.loads(out)} == json.loads((judged.run / "metrics.json").read_text())


def test_a_promise_that_cannot_be_kept_is_not_made_and_nothing_is_calibrated_where_none_is_asked(
    tiny_folder, kft_cli, tmp_path
):
    path = tiny.recipe(tmp_path, tiny_folder, rows=80, phases=[tiny.PROBE])
    code, out, err = kft_cli(
        "train", path, "--run", "run", "--set", "evaluate.abstain_at.error=0.01", "--set", "evaluate.calibrate=none"
    )
    assert code == 0, err
    assert "set aside  8 of 16 valid examples, for what is promised: no choice sees them" in err
    assert "abstention  off: an error of at most 1 % among the answered cannot be promised from 8 rows" in out
    assert "calibration none" in out
    found = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert found["selective"]["threshold"] is None and found["selective"]["coverage"]["value"] == 1
    assert "at least 598 rows in valid" in found["selective"]["promise"]["why"]
    assert found["calibration"]["temperature"] == 1 and found["calibration"]["n"] == 0
    assert found["calibration"]["ece_before"] == found["metrics"]["ece"]


def test_two_runs_are_compared_pair_by_pair(judged, kft_cli, tmp_path):
    other = tmp_path / "other"
    shutil.copytree(judged.run, other)
    table = pd.read_csv(other / "predictions.csv", dtype=str)
    right = np.flatnonzero(table["target"] == table["prediction"])
    wrong = np.flatnonzero(table["target"] != table["prediction"])
    table.loc[right[:9], "prediction"] = "neither"  # what the other gets wrong, and this one right
    table.loc[wrong[:2], "prediction"] = table["target"][wrong[:2]]
    table.to_csv(other / "predictions.csv", index=False)
    code, _, err = kft_cli("evaluate", judged.run, "--against", other)
    assert code == 2 and "predictions.csv was changed after it was written" in err and f"kft evaluate {other}" in err
    seal(RunFolder(other), ["predictions.csv"])
    code, out, err = kft_cli("evaluate", judged.run, "--against", other, "--json")
    assert code == 1, err
    pairs = json.loads(out)["against"]
    assert set(pairs) == {"run", "n", "difference", "fixed", "broke", "p_value"} and pairs["n"] == 240
    assert pairs["difference"]["value"] == pytest.approx(7 / 240)
    assert pairs["fixed"] == table["id"][right[:9]].tolist() and pairs["broke"] == table["id"][wrong[:2]].tolist()
    assert "against" not in json.loads((judged.run / "metrics.json").read_text())
    _, out, _ = kft_cli("evaluate", judged.run, "--against", other, "--quiet")
    assert "fixed 9, broke 2" in out and f"broke {table['id'][wrong[0]]}, " in out
    code, _, err = kft_cli("evaluate", judged.run, "--against", other, "--data", "more.csv")
    assert code == 2 and "on their own test split, not on other data" in err


@pytest.mark.slow
def test_noise_that_is_learned_by_heart_is_told(tiny_folder, kft_cli, tmp_path):
    path = tiny.recipe(
        tmp_path,
        tiny_folder,
        rows=120,
        phases=[{"name": "deep", "unfreeze": "all", "epochs": 40, "lr": 2e-3}],
        best="valid_accuracy",
        early_stopping=None,
    )
    values = json.loads(path.read_text())
    values["model"]["dropout"] = 0.0
    path.write_text(json.dumps(values))
    table = pd.read_csv(tmp_path / "reviews.csv")
    table["label"] = np.random.default_rng(0).choice(["positive", "negative"], len(table))
    table.to_csv(tmp_path / "reviews.csv", index=False)
    code, out, err = kft_cli("train", path, "--run", "run")
    assert code == 0, err
    found = json.loads((tmp_path / "run" / "metrics.json").read_text())["overfitting"]
    assert len(found["epochs"]) == 40 and found["epochs"][-1]["gap"] > 0.2
    assert any("the validation loss rose" in warning for warning in found["warnings"])
    assert "overfitting deep" in out
