"""What came is counted window by window; what moved raises an alarm, and what did not raises none."""

from dataclasses import replace

import numpy as np
import pytest

from kft.errors import UsageError
from kft.monitor.explain import look, moved_classes
from kft.monitor.watch import RowBatch, begin, finish, require_few, take
from kft.monitor.windows import WindowSpec, parse_window
from tests.monitor import rows as made

ROWS = parse_window("200")


@pytest.fixture(scope="module")
def reference():
    return made.reference()


def watched(reference, parts, cut=ROWS, alpha=0.01):
    watch = begin(reference, alpha, cut)
    for call, part in enumerate(parts):
        watch = take(watch, RowBatch(part, cut.keys(None, watch.rows, call, len(part))), ordered=True)
    return finish(watch)


def alarms(watch):
    return {name: each.alarm for name, each in watch.gauges.items() if each.alarm}


def test_the_own_test_rows_in_any_order_raise_no_alarm_as_one_window(reference):
    own = made.seen(800, 1, given=made.known())
    for order in (np.arange(800), np.argsort(own.label, kind="stable"), np.argsort(own.values["tokens"])):
        assert not alarms(watched(reference, [own.take(order)], WindowSpec()))


def test_rows_like_the_test_rows_raise_no_alarm_in_many_windows_and_the_error_is_spent_once(reference):
    watch = watched(reference, [made.seen(300, seed, given=made.known()) for seed in range(20, 32)])
    assert watch.closed == 18 and watch.rows == 3600
    assert not alarms(watch)
    assert [name for name in watch.gauges if name.startswith("learned")] == [f"learned_{n}" for n in (1, 2, 4, 8, 16)]
    assert 0.95 < sum(each.share for each in watch.gauges.values()) <= 1


def test_another_prior_moves_the_answers_and_says_which(reference):
    watch = watched(reference, [made.seen(1000, 5, prior=4.0, given=made.known())])
    assert "class" in alarms(watch)
    _, gauges = look(watch)
    found = {each.name: each for each in gauges}["class"]
    assert found.said.startswith("more 'bad': ") and "less '" in found.said
    assert gauges[0].alarm, "those with an alarm stand first"


def test_what_moved_has_a_mean_before_and_now_with_an_interval(reference):
    watch = watched(
        reference, [made.seen(1000, 5, given=made.known()), made.seen(1000, 6, shift=0.5, given=made.known())]
    )
    _, gauges = look(watch)
    tokens = {each.name: each for each in gauges}["tokens"]
    assert tokens.alarm.startswith("rows 1,") and tokens.since in ("rows 1,001 to 1,200", "rows 1,201 to 1,400")
    assert 18 < tokens.before.mean < 22 and 27 < tokens.now.mean < 33
    assert tokens.change.low < tokens.change.value < tokens.change.high and tokens.change.low > 0
    assert "more" in tokens.said and "before" in tokens.said


def test_a_shift_in_a_direction_that_no_gauge_looks_along_is_learned(reference):
    plain = begin(reference, 0.01, ROWS)
    only = {name: each for name, each in plain.gauges.items() if name == "unusable"}
    watch = replace(plain, gauges=only)
    for seed in range(50, 58):
        part = made.seen(200, seed, shift=0.4, given=made.known())
        watch = take(watch, RowBatch(part, ROWS.keys(None, watch.rows, 0, len(part))), ordered=True)
    found = alarms(finish(watch))
    assert found and all(name.startswith("learned_") for name in found)


def test_a_window_that_is_not_full_counts_already_and_is_weighed_anew(reference):
    part = made.seen(150, 7, shift=2.0, given=made.known())
    watch = watched(reference, [part])
    windows, gauges = look(watch)
    assert [window.open for window in windows] == [True] and windows[0].rows == 150
    assert {each.name for each in gauges if each.alarm} >= {"tokens", "norm"}
    assert watch.closed == 0
    more = take(watch, RowBatch(part.take(np.arange(50)), np.zeros(50, np.int64)), ordered=True)
    assert look(finish(more))[0][0].rows == 200 and finish(more).closed == 1


def test_windows_that_come_in_any_order_are_weighed_in_theirs(reference):
    rows = made.seen(3000, 8)
    keys = np.repeat([3, 1, 2], 1000)
    mixed = np.random.default_rng(0).permutation(3000)
    watch = begin(made.reference(vectors=False), 0.01, parse_window("1d"))
    for part in np.array_split(mixed, 7):
        watch = take(watch, RowBatch(rows.take(part), keys[part], keys[part] * 86_400.0), ordered=False)
    windows, _ = look(finish(watch))
    assert [(each.name, each.rows, each.open) for each in windows] == [
        ("1970-01-02", 1000, False),
        ("1970-01-03", 1000, False),
        ("1970-01-04", 1000, True),
    ]
    assert windows[0].start == "1970-01-02T00:00:00+00:00"


def test_too_many_windows_are_refused():
    with pytest.raises(UsageError, match="these are more than 10,000 windows") as failed:
        require_few(10_001, "1")
    assert "received: 1" in str(failed.value)


def test_classes_that_hardly_moved_are_not_named():
    assert moved_classes(("a", "b"), np.array([500.0, 500.0]), np.array([52.0, 48.0])) == []
