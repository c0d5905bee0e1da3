"""A blend for tagging: what a word is written like joins what the head says, word by word."""

import json

import numpy as np
import pytest

import kft
from kft.answer.load import load_answering, read_run
from kft.features.cache import features_root, list_stores
from kft.records.run_folder import open_run
from kft.tasks.word_shapes import WORD_FEATURES
from kft.train.checkpoint import load_checkpoint
from tests import tiny
from tests.ended import events_of

pytestmark = pytest.mark.slow

BLEND = {"name": "blend", "unfreeze": "none", "solver": "blend", "start": "probe"}
TOP = {"name": "top", "unfreeze": "top-1", "epochs": 1, "lr": 1e-3, "start": "probe"}
LAST = {"name": "top-blend", "unfreeze": "none", "solver": "blend", "start": "top"}


def write_names(path, rows=120):
    """Texts whose spans are most words in capitals: the tiny backbone's tokenizer reads none, and some labels lack."""
    rng = np.random.default_rng(0)
    lines = []
    for _ in range(rows):
        words = [str(word) for word in rng.choice(tiny.PLAIN + tiny.GOOD, rng.integers(4, 9))]
        spans, start = [], 0
        for place, word in enumerate(words):
            if rng.random() < 0.3:
                words[place] = word.upper()
                if rng.random() < 0.9:
                    spans.append({"start": start, "end": start + len(word), "label": "name"})
            start += len(word) + 1
        lines.append(json.dumps({"text": " ".join(words), "spans": spans}))
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


@pytest.fixture(scope="module")
def place(tiny_folder, tmp_path_factory):
    folder = tmp_path_factory.mktemp("words")
    write_names(folder / "names.jsonl")
    values = {
        "task": "token-tagging",
        "data": {"train": "names.jsonl", "valid": "20%", "test": "20%", "keep_together": "nothing"},
        "model": {"backbone": str(tiny_folder)},
        "train": {"batch_size": 16, "phases": [tiny.PROBE, BLEND, TOP, LAST]},
    }
    recipe = folder / "recipe.yaml"
    recipe.write_text(json.dumps(values), encoding="utf-8")
    return recipe, folder, kft.train(recipe, run=folder / "run", quiet=True)


def test_capitals_that_the_tokenizer_drops_are_found(place):
    _, _, result = place
    found = {phase.name: phase.metrics["valid_entity_f1"] for phase in result.phases}
    assert found["probe"] < 0.5 < 0.8 < found["blend"]
    assert result.best_phase in ("blend", "top-blend")
    assert result.evaluation.metrics["entity_f1"].value > 0.8
    first, last = (event for event in events_of(result.run) if event["event"] == "blend")
    assert set(first["weights"]) == set(last["weights"]) == {"head", "words"}
    assert first["weights"]["words"] > 0.5


def test_what_lies_on_disk_answers_as_it_was_judged(place):
    _, _, result = place
    before = (result.run / "predictions.csv").read_bytes()
    kft.evaluate(result.run, quiet=True)
    assert (result.run / "predictions.csv").read_bytes() == before
    answering = load_answering(read_run(open_run(result.run)))
    assert WORD_FEATURES in [tensor.name for tensor in answering.best.graph.inputs]
    texts = ["the BATTERY is superb", "SUPERB SCREEN and A phone", "!"]
    said = kft.load(result.run).predict(texts)
    assert [[span.text for span in answer.spans] for answer in said[:1]] == [["BATTERY"]]
    whole, stored = answering.best.answers(texts), answering.best.head_answers(texts)[0]
    assert [[span[:3] for span in each] for each in whole] == [[span[:3] for span in each] for each in stored]


def test_a_blend_shares_the_stored_features_of_its_probe(place, tmp_path, monkeypatch):
    _, _, result = place
    monkeypatch.setenv("KFT_CACHE", str(tmp_path))  # other tests write into the one that all share
    answering = load_answering(read_run(open_run(result.run)))
    assert answering.probe is not None
    texts = ["the camera is lovely and mine"]
    answering.probe.head_answers(texts)
    before = [(store.folder, store.bytes) for store in list_stores(features_root())]
    assert len(before) == 1
    answering.best.head_answers(texts)
    if answering.on_pretrained:
        assert [(store.folder, store.bytes) for store in list_stores(features_root())] == before


def test_a_run_that_was_killed_ends_as_one_that_was_not(place, monkeypatch):
    from kft.train import loop

    recipe, folder, result = place
    real, calls = loop.solve_blend, []

    def dies(*given):
        calls.append(1)
        if len(calls) == 2:
            raise OSError("the power went")
        return real(*given)

    monkeypatch.setattr(loop, "solve_blend", dies)
    with pytest.raises(OSError, match="the power went"):
        kft.train(recipe, run=folder / "killed", quiet=True)
    monkeypatch.undo()
    kft.train(recipe, run=folder / "killed", resume=True, quiet=True)
    best, again = (load_checkpoint(run / "checkpoints", "best") for run in (result.run, folder / "killed"))
    assert set(best.weights) == set(again.weights)
    assert all(np.array_equal(array, again.weights[path]) for path, array in best.weights.items())
    one, other = ((run / "predictions.csv").read_bytes() for run in (result.run, folder / "killed"))
    assert one == other


@pytest.mark.slow
def test_a_refit_teaches_head_and_words_from_valid_as_well(place, tmp_path):
    recipe, _, first = place
    again = kft.train(recipe, run=tmp_path / "again", overrides=["train.refit=true"], quiet=True)
    assert again.best_phase == first.best_phase and again.refitted
    before, after = (load_checkpoint(run / "checkpoints", "best") for run in (first.run, again.run))
    assert before.weights.keys() == after.weights.keys()
    moved = {path for path, array in before.weights.items() if not np.array_equal(array, after.weights[path])}
    assert any("words" in path for path in moved) and any("head_logits" in path for path in moved)
    shares = [path for path in before.weights if path.endswith("share")]
    assert shares and not moved & set(shares), "what valid weighed stays"
    assert all(
        np.array_equal(array, after.more["out_of_fold"][name]) for name, array in before.more["out_of_fold"].items()
    )
    assert again.evaluation.metrics["entity_f1"].value > 0.8
