"""Rows are cut into windows by time or by number; times that cannot be read are counted by name."""

import numpy as np
import pandas as pd
import pytest

from kft.errors import DataError, UsageError
from kft.monitor.clock import Clock
from kft.monitor.windows import Untimed, WindowSpec, fill_times, parse_window, read_times

NOW = 1.8e9


@pytest.mark.parametrize("text", ["0", "1m", "d", "-5", "1.5d", "0d", "day"])
def test_what_is_no_window_is_refused(text):
    with pytest.raises(UsageError, match="this is no window") as failed:
        parse_window(text)
    assert f"received: {text}" in str(failed.value)


def test_windows_of_rows_go_on_where_the_last_call_stopped():
    cut = parse_window("4")
    assert cut.keys(None, 2, 1, 5).tolist() == [0, 0, 1, 1, 1]
    assert cut.is_full(4) and not cut.is_full(3)
    assert WindowSpec().keys(None, 7, 2, 2).tolist() == [2, 2] and WindowSpec().is_full(1)


@pytest.mark.parametrize(
    ("text", "name"), [("1h", "2026-11-28 18:00"), ("1d", "2026-11-28"), ("1w", "week of 2026-11-23")]
)
def test_windows_of_time_begin_with_the_hour_the_day_and_monday(text, name):
    times, _ = read_times(["2026-11-28T18:30:00Z"], 2e9)
    cut = parse_window(text)
    assert cut.name(int(cut.keys(times, 0, 0, 1)[0])) == name and not cut.is_full(10**9)


def test_times_are_read_in_each_usual_form():
    same = ["2026-11-28T18:30:00Z", "2026-11-28 18:30:00", "2026-11-28T19:30:00+01:00", "1795890600", "1795890600000"]
    assert set(read_times(same, NOW)[0]) == {1795890600.0}
    stamps = pd.Series(pd.to_datetime(same[:1])).dt.tz_convert("Asia/Tokyo")
    assert read_times(stamps, NOW)[0].tolist() == read_times(np.array([1795890600]), NOW)[0].tolist() == [1795890600.0]
    assert read_times(pd.Series([20261128]), NOW)[0].tolist() == read_times(["2026-11-28"], NOW)[0].tolist()


def test_what_is_no_time_is_counted_by_name():
    cells = ["2026-11-28", None, " ", "28/11/2026", "1000", "0", "2099-01-01", float("nan")]
    times, untimed = read_times(cells, NOW)
    assert np.isnan(times).tolist() == [False] + [True] * 7
    assert untimed == Untimed(8, missing=3, unreadable=3, future=1, example="28/11/2026")
    assert untimed.in_words() == "3 missing, 3 not readable, 1 in the future"
    assert np.isnan(read_times(["202611281430", "20261128143000"], NOW)[0]).all()  # a date, and no milliseconds


def test_a_column_most_of_which_cannot_be_read_is_refused():
    clock = Clock("when", NOW)
    clock.read(["2026-11-28", "28/11/2026", "27/11/2026"])
    with pytest.raises(DataError, match="2 of 3 times cannot be used: 2 not readable") as failed:
        clock.require()
    assert "column 'when'" in str(failed.value) and "received: 28/11/2026" in str(failed.value)
    with pytest.raises(DataError, match="2 of 2 times cannot be used: 2 missing"):
        Clock("when", NOW).read(["", None])


def test_rows_without_a_time_go_with_the_row_before_them():
    clock = Clock("when", NOW)
    assert clock.read([1.7e9, None])[0].tolist() == [1.7e9, 1.7e9]
    assert clock.read([None, 1.75e9])[0].tolist() == [1.7e9, 1.75e9]
    assert clock.untimed.all == 2 and clock.latest == 1.75e9
    assert fill_times(np.array([np.nan])).tolist() != [0.0]


def test_rows_no_newer_than_what_was_counted_are_late():
    clock = Clock("when", NOW, until=1.7e9)
    _, new = clock.read([1.6e9, 1.7e9, 1.71e9])
    assert new.tolist() == [False, False, True] and clock.late == 2 and clock.latest == 1.71e9


def test_rows_that_are_known_to_be_new_are_not_late():
    clock = Clock("when", NOW, until=1.7e9, proven=True)
    times, new = clock.read([1.6e9, 1.7e9, 1.71e9])
    assert times.tolist() == [1.7e9, 1.7e9, 1.71e9] and new.all() and clock.late == 0
    assert clock.read([1.6e9])[0].tolist() == [1.7e9] and clock.latest == 1.71e9
