"""The table of gauges."""

from typing import get_args

import pytest

from kft.monitor.gauges.all_gauges import GAUGES, shares_of_error
from kft.monitor.gauges.answers import ANSWERS, VECTORS
from kft.monitor.gauges.gauge import Kind
from kft.monitor.gauges.images import IMAGES
from kft.monitor.gauges.texts import TEXTS


def test_names_are_unique_and_all_kinds_occur():
    assert len(GAUGES) == len(TEXTS) + len(IMAGES) + len(ANSWERS) + len(VECTORS) + 2 > 30
    assert {gauge.kind for gauge in GAUGES.values()} == set(get_args(Kind))
    assert all(gauge.about and gauge.unit and gauge.weight >= 0 for gauge in GAUGES.values())


def test_the_error_is_spent_once():
    shares = shares_of_error(GAUGES)
    assert sum(shares.values()) == pytest.approx(1) and set(GAUGES) - set(shares) == {"copy"}
    assert shares_of_error(["copy"]) == {}
