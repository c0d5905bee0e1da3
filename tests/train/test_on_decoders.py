"""Tasks on the backbone of a decoder: the heads, the store and the phases that encoders have."""

import json

import pytest

import kft
from tests import decoder, embedded
from tests.cli.planted import write_data
from tests.ended import events_of

LORA = {"name": "lora", "unfreeze": {"lora": {"targets": ["*query*", "*value*"]}}, "epochs": 1, "lr": 1e-3}
ALL = {"name": "all", "unfreeze": "all", "epochs": 8, "lr": 3e-3}
TASKS = ("text-multi-label", "text-pairs", "token-tagging")


@pytest.fixture(scope="module")
def backbone(tmp_path_factory):
    return decoder.write_backbone(tmp_path_factory.mktemp("decoder"))


@pytest.mark.slow
@pytest.mark.parametrize("task", TASKS)
def test_it_learns_and_answers_one_by_one_as_in_a_batch(task, backbone, tmp_path, monkeypatch):
    monkeypatch.setenv("KFT_CACHE", str(tmp_path / "cache"))
    source, _ = write_data(task, tmp_path)
    first = {"name": "probe", "unfreeze": "none", "epochs": 2, "lr": 1e-2}
    recipe = {
        "task": task,
        "data": {"train": str(tmp_path / source), "valid": "20%", "test": "20%"},
        "model": {"backbone": str(backbone), "max_tokens": 128},
        "train": {"batch_size": 16, "phases": [first, LORA, ALL], "prefer": "best"},
    }
    result = kft.train(recipe, run=tmp_path / "run", quiet=True)
    assert list((tmp_path / "cache").rglob("*.safetensors")), "what is frozen was stored"
    first, *_between, last = losses(result.run, "all")
    assert last < 0.9 * first, "a random decoder of bytes learns little, but it learns"
    rows = [json.loads(line) for line in (tmp_path / source).read_text().splitlines()[:8]]
    inputs = [(row["text1"], row["text2"]) if "text1" in row else row["text"] for row in rows]
    loaded = kft.load(result.run)
    together, alone = loaded.predict(inputs), [loaded.predict([each])[0] for each in inputs]
    for one, other in zip(together, alone, strict=True):
        assert seen(one) == pytest.approx(seen(other), abs=1e-4)


def losses(run, phase):
    return [
        event["loss"]
        for event in events_of(run)
        if event.get("phase") == phase and event.get("epoch") and "loss" in event
    ]


def seen(answer):
    """Returns the numbers of an answer, and which they belong to."""
    if hasattr(answer, "spans"):
        return {f"{span.start} {span.end} {span.label}": span.confidence for span in answer.spans}
    return answer.probabilities


@pytest.mark.slow
def test_its_vectors_find_documents_and_are_trained(backbone, tmp_path, monkeypatch):
    monkeypatch.setenv("KFT_CACHE", str(tmp_path / "cache"))
    recipe = embedded.recipe(tmp_path, backbone, phases=[embedded.HEAD, {**embedded.TOP, "epochs": 6}])
    result = kft.train(recipe, run=tmp_path / "run", overrides=["model.max_tokens=96"], quiet=True)
    first, *_between, last = losses(result.run, "top")
    assert last < first
    index = tmp_path / "index"
    kft.index(result.run, tmp_path / "documents.csv", index, quiet=True)
    assert len(kft.open_index(index).search("the battery is great", k=3).results) == 3
