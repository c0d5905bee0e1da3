"""Valid and test apart: found in both directions, named with a cause, and seldom where the splits are alike."""

import numpy as np
import pytest

from kft.evaluate.apart import SelectionResult, chosen_by, judge_valid
from kft.metrics.classification import METRICS
from kft.metrics.intervals import estimate
from kft.metrics.regression import METRICS as NUMBERS
from kft.recipe.schema import DataSpec
from kft.records.history import EpochDone

ACCURACY = METRICS["accuracy"]


def right_or_wrong(right):
    return np.zeros(len(right), int), np.eye(2)[1 - np.asarray(right).astype(int)]


def judged(valid, n, right, *, groups=None, valid_groups=None, candidates=1, **data):
    truth, answers = right_or_wrong(right)
    test = estimate(ACCURACY, truth, answers, groups=groups)
    spec = DataSpec.model_validate({"train": "train.csv"} | data)
    return judge_valid(
        SelectionResult(valid, n, valid_groups, candidates), ACCURACY, test, (truth, answers, groups), spec
    )


def test_photos_of_one_shelf_on_both_sides():
    found = judged(34 / 35, 35, np.arange(64) < 46, candidates=6)
    assert found.apart and found.flatters
    assert found.said == (
        "accuracy 0.971 on valid (35 examples), 0.719 on test: valid looks too good, by more than chance "
        "(difference +0.253 [+0.055, +0.413], 99 %)"
    )
    assert "rows of valid look like rows of train" in found.causes[0]
    assert found.next_steps[0].startswith("--set data.keep_together=similar")
    assert any("the best of 6 epochs was chosen on 35 rows" in cause for cause in found.causes)


def test_a_test_file_from_elsewhere_is_named():
    found = judged(0.9, 500, np.arange(400) < 280, test="test.csv", keep_together="similar")
    assert found.apart and "test comes from elsewhere than valid" in found.causes[0]
    assert found.next_steps[0] == "kft check RECIPE, which compares the splits"


def test_time_is_named():
    found = judged(0.9, 500, np.arange(400) < 280, time="day", keep_together="similar")
    assert "changes over time" in found.causes[0]


def test_a_test_that_is_kinder_than_valid():
    found = judged(0.6, 300, np.arange(300) < 285, test="test.csv")
    assert found.apart and not found.flatters
    assert "test is easier than valid" in found.said and "copies" in found.next_steps[0]


def test_what_chance_may_do_is_no_finding():
    found = judged(0.86, 100, np.arange(200) < 160)
    assert not found.apart and not found.causes and not found.next_steps
    assert found.said.endswith("no further apart than chance allows")


def test_of_errors_the_smaller_is_the_better():
    rng = np.random.default_rng(0)
    truth = rng.normal(size=300)
    answers = truth + rng.normal(0, 0.5, 300)
    test = estimate(NUMBERS["mae"], truth, answers)
    spec = DataSpec(train="train.csv")
    worse = judge_valid(SelectionResult(0.2, 150), NUMBERS["mae"], test, (truth, answers, None), spec)
    alike = judge_valid(SelectionResult(0.4, 150), NUMBERS["mae"], test, (truth, answers, None), spec)
    assert worse.apart and worse.flatters and not alike.apart


def test_groups_that_hang_together_say_less():
    right = np.repeat(np.arange(40) < 28, 10)
    groups, own = np.arange(400) // 10, np.arange(200) // 10
    assert judged(0.85, 200, right).apart
    assert not judged(0.85, 200, right, groups=groups, valid_groups=own).apart


def test_valid_is_read_off_the_history():
    epochs = [
        EpochDone("probe", 0, 0, {"valid_accuracy": 0.8}, True),
        EpochDone("top", 1, 9, {"valid_accuracy": 0.9}, True),
    ]
    assert chosen_by(epochs, "accuracy", 50, None) == SelectionResult(0.9, 50, None, 2)
    assert chosen_by(epochs, "mae", 50, None) is None and chosen_by([], "accuracy", 50, None) is None


@pytest.mark.parametrize(("share", "n", "m"), [(0.8, 100, 200), (0.95, 60, 150), (0.98, 200, 200), (0.6, 300, 300)])
def test_splits_that_are_alike_are_called_apart_once_in_a_hundred(share, n, m):
    rng, alarms = np.random.default_rng(3), 0
    for _ in range(1000):
        alarms += judged(rng.binomial(n, share) / n, n, rng.random(m) < share).apart
    assert alarms <= 20


def test_the_best_of_ten_epochs_is_called_apart_a_little_more_often():
    """Epochs of one run are mostly right on the same rows; here on nine of ten."""
    rng, alarms = np.random.default_rng(4), 0
    for _ in range(500):
        common, same = rng.random(150) < 0.8, rng.random((10, 150)) < 0.9
        epochs = np.where(same, common, rng.random((10, 150)) < 0.8)
        alarms += judged(float(epochs.mean(axis=1).max()), 150, rng.random(300) < 0.8).apart
    assert alarms <= 25
