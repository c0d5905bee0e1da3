"""The page of a monitor: what it says first, what it draws, and that nothing of a person's data is markup in it."""

from dataclasses import replace

import pytest

from kft.records.sliced import ExampleSeen, ExamplesSeen, SlicesSeen
from kft.report import monitor_page
from kft.report.html import render
from kft.report.monitor_page import render_monitor, verdict
from tests.report.pages import HOSTILE, Reader
from tests.watched import LABELS, accuracy, shares, slice_of, watched


def text_of(page):
    return " ".join("".join(Reader(page).texts).split())


def test_it_says_what_moved_since_when_and_what_to_do():
    result = watched()
    page = render_monitor(result, LABELS)
    text = text_of(page)
    assert f"It has changed: {', '.join(result.alarms)} moved, in 2,880 rows over 24 windows." in text
    assert "kft queue shelf/product_reviews kept -n 100 -o label.csv" in text
    assert "at most 1 %" in text and "first alarm" in text and "otherwise since" in text
    assert "0.684 [0.641, 0.722]" in text and "0.787 [0.759, 0.814]" in text
    assert "It holds where: within a class, new rows look like the test rows" in text
    assert "150 labels more would halve the interval." in text
    tags = Reader(page).tags
    # 3 that moved, shares of classes, 3 classes over the windows, the overview.
    assert tags.count("svg") == 8 and "script" not in tags and "img" not in tags


def test_nothing_has_moved():
    result = watched(shift=0.0, accuracy=accuracy(value=None, low=None, high=None, refused=("too foreign",)))
    text = text_of(render_monitor(result))
    assert "Nothing speaks for a change: 2,880 rows over 24 windows." in text
    assert "What has moved" not in text and "Not estimated: too foreign." in text


def test_slices_and_rows_to_look_at_are_shown_or_said_to_be_missing():
    text = text_of(render_monitor(watched(), LABELS))
    assert "The slices that moved" in text and "30.0 % → 60.0 % +22.0 to +38.0 points" in text
    assert "1 other slice " in text and "there was no column region in what came" in text
    assert "A film of two hours." in text and "surprise 8.2, test rows 7.4" in text and "not shown" in text
    assert "1 test row, for comparison" in text and "The lid closes tightly." in text
    quiet = text_of(render_monitor(watched(shift=0.0)))
    assert "No slice is larger, smaller, less sure" in quiet and "None is shown: no row of this call is new." in quiet
    refused = watched(slices=SlicesSeen(refused="so"), examples=None)
    assert "Not told: so." in text_of(render_monitor(refused)) and "Rows to look at" not in render_monitor(refused)


def test_no_row_and_one_window():
    assert verdict(watched(rows=0)) == "No row has come yet."
    one = watched(1, shift=0.0)
    assert "Nothing speaks for a change: 120 rows over 1 window." in text_of(render_monitor(one))
    empty = watched(1, windows=(), gauges=(), accuracy=None, shares=None, rows=0)
    assert "No row has come yet." in text_of(render_monitor(empty))


def test_thousands_of_windows_and_classes_stay_a_small_page():
    labels = [f"class {number}" for number in range(80)]
    many = watched(400, labels=labels, shares=shares(labels))
    page = render_monitor(many, labels)
    assert len(page) < 600_000
    assert "every class" in page and "every window, the newest first" in page


def test_what_comes_from_data_is_no_markup():
    labels = [HOSTILE, "b", "c"]
    told = {"name": HOSTILE, "data": HOSTILE, "shares": shares(labels), "notes": (HOSTILE,)}
    told["slices"] = SlicesSeen(HOSTILE, 9, 0.5, (slice_of(HOSTILE, HOSTILE, 0.2),), (HOSTILE,))
    row = ExampleSeen(HOSTILE, "", HOSTILE, 0.5, HOSTILE, (HOSTILE,))
    told["examples"] = ExamplesSeen(HOSTILE, (row, replace(row, text="", file=HOSTILE)), (row,))
    page = render_monitor(watched(labels=labels, **told), labels)
    reader = Reader(page)
    assert "script" not in reader.tags and "img" not in reader.tags
    assert not any(name.startswith("on") for _, name, _ in reader.attributes)


@pytest.mark.parametrize("name", ["base.html.j2"])
def test_the_page_fetches_nothing(name):
    assert "default-src 'none'" in render(name, {"title": "x"})


def test_many_that_moved_are_behind_a_click(monkeypatch):
    monkeypatch.setattr(monitor_page, "AT_ONCE", 1)
    page = render_monitor(watched(), LABELS)
    assert "<summary>2 more</summary>" in page and page.count("Evidence over the windows") == 3
