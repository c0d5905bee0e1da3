"""Forgetting: a backbone that lost what it knew is told; one that merely turned its vectors is not."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kft.errors import DataError, RecipeError
from kft.forgetting.meter import Meter
from kft.forgetting.retain import MOST, find_retain
from kft.records.document import read_document, write_document
from kft.records.forgetting import ForgettingResult, Retain
from kft.tasks.recipes import load_recipe

TOPICS = np.arange(180) % 12


def world(noise=0.25, seed=0, topics=TOPICS):
    """Vectors in which examples of one topic lie together."""
    rng = np.random.default_rng(seed)
    return np.eye(12)[topics] + rng.normal(0, noise, (len(topics), 12))


def result(meter, *after):
    kept, *dropped = (meter.measure(vectors, f"deep, epoch {n}") for n, vectors in enumerate(after, start=1))
    lost = dropped[0] if dropped else None
    retain = Retain("topics", "here", len(TOPICS))
    return ForgettingResult(
        retain, meter.metric, pretrained=meter.pretrained, **vars(kept), not_kept=lost, warns_below=meter.warns_below
    )


@pytest.mark.parametrize("topics", [TOPICS, None])
@given(seed=st.integers(0, 1000))
@settings(max_examples=5, deadline=None)
def test_turning_and_stretching_forgets_nothing(topics, seed):
    meter = Meter(world(), topics)
    turn = np.linalg.qr(np.random.default_rng(seed).normal(size=(12, 12)))[0]
    found = result(meter, 3 * world() @ turn)
    assert found.warnings == ()
    assert found.retained.value > 0.99


@pytest.mark.parametrize("topics", [TOPICS, None])
def test_vectors_that_mean_nothing_any_more_are_told(topics):
    meter = Meter(world(), topics)
    found = result(meter, np.random.default_rng(1).normal(size=(180, 12)))
    assert found.retained.high < 0.2
    (warning,) = found.warnings
    assert warning.startswith("deep, epoch 1: ") and "is left, the rest is forgotten" in warning
    assert "a lower lr" in warning


def test_all_in_one_place_is_nothing_left():
    found = Meter(world(), TOPICS).measure(np.ones((180, 12)), "deep")
    assert found.retained.value == pytest.approx(0, abs=0.05)


def test_a_little_less_on_few_examples_may_be_chance():
    meter = Meter(world(0.2), TOPICS)
    little = world(0.2)
    little[::20] = np.random.default_rng(0).normal(size=(9, 12))
    found = result(meter, little)
    assert found.retained.low < found.retained.value < 1
    assert found.warnings == ()


def test_a_backbone_that_never_knew_has_nothing_to_forget():
    meter = Meter(np.random.default_rng(0).normal(size=(180, 12)), TOPICS)
    assert "the pretrained backbone does not tell these examples apart" in meter.why_not
    assert Meter(world(), TOPICS).why_not == ""


def test_what_was_written_is_read_again(tmp_path):
    meter = Meter(world(), TOPICS)
    for found in (result(meter, world(0.5)), result(meter, world(), np.ones((180, 12)))):
        write_document(tmp_path / "forgetting.json", found)
        values = json.loads((tmp_path / "forgetting.json").read_text())
        assert read_document(ForgettingResult, tmp_path / "forgetting.json") == found
        assert set(values) >= {"retain", "metric", "pretrained", "tuned", "retained", "not_kept", "warning"}
        assert values["retain"] == {"name": "topics", "source": "here", "n": 180}
    assert values["warning"].startswith("deep, epoch 2: "), "that of the weights which were not kept"


def recipe(folder, retain, **values):
    return load_recipe(
        {"task": "text-classification", "data": {"train": "a.csv"}, "evaluate": {"retain": retain}} | values,
        base=folder,
    ).spec


def test_the_general_set():
    retain, why = find_retain(recipe(None, "auto"))
    assert (why, len(retain), len(set(retain.inputs))) == ("", 180, 180)
    assert np.bincount(retain.topics).tolist() == [15] * 12


def test_a_set_of_ones_own(tmp_path):
    rows = [f'"sentence {n} about {"abc"[n % 3]}",{"abc"[n % 3]}' for n in range(2 * MOST)]
    (tmp_path / "own.csv").write_text("\n".join(["body,topic", *rows]))
    retain, _ = find_retain(recipe(tmp_path, {"data": "own.csv", "text": "body", "label": "topic"}))
    assert (retain.name, len(retain), retain.topics.max()) == ("own.csv", MOST, 2)
    assert all("abc"[topic] == text[-1] for text, topic in zip(retain.inputs, retain.topics, strict=True))
    retain, _ = find_retain(recipe(tmp_path, {"data": "own.csv", "text": "body"}))
    assert retain.topics is None


def test_what_cannot_be_used(tmp_path):
    (tmp_path / "few.csv").write_text("text,topic\n" + "one thing,a\nanother,b\n" * 20 + "lone,c\n")
    with pytest.raises(DataError, match="the retain set is too small") as caught:
        find_retain(recipe(tmp_path, {"data": "few.csv", "label": "topic"}))
    assert "41 examples of 3 labels, 1 of them with one example" in str(caught.value)
    with pytest.raises(DataError, match="few"):
        find_retain(recipe(tmp_path, {"data": "fewer.csv"}))
    gates = {"gates": {"forgetting.retained": ">= 0.9"}}
    for values, text in (
        ({"evaluate": {**gates, "retain": "none"}}, "evaluate.retain is none"),
        ({"evaluate": gates, "task": "image-classification"}, "no photos ship with kft: name some in evaluate.retain"),
        ({"evaluate": gates, "model": {"weights": "random"}}, "nothing was learned before"),
    ):
        with pytest.raises(RecipeError) as caught:
            recipe(tmp_path, "auto", **values)
        assert text in str(caught.value)
    with pytest.raises(RecipeError, match=r"evaluate.retain.dat: unknown key; did you mean data\?"):
        recipe(tmp_path, {"dat": "own.csv"})
    assert recipe(tmp_path, "own.csv").evaluate.retain.data == str(tmp_path / "own.csv")
