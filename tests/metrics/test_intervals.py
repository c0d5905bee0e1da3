"""Intervals: they cover, they widen with groups, and pairs are judged on the same resamples."""

import numpy as np
import pytest

from kft.errors import UsageError
from kft.metrics import intervals
from kft.metrics.classification import BRIER, METRICS
from kft.metrics.intervals import estimate, estimate_all, estimate_mean, paired_difference, ratio_of_means
from kft.metrics.shares import SHARE
from kft.records.document import as_document
from kft.records.estimate import Estimate
from kft.tasks.decode import softmax

ACCURACY = METRICS["accuracy"]


def answers(n=300, classes=3, seed=0, signal=1.5):
    rng = np.random.default_rng(seed)
    targets = rng.integers(0, classes, n)
    return targets, softmax(rng.normal(0, 1, (n, classes)) + signal * np.eye(classes)[targets])


def width(result):
    return result.high - result.low


def test_estimate_reads_and_writes_itself():
    result = Estimate(0.78712, 0.7594, 0.8136)
    assert str(result) == "0.787 [0.759, 0.814]"
    assert as_document(result) == {"value": 0.78712, "low": 0.7594, "high": 0.8136}


@pytest.mark.parametrize("name", METRICS)
def test_the_value_is_the_metric_and_lies_inside(name):
    targets, probabilities = answers()
    result = estimate(METRICS[name], targets, probabilities)
    assert result.value == METRICS[name].value(targets, probabilities)
    assert result.low <= result.value <= result.high
    assert width(result) > 0


def test_the_value_lies_inside_even_where_resampling_shifts_the_metric():
    rng = np.random.default_rng(0)
    confidence = rng.uniform(0.5, 1, 400)
    probabilities = np.stack([confidence, 1 - confidence], axis=1)
    for seed in range(20):
        targets = (np.random.default_rng(seed).random(400) > confidence).astype(int)
        result = estimate(METRICS["ece"], targets, probabilities, resamples=200)
        assert result.low <= result.value <= result.high


def test_the_interval_is_that_of_resampled_examples():
    targets, probabilities = answers(n=200)
    result = estimate(METRICS["macro_f1"], targets, probabilities, resamples=2000)
    rng = np.random.default_rng(99)
    values = []
    for _ in range(1000):
        rows = rng.integers(0, 200, 200)
        values.append(METRICS["macro_f1"].value(targets[rows], probabilities[rows]))
    np.testing.assert_allclose([result.low, result.high], np.quantile(values, [0.025, 0.975]), atol=0.015)


def test_all_metrics_share_the_resamples():
    targets, probabilities = answers()
    groups = np.arange(300) // 3
    together = estimate_all(targets, probabilities, groups=groups, resamples=300, seed=4)
    assert list(together) == list(METRICS)
    for name, metric in METRICS.items():
        assert together[name] == estimate(metric, targets, probabilities, groups=groups, resamples=300, seed=4)


def test_equal_seeds_agree_and_others_do_not():
    targets, probabilities = answers()
    loss = METRICS["log_loss"]
    first = estimate(loss, targets, probabilities, seed=1)
    assert first == estimate(loss, targets, probabilities, seed=1)
    assert first != estimate(loss, targets, probabilities, seed=2)


def test_groups_of_alike_examples_widen_the_interval():
    targets, probabilities = answers(n=100)
    copies = np.repeat(np.arange(100), 4)
    repeated, groups = (targets[copies], probabilities[copies]), [f"review {i}" for i in copies]
    apart = estimate(ACCURACY, *repeated)
    together = estimate(ACCURACY, *repeated, groups=groups)
    assert together.value == apart.value
    # Four copies of an example know no more than one: the interval is that of the hundred.
    assert width(together) == pytest.approx(2 * width(apart), rel=0.15)
    assert together == estimate(ACCURACY, targets, probabilities)


def test_a_group_need_not_lie_together_nor_sort():
    targets, probabilities = answers(n=90)
    groups = np.arange(90) % 30
    mixed = [None if i == 0 else str(i) if i % 2 else i for i in groups]
    expected = estimate(ACCURACY, targets, probabilities, groups=groups)
    assert estimate(ACCURACY, targets, probabilities, groups=mixed) == expected


