"""kft compare where queries are answered with documents."""

import json

import numpy as np
import pytest

import kft
from kft.api.reading import load
from kft.compare.saved import UNFINISHED
from kft.compare.vector_verdict import SplitAnswers
from kft.compare.vector_verdict import decide as decide_by
from kft.compare.vectors import PHASES, VectorSetting
from kft.errors import UsageError
from kft.metrics.retrieval import METRICS
from kft.search.comparing import _fit, _too_long
from kft.search.verdict import SEARCHES, TUNED
from kft.train.progress import Progress
from tests import embedded, forked

TRIED = ["bm25", "frozen", "hybrid", "head", "head+words"]


@pytest.fixture(scope="module")
def compared(tmp_path_factory, tiny_folder):
    folder = tmp_path_factory.mktemp("compared")
    recipe = embedded.recipe(folder, tiny_folder, phases=[embedded.HEAD])
    return kft.compare(recipe, approaches=TRIED, run=folder / "run", quiet=True)


def test_each_is_scored_on_valid_and_test_and_held_against_the_best(compared):
    assert [each.name for each in compared.approaches] == TRIED
    for each in compared.approaches:
        assert set(each.metrics) == {"mrr", "recall_at_1", "recall_at_10", "ndcg_at_10"}
        assert set(each.paired) == {"valid", "test"}
    found = {each.name: each for each in compared.approaches}
    assert found[compared.verdict.best].paired["valid"].value == 0
    assert found["bm25"].metrics["mrr"].value > 0.5, "a query is made of its document's words"
    assert 0 <= found["hybrid"].chosen["words"] <= 1 and found["head"].cost.trained_parameters == 32 * 33


def test_words_beside_tuned_vectors_cost_what_these_cost(compared):
    head, worded = (next(each for each in compared.approaches if each.name == name) for name in TRIED[-2:])
    assert worded.chosen == {**head.chosen, "words": worded.chosen["words"]}
    assert worded.cost.train_seconds > head.cost.train_seconds
    assert worded.cost.features_seconds == head.cost.features_seconds > 0
    assert worded.cost.trained_parameters == head.cost.trained_parameters


def test_it_is_written_and_shown(compared):
    written = json.loads((compared.run / "compare.json").read_text())
    assert written["verdict"]["approach"] == compared.verdict.approach
    page = (compared.run / "compare.md").read_text()
    assert "exact words and names" in page and "queries a second" in page and "out of fold" not in page


def test_the_cheapest_that_keeps_up_is_recommended():
    def decide(found):
        return decide_by(SplitAnswers(np.ones(200, np.int64), found), METRICS["mrr"], SEARCHES)

    good = np.zeros((200, 3), bool)
    good[:150, 0] = True
    better = good.copy()
    better[150:152, 0] = True
    poor = np.zeros((200, 3), bool)
    verdict = decide({"bm25": poor, "frozen": good, "full": better})
    assert (verdict.approach, verdict.best) == ("frozen", "full")
    assert verdict.why.startswith("the backbone's own vectors are enough: do not tune (0.750 mrr on 200 queries")
    verdict = decide({"bm25": poor, "full": better})
    assert verdict.approach == "full"
    assert "tuning pays: full gains 0.760 [0.690, 0.816] over bm25, the best without it" in verdict.why
    verdict = decide({"frozen": good, "hybrid": better})
    assert (verdict.approach, verdict.best) == ("hybrid", "hybrid"), "words beside vectors are no dearer"
    found = {"bm25": poor, "frozen": poor, "top": good, "top+words": better, "full": good, "full+words": better}
    verdict = decide(found)
    assert (verdict.approach, verdict.best) == ("top+words", "top+words")


def test_what_takes_longer_than_the_budget_is_left_out_and_said(tmp_path, tiny_folder):
    recipe, split = load(embedded.recipe(tmp_path, tiny_folder, phases=[embedded.HEAD]), (), None, "auto")
    given = VectorSetting(recipe.spec, split, Progress())
    assert _too_long(given, 60) == {}
    skipped = _too_long(given, 0)
    assert list(skipped) == ["lora", "lora+words", "full", "full+words"]
    assert skipped["full"] == "about 0 minutes by its size, more than --budget 0"


def test_other_approaches_are_refused_by_name(tmp_path, tiny_folder):
    assert tuple(PHASES) == TUNED
    assert SEARCHES.asked(None) == list(SEARCHES.names) and SEARCHES.asked(["head", "bm25"]) == ["bm25", "head"]
    recipe = embedded.recipe(tmp_path, tiny_folder, phases=[embedded.HEAD])
    with pytest.raises(UsageError, match="no such approach where documents are found"):
        kft.compare(recipe, approaches=["names"], run=tmp_path / "run", quiet=True)
    with pytest.raises(UsageError, match="more labels would bring is not measured for text-embedding"):
        kft.compare(recipe, curve="tuned", run=tmp_path / "run", quiet=True)


def test_its_speed_is_that_of_vectors_that_nobody_has_stored_and_these_are_the_same(tmp_path, tiny_folder):
    recipe, split = load(embedded.recipe(tmp_path, tiny_folder, phases=[embedded.HEAD]), (), None)
    found = _fit(VectorSetting(recipe.spec, split, Progress(quiet=True)), "frozen", {})
    asked = split.valid.inputs
    np.testing.assert_allclose(found.fresh(asked, split.corpus), found.alike(asked, split.corpus), atol=1e-5)


@pytest.mark.slow
def test_killed_in_the_middle_it_goes_on_behind_what_is_done(tmp_path, tiny_folder, monkeypatch):
    monkeypatch.setenv("KFT_CACHE", str(tmp_path / "cache"))
    recipe = embedded.recipe(tmp_path, tiny_folder, phases=[embedded.HEAD])
    tried = [*TRIED, "top", "top+words"]
    whole = kft.compare(recipe, approaches=tried, run=tmp_path / "whole", quiet=True)
    cut, asked = tmp_path / "cut", ("--approaches", ",".join(tried), "--run", tmp_path / "cut", "--devices", "one")
    kept = cut / UNFINISHED / "head+words.npz"
    ended = forked.run("tests.compare.cut_short", kept, "SIGKILL", recipe, *asked)
    assert ended.returncode == -9, ended.stderr
    before = {path.name: path.stat().st_mtime_ns for path in kept.parent.glob("*.npz")}
    assert set(before) == {f"{name}.npz" for name in TRIED} and not (cut / "compare.json").exists()
    ended = forked.run("tests.compare.cut_short", kept.parent / "top.npz", "SIGINT", recipe, *asked, "--resume")
    assert ended.returncode == 130 and f"--run {cut} --resume" in ended.stderr
    assert {name: (kept.parent / name).stat().st_mtime_ns for name in before} == before
    resumed = kft.compare(recipe, approaches=tried, run=cut, resume=True, quiet=True)
    assert resumed.verdict == whole.verdict and not kept.parent.exists()
    for one, other in zip(resumed.approaches, whole.approaches, strict=True):
        assert (one.name, one.metrics, one.valid, one.paired, one.chosen) == (
            *(other.name, other.metrics, other.valid, other.paired, other.chosen),
        )
