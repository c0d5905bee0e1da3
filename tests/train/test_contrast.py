"""Objective contrastive: its loss against the formula, what it refuses, and a phase that learns by it."""

import json

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

import kft
from kft.errors import RecipeError, TrainingError
from kft.train.checkpoint import load_checkpoint
from kft.train.contrast import Contrast
from tests import forked, tiny
from tests.ended import events_of


def by_hand(vectors, targets, temperature, weights):
    """The loss of Khosla et al. with the sum outside the logarithm, row by row; and how many rows have a partner."""
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    total, count = 0.0, 0
    for i in range(len(unit)):
        others = [j for j in range(len(unit)) if j != i]
        partners = [j for j in others if targets[j] == targets[i]]
        if partners:
            below = sum(np.exp(unit[i] @ unit[j] / temperature) for j in others)
            terms = [np.log(np.exp(unit[i] @ unit[j] / temperature) / below) for j in partners]
            total, count = total - weights[i] * np.mean(terms), count + 1
    return total, count


@pytest.mark.parametrize("temperature", [0.05, 0.1, 1.0])
def test_the_loss_is_that_of_the_paper(temperature):
    """Seven rows, of which one is alone in its class, and a row of padding."""
    rng = np.random.default_rng(0)
    vectors = np.vstack([rng.normal(size=(7, 4)), np.zeros((1, 4))]).astype(np.float32)
    targets = np.array([0, 0, 1, 1, 1, 0, 2, 0], np.int32)
    mask = np.array([1, 1, 1, 1, 1, 1, 1, 0], np.float32)
    weights = np.array([1, 2, 1, 0.5, 1, 1, 3, 0], np.float32)
    loss, hits, count = Contrast(temperature).sums(*map(tf.constant, (targets, vectors, mask, weights)))
    expected = by_hand(vectors[:7].astype(float), targets, temperature, weights)
    assert (float(loss), float(count)) == (pytest.approx(expected[0], rel=1e-5), expected[1] == 6 and 6)
    unit = vectors[:7] / np.linalg.norm(vectors[:7], axis=1, keepdims=True)
    alike = unit @ unit.T - 9 * np.eye(7)
    assert float(hits) == (targets[alike.argmax(axis=1)] == targets[:7])[:6].sum()


def test_rows_without_a_partner_have_neither_loss_nor_gradient_and_padding_none_at_all():
    vectors = tf.Variable(np.random.default_rng(1).normal(size=(4, 3)).astype(np.float32))
    targets, mask = np.array([0, 1, 2, 2], np.int32), np.array([1, 1, 1, 0], np.float32)
    with tf.GradientTape() as tape:
        loss, hits, count = Contrast(0.1).sums(targets, vectors, mask, mask)
    assert (float(loss), float(hits), float(count)) == (0, 0, 0)
    assert np.abs(tape.gradient(loss, vectors).numpy()).max() == 0


CONTRAST = {"name": "contrast", "unfreeze": "top-1", "epochs": 2, "lr": 1e-3, "objective": "contrastive"}
NAMED = {**CONTRAST, "name": "named", "start": "probe", "epochs": 1}
SOLVED = {"name": "solved", "unfreeze": "none", "solver": "lbfgs", "start": "contrast"}


@pytest.fixture(scope="module")
def run(tmp_path_factory, tiny_folder):
    folder = tmp_path_factory.mktemp("contrast")
    phases = [tiny.PROBE, CONTRAST, SOLVED, NAMED | {"objective": {"name": "contrastive", "names": True}}]
    recipe = tiny.recipe(folder, tiny_folder, phases=phases, early_stopping=None)
    return kft.train(recipe, run=folder / "run", quiet=True).run


@pytest.mark.slow
def test_an_epoch_is_judged_by_the_head_solved_on_its_vectors(run):
    """So the probe that follows, from the weights that were kept, finds what the phase had found already."""
    ends = {event["phase"]: event for event in events_of(run) if event["event"] == "phase_end"}
    assert ends["solved"]["valid_loss"] == pytest.approx(ends["contrast"]["valid_loss"], abs=1e-4)
    best = load_checkpoint(run / "checkpoints", "last").more
    for name in ("kernel", "bias"):
        kept, solved = (best[f"best/{phase}"][f"head_logits/{name}"] for phase in ("contrast", "solved"))
        np.testing.assert_allclose(kept, solved, atol=1e-2)


def test_what_trains_and_what_was_measured_are_told(run):
    begun = {event["phase"]: event for event in events_of(run) if event["event"] == "phase"}
    assert begun["contrast"]["blocks"]["head"] == 0 and begun["contrast"]["trainable"] > 0
    assert begun["contrast"]["objective"] == "contrastive at temperature 0.1"
    assert begun["named"]["objective"].endswith("with the classes' names") and "objective" not in begun["probe"]
    epochs = [event for event in events_of(run) if event["event"] == "epoch" and event["phase"] == "contrast"]
    assert [event["epoch"] for event in epochs] == [0, 1, 2]
    assert epochs[2]["contrastive_loss"] < epochs[1]["contrastive_loss"]
    assert 0.5 < epochs[2]["nearest_alike"] <= 1 and "loss" not in epochs[2] and "accuracy" not in epochs[2]
    probes = [event["phase"] for event in events_of(run) if event["event"] == "probe"]
    assert probes == ["probe", "contrast", "contrast", "solved", "named"]


