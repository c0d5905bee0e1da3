"""Approaches that are NumPy alone: n-grams, thumbnails, label names."""

import numpy as np
import pytest
from PIL import Image

from kft.compare.linear import thumbnails
from kft.compare.names import answerer as by_name
from kft.compare.names import describe_label, label_vectors
from kft.compare.tuning import phases_for
from kft.features.ngrams import Worded, fit_words, ngram_reader, words_out_of_fold
from kft.features.views.view import Goal
from kft.recipe.training import PhaseSpec


def test_names_are_averaged_over_the_templates():
    vectors = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0], [1.0, 1.0]])  # two templates of two labels
    labels = label_vectors(vectors, 2)
    np.testing.assert_allclose(np.linalg.norm(labels, axis=1), 1, rtol=1e-6)
    assert by_name(labels)(np.array([[3.0, 0.1], [0.1, 3.0]])).argmax(axis=1).tolist() == [0, 1]


@pytest.mark.parametrize(
    ("label", "words"),
    [("card_arrival", "card arrival"), ("LostCard", "lost card"), ("top-up/failed", "top up failed"), ("ÜBER", "über")],
)
def test_label_names_become_words(label, words):
    assert describe_label(label) == words


def test_pairs_of_texts_show_what_they_share():
    pairs = [("a red car", "the red car"), ("a red car", "blue sky today")]
    read, size = ngram_reader(pairs)
    rows = read(pairs)
    shared = rows[:, 2 * rows.shape[1] // 3 :].sum(axis=1)
    assert shared[0, 0] > 0 == shared[1, 0]
    assert size > 0


def test_texts_without_spaces_are_read_by_characters():
    read, _ = ngram_reader(["手机很好", "手机不好"])
    assert read(["很好"]).nnz == 3  # two characters, and the pair of them


WORDS = ["a red car", "a blue car", "the red house", "the blue house", "red as ever", "blue as ever"] * 4


@pytest.mark.parametrize(
    ("solver", "targets"),
    [
        ("softmax", np.arange(24) % 2),
        ("sigmoid", np.eye(2, dtype=np.float32)[np.arange(24) % 2]),
        ("squared", (np.arange(24) % 2)[:, None].astype(np.float32) - 0.5),
    ],
)
def test_words_are_fitted_to_the_task(solver, targets):
    goal = Goal(solver, 1 if solver == "squared" else 2)
    worded = Worded(WORDS, targets, goal, np.ones(24, np.float32))
    strength, outputs = words_out_of_fold(worded, np.arange(24) % 5)
    (model,) = fit_words(worded, (strength,))
    for found in (outputs, model.outputs(WORDS)):
        blue = found[:, 0] > 0 if solver == "squared" else found.argmax(axis=1) == 1
        assert blue.tolist() == [False, True] * 12


def test_what_stands_in_one_fold_alone_is_unknown_to_the_others():
    """Each text's own word says its label: who had seen it would be right, and chance is all that is left."""
    texts = [f"word{row} here" for row in range(40)]
    targets = np.random.default_rng(0).permutation(np.arange(40) % 2)
    worded = Worded(texts, targets, Goal("softmax", 2), np.ones(40, np.float32))
    _, outputs = words_out_of_fold(worded, np.arange(40) % 5)
    for fold in range(5):  # the bias alone answers
        assert np.ptp(outputs[np.arange(40) % 5 == fold], axis=0).max() < 1e-6


def test_a_class_of_one_fold_alone_is_answered_all_the_same():
    targets = np.append(np.arange(20) % 2, 2)
    worded = Worded([*WORDS[:20], "green"], targets, Goal("softmax", 3), np.ones(21, np.float32))
    _, outputs = words_out_of_fold(worded, np.arange(21) % 5)
    assert outputs.shape == (21, 3) and np.isfinite(outputs).all()


def test_thumbnails_are_colours_from_0_to_1(tmp_path):
    Image.new("RGB", (40, 30), (255, 0, 0)).save(tmp_path / "red.png")
    (found,) = thumbnails([tmp_path / "red.png"])
    assert found.shape == (768,)
    np.testing.assert_array_equal(found.reshape(-1, 3), np.tile([1.0, 0.0, 0.0], (256, 1)))


def test_each_approach_trains_what_its_name_says():
    unfrozen = {name: str(phases_for(name, 6)[-1].unfreeze) for name in ("lora", "top", "full", "scratch")}
    assert unfrozen["lora"].startswith("lora rank 8")
    assert unfrozen == unfrozen | {"top": "top-2", "full": "top-6", "scratch": "all"}
    assert [phases_for(name, 6)[0].name for name in ("lora", "top", "full")] == ["probe"] * 3


@pytest.mark.parametrize("name", ["lora", "top", "full", "scratch"])
def test_phases_can_be_put_into_a_recipe(name):
    """compare.json names them, and the next step that is printed hands them to `kft train --set`."""
    for phase in phases_for(name, 6):
        assert PhaseSpec.model_validate(phase.model_dump(mode="json", exclude_defaults=True)) == phase
