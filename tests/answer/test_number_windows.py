"""Numbers of documents in windows: an interval around each, the windows that decided, in what runs and what ships."""

import csv
import json

import numpy as np
import pandas as pd
import pytest

import kft
from kft.deploy.load import open_artifact
from kft.tasks.decode import UNSURE
from tests import tiny

PLAIN = "The battery and the screen, the camera was my phone. "


def document(stars, rng):
    """A document of which one sentence decides, and less surely so the more stars it has."""
    word = str(rng.choice(tiny.GOOD if stars > 3 else tiny.BAD))
    before, behind = rng.integers(0, 3, 2)
    return PLAIN * before + f"It is {word} and {word}! <b>" + PLAIN * behind


def decisive(passage):
    return any(word in passage for word in (*tiny.GOOD, *tiny.BAD))


@pytest.fixture(scope="module")
def run(tiny_folder, tmp_path_factory):
    folder = tmp_path_factory.mktemp("numbers")
    rng = np.random.default_rng(0)
    stars = rng.choice([1.0, 5.0], 500)
    rows = [(document(each, rng), each + rng.normal(0, 0.1 if each < 3 else 1.0)) for each in stars]
    pd.DataFrame(rows, columns=["text", "stars"]).to_csv(folder / "rows.csv", index=False)
    recipe = {
        "task": "text-regression",
        "data": {"train": "rows.csv", "text": "text", "label": "stars", "valid": "50%", "test": "25%"},
        "model": {"backbone": str(tiny_folder), "max_tokens": 20, "long_text": "windows", "windows": {"overlap": 4}},
        "train": {"batch_size": 16, "phases": [tiny.PROBE]},
        "evaluate": {"interval": {"coverage": 0.8, "widest": 3.5}, "gates": {"interval.covered": ">= 0.6"}},
    }
    recipe["data"]["keep_together"] = "nothing"
    kft.train(kft.load_recipe(recipe, base=folder), run=folder / "run", quiet=True)
    return folder / "run"


def test_the_interval_is_measured_and_stands_wherever_the_number_does(run, kft_cli, tmp_path):
    found = json.loads((run / "metrics.json").read_text())
    measured, rule = found["interval"], found["interval"]["rule"]
    assert found["gates"]["interval.covered"]["passed"] and rule["coverage"] == 0.8 and rule["n"] == 125
    assert json.loads((run / "receipt.json").read_text())["set_aside"] == 125
    assert json.loads((run / "calibration.json").read_text())["interval"] == rule
    with (run / "predictions.csv").open() as file:
        rows = list(csv.DictReader(file))
    given = [row for row in rows if row["abstain"] == "false"]
    within = [float(row["low"]) <= float(row["target"]) <= float(row["high"]) for row in given]
    assert np.mean(within) == pytest.approx(measured["covered"]["value"]) and np.mean(within) > 0.65
    assert len(given) / len(rows) == pytest.approx(measured["answered"]["value"]) and 0 < len(given) < len(rows)
    rng = np.random.default_rng(1)
    asked = [document(each, rng) for each in (1.0, 5.0)]
    pd.DataFrame({"text": asked}).to_csv(tmp_path / "new.csv", index=False)
    assert kft_cli("predict", run, "new.csv", "-o", "said.csv")[0] == 0
    table = pd.read_csv(tmp_path / "said.csv")
    assert list(table) == ["text", "value", "abstain", "interval", "evidence"]
    for value, interval in zip(table["value"], table["interval"], strict=True):
        low, high = json.loads(interval)
        assert value - low == pytest.approx(high - value, rel=1e-3) and high > low
    assert table["abstain"].tolist() == [False, True]


def test_a_number_names_the_windows_that_draw_it_where_it_is(run):
    rng = np.random.default_rng(2)
    texts = [document(stars, rng) for stars in (1.0, 5.0)]
    answers = kft.predict(run, texts)
    assert [answer.why for answer in answers] == ["", UNSURE]
    mean = json.loads((run / "receipt.json").read_text())["mean"]
    for stars, answer, text in zip((1.0, 5.0), answers, texts, strict=True):
        told = answer.evidence
        toward = np.sign(answer.value - mean)
        drawn = [toward * each["weight"] * (each["value"] - mean) for each in told]
        assert drawn == sorted(drawn, reverse=True) and toward == np.sign(stars - mean)
        assert decisive(text[told[0]["start"] : told[0]["end"]])
        assert set(told[0]) == {"start", "end", "weight", "value"}


def test_the_page_shows_the_passage_that_decided_the_largest_errors(run, kft_cli):
    code, _, err = kft_cli("report", run)
    assert code == 0, err
    kept = json.loads((run / "mistakes.json").read_text())["mistakes"]
    assert all(len(each["passages"]) == 1 for each in kept)
    page = (run / "report.html").read_text()
    assert page.count("decided by characters") == len(kept) and decisive(kept[0]["passages"][0]["text"])
    assert "<blockquote>" in page and "! <b>" not in page and "! &lt;b&gt;" in page
    assert "an interval around each number" in page


@pytest.mark.slow
@pytest.mark.parametrize("name", ["onnx", "openvino", "litert", "saved-model"])
def test_what_ships_says_the_same(run, tmp_path, name):
    about = kft.export(run, tmp_path / "there", format=name, quiet=True)
    assert about.parity is not None and {"low", "high", "abstain", "foreign", "windows"} <= set(about.outputs)
    opened, rng = open_artifact(tmp_path / "there"), np.random.default_rng(3)
    asked = [document(each, rng) for each in (1.0, 5.0, 1.0)]
    wanted = kft.predict(run, asked)
    for one, other in zip(opened.predict(asked), wanted, strict=True):
        assert one["interval"] == pytest.approx(other.interval, abs=1e-3) and one["abstain"] == other.abstain
        assert one.get("why", "") == other.why
        assert [each["start"] for each in one["evidence"]] == [each["start"] for each in other.evidence]
        assert [each["value"] for each in one["evidence"]] == pytest.approx([e["value"] for e in other.evidence], 1e-3)
    assert opened.see(asked)[1].values["withheld"].tolist() == [0, 1, 0]
