"""Metrics of search: figures by hand, scikit-learn's nDCG, intervals, and what is refused."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import ndcg_score

from kft.errors import UsageError
from kft.metrics.intervals import estimate_all, paired_difference
from kft.metrics.retrieval import METRICS


def ranked(*places, depth=20):
    """Which ranks hold a document that answers, from 0; one list a query."""
    found = np.zeros((len(places), depth), bool)
    for row, several in enumerate(places):
        found[row, list(several)] = True
    return found


def test_figures_by_hand():
    counts, found = np.array([1, 2, 1, 1]), ranked([0], [1, 11], [9], [])
    values = {name: metric.value(counts, found) for name, metric in METRICS.items()}
    assert list(values) == ["recall_at_1", "recall_at_10", "mrr", "ndcg_at_10"]
    assert values["recall_at_1"] == 1 / 4
    assert values["recall_at_10"] == (1 + 0.5 + 1 + 0) / 4
    assert values["mrr"] == pytest.approx((1 + 1 / 2 + 1 / 10 + 0) / 4)
    second = (1 / np.log2(3)) / (1 + 1 / np.log2(3))
    assert values["ndcg_at_10"] == pytest.approx((1 + second + 1 / np.log2(11) + 0) / 4)


@given(st.lists(st.booleans(), min_size=12, max_size=12).filter(any))
def test_ndcg_is_that_of_scikit_learn(row):
    found, scores = np.array([row]), -np.arange(12.0)[None]
    expected = ndcg_score(found.astype(float), scores, k=10)
    assert METRICS["ndcg_at_10"].value(found.sum(axis=1), found) == pytest.approx(expected)


def test_intervals_have_a_width_and_pairing_narrows_them():
    rng = np.random.default_rng(0)
    counts, first = np.ones(300, int), ranked(*([int(place)] for place in rng.integers(0, 4, 300)))
    second = first.copy()
    second[:15] = ranked(*[[19]] * 15)
    found = estimate_all(counts, first, metrics=METRICS, resamples=300)
    assert all(0 < each.low < each.value <= each.high <= 1 for each in found.values())
    assert found["recall_at_10"].low < 1  # all were found: no proof that all will be
    difference = paired_difference(METRICS["mrr"], counts, first, second, resamples=300)
    assert 0 < difference.low < difference.value < difference.high
    assert difference.high - difference.low < found["mrr"].high - found["mrr"].low


@pytest.mark.parametrize(
    ("counts", "found", "message"),
    [
        (np.ones(2, int), np.zeros(2, bool), "queries and ranked documents do not fit"),
        (np.ones(0, int), np.zeros((0, 5), bool), "queries and ranked documents do not fit"),
        (np.array([1, 0]), ranked([0], []), "a query needs a document that answers it"),
        (np.array([1]), ranked([0, 1]), "cannot find more than there are"),
    ],
)
def test_what_is_no_ranking_is_refused(counts, found, message):
    with pytest.raises(UsageError, match=message):
        METRICS["mrr"].value(counts, found)
