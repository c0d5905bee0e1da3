"""Objective graded: its loss against the formula, on several replicas, and a run whose cosines follow scores."""

import json

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

import kft
from kft.errors import DataError, RecipeError, UsageError
from kft.features.graded_head import graded_loss, mean_loss, solve_graded
from kft.recipe.pairs import GradedSpec
from kft.tasks.task import AnswerSpace
from kft.train.graded import Graded
from tests import embedded, forked, graded
from tests.ended import events_of

BOTH = pytest.mark.parametrize("spec", [GradedSpec(scale=7), GradedSpec(loss="squared")], ids=["cosent", "squared"])
SCORES = np.array([0.0, 0.5, 0.5, 1.0, 0.25])


def unit(rows):
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


def by_hand(cosines, scores, spec):
    if spec.loss == "squared":
        return float(((cosines - scores) ** 2).mean())
    n = len(scores)
    wrong = [cosines[i] - cosines[j] for i in range(n) for j in range(n) if scores[i] < scores[j]]
    return float(np.log(1 + np.exp(spec.scale * np.array(wrong)).sum()))


@BOTH
def test_the_loss_is_that_of_the_formula(spec):
    """Of a batch of six pairs one is padding; equal scores say nothing of each other."""
    rng = np.random.default_rng(0)
    first, second = (unit(rng.normal(size=(6, 8))) for _ in range(2))
    cosines = (first * second).sum(axis=1)[:5]
    targets = np.tile(np.append(SCORES, 0.0), 2)[:, None].astype(np.float32)
    mask = np.tile([1, 1, 1, 1, 1, 0], 2).astype(np.float32)
    given = map(tf.constant, (targets, np.concatenate([first, second]).astype(np.float32), mask, mask))
    loss, apart, count = Graded(spec, 6, AnswerSpace((), 1.0, 4.0)).sums(*given)
    expected = by_hand(cosines, SCORES, spec)
    assert float(count) == 5 and float(loss) / 5 == pytest.approx(expected, rel=1e-5)
    assert float(apart) == pytest.approx(4 * np.abs(cosines - SCORES).sum(), rel=1e-5)
    assert graded_loss(cosines, SCORES, spec)[0] == pytest.approx(expected) == mean_loss(cosines, SCORES, spec)


@BOTH
def test_its_slope_is_the_loss_of_a_step_aside(spec):
    cosines, step = np.array([0.1, 0.9, -0.2, 0.4, 0.3]), 1e-6 * np.eye(5)
    slope = graded_loss(cosines, SCORES, spec)[1]
    apart = [
        (graded_loss(cosines + s, SCORES, spec)[0] - graded_loss(cosines - s, SCORES, spec)[0]) / 2e-6 for s in step
    ]
    np.testing.assert_allclose(slope, apart, rtol=1e-5, atol=1e-8)


@BOTH
def test_a_map_is_solved_that_orders_what_the_identity_does_not(spec):
    """Half of the numbers of each vector are noise that is louder than the rest."""
    rng = np.random.default_rng(1)
    first, signal = (rng.normal(size=(200, 4)) for _ in range(2))
    scores = rng.uniform(size=200)
    second = first * scores[:, None] + signal * (1 - scores[:, None])
    one, two = (
        np.concatenate([side, 3 * rng.normal(size=(200, 4))], axis=1).astype(np.float32) for side in (first, second)
    )

    def loss(kernel, bias):
        cosines = (unit(one @ kernel + bias) * unit(two @ kernel + bias)).sum(axis=1)
        return -mean_loss(cosines.astype(float), scores, spec)

    head = solve_graded(one, two, scores, spec, loss)
    assert head.strength > 0 and loss(head.kernel, head.bias) > 0.7 * loss(np.eye(8), np.zeros(8))


@pytest.fixture(scope="module")
def run(tmp_path_factory, tiny_folder):
    folder = tmp_path_factory.mktemp("graded")
    return kft.train(
        graded.recipe(folder, tiny_folder, phases=[embedded.HEAD, embedded.TOP | {"epochs": 5}]),
        run=folder / "run",
        quiet=True,
    )


def test_a_run_is_scored_by_the_order_of_its_cosines_beside_the_untuned_backbone(run):
    found = run.evaluation
    assert list(found.metrics) == ["spearman_r", "pearson_r"] and list(found.baselines) == ["untuned", "probe"]
    table = pd.read_csv(run.run / "predictions.csv")
    for name, method in (("spearman_r", "spearman"), ("pearson_r", "pearson")):
        estimate = found.metrics[name]
        assert estimate.value == pytest.approx(table["target"].corr(table["prediction"], method=method), abs=1e-4)
        assert estimate.low < estimate.value < estimate.high
    history = events_of(run.run)
    epochs = [event for event in history if event["event"] == "epoch" and event["phase"] == "top"]
    assert epochs[5]["loss"] < epochs[1]["loss"] and epochs[1]["mae"] > 0


