"""The real commands: foreign inputs, thresholds from costs and from a precision; what is refused before training."""

import csv
import json

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import load_file

import kft
from tests import tiny
from tests.cli.planted import photo

NATIVE = ["battery the terrible.", "is was it my the lovely.", "a and it is my broken battery very it a."]
FOREIGN = ["[MASK] [SEP] [CLS] ? ? ? ? [MASK]", "! ! ! ! ! ! ! ! ! ! ! ?", ", , , , , , , [SEP] , , ,"]


def train(folder, backbone, evaluate, rows=400):
    path = tiny.recipe(folder, backbone, rows=rows, phases=[tiny.PROBE])
    values = json.loads(path.read_text())
    values["evaluate"] = evaluate
    return kft.train(kft.load_recipe(values, base=folder), run=folder / "run", quiet=True)


@pytest.fixture(scope="module")
def scoped(tiny_folder, tmp_path_factory):
    """A run that flags what looks foreign, and promises something about the rest."""
    folder = tmp_path_factory.mktemp("scoped")
    return train(folder, tiny_folder, {"out_of_scope": {"keep": 0.9}, "abstain_at": {"error": 0.3}})


def test_what_is_foreign_is_withheld_and_the_reason_goes_to_standard_error(scoped, kft_cli, tmp_path):
    (tmp_path / "asked.txt").write_text("\n".join([*FOREIGN, *NATIVE]) + "\n")
    code, out, err = kft_cli("predict", scoped.run, "asked.txt", "-o", "answers.jsonl")
    assert code == 0, err
    answers = [json.loads(line) for line in (tmp_path / "answers.jsonl").read_text().splitlines()]
    assert [answer["abstain"] for answer in answers] == [True] * 3 + [False] * 3
    assert set(answers[0]) == {"text", "label", "confidence", "abstain", "probabilities"}
    assert "3 of 6 answers withheld: 3 unlike the training examples (out of scope)" in err
    assert "6 answers in answers.jsonl\n" in err
    _, _, err = kft_cli("predict", scoped.run, "asked.txt", "-o", "answers.jsonl", "--force")
    assert "6 answers in answers.jsonl\n" in err
    assert kft.predict(scoped.run, FOREIGN[0])[0].why == "unlike the training examples (out of scope)"
    code, out, err = kft_cli("predict", scoped.run, "--text", FOREIGN[0])
    assert json.loads(out)["abstain"] is True and "1 of 1 answers withheld" in err


def test_rows_that_are_empty_are_named_and_the_others_answered_where_asked(scoped, kft_cli, tmp_path):
    (tmp_path / "asked.csv").write_text(f'text\n{NATIVE[0]}\n""\n{NATIVE[1]}\n" "\n')
    code, _, err = kft_cli("predict", scoped.run, "asked.csv")
    assert code == 2 and "2 of 4 texts are empty" in err and "asked.csv, row 2, 4" in err
    assert "kft predict --skip-unusable answers the others" in err
    code, _, err = kft_cli("predict", scoped.run, "asked.csv", "--skip-unusable", "-o", "answers.jsonl")
    assert code == 0 and "2 of 4 rows cannot be used and have no answer: row 2, 4" in err and "2 answers in" in err
    answers = [json.loads(line) for line in (tmp_path / "answers.jsonl").read_text().splitlines()]
    assert [answer and answer["abstain"] for answer in answers] == [False, None, False, None]
    code, _, _ = kft_cli("predict", scoped.run, "asked.csv", "--skip-unusable", "-o", "answers.csv")
    assert code == 0 and (tmp_path / "answers.csv").read_text().splitlines()[2] == ",,,,"


def test_what_flagging_costs_in_scope_is_reported(scoped, kft_cli):
    found = json.loads((scoped.run / "metrics.json").read_text())
    assert set(found["out_of_scope"]) == {"keep", "n", "flagged", "right"}
    assert found["out_of_scope"]["n"] == 40  # half of valid: the other half decides the promise alone
    assert 0 <= found["out_of_scope"]["flagged"]["value"] < 0.3
    with (scoped.run / "predictions.csv").open() as file:
        withheld = [row["abstain"] == "true" for row in csv.DictReader(file)]
    assert 1 - np.mean(withheld) == pytest.approx(found["selective"]["coverage"]["value"])
    assert np.mean(withheld) >= found["out_of_scope"]["flagged"]["value"] - 1e-9
    code, out, _ = kft_cli("evaluate", scoped.run, "--quiet")
    assert code == 0 and "scope       flags 0." in out and "right answers among them: " in out


def test_the_run_folder_holds_what_it_takes(scoped):
    kept = json.loads((scoped.run / "calibration.json").read_text())
    assert set(kept["scope"]) == {"distance", "unsure", "limit", "keep", "n"} and kept["scope"]["keep"] == 0.9
    known = load_file(scoped.run / "scope.safetensors")["known"]
    assert known.shape == (220, tiny.WIDTH) and known.dtype == np.float16
    np.testing.assert_allclose(np.linalg.norm(known.astype(np.float32), axis=1), 1, atol=1e-2)


