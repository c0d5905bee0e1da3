"""What the second half of the rows brought to what is trained: nested, by class, groups whole, and nothing made up."""

import numpy as np
import pytest

from kft.compare.halving import half_of, require_trained, trained_names, why_no_half
from kft.compare.table import say_more_labels
from kft.errors import UsageError
from kft.records.compare import ApproachResult, Slope
from kft.records.estimate import Estimate
from tests.compare.settings import ROWS, TRAIN, setting_of


def test_half_has_each_class_by_its_share_and_nothing_of_valid():
    setting = setting_of()
    half = half_of(setting)
    assert len(half) == TRAIN // 2
    train = dict(zip(setting.split.train.ids, setting.split.train.labels, strict=True))
    assert all(train[key] == label for key, label in zip(half.ids, half.labels, strict=True))
    for label in setting.split.labels:
        assert abs(2 * (half.labels == label).sum() - sum(each == label for each in train.values())) <= 2
    np.testing.assert_array_equal(half.ids, half_of(setting_of()).ids)


def test_half_tears_one_group_at_most():
    groups = np.array([f"g{row % 50}" for row in range(ROWS)])
    half = half_of(setting_of(groups=groups))
    inside = {group: (half.groups == group).sum() for group in set(half.groups)}
    whole = {group: (groups[:TRAIN] == group).sum() for group in inside}
    assert sum(inside[group] < whole[group] for group in inside) <= 1


def test_too_few_rows_are_not_halved():
    setting = setting_of()
    assert why_no_half(setting) == ""
    labels = [f"c{row % 60}" for row in range(ROWS)]
    assert why_no_half(setting_of(labels=labels)) == "half is 1.3 training rows a class"


def test_what_is_not_trained_has_no_such_curve():
    assert trained_names() == ["lora", "top", "full", "scratch"]
    require_trained(None)
    require_trained(["probe", "top"])
    with pytest.raises(UsageError, match="nothing that is trained is among the approaches") as refused:
        require_trained(["linear", "probe"])
    assert refused.value.received == "linear, probe" and "lora, top" in refused.value.expected


@pytest.mark.parametrize(("gain", "chance"), [(Estimate(0.06, 0.01, 0.11), False), (Estimate(0.06, -0.01, 0.13), True)])
def test_the_sentence_says_what_was_measured_and_forecasts_nothing(gain, chance):
    slope = Slope((80, 160), (0.75, 0.81), gain, 40, 1.0)
    said = say_more_labels([ApproachResult("linear"), ApproachResult("top", slope=slope)], "entity_f1")
    assert said.startswith("top, trained on 80 rows, has 0.750 entity f1, on all 160 0.810: +0.060 [")
    assert "on 40 rows of valid" in said and ("which may be chance" in said) == chance
    assert said.endswith("two points carry no further, so what more rows would bring to it is not known")
    assert "twice" not in said
