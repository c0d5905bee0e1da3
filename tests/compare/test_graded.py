"""kft compare where two texts get a score."""

import json

import numpy as np
import pytest

import kft
from kft.compare.graded import GRADED
from kft.errors import UsageError
from tests import embedded, forked, graded

CHEAP = ["constant", "words", "frozen", "head"]


@pytest.fixture(scope="module")
def compared(tmp_path_factory, tiny_folder):
    folder = tmp_path_factory.mktemp("compared")
    recipe = graded.recipe(folder, tiny_folder, phases=[embedded.HEAD])
    return kft.compare(recipe, approaches=CHEAP, run=folder / "run", quiet=True)


def test_each_is_judged_by_the_order_of_scores_and_held_against_the_best(compared):
    assert [each.name for each in compared.approaches] == CHEAP and compared.metric == "spearman_r"
    found = {each.name: each for each in compared.approaches}
    for each in found.values():
        assert list(each.metrics) == ["spearman_r", "pearson_r"] and set(each.paired) == {"valid", "test"}
        low, value, high = (getattr(each.metrics["spearman_r"], name) for name in ("low", "value", "high"))
        assert low <= value <= high
    assert found["constant"].metrics["spearman_r"].value == 0, "what never changes orders nothing"
    assert found["words"].metrics["spearman_r"].value > 0.9, "a score is made of shared words"
    assert compared.verdict.approach == "words" and "shared words are enough" in compared.verdict.why
    assert found[compared.verdict.best].paired["valid"].value == 0
    assert found["head"].cost.trained_parameters == 32 * 33 and found["head"].cost.features_seconds > 0


def test_its_untuned_backbone_is_the_one_that_a_run_is_held_beside(compared, tmp_path):
    run = kft.train(compared.run / "recipe.yaml", run=tmp_path / "run", quiet=True).evaluation
    found = {each.name: each.metrics for each in compared.approaches}
    for name in ("spearman_r", "pearson_r"):
        assert found["frozen"][name].value == pytest.approx(run.baselines["untuned"][name].value, abs=1e-6)
        assert found["head"][name].value == pytest.approx(run.metrics[name].value, abs=1e-6)


def test_it_is_written_and_shown(compared):
    written = json.loads((compared.run / "compare.json").read_text())
    assert written["verdict"]["approach"] == "words" and not (compared.run / "unfinished").exists()
    page = (compared.run / "compare.md").read_text()
    assert "texts that share words" in page and "pairs a second" in page and "queries" not in page


def test_other_approaches_are_refused_by_name(tmp_path, tiny_folder):
    recipe = graded.recipe(tmp_path, tiny_folder, phases=[embedded.HEAD])
    with pytest.raises(UsageError, match="no such approach where pairs get scores") as caught:
        kft.compare(recipe, approaches=["bm25"], run=tmp_path / "run", quiet=True)
    assert caught.value.expected == ", ".join(GRADED.names)
    with pytest.raises(UsageError, match="more labels would bring is not measured for text-similarity"):
        kft.compare(recipe, curve="tuned", run=tmp_path / "run", quiet=True)
    with pytest.raises(UsageError, match="runs take the place of training"):
        kft.compare(recipe, tuned=["run"], run=tmp_path / "run", quiet=True)


@pytest.mark.slow
def test_all_of_it_killed_and_resumed_is_the_same(tmp_path, tiny_folder, monkeypatch):
    monkeypatch.setenv("KFT_CACHE", str(tmp_path / "cache"))
    recipe, names = graded.recipe(tmp_path, tiny_folder, phases=[embedded.HEAD]), ",".join(GRADED.names)
    whole = kft.compare(recipe, approaches=names.split(","), run=tmp_path / "whole", quiet=True)
    assert [each.name for each in whole.approaches] == list(GRADED.names)
    kept, asked = tmp_path / "cut" / "unfinished" / "lora.npz", ("--run", tmp_path / "cut", "--devices", "one")
    ended = forked.run("tests.compare.cut_short", kept, "SIGKILL", recipe, "--approaches", names, *asked)
    assert ended.returncode == -9, ended.stderr
    before = kept.stat().st_mtime_ns
    ended = forked.run(
        "tests.compare.cut_short",
        kept.with_name("top.npz"),
        "SIGINT",
        recipe,
        "--approaches",
        names,
        *asked,
        "--resume",
    )
    assert ended.returncode == 130 and kept.stat().st_mtime_ns == before, ended.stderr
    resumed = kft.compare(recipe, approaches=names.split(","), run=tmp_path / "cut", resume=True, quiet=True)
    assert resumed.verdict == whole.verdict
    for one, other in zip(resumed.approaches, whole.approaches, strict=True):
        assert (one.name, one.metrics, one.valid, one.paired, one.chosen) == (
            *(other.name, other.metrics, other.valid, other.paired, other.chosen),
        )
    assert np.isfinite([each.cost.examples_per_second for each in resumed.approaches]).all()
