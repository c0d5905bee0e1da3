from dataclasses import replace

import numpy as np
import pytest

from kft.monitor.estimates.prior import apply_bcts, by_bbse, by_em, fit_bcts
from kft.monitor.estimates.scores import OTHER
from kft.monitor.estimates.shares import estimate_shares
from tests.monitor.estimates.drawn import draw

NAMES = ("a", "b", "c")


def test_both_ways_solve_exact_cases():
    confusion = np.array([[80, 20], [30, 70]])
    assert by_bbse(confusion, np.array([550, 450])) == pytest.approx([0.5, 0.5])
    # Nothing explains more answers of a class than it gets where all rows are of it: the share ends at 1.
    assert by_bbse(confusion, np.array([95, 5])) == pytest.approx([1, 0], abs=1e-3)
    certain = np.repeat(np.eye(2), (70, 30), axis=0)
    assert by_em(certain, np.array([0.5, 0.5])) == pytest.approx([0.7, 0.3], abs=1e-4)
    # Two kinds of rows whose posteriors are known: of the one 3 in 4, of the other 1 in 4 are of class 0.
    mixed = np.repeat(np.array([[0.75, 0.25], [0.25, 0.75]]), (65, 35), axis=0)
    assert by_em(mixed, np.array([0.5, 0.5]), steps=2000) == pytest.approx([0.8, 0.2], abs=1e-2)


def test_calibration_class_by_class_undoes_a_slope_and_a_bias():
    clean = draw(4000, 0)
    bent = apply_bcts(clean.probabilities, 2.0, np.array([0.5, -0.5, 0.0]))
    slope, bias = fit_bcts(bent, clean.truth)
    assert slope == pytest.approx(0.5, abs=0.05)
    assert apply_bcts(bent, slope, bias).mean(axis=0) == pytest.approx(np.bincount(clean.truth) / 4000, abs=0.003)


@pytest.mark.parametrize("overconfident", [pytest.param(1.0, marks=pytest.mark.slow), 2.0])
@pytest.mark.parametrize("shares", [(0.3, 0.3, 0.4), (0.8, 0.1, 0.1), (0.0, 0.5, 0.5)])
def test_the_intervals_cover_the_true_shares(shares, overconfident):
    held = []
    for seed in range(6):
        reference = draw(500, seed, overconfident=overconfident)
        found = estimate_shares(reference, draw(400, 500 + seed, shares, overconfident=overconfident), NAMES)
        assert found.refused == ()
        held += [each.low <= true <= each.high for each, true in zip(found.shares, shares, strict=True)]
        assert max(each.high - each.low for each in found.shares) < 0.25
    assert np.mean(held) >= 0.9


def test_a_share_that_moved_says_so():
    found = estimate_shares(draw(1000, 1), draw(1000, 2, (0.8, 0.1, 0.1)), NAMES)
    assert all(each.moved for each in found.shares)
    assert not any(each.moved for each in estimate_shares(draw(1000, 3), draw(1000, 4), NAMES).shares)
    assert str(found.shares[0]).startswith("a: ")
    assert str(found.shares[0]).endswith(f"was {100 * found.shares[0].reference:.1f} %".replace(".0 %", " %"))


def test_more_than_a_change_of_shares_is_refused_by_name():
    reference, new = draw(1000, 5), draw(1000, 6)
    far = estimate_shares(reference, replace(new, foreign=new.foreign + 0.2), NAMES)
    assert far.shares == ()
    assert far.refused[0].startswith("more than the class shares has changed: the mean distance from the training rows")
    unsure = estimate_shares(reference, draw(1000, 7, sharp=1.0), NAMES)
    assert any("the mean confidence is" in why or "EM and BBSE" in why for why in unsure.refused)


def test_without_distances_it_says_that_less_was_looked_at():
    found = estimate_shares(draw(300, 5), replace(draw(300, 6), foreign=None), NAMES)
    assert found.refused == ()
    assert found.assumptions[-1] == (
        "how far the rows lie from the training rows is not known: only their scores were held against the reference"
    )


def test_too_few_rows_are_refused_and_classes_that_the_model_does_not_know_are_left_out():
    assert estimate_shares(draw(1000, 8), draw(10, 9), NAMES).refused == ("there are 10 new rows, 50 are needed",)
    reference = draw(1000, 10)
    strange = replace(reference, truth=np.where(np.arange(1000) < 200, OTHER, reference.truth))
    found = estimate_shares(strange, draw(500, 11), NAMES)
    assert sum(each.value for each in found.shares) == pytest.approx(1)
    assert sum(each.reference for each in found.shares) == pytest.approx(1)


def test_a_class_that_is_not_in_the_reference_has_an_interval_all_the_same():
    reference = draw(600, 12, (0.5, 0.5, 0.0))
    found = estimate_shares(reference, draw(600, 13, (0.5, 0.5, 0.0)), NAMES)
    for each in found.shares:
        assert 0 <= each.low <= each.value <= each.high <= 1
