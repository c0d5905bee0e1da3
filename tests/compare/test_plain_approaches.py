"""Approaches that are NumPy alone: n-grams, thumbnails, neighbours, label names."""

import numpy as np
import pytest
from PIL import Image

from kft.compare.linear import thumbnails
from kft.compare.prompting import answerer as by_name
from kft.compare.prompting import describe_label, label_vectors
from kft.compare.retrieval import answerer
from kft.compare.tuning import phases_for
from kft.features.ngrams import ngram_reader
from kft.metrics.neighbours import unit_rows
from kft.recipe.training import PhaseSpec


def test_neighbours_vote_by_how_near_they_are():
    known = unit_rows(np.array([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0]]))
    answers = answerer(known, np.array([0, 0, 1]), 3, k=3, width=0.1)(np.array([[1.0, 0.05], [0.0, 2.0]]))
    assert answers.argmax(axis=1).tolist() == [0, 1]
    np.testing.assert_allclose(answers.sum(axis=1), 1)


def test_more_neighbours_than_examples_are_all_of_them():
    known, targets, asked = unit_rows(np.eye(3)), np.array([0, 1, 2]), np.eye(3)
    np.testing.assert_array_equal(
        answerer(known, targets, 3, 50, 0.1)(asked), answerer(known, targets, 3, 3, 0.1)(asked)
    )


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
