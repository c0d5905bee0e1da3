"""The most confident mistakes and their nearest training examples."""

import csv
import json

import numpy as np
import pytest

from kft import assets
from kft.evaluate.mistakes import MOST, NEIGHBOURS, find_mistakes, predictions_hash, worst_answers
from kft.recipe.schema import DataSpec
from kft.records.document import as_document
from kft.records.run_folder import RunFolder
from kft.split.data_split import load_split
from kft.tasks.registry import TASKS

WORDS = ("alpha", "beta", "gamma", "delta")


def vectorise(inputs):
    return np.array([[text.split().count(word) for word in WORDS] for text in inputs], float)


@pytest.fixture
def split(tmp_path):
    rows = [(f"{WORDS[i % 4]} {WORDS[i % 3]} row {i}", ("x", "y")[i % 2]) for i in range(80)]
    rows[0] = ("alpha alpha jane.roe@example.com", "x")
    path = tmp_path / "rows.csv"
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([("text", "label"), *rows])
    spec = DataSpec(train=str(path), text="text", label="label", keep_together="nothing")
    return load_split(spec, task=TASKS.get("text-classification"), base=tmp_path, locate=assets.locate)


def write_predictions(folder, rows):
    run = RunFolder(folder)
    with run.predictions.open("w", newline="") as file:
        csv.writer(file).writerows([("id", "target", "prediction", "confidence", "abstain"), *rows])
    return run


def test_the_most_confident_come_first_beside_what_lies_nearest(split, tmp_path):
    ids = [str(identifier) for identifier in split.test.ids]
    rows = [(name, "x", "y" if at < 5 else "x", 0.5 + at / 100, "false") for at, name in enumerate(ids)]
    run = write_predictions(tmp_path, rows)
    found = find_mistakes(run, split, vectorise)
    assert found.n == 5 and [each.id for each in found.mistakes] == ids[:5][::-1]
    assert found.predictions_hash == predictions_hash(run) != ""
    known = {str(name): text for name, text in zip(split.train.ids, split.train.inputs, strict=True)}
    for mistake in found.mistakes:
        assert len(mistake.neighbours) == NEIGHBOURS
        nearest = mistake.neighbours[0]
        assert nearest.similarity == pytest.approx(1, abs=1e-4) and nearest.id in known
        assert nearest.label in ("x", "y")
        similar = [near.similarity for near in mistake.neighbours]
        assert similar == sorted(similar, reverse=True)


def test_personal_data_are_masked_and_few_are_kept(split, tmp_path):
    place = next(at for at, text in enumerate(split.train.inputs) if "jane" in text or at == len(split.train) - 1)
    split.train.inputs[place] = "alpha jane.roe@example.com"
    names = [str(identifier) for identifier in split.test.ids]
    run = write_predictions(tmp_path, [(name, "x", "y", 0.9, "false") for name in names])
    everything = np.ones((1000, 2))
    found = find_mistakes(run, split, lambda inputs: everything[: len(inputs)])
    assert len(found.mistakes) == min(MOST, len(names))
    split.test.inputs[0] = "write to jane.roe@example.com"
    text = json.dumps(as_document(find_mistakes(run, split, vectorise)))
    assert "jane.roe" not in text and "j***@e***.com" in text


def test_the_passages_that_decided_are_kept_masked_and_for_each_label_one(split, tmp_path):
    split.test.inputs[0] = "first part. write to jane.roe@example.com. last part."
    names = [str(identifier) for identifier in split.test.ids]
    run = write_predictions(tmp_path, [(names[0], "x", "y", 0.9, "false")])
    found = [
        {"label": "y", "start": 12, "end": 43, "weight": 0.25, "confidence": 0.75},
        {"label": "y", "start": 0, "end": 11, "weight": 0.25, "confidence": 0.5},
    ]
    (passage,) = find_mistakes(run, split, vectorise, lambda inputs: [found]).mistakes[0].passages
    assert (passage.start, passage.end, passage.weight, passage.said) == (12, 43, 0.25, "y 0.750")
    assert passage.text.startswith("write to j***@e***.com")
    several = [*found, {"label": "z", "start": 0, "end": 11, "weight": 0.25, "confidence": 0.5}]
    kept = find_mistakes(run, split, vectorise, lambda inputs: [several]).mistakes[0].passages
    assert [(each.start, each.said) for each in kept] == [(12, "y 0.750"), (0, "z 0.500")]
    number = [{"start": 0, "end": 11, "weight": 0.5, "value": 3.25}]
    assert find_mistakes(run, split, vectorise, lambda inputs: [number]).mistakes[0].passages[0].said == "3.25"
    assert find_mistakes(run, split, vectorise).mistakes[0].passages == ()


def test_nothing_is_computed_where_nothing_is_wrong(split, tmp_path):
    run = write_predictions(tmp_path, [(name, "x", "x", 0.9, "false") for name in split.test.ids])

    def never(inputs):
        raise AssertionError("no vectors are needed")

    assert find_mistakes(run, split, never).mistakes == ()
    assert find_mistakes(RunFolder(tmp_path / "empty"), split, never).n == 0


def test_spans_that_were_missed_have_no_confidence():
    rows = [{"id": "a", "target": "[1]", "prediction": "[]", "confidence": ""}]
    rows.append({"id": "b", "target": "[1]", "prediction": "[2]", "confidence": "0.4"})
    assert [row["id"] for row in worst_answers(rows)] == ["b", "a"]
