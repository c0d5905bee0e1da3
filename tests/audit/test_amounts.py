"""Amount, imbalance, rows that cannot be used, slices and sensitive groups."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kft.audit.checks.amount import judge_classes, judge_numbers
from kft.audit.checks.imbalance import judge_balance
from kft.audit.checks.sensitive import judge_gaps
from kft.audit.checks.slices import judge_labels, judge_thin
from kft.audit.checks.unusable import judge_unusable
from kft.audit.several_looks import difference_of_shares, holm, two_sided_p
from kft.data.examples import RejectedRow


@pytest.mark.parametrize(
    ("rows", "severities"),
    [
        ({"a": 3, "b": 200}, ["error"]),
        ({"a": 4, "b": 200, "c": 200}, ["warning"]),
        ({"a": 12, "b": 15, "c": 200}, ["note"]),
        ({"a": 30, "b": 200}, []),
    ],
)
def test_classes_with_few_rows(rows, severities):
    found = list(judge_classes(rows))
    assert [finding.severity for finding in found] == severities
    if found:
        assert found[0].advice.startswith("Add about ")


def test_numbers_need_rows_too():
    assert [[f.severity for f in judge_numbers(rows)] for rows in (10, 60, 100)] == [["error"], ["warning"], []]


def test_imbalance_names_the_weight_unless_it_is_set():
    rows = {"a": 950, "b": 50}
    (finding,) = judge_balance(rows)
    assert finding.severity == "warning" and "--set train.class_weight=balanced" in finding.advice
    assert "right 95 % of the time" in finding.message
    assert [f.severity for f in judge_balance(rows, weighted=True)] == ["note"]
    assert list(judge_balance({"a": 100, "b": 60})) == []


@given(st.dictionaries(st.text("abc", min_size=1), st.integers(1, 1000), min_size=2, max_size=8))
def test_effective_classes_are_at_most_as_many_as_there_are(rows):
    for finding in judge_balance(rows):
        assert 1 <= finding.details["effective_classes"] <= len(rows) and 0 <= finding.score <= 1


def test_unusable_rows_with_their_reasons():
    bad = [RejectedRow(f"a:{row}", "a", row, "damaged: broken data stream") for row in range(3)]
    (finding,) = judge_unusable(bad, 97)
    assert finding.severity == "warning" and finding.details["by_reason"] == {"damaged": 3}
    assert [f.severity for f in judge_unusable(bad, 50)] == ["error"]
    assert list(judge_unusable([], 50)) == []


def test_thin_slices_are_named_worse_where_they_are_sensitive():
    train, test = np.array(["n"] * 50 + ["s"] * 5 + [""] * 20), np.array(["n"] * 40 + ["s"] * 2 + [""] * 50)
    (finding,) = judge_thin("region", train, test)
    assert finding.severity == "note" and "s (5 and 2)" in finding.message
    assert [f.severity for f in judge_thin("region", train, test, sensitive=True)] == ["warning"]
    assert list(judge_thin("region", train[:50], test[:40])) == []


def test_labels_that_hang_on_a_slice_are_found_and_chance_is_not():
    rng = np.random.default_rng(0)
    classes = rng.choice(["x", "y"], 600)
    chance = rng.choice(["north", "south", "east"], 600)
    planted = np.where((classes == "x") & (rng.random(600) < 0.7), "web", "app")
    assert list(judge_labels({"region": chance}, classes, None)) == []
    (finding,) = judge_labels({"region": chance, "source": planted}, classes, None)
    assert finding.details["column"] == "source" and finding.details["gaps"][0]["value"] in ("web", "app")


def test_a_group_that_is_served_worse_is_found_with_its_interval():
    rng = np.random.default_rng(0)
    gender = rng.choice(["f", "m"], 800)
    right = rng.random(800) < np.where(gender == "f", 0.7, 0.9)
    (finding,) = judge_gaps({"gender": gender}, right, None)
    (gap,) = finding.details["gaps"]
    assert gap["value"] == "f" and gap["low"] < -0.2 < gap["high"] < 0
    assert list(judge_gaps({"gender": gender}, rng.random(800) < 0.8, None)) == []


def test_rows_of_one_group_count_together():
    hits, inside = np.repeat([True, False] * 10, 20), np.arange(400) < 200
    alone, together = (difference_of_shares(hits, inside, groups)[1] for groups in (None, np.arange(400) // 20))
    assert together > 3 * alone


def test_chance_alone_is_flagged_no_more_often_than_promised():
    rng = np.random.default_rng(1)
    flagged = 0
    for _ in range(200):
        columns = {name: rng.choice(["a", "b", "c"], 300) for name in ("one", "two")}
        flagged += bool(list(judge_gaps(columns, rng.random(300) < 0.8, None)))
    assert flagged <= 20


@given(st.lists(st.floats(0, 1), max_size=20))
@settings(max_examples=50, deadline=None)
def test_holm_never_makes_a_p_value_smaller_and_keeps_the_order(p_values):
    corrected = holm(p_values)
    assert all(p <= q <= 1 for p, q in zip(p_values, corrected, strict=True))
    order = np.argsort(p_values, kind="stable")
    assert all(np.diff(np.array(corrected)[order]) >= 0)


def test_the_normal_tail():
    assert two_sided_p(0) == 1 and abs(two_sided_p(2.5758) - 0.01) < 1e-4
