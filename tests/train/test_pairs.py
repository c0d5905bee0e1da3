"""Objective pairs: its loss against the formula, what a batch holds, what is no negative, and a run that learns."""

import json

import numpy as np
import pytest
import tensorflow as tf

import kft
from kft.errors import DataError, RecipeError
from kft.metrics.retrieval import METRICS, found_among
from kft.recipe.pairs import PairsSpec
from kft.train.paired_rows import ChosenPairs, mine_negatives, pair_up
from kft.train.pairs import InBatch
from tests import embedded, forked
from tests.ended import events_of


def unit(rows):
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


def by_hand(vectors, targets, temperature):
    """The surprise at the own document among those that do not answer the query, each document once."""
    queries = [row for row in range(len(targets)) if targets[row, 0] == 0]
    documents = {int(targets[row, 1]): vectors[row] for row in range(len(targets)) if targets[row, 0] == 1}
    total = 0.0
    for row in queries:
        own, answers = int(targets[row, 1]), set(targets[row, 2:].tolist())
        among = {key: vectors[row] @ each / temperature for key, each in documents.items()}
        left = [value for key, value in among.items() if key == own or key not in answers]
        total += np.log(np.exp(left).sum()) - among[own]
    return total, len(queries)


# Two queries of document 7, one of them answered by 9 too; document 7 stands there twice; 5 answers nobody here.
TARGETS = np.array(
    [[0, 7, 7, 9], [0, 7, 7, -1], [0, 9, 9, -1], [1, 7, -1, -1], [1, 7, -1, -1], [1, 9, -1, -1], [1, 5, -1, -1]],
    np.int32,
)


def drawn(seed=0):
    vectors = unit(np.random.default_rng(seed).normal(size=(7, 16)))
    vectors[4] = vectors[3]  # the same document, the same vector
    return vectors


@pytest.mark.parametrize("temperature", [0.05, 1.0])
def test_the_loss_is_that_of_the_formula(temperature):
    """A document that stands twice counts once, and one that answers the query too is no negative."""
    vectors, mask = np.vstack([drawn(), np.zeros((1, 16))]).astype(np.float32), np.array([1] * 7 + [0], np.float32)
    targets = np.vstack([TARGETS, [[1, 5, -1, -1]]]).astype(np.int32)
    loss, hits, count = InBatch(temperature, (), 4).sums(*map(tf.constant, (targets, vectors, mask, mask)))
    expected, queries = by_hand(drawn(), TARGETS, temperature)
    assert float(loss) == pytest.approx(expected, rel=1e-5) and float(count) == queries == 3
    alike = drawn()[:3] @ drawn()[[3, 5, 6]].T
    alike[0, 1] = -1  # document 9 answers the first query too
    assert float(hits) == (np.array([7, 9, 5])[alike.argmax(axis=1)] == TARGETS[:3, 1]).sum()


def test_with_widths_it_is_the_mean_over_vectors_cut_to_them():
    vectors, ones = drawn(1).astype(np.float32), tf.ones(7)
    loss = InBatch(0.1, (8, 16), 4).sums(tf.constant(TARGETS), tf.constant(vectors), ones, ones)[0]
    parts = [by_hand(unit(vectors[:, :width].astype(float)), TARGETS, 0.1)[0] for width in (8, 16)]
    assert float(loss) == pytest.approx(np.mean(parts), rel=1e-5)


def test_rows_that_are_no_query_and_padding_have_no_gradient_of_a_loss_of_their_own():
    targets = np.array([[0, 1, 1], [1, 1, -1]], np.int32)
    vectors, mask = tf.Variable(np.eye(2, 8, dtype=np.float32)), np.array([1, 1], np.float32)
    with tf.GradientTape() as tape:
        loss, _, count = InBatch(0.1, (), 3).sums(tf.constant(targets), vectors, mask, mask)
    # One document alone: there is nothing to tell it from.
    assert (float(loss), float(count)) == (0, 1) and np.abs(tape.gradient(loss, vectors).numpy()).max() == 0


CHOSEN = ChosenPairs(
    queries=np.array([0, 0, 1]),
    pairs=np.array([4, 6, 2]),
    answers=[np.array([4, 6]), np.array([2])],
    candidates=np.array([2, 4]),
    wanted=[np.array([1])],
)


def test_rows_say_which_documents_answer_a_query():
    rows, keys = pair_up(CHOSEN, np.array([[9], [-1], [4]]), PairsSpec())
    assert keys.tolist() == [2, 4, 6, 9] and rows.documents.tolist() == [4, 5, 3]
    assert rows.negatives.tolist() == [[6], [-1], [4]] and rows.texts_a_pair == 3
    assert rows.targets.tolist()[:3] == [[0, 4, 4, 6], [0, 6, 4, 6], [0, 2, 2, -1]]
    assert rows.targets[3:, :2].tolist() == [[1, 2], [1, 4], [1, 6], [1, 9]]