def test_a_plan_says_what_the_phase_would_do(run):
    (plan,) = kft.plan(run / "recipe.yaml", overrides=[f"train.phases=[{json.dumps(CONTRAST)}]"], quiet=True).phases
    assert plan.as_dict()["objective"] == "contrastive at temperature 0.1"
    assert {row.block: row.work for row in plan.blocks}["head"] == "recomputed"
    # 66 rows of 2 classes are 14 parts of at most 5, three of which go into 16 rows.
    assert plan.steps == 2 * 5


def recipe_with(phases, task="text-classification", **train):
    data = {"train": "a.csv", "label": "label"}
    return {"task": task, "data": data, "train": {"phases": phases, **train}}


@pytest.mark.parametrize(
    ("task", "objective", "train", "expected"),
    [
        ("text-regression", "contrastive", {}, "whose answers are not one class of many"),
        ("token-tagging", "contrastive", {}, "only for text-classification, text-pairs, image-classification"),
        ("text-multi-label", "contrastive", {}, r"train\.phases\[0\]\.objective: only for"),
        (
            "text-pairs",
            {"name": "contrastive", "names": True},
            {},
            "a label name is not a pair of texts",
        ),
        (
            "image-classification",
            {"name": "contrastive", "names": True},
            {},
            "reads no label names",
        ),
        ("text-classification", "contrastive", {"gradient_accumulation": 2}, "cannot be worked through in parts"),
        (
            "text-classification",
            "contrastive",
            {"batch_size": 8},
            "two classes need 10 rows of a batch; train.batch_size is 8",
        ),
        ("text-classification", "contrastive", {"label_smoothing": 0.1}, "has no answers to smooth"),
        ("text-classification", {"name": "own", "temperature": 0.2}, {}, "own has no temperature"),
        ("text-classification", "contrastiv", {}, "did you mean contrastive"),
        ("text-classification", {"name": "contrastive", "temprature": 1}, {}, "did you mean temperature"),
        ("text-classification", {"name": "contrastive", "temperature": 0}, {}, r"0\.001 <= temperature <= 10"),
        ("text-classification", {"name": "contrastive", "per_class": 2}, {}, "3 <= per_class <= 1000"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(task, objective, train, expected):
    phase = {"name": "c", "unfreeze": "top-1", "epochs": 1, "objective": objective}
    with pytest.raises(RecipeError, match=expected):
        kft.load_recipe(recipe_with([phase], task, **train))


@pytest.mark.parametrize("more", [{"unfreeze": "none", "solver": "lbfgs"}, {"unfreeze": "none", "epochs": 2}])
def test_a_phase_that_moves_no_vectors_learns_nothing_by_it(more):
    with pytest.raises(RecipeError, match="it moves vectors"):
        kft.load_recipe(recipe_with([{"name": "c", "objective": "contrastive", **more}]))


def test_no_class_with_two_examples_is_refused_before_anything_is_trained(tmp_path, tiny_folder):
    recipe = tiny.recipe(tmp_path, tiny_folder, phases=[tiny.PROBE, CONTRAST])
    texts, _ = tiny.texts_and_labels(8)
    frame = pd.DataFrame({"text": texts, "label": [f"class {row}" for row in range(8)]})
    for name in ("one", "two", "three"):
        frame.to_csv(tmp_path / f"{name}.csv", index=False)
    overrides = ["data.train=one.csv", "data.valid=two.csv", "data.test=three.csv"]
    with pytest.raises(TrainingError, match="no class has two examples") as caught:
        kft.train(recipe, run=tmp_path / "run", overrides=overrides, quiet=True)
    assert "names: true" in str(caught.value) and not (tmp_path / "run").exists()


@pytest.fixture(scope="module")
def on_one():
    return step_on("one")


def step_on(devices):
    done = forked.run("tests.step_on", devices, "contrastive")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("devices", ["cpu:2", "cpu:4"])
def test_the_loss_is_over_the_global_batch_whatever_the_number_of_replicas(on_one, devices):
    """A row's partners and opposites lie on other replicas too; of four, the last has padding alone."""
    found = step_on(devices)
    np.testing.assert_allclose(found[0], on_one[0], rtol=1e-6)
    assert found[0][2] == 8 + 10, "rows with a partner: in the first batch class 3 has one row"
    for mine, other in zip(found[1], on_one[1], strict=True):
        np.testing.assert_allclose(mine, other, atol=1e-6)
