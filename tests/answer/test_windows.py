"""Answers to documents in windows name those that decided, in what runs and in what ships."""

import json

import numpy as np
import pandas as pd
import pytest

import kft
from tests import tiny

ODD = "\U0001f600 Caf\u00e9 \u00c5ngstr\u00f6m. "
PLAIN = "The battery and the screen, the camera was my phone. "


def document(word, before, behind):
    """A document of which one sentence decides, with emoji and accents before it."""
    return ODD * before + PLAIN * before + f"It is {word}!" + (" " + PLAIN) * behind


@pytest.fixture(scope="module")
def run(tiny_folder, tmp_path_factory):
    """A probe and a blend on windows of documents of one to five windows."""
    folder = tmp_path_factory.mktemp("windows")
    rng = np.random.default_rng(0)
    rows = [
        (document(rng.choice(tiny.GOOD if row % 2 else tiny.BAD), *rng.integers(0, 3, 2)), ("bad", "good")[row % 2])
        for row in range(160)
    ]
    pd.DataFrame(rows, columns=["text", "label"]).to_csv(folder / "rows.csv", index=False)
    recipe = {
        "task": "text-classification",
        "data": {"train": "rows.csv", "valid": "30%", "test": "20%", "keep_together": "nothing"},
        "model": {"backbone": str(tiny_folder), "max_tokens": 20, "long_text": "windows", "windows": {"overlap": 4}},
        "train": {"batch_size": 16, "phases": [tiny.PROBE, {"name": "blend", "unfreeze": "none", "solver": "blend"}]},
    }
    return kft.train(kft.load_recipe(recipe, base=folder), run=folder / "run", quiet=True).run


@pytest.mark.slow
def test_an_answer_names_the_windows_that_decided(run):
    model = kft.load(run)
    texts = [document("superb", 2, 2), document("awful", 0, 3), "It is superb!"]
    for text, word, answer in zip(texts, ("superb", "awful", "superb"), model.predict(texts), strict=True):
        told = answer.evidence
        assert {each["label"] for each in told} == {answer.label}
        assert sum(each["weight"] for each in told) <= 1 + 1e-6
        first = told[0]
        assert word in text[first["start"] : first["end"]], "offsets count the characters of the text as it stands"
        assert first["confidence"] >= max(each["confidence"] for each in told) - 1e-9, "all weigh the same in a mean"
    (alone,) = model.predict(texts[2:])
    assert [(each["start"], each["end"], each["weight"]) for each in alone.evidence] == [(0, len(texts[2]), 1.0)]


@pytest.mark.slow
def test_the_command_prints_them_and_a_table_holds_them(run, kft_cli, tmp_path):
    code, out, _ = kft_cli("predict", run, document("superb", 1, 2), "--json")
    assert code == 0 and json.loads(out)["evidence"][0]["start"] >= 0
    pd.DataFrame({"text": [document("awful", 0, 2), "It is superb!"]}).to_csv(tmp_path / "new.csv", index=False)
    assert kft_cli("predict", run, tmp_path / "new.csv", "-o", tmp_path / "said.csv")[0] == 0
    table = pd.read_csv(tmp_path / "said.csv")
    assert [json.loads(cell)[0]["start"] for cell in table["evidence"]] == [0, 0]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["onnx", "openvino", "litert", "saved-model"])
def test_what_ships_reads_and_names_the_same_windows(run, tmp_path, kft_cli, name):
    code, _, err = kft_cli("export", run, tmp_path / "there", "--format", name, "--quiet")
    assert code == 0, err
    texts = [document("superb", 2, 2), document("awful", 0, 60), "It is superb!"]  # the second has too many windows
    for wanted, found in zip(kft.predict(run, texts), kft.load(tmp_path / "there").predict(texts), strict=True):
        assert found.label == wanted.label and found.confidence == pytest.approx(wanted.confidence, abs=1e-4)
        assert len(found.evidence) == len(wanted.evidence)
        for one, other in zip(found.evidence, wanted.evidence, strict=True):
            assert one["weight"] == pytest.approx(other["weight"], abs=1e-5)
            assert one["confidence"] == pytest.approx(other["confidence"], abs=1e-4)