def test_hard_negatives_are_near_and_answer_nothing():
    """Of the first query 4 and 6 are its own, and 8 is so near that it may be one; 9 is next."""
    keys = np.array([2, 4, 6, 8, 9])
    angles = np.array([1.5, 0.4, 0.3, 0.41, 0.9])
    documents = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    queries = np.array([[1.0, 0.0], [0.0, 1.0]], np.float32)
    found = mine_negatives(queries, documents, keys, CHOSEN, 2)
    assert found[:2].tolist() == [[9, 2], [9, 2]]
    assert 2 not in found[2] and mine_negatives(queries, documents, keys, CHOSEN, 9)[0].tolist() == [9, 2] + [-1] * 7


@pytest.fixture(scope="module")
def run(tmp_path_factory, tiny_folder):
    folder = tmp_path_factory.mktemp("pairs")
    recipe = embedded.recipe(folder, tiny_folder, phases=[embedded.HEAD, embedded.TOP], pairs={"hard_negatives": 1})
    return kft.train(recipe, run=folder / "run", quiet=True)


def test_a_run_is_scored_by_what_its_vectors_find(run):
    assert list(run.evaluation.metrics) == ["mrr", "recall_at_1", "recall_at_10", "ndcg_at_10"]
    assert run.evaluation.metrics["recall_at_10"].value > 0.3
    history = events_of(run.run)
    (probe,) = [event for event in history if event["event"] == "probe"]
    assert probe["tried"][0][0] == 0 and max(tried[2] for tried in probe["tried"]) >= probe["tried"][0][2]
    epochs = [event for event in history if event["event"] == "epoch" and event["phase"] == "top"]
    assert epochs[2]["loss"] < epochs[1]["loss"] and 0 < epochs[1]["first_of_batch"] <= 1


def test_scoring_it_again_says_the_same(run):
    again = kft.evaluate(run.run, quiet=True)
    assert again.metrics == run.evaluation.metrics


def test_predicted_vectors_find_what_the_run_was_scored_by(run):
    (answer, other) = kft.predict(run.run, ["the great battery", "a poor screen"])
    assert np.linalg.norm(answer.vector) == pytest.approx(1, abs=1e-5) and answer.vector != other.vector


@pytest.fixture(scope="module")
def on_one():
    return step_on("one")


def step_on(devices):
    done = forked.run("tests.step_on", devices, "pairs")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("devices", ["cpu:2", "cpu:4"])
def test_the_loss_is_over_the_global_batch_whatever_the_number_of_replicas(on_one, devices):
    """The documents of a query lie on another replica; so do those that stand there twice."""
    found = step_on(devices)
    np.testing.assert_allclose(found[0], on_one[0], rtol=1e-6)
    assert found[0][2] == 5 + 5
    for mine, other in zip(found[1], on_one[1], strict=True):
        np.testing.assert_allclose(mine, other, atol=1e-6)


def test_a_query_that_names_no_document_is_refused(tmp_path, tiny_folder):
    recipe = embedded.recipe(tmp_path, tiny_folder, phases=[embedded.HEAD])
    (tmp_path / "documents.csv").write_text("id,text\nd0,the battery\n")
    with pytest.raises(DataError, match="documents that rows of train name are not there") as caught:
        kft.train(recipe, run=tmp_path / "run", quiet=True)
    assert "ids of its 1 documents" in str(caught.value)


@pytest.mark.parametrize(
    ("train", "expected"),
    [
        ({"phases": [{"name": "b", "unfreeze": "none", "solver": "blend"}]}, "blend is only for text-classification"),
        ({"batch_size": 4, "pairs": {"hard_negatives": 1}}, "a batch of 4 texts holds no two pairs of 3 texts each"),
        ({"gradient_accumulation": 2}, "it cannot be worked through in parts"),
        ({"pairs": {"widths": [64, 8]}}, "widths of 8 or more that rise"),
    ],
)
def test_what_cannot_be_done_is_refused_by_name(train, expected):
    with pytest.raises(RecipeError) as caught:
        kft.load_recipe({"task": "text-embedding", "data": {"train": "a.csv"}, "train": train})
    assert expected in str(caught.value)


def test_documents_of_test_alone_are_sealed(tmp_path, tiny_folder):
    from kft.api.reading import load

    _, split = load(embedded.recipe(tmp_path, tiny_folder, phases=[embedded.HEAD]), (), None)
    known = {name for part in (split.train, split.valid) for label in part.labels for name in label}
    sealed = {name for label in split.test.labels for name in label} - known
    assert sealed and not sealed & set(split.without_test().corpus.ids) and len(split.corpus) == 60
    owner = {}
    for key in ("train", "valid", "test"):
        for label in split.part(key).labels:
            for name in label:
                assert owner.setdefault(name, key) == key, "queries that share a document are on one side"


def test_ranks_are_those_of_cosines():
    counts, found = found_among(np.eye(3), np.eye(3), [np.array([0]), np.array([0, 1]), np.array([1])])
    assert counts.tolist() == [1, 2, 1] and found[:, 0].tolist() == [True, True, False]
    assert METRICS["mrr"].value(counts, found) == pytest.approx((1 + 1 + 1 / 3) / 3)