def test_a_damaged_file_is_told_and_how_to_mend_it(scoped, kft_cli):
    sound = (scoped.run / "scope.safetensors").read_bytes()
    try:
        (scoped.run / "scope.safetensors").write_bytes(sound[:100])
        code, _, err = kft_cli("predict", scoped.run, "the phone is great.")
        assert code == 2 and "scope.safetensors was changed after it was written" in err
        assert f"delete {scoped.run / 'scope.safetensors'} and {scoped.run / 'calibration.json'}; kft evaluate" in err
    finally:
        (scoped.run / "scope.safetensors").write_bytes(sound)


@pytest.mark.slow
def test_a_tuned_model_is_judged_by_its_own_features(tiny_folder, tmp_path):
    deep = {"name": "deep", "unfreeze": "all", "epochs": 2, "lr": 1e-3}
    path = tiny.recipe(tmp_path, tiny_folder, rows=200, phases=[deep])
    values = json.loads(path.read_text()) | {"evaluate": {"out_of_scope": {}}}
    result = kft.train(kft.load_recipe(values, base=tmp_path), run=tmp_path / "run", quiet=True)
    assert result.evaluation.out_of_scope.keep == 0.95
    answers = kft.predict(result.run, [FOREIGN[1], NATIVE[0]])
    assert [answer.abstain for answer in answers] == [True, False]


def test_photos_of_something_else_are_withheld(tiny_images, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("KFT_CACHE", str(tmp_path / "cache"))  # where these photos were not decoded before
    rng = np.random.default_rng(0)
    for row in range(120):
        photo(tmp_path / "photos" / ("red", "blue")[row % 2] / f"{row}.png", rng, row % 2)
    recipe = {
        "task": "image-classification",
        "data": {"train": "photos", "keep_together": "nothing"},
        "model": {"backbone": str(tiny_images)},
        "train": {"phases": [tiny.PROBE]},
        "evaluate": {"out_of_scope": {"keep": 0.95}},
    }
    result = kft.train(kft.load_recipe(recipe, base=tmp_path), run=tmp_path / "run")
    assert "images     decoding " in "".join(capsys.readouterr())
    photo(tmp_path / "red.png", rng, 0)
    Image.new("RGB", (32, 32), (250, 250, 0)).save(tmp_path / "yellow.png")
    answers = kft.predict(result.run, [tmp_path / "red.png", tmp_path / "yellow.png"])
    assert [answer.abstain for answer in answers] == [False, True]


def test_costs_decide_and_what_they_come_to_is_reported(tiny_folder, kft_cli, tmp_path):
    result = train(tmp_path, tiny_folder, {"threshold": {"costs": {"wrong": 4, "abstain": 1}}})
    found = json.loads((result.run / "metrics.json").read_text())["selective"]
    assert found["threshold"] == 0.75 and found["promise"] is None and found["precision"] is None
    assert set(found["costs"]) == {"wrong", "abstain", "per_example", "answering_everything", "saved"}
    assert found["costs"]["per_example"]["value"] == pytest.approx(
        4 * found["error"]["value"] * found["coverage"]["value"] + 1 - found["coverage"]["value"]
    )
    code, out, err = kft_cli("evaluate", tmp_path / "run")
    assert code == 0 and "costs       " in out and "an example; answering everything" in out
    assert "abstention below a confidence of 0.750: a wrong answer costs 4, abstaining 1" in err
    assert json.loads((result.run / "receipt.json").read_text())["set_aside"] == 0


def test_a_precision_of_one_label_is_sought_on_valid_and_measured_on_test(tiny_folder, kft_cli, tmp_path):
    asked = {"threshold": {"precision": 0.9, "label": "positive"}}
    result = train(tmp_path, tiny_folder, asked)
    found = json.loads((result.run / "metrics.json").read_text())["selective"]["precision"]
    assert found["asked"] == 0.9 and found["label"] == "positive"
    assert found["reached"]["low"] <= found["reached"]["value"] <= found["reached"]["high"]
    assert {"reached_answering_everything", "recall", "recall_answering_everything"} <= set(found)
    code, out, _ = kft_cli("evaluate", tmp_path / "run", "--quiet")
    assert code == 0 and "precision   of 'positive' " in out and "asked for 0.9" in out


def test_a_label_that_nobody_has_is_refused_before_training(tiny_folder, kft_cli, tmp_path):
    path = tiny.recipe(tmp_path, tiny_folder, phases=[tiny.PROBE])
    settings = ("--set", "evaluate.threshold.precision=0.9", "--set", "evaluate.threshold.label=postive")
    code, _, err = kft_cli("train", path, "--run", "run", *settings)
    assert code == 2 and "no example has the label 'postive'; did you mean positive?" in err
    assert not (tmp_path / "run").exists()
