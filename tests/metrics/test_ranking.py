"""AUROC and AURC: the textbook's figures, ties, and resamples as weights."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from kft.errors import UsageError
from kft.metrics.intervals import estimate
from kft.metrics.ranking import AURC, AUROC


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 6)), min_size=2, max_size=40))
def test_auroc_is_that_of_scikit_learn_ties_and_all(rows):
    positive, scores = np.array([p for p, _ in rows], int), np.array([s for _, s in rows], float)
    if len(set(positive)) == 2:
        assert AUROC.value(positive, scores) == pytest.approx(roc_auc_score(positive, scores))


@pytest.mark.parametrize("metric", [AUROC, AURC])
def test_a_resample_is_a_weighted_sum(metric):
    rng = np.random.default_rng(0)
    marks, scores = rng.integers(0, 2, 60), rng.integers(0, 20, 60) / 20
    rows = rng.integers(0, 60, 60)
    weights = np.bincount(rows, minlength=60)[None].astype(float)
    drawn = metric.by_group(marks, scores, np.arange(60))(weights)[0]
    assert drawn == pytest.approx(metric.value(marks[rows], scores[rows]))


def test_aurc_by_hand():
    assert AURC.value(np.array([1, 0, 1]), np.array([0.9, 0.8, 0.7])) == pytest.approx((0 + 1 / 2 + 1 / 3) / 3)
    assert AURC.value(np.array([1, 0]), np.array([0.5, 0.5])) == 0.5  # answered together


def test_the_interval_holds_the_value():
    rng = np.random.default_rng(1)
    positive = rng.integers(0, 2, 200)
    found = estimate(AUROC, positive, positive + rng.normal(size=200), resamples=300)
    assert 0.5 < found.low < found.value < found.high < 1


def test_what_cannot_be_ranked_is_refused():
    with pytest.raises(UsageError, match="nothing to tell apart"):
        AUROC.value(np.ones(3, int), np.arange(3.0))
    with pytest.raises(UsageError, match="not finite") as error:
        AURC.value(np.ones(2, int), np.array([0.1, np.nan]))
    assert "row 1" in str(error.value)
    with pytest.raises(UsageError, match="do not fit"):
        AURC.value(np.ones(2, int), np.arange(3.0))
