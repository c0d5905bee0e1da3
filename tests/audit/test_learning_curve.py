"""The learning curve: it rises where there is more to learn, ends where there is not, and its interval holds."""

import numpy as np
import pytest

from kft.audit.checks.learning_curve import find_learning_curve
from kft.audit.forecast import fit_law, forecast, measure_curve
from tests.audit.gaussian import clouds, make_view

SIZES = np.array([100, 141, 200, 283, 400, 566, 800, 1131])


def law(sizes, end, fall, exponent):
    return end - fall * np.asarray(sizes, float) ** -exponent


@pytest.mark.parametrize(("end", "fall", "exponent"), [(0.9, 3.0, 0.5), (0.95, 1.0, 0.2), (0.8, 20.0, 1.0)])
def test_the_law_is_found_again(end, fall, exponent):
    wanted = np.array([2000.0, 4000.0])
    found = fit_law(SIZES.astype(float), law(SIZES, end, fall, exponent)[None], wanted)
    np.testing.assert_allclose(found[0], law(wanted, end, fall, exponent), atol=0.005)


def test_a_curve_never_falls_and_never_passes_one():
    rising = fit_law(SIZES.astype(float), np.linspace(0.8, 0.999, 8)[None], np.array([1e5]))
    falling = fit_law(SIZES.astype(float), np.linspace(0.8, 0.7, 8)[None], np.array([1e3, 1e5]))
    assert rising.max() <= 1
    assert falling[0, 0] == falling[0, 1]


@pytest.mark.parametrize(("end", "fall", "exponent"), [(0.9, 3.0, 0.5), (0.85, 1.0, 0.25), (0.7, 0.0, 1.0)])
def test_the_interval_covers_the_truth(end, fall, exponent):
    covered = []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        hard = rng.random((1500, 1))  # a row that is hard is hard at every size
        luck = rng.normal(0, 0.005, len(SIZES))
        right = hard < law(SIZES, end, fall, exponent) + luck
        found = forecast(measure_curve(SIZES, right), 2, seed=seed)
        covered.append(found.accuracy.low <= law(found.size, end, fall, exponent) <= found.accuracy.high)
    assert np.mean(covered) >= 0.8


def test_groups_widen_the_interval():
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(50), 20)
    right = rng.random(50)[groups][:, None] < law(SIZES, 0.9, 3.0, 0.5)
    alone, grouped = (measure_curve(SIZES, right, given) for given in (None, groups))
    assert grouped.covariance[-1, -1] > 5 * alone.covariance[-1, -1]


def close(rows, seed):
    return clouds(rows, classes=16, width=128, apart=0.2, seed=seed)


def test_a_steep_curve_asks_for_labels():
    parts = {"train": close(2400, 0), "valid": close(600, 1), "test": close(80, 2)}
    (finding,) = find_learning_curve(make_view(parts, classes=16))
    assert finding.severity == "warning"
    assert finding.message.startswith("About 2,400 more labels would bring about +0.")
    assert "Label more" in finding.advice
    points = finding.details["points"]
    assert [each["n"] for each in points if each["forecast"]] == [4800, 9600]
    measured = [each["value"] for each in points if not each["forecast"]]
    assert measured[-1] > measured[0] and len(measured) >= 4


def test_a_curve_that_has_ended_says_so():
    (finding,) = find_learning_curve(make_view())
    assert finding.severity == "note"
    assert "next to nothing" in finding.message
    assert "would not help" in finding.advice


def test_too_few_rows_say_nothing():
    parts = {"train": close(40, 0), "valid": close(20, 1), "test": close(20, 2)}
    assert list(find_learning_curve(make_view(parts, classes=16))) == []
