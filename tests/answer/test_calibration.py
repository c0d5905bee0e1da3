"""Temperature scaling: it finds a known temperature, changes no answer, and keeps its head on few examples."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kft.answer.calibration import fit_temperature
from kft.answer.decide import Temperature
from kft.evaluate.certainty import judge_calibration
from kft.metrics.classification import METRICS
from kft.tasks.decode import softmax


def drawn(n=4000, classes=5, sharpened=1.0, seed=0):
    """Targets drawn from a softmax, and that softmax made too sure of itself by a factor."""
    rng = np.random.default_rng(seed)
    logits = 2 * rng.normal(size=(n, classes))
    targets = (softmax(logits).cumsum(axis=1) > rng.random((n, 1))).argmax(axis=1)
    return targets, softmax(sharpened * logits)


@pytest.mark.parametrize("sharpened", [0.5, 1.0, 3.0])
def test_the_temperature_that_spoilt_the_probabilities_is_found(sharpened):
    targets, probabilities = drawn(sharpened=sharpened)
    fitted = fit_temperature(targets, probabilities)
    assert fitted.value == pytest.approx(sharpened, rel=0.08)
    assert fitted.n == 4000
    new_targets, new = drawn(sharpened=sharpened, seed=1)
    result = judge_calibration(new_targets, new, fitted, groups=None)
    after = METRICS["ece"].value(new_targets, fitted.apply(new))
    assert after < 0.03
    if sharpened != 1:
        assert result.ece_before.low > 3 * after
    assert sum(row.n for row in result.reliability) == 4000
    assert all(abs(row.confidence - row.accuracy) < 0.1 for row in result.reliability if row.n > 200)


def test_it_is_the_minimum_of_the_log_loss():
    targets, probabilities = drawn(sharpened=2.0)
    best = fit_temperature(targets, probabilities).value
    losses = [METRICS["log_loss"].value(targets, Temperature(t).apply(probabilities)) for t in (0.98, 1.0, 1.02)]
    near = [METRICS["log_loss"].value(targets, Temperature(best * t).apply(probabilities)) for t in (0.98, 1.0, 1.02)]
    assert near[1] < min(near[0], near[2], *losses)


@given(st.floats(0.05, 20), st.integers(0, 1000))
def test_no_answer_changes(value, seed):
    probabilities = softmax(5 * np.random.default_rng(seed).normal(size=(50, 4)))
    scaled = Temperature(value).apply(probabilities)
    assert (scaled.argmax(axis=1) == probabilities.argmax(axis=1)).all()
    np.testing.assert_allclose(scaled.sum(axis=1), 1)


def test_probabilities_of_nought_are_no_obstacle():
    scaled = Temperature(2.0).apply(np.array([[1.0, 0.0, 0.0]]))
    assert np.isfinite(scaled).all() and scaled[0, 0] > 0.99


def test_a_split_without_a_mistake_does_not_ask_for_infinite_certainty():
    targets = np.array([0, 1] * 10)
    fitted = fit_temperature(targets, softmax(2.0 * np.eye(2)[targets]))
    assert 0.2 < fitted.value < 1
    assert fitted.apply(softmax(2.0 * np.eye(2)[targets])).max() < 0.9999
