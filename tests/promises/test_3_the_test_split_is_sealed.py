"""Promise 3: selection never sees the test split, and its hash is in the receipt."""

import csv
import json
from dataclasses import fields
from typing import get_type_hints

import numpy as np
import pandas as pd
import pytest

import kft
from kft.api.reading import split_of
from kft.compare import grounds, setting
from kft.compare.grounds import Grounds
from kft.compare.setting import Setting
from kft.records.document import as_document
from kft.split.assign import SPLITS
from kft.split.data_split import Selection
from kft.split.holdout import set_aside
from kft.train.checkpoint import load_checkpoint
from kft.train.prepare import Prepared
from tests import tiny


def run_with_test_labels(folder, tiny_folder, flip):
    folder.mkdir()
    tiny.write_table(folder / "train.csv", 80)
    texts, labels = tiny.texts_and_labels(40, seed=9)
    if flip:
        texts, labels = texts[::-1], ["positive" if label == "negative" else "negative" for label in labels]
    with (folder / "test.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("text", "label"), *zip(texts, labels, strict=True)])
    recipe = {
        "task": "text-classification",
        "data": {"train": "train.csv", "valid": "25%", "test": "test.csv"},
        "model": {"backbone": str(tiny_folder)},
        "train": {"batch_size": 16, "phases": [tiny.PROBE, tiny.TOP]},
        "evaluate": {"abstain_at": {"error": 0.3, "confidence": 0.6}},
    }
    return kft.train(kft.load_recipe(recipe, base=folder), run=folder / "run", quiet=True)


def test_what_the_test_split_holds_changes_nothing_that_is_chosen(tiny_folder, tmp_path):
    first = run_with_test_labels(tmp_path / "a", tiny_folder, flip=False)
    second = run_with_test_labels(tmp_path / "b", tiny_folder, flip=True)
    assert first.best_phase == second.best_phase
    assert [p.metrics for p in first.phases] == [p.metrics for p in second.phases]
    fitted = [json.loads((result.run / "calibration.json").read_text()) for result in (first, second)]
    assert fitted[0] == fitted[1] and fitted[0]["threshold"] is not None
    best = [load_checkpoint(result.run / "checkpoints", "best").weights for result in (first, second)]
    for name in best[0]:
        np.testing.assert_array_equal(best[0][name], best[1][name])


def test_what_trains_and_chooses_is_given_no_test_rows_by_type(tiny_folder, tmp_path):
    hints = [
        get_type_hints(Prepared),
        get_type_hints(Setting, {**vars(setting), "Progress": object}),
        get_type_hints(Grounds, {**vars(grounds), "Progress": object}),
    ]
    assert [each["split"] for each in hints] == [Selection] * 3
    # The corpus is without what only test names: tests/split/test_queries.py.
    known = {"train", "valid", "kind", "space", "unlabelled", "copies", "corpus"}
    assert {each.name for each in fields(Selection)} == known
    split = split_of(kft.load_recipe(tiny.recipe(tmp_path, tiny_folder, rows=60)), None)
    seen = {identifier for part in (split.train, split.valid) for identifier in part.ids}
    given = split.without_test()
    assert {identifier for part in (given.train, given.valid) for identifier in part.ids} == seen
    assert len(split.test) and not seen & set(split.test.ids)
    assert given.copies is None or len(given.copies.first) == len(seen)  # of train's and valid's rows alone


def test_what_abstention_is_calibrated_on_chooses_nothing(tiny_folder, tmp_path):
    """The half of valid that is set aside gets texts that contradict its labels: only the threshold changes."""
    path = tiny.recipe(tmp_path, tiny_folder, rows=120, phases=[tiny.PROBE, tiny.TOP])
    recipe = kft.load_recipe(path, ["evaluate.abstain_at.error=0.3", "evaluate.abstain_at.confidence=0.6"])
    spec, split = recipe.spec, split_of(recipe, None)
    held = set_aside(spec, split)
    assert 0 < held.sum() < len(held)
    misleading = {"positive": "the phone is awful.", "negative": "the phone is great."}
    parts = [pd.DataFrame({"id": p.ids, "text": p.inputs, "label": p.labels}) for p in map(split.part, SPLITS)]
    named, found = recipe.with_values("data", {"id": "id"}), []
    for run in ("plain", "misled"):
        if run == "misled":
            parts[1].loc[held, "text"] = parts[1].loc[held, "label"].map(misleading)
        found.append(kft.train(named, data=dict(zip(SPLITS, parts, strict=True)), run=tmp_path / run, quiet=True))
    assert [p.metrics for p in found[0].phases] == [p.metrics for p in found[1].phases]
    kept = [json.loads((result.run / "calibration.json").read_text()) for result in found]
    # The same rows lie in other batches, whose padding moves the last digits.
    assert kept[0]["temperature"] == pytest.approx(kept[1]["temperature"], rel=1e-6)
    assert kept[0]["threshold"] is not None and kept[1]["threshold"] is None


def test_the_receipt_names_the_split_and_changed_data_are_refused(tiny_folder, tmp_path):
    path = tiny.recipe(tmp_path, tiny_folder, rows=80, phases=[tiny.PROBE])
    result = kft.train(path, run=tmp_path / "run", quiet=True)
    receipt = json.loads((result.run / "receipt.json").read_text())
    assert len(receipt["split_hash"]) == 64
    assert as_document(kft.evaluate(result.run, quiet=True)) == as_document(result.evaluation)
    tiny.write_table(tmp_path / "reviews.csv", 80, seed=5)
    with pytest.raises(kft.KftError, match="data have changed since this run was trained") as caught:
        kft.evaluate(result.run, quiet=True)
    assert "data_hash" in str(caught.value) and "--data FILE" in str(caught.value)
