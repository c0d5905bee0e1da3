"""Folds and out-of-fold answers: nothing is seen that is answered, and they are as good as exact ones."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from kft.features.folds import assign_folds, choose_strength, out_of_fold, project
from kft.features.growth import grow
from kft.features.probe import CONVERGED, LOSSES, ProbeProblem, certainty_of, minimise
from kft.tasks.decode import softmax
from tests.features.problems import problem


@settings(max_examples=50, deadline=None)
@given(st.integers(20, 200), st.integers(2, 5), st.integers(2, 5), st.integers(0, 1000))
def test_folds_keep_shares_and_sizes(rows, classes, folds, seed):
    targets = np.random.default_rng(seed).integers(0, classes, rows)
    found = assign_folds(targets, None, folds, seed)
    assert np.ptp(np.bincount(found, minlength=folds)) <= classes
    for number in range(classes):
        assert np.ptp(np.bincount(found[targets == number], minlength=folds)) <= 1


@settings(max_examples=50, deadline=None)
@given(st.integers(10, 200), st.integers(3, 20), st.integers(0, 1000))
def test_no_group_is_parted(rows, groups, seed):
    rng = np.random.default_rng(seed)
    group_of = rng.integers(0, groups, rows)
    found = assign_folds(rng.integers(0, 3, rows), group_of, 3, seed)
    assert all(len(set(found[group_of == group])) <= 1 for group in range(groups))


def test_they_agree_with_an_exact_probe():
    features, targets = problem(rows=600)
    found = out_of_fold(features, targets, 4, strength=0.1)
    fold_of = assign_folds(targets, None, 5)
    held_out = fold_of == 2
    data = project(features, targets, 4)  # fewer features than axes are kept: none is lost
    known = data.values[~held_out]
    chunks = [(np.arange(len(known)), known)]
    minimised = ProbeProblem(chunks, targets[~held_out], np.ones(len(known)), LOSSES["softmax"])
    curvature = data.basis.curvature(certainty_of("softmax", 4), 0.1)
    exact = minimise(minimised, curvature, 0.1, np.zeros((data.values.shape[1] + 1, 4)), CONVERGED)
    expected = softmax(data.logits(np.flatnonzero(held_out), exact))
    np.testing.assert_allclose(found.probabilities[held_out], expected, atol=0.05)


def test_labels_of_noise_are_answered_by_chance():
    rng = np.random.default_rng(0)
    features, targets = rng.normal(size=(400, 200)).astype(np.float32), rng.integers(0, 2, 400)
    found = out_of_fold(features, targets, 2, strength=100.0)
    assert abs((found.probabilities.argmax(axis=1) == targets).mean() - 0.5) < 0.1


def test_copies_in_one_group_give_nothing_away():
    rng = np.random.default_rng(0)
    features, targets = rng.normal(size=(200, 100)).astype(np.float32), rng.integers(0, 2, 200)
    twice, labels, groups = np.tile(features, (2, 1)), np.tile(targets, 2), np.tile(np.arange(200), 2)
    for given_groups, low, high in ((None, 0.7, 1.0), (groups, 0.35, 0.65)):
        found = out_of_fold(twice, labels, 2, given_groups, strength=1.0)
        assert low <= (found.probabilities.argmax(axis=1) == labels).mean() <= high


def test_the_strength_is_held_and_told():
    features, targets = problem(rows=300)
    found = out_of_fold(features, targets, 4)
    fold_of = assign_folds(targets, None, 5)
    assert found.strength == choose_strength(project(features, targets, 4), fold_of)
    again = out_of_fold(features, targets, 4, strength=found.strength)
    np.testing.assert_array_equal(found.probabilities, again.probabilities)


def test_growing_parts_are_nested_and_the_last_is_the_fold():
    features, targets = problem(rows=500)
    data = project(features, targets, 4)
    found = grow(data, None, 0.1, folds_used=5)
    assert found.sizes.tolist() == sorted(set(found.sizes.tolist())) and found.sizes[-1] in (399, 400)
    assert found.right.shape == (500, len(found.sizes))
    assert sorted(found.held_out) == list(range(500))
    whole = out_of_fold(features, targets, 4, strength=0.1).probabilities.argmax(axis=1) == targets
    assert (found.right[:, -1] == whole[found.held_out]).mean() > 0.98
    assert found.right[:, -1].mean() > found.right[:, 0].mean()
