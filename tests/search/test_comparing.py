"""kft compare where queries are answered with documents."""

import json

import numpy as np
import pytest

import kft
from kft.data.examples import Examples
from kft.errors import UsageError
from kft.metrics.retrieval import METRICS
from kft.search.comparing import NAMES, decide, names_of
from kft.tasks.cells import as_objects
from tests import embedded


@pytest.fixture(scope="module")
def compared(tmp_path_factory, tiny_folder):
    folder = tmp_path_factory.mktemp("compared")
    recipe = embedded.recipe(folder, tiny_folder, phases=[embedded.HEAD])
    return kft.compare(recipe, approaches=["bm25", "frozen", "hybrid", "head"], run=folder / "run", quiet=True)


def test_each_is_scored_on_valid_and_test_and_held_against_the_best(compared):
    assert [each.name for each in compared.approaches] == ["bm25", "frozen", "hybrid", "head"]
    for each in compared.approaches:
        assert set(each.metrics) == {"mrr", "recall_at_1", "recall_at_10", "ndcg_at_10"}
        assert set(each.paired) == {"valid", "test"}
    found = {each.name: each for each in compared.approaches}
    assert found[compared.verdict.best].paired["valid"].value == 0
    assert found["bm25"].metrics["mrr"].value > 0.5, "a query is made of its document's words"
    assert 0 <= found["hybrid"].chosen["words"] <= 1 and found["head"].cost.trained_parameters == 32 * 33


def test_it_is_written_and_shown(compared):
    written = json.loads((compared.run / "compare.json").read_text())
    assert written["verdict"]["approach"] == compared.verdict.approach
    assert "exact words and names" in (compared.run / "compare.md").read_text()


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
    assert verdict.approach == "full" and "tuning pays" in verdict.why


def test_other_approaches_are_refused_by_name(tmp_path, tiny_folder):
    assert names_of(None) == list(NAMES) and names_of(["head", "bm25"]) == ["bm25", "head"]
    recipe = embedded.recipe(tmp_path, tiny_folder, phases=[embedded.HEAD])
    with pytest.raises(UsageError, match="no such approach where documents are found"):
        kft.compare(recipe, approaches=["names"], run=tmp_path / "run", quiet=True)
    with pytest.raises(UsageError, match="is compared in one go"):
        kft.compare(recipe, curve="tuned", run=tmp_path / "run", quiet=True)
