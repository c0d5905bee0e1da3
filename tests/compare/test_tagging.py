"""Comparing on spans: the words of texts, each text judged by what has not learned from it."""

import json

import numpy as np
import pandas as pd
import pytest

import kft

KINDS = ("PER", "LOC")


def drawn_by_lot(rows, seed=0):
    """Sentences with one name each, which no other has; its kind is a matter of chance."""
    rng = np.random.default_rng(seed)
    texts, spans = [], []
    for _ in range(rows):
        name = "".join(rng.choice(list("bcdfghklmnprstvz"), 2)) + "".join(rng.choice(list("aeiou"), 2)) * 2
        lead = " ".join(rng.choice(["then", "later", "so", "again"], int(rng.integers(1, 4))))
        texts.append(f"{lead} {name} went")
        spans.append([[len(lead) + 1, len(lead) + 1 + len(name), KINDS[int(rng.integers(2))]]])
    return pd.DataFrame({"text": texts, "spans": spans})


@pytest.fixture(scope="module")
def compared(tmp_path_factory, tiny_folder):
    run = tmp_path_factory.mktemp("tags") / "compared"
    recipe = {
        "task": "token-tagging",
        "data": {"train": "dataframe", "valid": "30%", "test": "20%", "text": "text", "label": "spans"},
        "model": {"backbone": str(tiny_folder)},
    }
    names = ("majority", "linear", "names", "retrieval", "probe", "blend")
    kft.compare(recipe, data=drawn_by_lot(160), approaches=names, run=run, quiet=True)
    return {each["name"]: each for each in json.loads((run / "compare.json").read_text())["approaches"]}


@pytest.mark.slow
def test_what_does_not_fit_words_says_so(compared):
    assert compared["retrieval"]["skipped"] == "whole texts are looked up, not their words"
    assert compared["names"]["skipped"] == "names are held against whole texts, not against their words"


def test_no_approach_knows_the_kinds_of_rows_that_it_is_judged_by(compared):
    """Kinds are drawn by lot: half of the spans is all that can be right, but on rows that were learned by heart."""
    for name in ("linear", "probe", "blend"):
        found = compared[name]
        for part in ("valid", "metrics"):
            assert found[part]["entity_f1"]["value"] < 0.75, (name, part)
    assert compared["linear"]["out_of_fold"]["entity_f1"]["value"] < 0.75
    assert compared["linear"]["risk"]["train"] > 0.78


def test_words_learn_where_the_names_stand(compared):
    assert compared["majority"]["metrics"]["entity_f1"]["value"] == 0
    assert compared["linear"]["metrics"]["entity_f1"]["value"] > 0.3


def test_a_run_has_these_words_within_a_blend(compared):
    phases = compared["linear"]["chosen"]["phases"]
    assert [phase["name"] for phase in phases] == ["probe", "blend"]


def test_backbones_are_chosen_by_words_that_they_did_not_learn_from(tmp_path, tiny_folder):
    recipe = {
        "task": "token-tagging",
        "data": {"train": "dataframe", "valid": "30%", "test": "20%", "text": "text", "label": "spans"},
    }
    names = [str(tiny_folder), f"{tiny_folder}@random"]
    found = kft.choose(recipe, backbones=names, data=drawn_by_lot(120), run=tmp_path / "chosen", quiet=True)
    assert [each.name for each in found.backbones] == names
    for each in found.backbones:
        reached = {by: metrics["entity_f1"].value for by, metrics in each.metrics.items()}
        assert set(reached) == {"probe", "blend"}
        assert 0.3 < reached["blend"] < 0.75
