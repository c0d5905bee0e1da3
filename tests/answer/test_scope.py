"""Scores of being out of scope: what lies elsewhere in feature space scores higher, and AUROC says how well."""

import numpy as np
import pytest

from kft.answer import scope
from kft.answer.decide import combined_score, neighbour_score, softmax_score
from kft.answer.scope import fit_scope, usual
from kft.evaluate.certainty import judge_scope
from kft.metrics import neighbours
from kft.metrics.ranking import AUROC
from kft.records.document import as_document
from kft.tasks.decode import softmax


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
    known, _, asked, foreign = planted
    for scores in (
        neighbour_score(known, asked),
        neighbour_score(known, asked, k=10),
    ):
        assert scores.shape == (300,) and np.isfinite(scores).all()
        assert AUROC.value(foreign, scores) > 0.9


def test_what_is_known_is_not_foreign(planted):
    known = planted[0]
    assert neighbour_score(known, known).max() < 1e-5


def test_the_neighbour_is_the_same_in_pieces(planted, monkeypatch):
    known, _, asked, _ = planted
    whole = neighbour_score(known, asked, k=3)
    monkeypatch.setattr(neighbours, "ROWS_AT_ONCE", 7)
    np.testing.assert_allclose(neighbour_score(known, asked, k=3), whole, atol=1e-6)


def test_two_scores_that_see_different_things_see_more_together():
    rng = np.random.default_rng(2)
    foreign = np.repeat([0, 1], 300)
    scores = [size * (foreign + rng.normal(size=600)) for size in (1.0, 100.0)]
    together = combined_score(scores, [usual(score[:300]) for score in scores])
    assert AUROC.value(foreign, together) > max(AUROC.value(foreign, score) for score in scores) + 0.03


def test_the_baseline_is_what_the_surest_class_lacks():
    np.testing.assert_allclose(softmax_score(np.array([[0.2, 0.8], [0.5, 0.5]])), [0.2, 0.5])


def drawn(rows, centres, rng):
    """Vectors around some of the centres, and the softmax of a model that knows the first eight."""
    vectors = centres[rng.integers(0, len(centres), rows)] + rng.normal(size=(rows, 10))
    return vectors.astype(np.float32), softmax(-((vectors[:, None] - CENTRES[None, :8]) ** 2).sum(axis=2) / 2)


CENTRES = 3 * np.random.default_rng(4).normal(size=(12, 10))


def test_the_scope_flags_what_is_foreign_and_so_many_of_the_rest():
    rng = np.random.default_rng(5)
    known, _ = drawn(600, CENTRES[:8], rng)
    scope = fit_scope(known, *drawn(200, CENTRES[:8], rng), keep=0.9)
    inside, outside = drawn(4000, CENTRES[:8], rng), drawn(1000, CENTRES[8:], rng)
    assert 0.04 < scope.flags(*inside).mean() < 0.16
    assert scope.flags(*outside).mean() > 0.8
    assert scope.known.dtype == np.float16 and scope.n == 200


def test_about_as_many_as_asked_for_are_flagged_over_many_draws():
    """The conformal quantile keeps its word on average, small as valid is: .112 were measured."""
    rng = np.random.default_rng(6)
    known, _ = drawn(300, CENTRES[:8], rng)
    new = drawn(2000, CENTRES[:8], rng)
    flagged = [fit_scope(known, *drawn(30, CENTRES[:8], rng), keep=0.9).flags(*new).mean() for _ in range(60)]
    assert 0.09 < np.mean(flagged) < 0.13


def test_of_too_many_training_examples_some_are_kept(monkeypatch):
    monkeypatch.setattr(scope, "MOST_KNOWN", 50)
    rng = np.random.default_rng(7)
    known, _ = drawn(300, CENTRES[:8], rng)
    valid = drawn(40, CENTRES[:8], rng)
    first, again = (fit_scope(known, *valid, keep=0.9, seed=3) for _ in range(2))
    assert len(first.known) == 50
    np.testing.assert_array_equal(first.known, again.known)


def test_what_flagging_takes_away():
    flags, right = np.array([True, True, False, False]), np.array([True, False, True, True])
    rng = np.random.default_rng(8)
    known, _ = drawn(20, CENTRES[:8], rng)
    scope = fit_scope(known, *drawn(20, CENTRES[:8], rng), keep=0.9)
    found = judge_scope(scope, flags, right, groups=None)
    assert found.flagged.value == 0.5 and found.right.value == 0.5
    assert set(as_document(found)) == {"keep", "n", "flagged", "right"}
    assert judge_scope(scope, np.zeros(4, bool), right, groups=None).right.value == 0
