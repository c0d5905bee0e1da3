"""Every kind of answer is retrained and compared; new labels are learned; gates and edge cases count."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import kft
from kft.errors import DataError
from tests import tiny
from tests.retrain import made

pytestmark = pytest.mark.slow


def labels_of(task, texts):
    if task == "text-regression":
        return "label", [len(text.split()) + 3.0 * ("great" in text) for text in texts]
    if task == "text-multi-label":
        return "label", [[*(["good"] if set(text[:-1].split()) & set(tiny.GOOD) else ["bad"]), "any"] for text in texts]
    places = [next(p for p, word in enumerate(text[:-1].split()) if word in (*tiny.GOOD, *tiny.BAD)) for text in texts]
    found = []
    for text, place in zip(texts, places, strict=True):
        words = text[:-1].split()
        start = sum(len(word) + 1 for word in words[:place])
        kind = "GOOD" if words[place] in tiny.GOOD else "BAD"
        found.append([{"start": start, "end": start + len(words[place]), "label": kind}])
    return "spans", found


@pytest.mark.parametrize("task", ["text-regression", "text-multi-label", "token-tagging"])
def test_every_kind_of_answer_is_compared(tiny_folder, tmp_path, task):
    for name, seed, rows in (("old.jsonl", 1, 200), ("new.jsonl", 2, 120)):
        texts, _ = tiny.texts_and_labels(rows, seed=seed)
        column, labels = labels_of(task, texts)
        pd.DataFrame({"text": texts, column: labels}).to_json(tmp_path / name, orient="records", lines=True)
    recipe = {
        "name": "any",
        "task": task,
        "data": {"train": "old.jsonl", "valid": "20%", "test": "25%"},
        "model": {"backbone": str(tiny_folder)},
        "train": {"batch_size": 16, "phases": [tiny.PROBE]},
    }
    run = kft.train(kft.load_recipe(recipe, base=tmp_path), run=tmp_path / "run", quiet=True).run
    found = kft.retrain(run, tmp_path / "new.jsonl", run=tmp_path / "next", quiet=True).found
    before = json.loads((run / "metrics.json").read_text())["metrics"]
    (metric, value) = next(iter(before.items()))
    assert found.old.metric == metric and found.old.champion.value == pytest.approx(value["value"], abs=1e-6)
    assert found.old.higher_is_better == (task != "text-regression")
    assert found.old.difference.value == pytest.approx(found.old.challenger.value - found.old.champion.value, abs=1e-9)
    assert found.new.n == found.rows.test and not found.old.fixed


def test_new_labels_are_learned_and_the_champion_is_wrong_about_them(champion, tmp_path):
    new = made.new_rows(120, seed=3)
    rng = np.random.default_rng(0)
    texts = [" ".join(["screen"] * 5 + list(rng.choice(tiny.PLAIN[6:], 9))) + "." for _ in range(60)]
    rows = pd.concat([new, pd.DataFrame({"text": texts, "label": "neutral"})], ignore_index=True)
    with pytest.raises(DataError, match="labels that the run does not know"):
        kft.retrain(champion, rows, run=tmp_path / "next", quiet=True)
    found = kft.retrain(champion, rows, run=tmp_path / "next", new_labels=True, tolerance=0.5, quiet=True).found
    assert found.rows.new_labels == ("neutral",)
    splits = pd.read_parquet(Path(found.challenger) / "splits.parquet")
    assert found.new.n == int((splits["split"] == "test").sum()) - found.old.n
    before = json.loads((champion / "metrics.json").read_text())["metrics"]["accuracy"]["value"]
    assert found.old.champion.value == pytest.approx(before)  # its answers are read by name, not by place
    assert found.new.gain.low > 0


def test_a_failing_gate_and_broken_edge_cases_are_told(tiny_folder, tmp_path):
    (tmp_path / "checks.yaml").write_text(
        "checks:\n- {name: praise, kind: must_pass, cases: [{input: it is great., label: positive}, "
        "{input: battery battery battery., label: negative}]}\n"
    )
    values = made.recipe(tmp_path, tiny_folder)
    values["evaluate"] = {"suite": "checks.yaml", "gates": {"accuracy": ">= 0.999"}}
    run = kft.train(kft.load_recipe(values, base=tmp_path), run=tmp_path / "run", quiet=True).run
    result = kft.retrain(run, made.new_rows(160), run=tmp_path / "next", tolerance=0.5, quiet=True)
    found = result.found
    assert not found.ruling.passes and any("gate accuracy >= 0.999" in reason for reason in found.ruling.reasons)
    assert found.edge_cases is not None and found.edge_cases.n == 2
    assert len(found.edge_cases.fixed) - len(found.edge_cases.broke) == (
        found.edge_cases.challenger - found.edge_cases.champion
    )