def test_groups_of_one_change_nothing():
    targets, probabilities = answers(n=50)
    alone = estimate(ACCURACY, targets, probabilities)
    assert estimate(ACCURACY, targets, probabilities, groups=[f"g{i}" for i in range(50)]) == alone


@pytest.mark.parametrize("name", METRICS)
def test_a_single_group_says_next_to_nothing(name):
    targets, probabilities = answers(n=50)
    alone = estimate(METRICS[name], targets, probabilities)
    assert width(estimate(METRICS[name], targets, probabilities, groups=[7] * 50)) > 2 * width(alone)


@pytest.mark.parametrize("name", METRICS)
def test_a_model_does_not_differ_from_itself(name):
    targets, probabilities = answers()
    assert paired_difference(METRICS[name], targets, probabilities, probabilities) == Estimate(0.0, 0.0, 0.0)


@pytest.mark.parametrize("name", METRICS)
def test_two_models_that_answer_alike_may_differ_on_other_examples(name):
    targets, probabilities = answers(n=20)
    found = paired_difference(METRICS[name], targets, probabilities, probabilities.copy(), resamples=200)
    assert found.value == 0 and found.low < -0.01 and found.high > 0.01


def test_the_difference_is_first_minus_second():
    targets, good = answers(signal=3.0)
    _, poor = answers(signal=0.5)
    forward = paired_difference(ACCURACY, targets, good, poor)
    back = paired_difference(ACCURACY, targets, poor, good)
    assert forward.value == ACCURACY.value(targets, good) - ACCURACY.value(targets, poor)
    assert 0 < forward.low < forward.value < forward.high
    np.testing.assert_allclose([back.value, back.low, back.high], [-forward.value, -forward.high, -forward.low])


def test_pairing_narrows_what_both_find_hard():
    targets, first = answers(n=400)
    second = first.copy()
    second[:8] = np.eye(3)[targets[:8]]  # the same but for eight answers
    paired = paired_difference(ACCURACY, targets, second, first)
    assert width(paired) < 0.5 * width(estimate(ACCURACY, targets, first))


def test_pairs_are_drawn_by_group():
    targets, first = answers(n=100)
    _, second = answers(n=100, seed=0, signal=2.5)
    copies = np.repeat(np.arange(100), 3)
    grouped = paired_difference(ACCURACY, targets[copies], first[copies], second[copies], groups=copies)
    alone = paired_difference(ACCURACY, targets, first, second)
    np.testing.assert_allclose([grouped.value, grouped.low, grouped.high], [alone.value, alone.low, alone.high])


def share_that_hold(truth, drawn, sets, metric=ACCURACY, **options):
    """How many of the intervals of so many drawn test sets hold the truth."""
    held = 0
    for seed in range(sets):
        targets, probabilities = drawn(np.random.default_rng([7, seed]))
        result = estimate(metric, targets, probabilities, resamples=300, seed=seed, **options)
        held += result.low <= truth <= result.high
    return held / sets


def right_or_wrong(right):
    return np.zeros(len(right), int), np.eye(2)[1 - right.astype(int)]


def test_95_percent_means_95_percent():
    """1,000 test sets of 200 from a model that is right 80 % of the time: how many intervals hold .8?"""
    assert 0.93 <= share_that_hold(0.8, lambda rng: right_or_wrong(rng.random(200) < 0.8), 1000) <= 0.97


def test_95_percent_means_95_percent_of_a_score_that_is_no_share():
    """The Brier score of answers whose distribution is known: confidence .6 to 1, right as often."""

    def drawn(rng):
        confidence = rng.uniform(0.6, 1, 200)
        targets = (rng.random(200) > confidence).astype(int)
        return targets, np.stack([confidence, 1 - confidence], axis=1)

    expected = 2 * (0.8 - (1 - 0.6**3) / 3 / 0.4)  # 2 * E[c (1 - c)]
    assert 0.93 <= share_that_hold(expected, drawn, 800, metric=BRIER) <= 0.97