def test_a_pair_is_answered_in_the_range_of_the_scores_and_indexed_by_the_same_vectors(run, tmp_path):
    texts = ["the great battery", "a great battery was the"]
    same, other = kft.predict(run.run, [(texts[0], texts[0]), tuple(texts)])
    assert same.value == pytest.approx(5, abs=1e-4) and 0 < other.value < 5
    documents = pd.DataFrame({"id": ["a", "b"], "text": texts})
    documents.to_csv(tmp_path / "documents.csv", index=False)
    kft.index(run.run, tmp_path / "documents.csv", tmp_path / "index", quiet=True)
    found = {each.document: each.cosine for each in kft.open_index(tmp_path / "index").search(texts[0], k=2).results}
    assert found["a"] == pytest.approx(1, abs=1e-2) and 5 * found["b"] == pytest.approx(other.value, abs=0.02)


def test_scoring_it_again_says_the_same(run):
    assert kft.evaluate(run.run, quiet=True).metrics == run.evaluation.metrics


@pytest.mark.parametrize("devices", ["cpu:2"])
def test_the_loss_is_over_the_global_batch_whatever_the_number_of_replicas(devices):
    """Of two replicas, one has most of the first texts, and the other most of the second ones."""
    one, other = (_stepped(each) for each in ("one", devices))
    np.testing.assert_allclose(other[0], one[0], rtol=1e-6)
    assert one[0][2] == 5 + 5
    for mine, theirs in zip(one[1], other[1], strict=True):
        np.testing.assert_allclose(mine, theirs, atol=1e-6)


def _stepped(devices):
    done = forked.run("tests.step_on", devices, "graded")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize(
    ("score", "expected"),
    [("nan", "label is not a finite number"), ("very", "label is not a finite number"), ("", "missing label")],
)
def test_a_score_that_is_no_number_is_refused_by_its_row(tmp_path, tiny_folder, score, expected):
    recipe = graded.recipe(tmp_path, tiny_folder, phases=[embedded.HEAD])
    lines = (tmp_path / "pairs.csv").read_text().splitlines()
    lines[3] = lines[3].rsplit(",", 1)[0] + f",{score}"
    (tmp_path / "pairs.csv").write_text("\n".join(lines) + "\n")
    with pytest.raises(DataError) as caught:
        kft.train(recipe, run=tmp_path / "run", quiet=True)
    assert "pairs.csv:3" in str(caught.value) and expected in str(caught.value)


def test_scores_that_never_change_are_refused(tmp_path, tiny_folder):
    recipe = graded.recipe(tmp_path, tiny_folder, phases=[embedded.HEAD])
    pd.read_csv(tmp_path / "pairs.csv").assign(score=3).to_csv(tmp_path / "pairs.csv", index=False)
    with pytest.raises(DataError, match="one score only: there is no order to learn"):
        kft.train(recipe, run=tmp_path / "run", quiet=True)


@pytest.mark.parametrize(
    ("train", "expected"),
    [
        ({"phases": [{"name": "b", "unfreeze": "none", "solver": "blend"}]}, "blend is only for text-classification"),
        ({"batch_size": 3}, "a batch of 3 texts holds no two pairs of 2 texts each"),
        ({"gradient_accumulation": 2}, "it cannot be worked through in parts"),
        ({"pairs": {"temperature": 0.1}}, "only for text-embedding"),
        ({"graded": {"loss": "contrastive"}}, "cosent"),
    ],
)
def test_what_cannot_be_done_is_refused_by_name(train, expected):
    with pytest.raises(RecipeError) as caught:
        kft.load_recipe({"task": "text-similarity", "data": {"train": "a.csv"}, "train": train})
    assert expected in str(caught.value)


def test_what_goes_by_labels_says_so(tiny_folder, tmp_path):
    recipe = graded.recipe(tmp_path, tiny_folder, phases=[embedded.HEAD])
    with pytest.raises(UsageError, match="kft choose does nothing for text-similarity") as caught:
        kft.choose(recipe, backbones=[str(tiny_folder)], quiet=True)
    assert "{task}" not in str(caught.value) and "kft compare RECIPE" in str(caught.value)
