"""kft compare where queries are answered with documents."""

import json

import numpy as np
import pytest

import kft
from kft.api.reading import load
from kft.data.examples import Examples
from kft.errors import UsageError
from kft.metrics.retrieval import METRICS
from kft.search.comparing import PHASES, Compared, _fit, _too_long
from kft.search.verdict import NAMES, TUNED, decide, names_of
from kft.tasks.cells import as_objects
from kft.train.progress import Progress
from tests import embedded

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
    valid = Examples(as_objects(list(range(200))), ["q"] * 200, as_objects([("d",)] * 200), None)
    good = np.zeros((200, 3), bool)
    good[:150, 0] = True
    better = good.copy()
    better[150:152, 0] = True
    poor = np.zeros((200, 3), bool)
    verdict = decide(valid, {"bm25": poor, "frozen": good, "full": better}, METRICS["mrr"])
    assert (verdict.approach, verdict.best) == ("frozen", "full")
    assert verdict.why.startswith("the backbone's own vectors are enough: do not tune (0.750 mrr on 200 queries")
    verdict = decide(valid, {"bm25": poor, "full": better}, METRICS["mrr"])
    assert verdict.approach == "full"
    assert "tuning pays: full gains 0.760 [0.690, 0.816] over bm25, the best without it" in verdict.why
    verdict = decide(valid, {"frozen": good, "hybrid": better}, METRICS["mrr"])
    assert (verdict.approach, verdict.best) == ("hybrid", "hybrid"), "words beside vectors are no dearer"
    found = {"bm25": poor, "frozen": poor, "top": good, "top+words": better, "full": good, "full+words": better}
    verdict = decide(valid, found, METRICS["mrr"])
    assert (verdict.approach, verdict.best) == ("top+words", "top+words")


def test_what_takes_longer_than_the_budget_is_left_out_and_said(tmp_path, tiny_folder):
    recipe, split = load(embedded.recipe(tmp_path, tiny_folder, phases=[embedded.HEAD]), (), None, "auto")
    given = Compared(recipe.spec, split, Progress())
    assert _too_long(given, 60) == {}
    skipped = _too_long(given, 0)
    assert list(skipped) == ["lora", "lora+words", "full", "full+words"]
    assert skipped["full"] == "about 0 minutes by its size, more than --budget 0"


def test_other_approaches_are_refused_by_name(tmp_path, tiny_folder):
    assert tuple(PHASES) == TUNED
    assert names_of(None) == list(NAMES) and names_of(["head", "bm25"]) == ["bm25", "head"]
    recipe = embedded.recipe(tmp_path, tiny_folder, phases=[embedded.HEAD])
    with pytest.raises(UsageError, match="no such approach where documents are found"):
        kft.compare(recipe, approaches=["names"], run=tmp_path / "run", quiet=True)
    with pytest.raises(UsageError, match="is compared in one go"):
        kft.compare(recipe, curve="tuned", run=tmp_path / "run", quiet=True)


def test_its_speed_is_that_of_vectors_that_nobody_has_stored_and_these_are_the_same(tmp_path, tiny_folder):
    recipe, split = load(embedded.recipe(tmp_path, tiny_folder, phases=[embedded.HEAD]), (), None)
    found = _fit(Compared(recipe.spec, split, Progress(quiet=True)), "frozen", {})
    asked = split.valid.inputs
    np.testing.assert_allclose(found.fresh(asked, split.corpus), found.alike(asked, split.corpus), atol=1e-5)