def test_95_percent_means_95_percent_of_means_and_their_ratio():
    """Of what a model could do before, and the share of it that it can do after: most of it, example by example."""
    rng, means, ratios = np.random.default_rng(0), [], []
    for seed in range(400):
        before = rng.random(180) < 0.8
        after = np.where(before, rng.random(180) < 0.9, rng.random(180) < 0.2)
        mean = estimate_mean(before, resamples=500, seed=seed)
        ratio = ratio_of_means(after, before, 0.1, resamples=500, seed=seed)
        means.append(mean.low <= 0.8 <= mean.high)
        ratios.append(ratio.low <= (0.8 * 0.9 + 0.2 * 0.2 - 0.1) / 0.7 <= ratio.high)
    assert 0.93 <= np.mean(means) <= 0.97 and 0.93 <= np.mean(ratios) <= 0.985


def test_95_percent_means_95_percent_with_groups():
    """150 groups of 1 to 5 that are right or wrong together; drawn singly, far fewer intervals would hold .7."""
    groups = np.repeat(np.arange(150), np.arange(150) % 5 + 1)

    def drawn(rng):
        return right_or_wrong((rng.random(150) < 0.7)[groups])

    assert 0.93 <= share_that_hold(0.7, drawn, 800, groups=groups) <= 0.97
    assert share_that_hold(0.7, drawn, 200) < 0.8


def test_pieces_hold_every_draw(monkeypatch):
    ((whole, extra),) = intervals._resampling_weights(50, 100, seed=0)
    assert whole.shape == (100, 50) and extra.shape == (100,)
    assert (whole.sum(axis=1) == 50).all()
    again = intervals._resampling_weights(50, 100, seed=0)
    assert all(one is other for one, other in zip(again, intervals._resampling_weights(50, 100, seed=0), strict=True))
    monkeypatch.setattr(intervals, "DRAWS_AT_ONCE", 50 * 7)  # so that several pieces are needed
    monkeypatch.setattr(intervals, "KEPT_DRAWS", 50 * 99)  # and none is kept
    pieces = list(intervals._resampling_weights(50, 100, seed=0))
    assert [piece.shape for piece, _ in pieces] == [(7, 50)] * 14 + [(2, 50)]
    assert all((piece.sum(axis=1) == 50).all() for piece, _ in pieces)
    assert np.array_equal(np.concatenate([more for _, more in pieces]), extra)


def test_what_does_not_fit_is_refused():
    targets, probabilities = answers(n=10)
    with pytest.raises(UsageError) as error:
        estimate(ACCURACY, targets, probabilities, groups=[1, 2])
    assert "2 groups" in str(error.value)
    with pytest.raises(UsageError, match="do not fit"):
        estimate_all(targets[:5], probabilities)
    with pytest.raises(UsageError) as error:
        paired_difference(ACCURACY, targets, probabilities, np.full((10, 4), 0.25))
    assert "(10, 3) and (10, 4)" in str(error.value)
    with pytest.raises(UsageError) as usage:
        estimate(ACCURACY, targets, probabilities, resamples=0)
    assert "at least 1" in str(usage.value)


def all_right(n, classes=3):
    targets = np.arange(n) % classes
    return targets, np.eye(classes)[targets] * 0.9 + 0.1 / classes


def test_20_of_20_right_is_no_proof_of_always():
    found = estimate(ACCURACY, *all_right(20))
    assert str(found) == "1.000 [0.839, 1.000]"  # Wilson's score
    targets, probabilities = all_right(83)
    probabilities[0] = probabilities[1]
    assert str(estimate(ACCURACY, targets, probabilities)) == "0.988 [0.935, 0.998]"


@pytest.mark.parametrize("name", [*METRICS, "brier"])
def test_no_interval_is_without_a_width_where_every_answer_is_right_and_as_sure(name):
    metric = {**METRICS, "brier": BRIER}[name]
    for groups in (None, np.arange(20) // 4):
        found = estimate(metric, *all_right(20), groups=groups)
        assert width(found) > 0.05
        assert found.low <= metric.value(*all_right(20)) <= found.high


def test_nothing_wrong_in_few_groups_says_less_than_in_many_rows():
    alone, grouped = (estimate(ACCURACY, *all_right(60), groups=groups) for groups in (None, np.arange(60) // 10))
    assert alone.low > 0.93
    assert grouped.low == pytest.approx(estimate(ACCURACY, *all_right(6)).low)


def test_of_none_nothing_is_known():
    none = np.zeros(5, bool)
    assert estimate(SHARE, none, none) == Estimate(0.0, 0.0, 1.0)
