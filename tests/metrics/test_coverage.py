"""The table of docs/evaluation.md holds: 95 % intervals hold the truth in 93 to 98 of 100 test sets."""

import re
from pathlib import Path

import numpy as np
import pytest

from tests.metrics import coverage

PAGE = Path(__file__).parents[2] / "docs" / "evaluation.md"
NOISE = 0.02
"""Three standard errors of a coverage from 1,000 test sets."""
pytestmark = pytest.mark.slow


def table():
    rows = re.findall(
        r"^\| (alone|pairs|fives|1 to 9) \| ([\d,]+) \| ([^|]+) \|(.+)\|$", PAGE.read_text(), re.MULTILINE
    )
    return {
        (layout, int(n.replace(",", "")), float(alike or 0.2) if alike != "-" else 0.2): [
            float(x) for x in values.split("|")
        ]
        for layout, n, alike, values in rows
    }


def test_shares_are_held_as_the_table_says():
    stated, seen = table(), {}
    for layout, n, alike, found in coverage.shares(1000):
        seen[layout, n, alike] = found
    assert stated.keys() == seen.keys() and len(stated) == 50
    for place, values in stated.items():
        np.testing.assert_allclose(seen[place], values, atol=2 * NOISE, err_msg=str(place))
    several = [value for (layout, n, _), row in seen.items() if layout == "alone" or n > 10 for value in row]
    assert min(several) >= 0.93 - NOISE and max(several) <= 0.98 + NOISE
    assert 0.95 <= np.mean(several) <= 0.97


@pytest.mark.parametrize("accuracy", [None, 0.9, 0.99])
@pytest.mark.parametrize("n", [10, 30, 100, 300])
def test_what_is_no_share_is_held_at_least_as_often(n, accuracy):
    found = coverage.metrics_coverage(n, accuracy, 300)
    assert set(found) == {"macro_f1", "log_loss", "ece", "brier"}
    assert min(found.values()) >= 0.93 - NOISE


@pytest.mark.parametrize("changed", [(0.0, 0.02), (0.05, 0.05), (0.1, 0.0), (0.2, 0.1)])
@pytest.mark.parametrize("n", [10, 30, 100, 300])
def test_differences_are_held_at_least_as_often(n, changed):
    assert coverage.paired_coverage(n, *changed, 300) >= 0.93 - NOISE
