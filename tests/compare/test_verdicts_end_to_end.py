"""The three verdicts that data ask for, by the real weights and the public API, read from the JSON that is written."""

import json
from collections import Counter
from itertools import pairwise

import pytest

import kft
from tests.compare.made import nothing_says_it, one_word_says_it, who_did_it

UNTUNED = ("majority", "linear", "retrieval", "probe")


def compare(table, folder, approaches, valid):
    recipe = {
        "task": "text-classification",
        "data": {"train": "dataframe", "valid": valid, "test": "20%", "keep_together": "nothing"},
        "model": {"backbone": "minilm-l6"},
    }
    kft.compare(recipe, data=table, approaches=approaches, run=folder / "compared", quiet=True)
    found = json.loads((folder / "compared" / "compare.json").read_text())
    return found["verdict"], {each["name"]: each for each in found["approaches"]}


def test_neither_words_nor_pairs_of_them_tell_who_did_it():
    table = who_did_it(8000)
    assert table["text"].is_unique and table["label"].value_counts().tolist() == [4000, 4000]
    sides = []
    for label in ("dog", "cat"):
        pairs = Counter()
        for text in table["text"][table["label"] == label]:
            words = text.split()
            pairs.update(words)
            pairs.update(pairwise(words))
        sides.append(pairs)
    for pair in set(sides[0]) | set(sides[1]):
        # Each as often on both sides, up to five standard deviations of chance.
        assert abs(sides[0][pair] - sides[1][pair]) < 5 * (sides[0][pair] + sides[1][pair]) ** 0.5


@pytest.mark.slow
def test_word_order_asks_for_fine_tuning(tmp_path):
    verdict, found = compare(who_did_it(2000), tmp_path, (*UNTUNED, "top"), valid="30%")
    assert verdict["approach"] == "top"
    assert verdict["why"].startswith("fine-tuning pays: top gains 0.")
    for name in UNTUNED:
        assert found[name]["paired"]["valid"]["high"] < 0 and found[name]["paired"]["test"]["high"] < 0
    assert found["linear"]["metrics"]["accuracy"]["high"] < 0.6
    assert found["top"]["metrics"]["accuracy"]["value"] > 0.95


@pytest.mark.slow
def test_one_telling_word_needs_no_backbone(tmp_path):
    verdict, found = compare(one_word_says_it(1000), tmp_path, (*UNTUNED, "top"), valid="20%")
    assert verdict["approach"] == "linear"
    assert "a linear model needs no backbone, so do not fine-tune" in verdict["why"]
    assert found["linear"]["metrics"]["accuracy"]["value"] > 0.98


@pytest.mark.slow
def test_labels_drawn_by_lot_are_worth_a_look(tmp_path):
    verdict, found = compare(nothing_says_it(1000), tmp_path, (*UNTUNED, "top"), valid="20%")
    assert verdict["approach"] == "majority"
    assert "nothing beats the majority class" in verdict["why"] and "look at the labels" in verdict["why"]
    assert found["top"]["metrics"]["accuracy"]["low"] < 0.55
