"""Scores of being out of scope: what lies elsewhere in feature space scores higher, and AUROC says how well."""

import numpy as np
import pytest

from kft.evaluate import scope
from kft.evaluate.scope import combined_score, mahalanobis_score, neighbour_score, softmax_score
from kft.metrics.ranking import AUROC


@pytest.fixture(scope="module")
def planted():
    """Eight known classes, and rows that are of none of them; one feature never changes."""
    rng = np.random.default_rng(0)
    centres = 3 * rng.normal(size=(12, 10))
    targets = rng.integers(0, 8, 400)
    known = centres[targets] + rng.normal(size=(400, 10))
    inside = centres[rng.integers(0, 8, 150)] + rng.normal(size=(150, 10))
    outside = centres[rng.integers(8, 12, 150)] + rng.normal(size=(150, 10))
    known[:, 3], asked = 1.0, np.concatenate([inside, outside])
    asked[:, 3] = 1.0
    return known.astype(np.float32), targets, asked.astype(np.float32), np.repeat([0, 1], 150)


def test_each_score_finds_what_is_foreign(planted):
    known, targets, asked, foreign = planted
    for scores in (
        neighbour_score(known, asked),
        neighbour_score(known, asked, k=10),
        mahalanobis_score(known, targets, asked),
        mahalanobis_score(known, targets, asked, relative=False),
    ):
        assert scores.shape == (300,) and np.isfinite(scores).all()
        assert AUROC.value(foreign, scores) > 0.9


def test_what_is_known_is_not_foreign(planted):
    known, targets, asked, _ = planted
    assert neighbour_score(known, known).max() < 1e-5
    again = np.concatenate([asked[:150], asked[:150]])
    assert AUROC.value(np.repeat([0, 1], 150), mahalanobis_score(known, targets, again)) == 0.5


def test_the_neighbour_is_the_same_in_pieces(planted, monkeypatch):
    known, _, asked, _ = planted
    whole = neighbour_score(known, asked, k=3)
    monkeypatch.setattr(scope, "ROWS_AT_ONCE", 7)
    np.testing.assert_allclose(neighbour_score(known, asked, k=3), whole, atol=1e-6)


def test_the_mahalanobis_distance_is_the_textbook_one():
    rng = np.random.default_rng(1)
    known, targets = rng.normal(size=(200, 3)) @ np.diag([1, 5, 0.2]), np.repeat([0, 1], 100)
    means = np.stack([known[targets == c].mean(axis=0) for c in (0, 1)])
    inverse = np.linalg.inv(np.cov((known - means[targets]).T, bias=True))
    point = np.array([1.0, 2.0, 0.1])
    expected = min((point - mean) @ inverse @ (point - mean) for mean in means)
    assert mahalanobis_score(known, targets, point[None], relative=False)[0] == pytest.approx(expected, rel=1e-3)


def test_two_scores_that_see_different_things_see_more_together():
    rng = np.random.default_rng(2)
    foreign = np.repeat([0, 1], 300)
    scores = [size * (foreign + rng.normal(size=600)) for size in (1.0, 100.0)]
    together = combined_score(scores, [score[:300] for score in scores])
    assert AUROC.value(foreign, together) > max(AUROC.value(foreign, score) for score in scores) + 0.03


def test_the_baseline_is_what_the_surest_class_lacks():
    np.testing.assert_allclose(softmax_score(np.array([[0.2, 0.8], [0.5, 0.5]])), [0.2, 0.5])
