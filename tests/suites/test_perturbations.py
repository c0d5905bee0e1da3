"""Changes to texts and images: pure, of the right kind, and doing what their name says."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from kft.errors import UsageError
from kft.suites.perturb_text import negate
from kft.suites.perturbations import PERTURBATIONS

TEXTS = [entry for entry in PERTURBATIONS if entry.modality == "text"]
IMAGES = [entry for entry in PERTURBATIONS if entry.modality == "image"]
SENTENCE = "Anna and John can't log in: the café's 12 doors are closed, and it is really late."


def changed(entry, given, seed=0):
    return entry.change(given, np.random.default_rng(seed), "zz-ref" if entry.takes_text else "")


def test_the_documentation_lists_them_all():
    assert len(TEXTS) == 18 and len(IMAGES) == 11
    page = (Path(__file__).parents[2] / "docs" / "evaluation.md").read_text(encoding="utf-8")
    assert [entry.name for entry in PERTURBATIONS if f"`{entry.name}`" not in page] == []


@pytest.mark.parametrize("entry", TEXTS, ids=lambda entry: entry.name)
@settings(max_examples=40, deadline=None)
@given(text=st.text(max_size=60), seed=st.integers(0, 5))
def test_any_text_can_be_changed_and_the_same_numbers_give_the_same_text(entry, text, seed):
    found = changed(entry, text, seed)
    assert isinstance(found, str)
    assert found == changed(entry, text, seed)


@pytest.mark.parametrize(("name", "part"), [
    ("typos", "Anna"),
    ("upper", "CAN'T LOG IN"),
    ("lower", "anna and john can't"),
    ("no-punctuation", "John can't log in the café's 12 doors are closed and it is really late"),
    ("spaces", "Anna  and"),
    ("half", "Anna and John can't log in: the café's"),
    ("names", " can't log in: the café's 12 doors"),
    ("numbers", " doors are closed"),
    ("negate", "Anna and John can log in: the café's 12"),
    ("no-accents", "the cafe's 12"),
    ("polite", ", Anna and John can't"),
    ("irrelevant", "it is really late. "),
    ("reorder", "can't log in: the café's 12"),
    ("keywords", "Anna John can't log: café's 12 doors closed"),
    ("append", "really late. zz-ref"),
    ("prepend", "zz-ref Anna and"),
])  # fmt: skip
def test_what_is_changed_and_what_stays(name, part):
    found = changed(PERTURBATIONS.get(name), SENTENCE)
    assert found != SENTENCE and part in found


def test_names_and_numbers_are_others_of_their_kind():
    found = changed(PERTURBATIONS.get("names"), "Anna met John; Anna left.")
    assert "Anna" not in found and "John" not in found
    first, _, second, third, _ = found.replace(";", "").split()
    assert first == third != second
    assert len(changed(PERTURBATIONS.get("numbers"), "1234")) == 4


@pytest.mark.parametrize(("text", "negated"), [
    ("It works and is good.", "It works and is not good."),
    ("It is not good.", "It is good."),
    ("I can't log in.", "I can log in."),
    ("I won't buy it.", "I will buy it."),
    ("We cannot open it.", "We can open it."),
    ("They don't care", "They do care"),
    ("It's good", "It's not good"),
    ("Great battery!", "Great battery!"),
])  # fmt: skip
def test_negation(text, negated):
    assert negate(text, np.random.default_rng(0)) == negated


def test_a_text_without_what_is_changed_comes_back_as_it_is():
    plain = "works"
    for name in ("half", "names", "numbers", "negate", "no-accents", "remove"):
        assert changed(PERTURBATIONS.get(name), plain) == plain
    assert changed(PERTURBATIONS.get("append"), "a ZZ-REF b") == "a ZZ-REF b"


@pytest.mark.parametrize("entry", IMAGES, ids=lambda entry: entry.name)
@pytest.mark.parametrize("size", [(64, 40), (3, 3), (1, 1)])
def test_any_image_can_be_changed(entry, size):
    pixels = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), np.uint8)
    image = Image.fromarray(pixels)
    found = changed(entry, image)
    assert found.mode == "RGB" and 1 <= found.width <= size[0] and 1 <= found.height <= size[1]
    assert np.array_equal(np.asarray(found), np.asarray(changed(entry, image)))
    assert np.array_equal(np.asarray(image), pixels)
    if size == (64, 40):
        assert found.size != size or not np.array_equal(np.asarray(found), pixels)


def test_a_turned_image_has_no_corners():
    found = changed(PERTURBATIONS.get("rotate"), Image.new("RGB", (120, 80), "white"))
    assert np.asarray(found).min() == 255 and found.width > 90


def test_an_unknown_change_names_the_nearest():
    with pytest.raises(UsageError, match="unknown change 'typo'; did you mean 'typos'"):
        PERTURBATIONS.get("typo")
