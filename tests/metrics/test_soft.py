"""Metrics against shares: those of classes where shares are certain, and least where the answers are the shares."""

import numpy as np
import pytest

from kft.answer.calibration import fit_temperature
from kft.errors import UsageError
from kft.evaluate.certainty import judge_calibration
from kft.metrics.agreement import ALPHA
from kft.metrics.classification import BRIER, METRICS
from kft.metrics.intervals import estimate, estimate_all
from kft.metrics.reliability import reliability
from kft.metrics.soft import SOFT_METRICS, entropy
from kft.tasks.decode import softmax

rng = np.random.default_rng(0)
ANSWERS = rng.dirichlet(np.ones(4), 300)
SHARES = rng.dirichlet(np.ones(4), 300)
TARGETS = rng.integers(0, 4, 300)


def test_certain_shares_are_classes():
    certain = np.eye(4)[TARGETS]
    ours = {name: metric.value(certain, ANSWERS) for name, metric in SOFT_METRICS.items()}
    theirs = {f"soft_{name}": metric.value(TARGETS, ANSWERS) for name, metric in {**METRICS, "brier": BRIER}.items()}
    assert ours == pytest.approx({name: theirs[name] for name in ours})
    assert reliability(certain, ANSWERS) == reliability(TARGETS, ANSWERS)
    assert fit_temperature(certain, ANSWERS).value == pytest.approx(fit_temperature(TARGETS, ANSWERS).value, rel=1e-6)


def test_nothing_is_better_than_the_shares_themselves():
    best = {name: metric.value(SHARES, SHARES) for name, metric in SOFT_METRICS.items()}
    assert best["soft_log_loss"] == pytest.approx(entropy(SHARES)) and best["soft_brier"] == 0
    assert best["soft_ece"] == pytest.approx(0) and best["soft_accuracy"] == pytest.approx(SHARES.max(axis=1).mean())
    assert SOFT_METRICS["soft_log_loss"].value(SHARES, ANSWERS) > entropy(SHARES)
    assert SOFT_METRICS["soft_accuracy"].value(SHARES, ANSWERS) < best["soft_accuracy"]


def test_they_have_intervals():
    found = estimate_all(SHARES, ANSWERS, metrics=SOFT_METRICS)
    for each in found.values():
        assert each.low < each.value < each.high
    perfect = estimate(SOFT_METRICS["soft_brier"], SHARES[:10], SHARES[:10])
    assert perfect.value == 0 < perfect.high


@pytest.mark.parametrize(
    ("shares", "answers", "said"),
    [
        (SHARES[:, :3], ANSWERS, "shares and probabilities do not fit"),
        (2 * SHARES, ANSWERS, "these are no shares"),
        (SHARES, np.log(ANSWERS), "these are no probabilities"),
        (np.full((3, 4), np.nan), ANSWERS[:3], "these are no shares"),
    ],
)
def test_what_is_none_is_refused(shares, answers, said):
    with pytest.raises(UsageError, match=said):
        SOFT_METRICS["soft_log_loss"].value(shares, answers)


def test_the_temperature_makes_probabilities_shares():
    shares = softmax(2 * rng.normal(size=(3000, 4)))
    for spoilt in (0.5, 3.0):
        fitted = fit_temperature(shares, softmax(spoilt * np.log(shares)))
        assert fitted.value == pytest.approx(spoilt, rel=0.02)
    judged = judge_calibration(shares, softmax(3 * np.log(shares)), fitted, None)
    assert judged.ece_before.value > 0.1 and judged.brier.value < 0.01


def test_alpha_of_the_example_that_defines_it():
    """Krippendorff, Computing Krippendorff's alpha-reliability (2011), example C: four observers, missing data."""
    votes = [
        [1, 2, 3, 3, 2, 1, 4, 1, 2, 0, 0, 0],
        [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, 0, 3],
        [0, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, 0],
        [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, 0],
    ]
    counts = np.stack([(np.array(votes) == name).sum(axis=0) for name in range(1, 6)], axis=1)
    judged = counts[counts.sum(axis=1) >= 2]
    assert ALPHA.value(judged, judged) == pytest.approx(0.743, abs=5e-4)
    found = estimate(ALPHA, judged, judged)
    assert found.low < 0.743 < found.high <= 1


def test_alpha_of_chance_and_of_agreement():
    coins = np.stack([np.bincount(row, minlength=3) for row in rng.integers(0, 3, (2000, 3))])
    assert abs(ALPHA.value(coins, coins)) < 0.05
    agreed = 3 * np.eye(3, dtype=int)[rng.integers(0, 3, 50)]
    assert ALPHA.value(agreed, agreed) == 1 and estimate(ALPHA, agreed, agreed).low < 1
    one = np.array([[3, 0]] * 5)
    assert ALPHA.value(one, one) == 1
    with pytest.raises(UsageError, match="no judgements to compare"):
        ALPHA.value(np.array([[1, 0]]), np.array([[1, 0]]))
