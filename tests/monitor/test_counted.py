"""Rows that were counted are told by what files hold: repeated, grown, renamed; half a line is refused."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from kft.errors import DataError
from kft.monitor.counted import Counted, image_key, look_at, look_at_rows


def marked(path, rows):
    return [replace(look_at(path, ())[0], rows=rows)]


def test_a_file_that_was_counted_is_known_under_any_name_and_when_it_has_grown(tmp_path):
    day = tmp_path / "day.csv"
    day.write_text("text\none\ntwo\n")
    marks = marked(day, 2)
    copy = tmp_path / "other.csv"
    copy.write_text(day.read_text())
    assert look_at(copy, marks)[1] == marks[0]
    with day.open("a") as file:
        file.write("three\n")
    mark, before = look_at(day, marks)
    assert before.rows == 2 and mark.size > before.size
    day.write_text("text\none\ntw0\nthree\n")
    assert look_at(day, marks)[1] is None


def test_of_several_marks_the_longest_counts(tmp_path):
    day = tmp_path / "day.csv"
    day.write_text("text\none\n")
    marks = marked(day, 1)
    day.write_text("text\none\ntwo\n")
    marks += marked(day, 2)
    day.write_text("text\none\ntwo\nthree\n")
    assert look_at(day, marks)[1].rows == 2


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_the_last_line_may_lack_its_end_when_it_is_counted(tmp_path, end):
    day = tmp_path / "day.csv"
    day.write_bytes(end.join(["text", "one", "two"]).encode())
    marks = marked(day, 2)
    day.write_bytes(end.join(["text", "one", "two", "three", ""]).encode())
    assert look_at(day, marks)[1].rows == 2


def test_a_line_that_was_counted_half_written_is_refused_until_the_whole_file_was_counted(tmp_path):
    day = tmp_path / "day.csv"
    day.write_text("text\none\n")
    marks = marked(day, 1)
    day.write_text("text\none\ntw")
    marks += marked(day, 2)
    day.write_text("text\none\ntwo\n")
    with pytest.raises(DataError, match="this file was counted when its last line was half written") as failed:
        look_at(day, marks)
    assert "after the 2 rows that were counted" in str(failed.value) and failed.value.where == str(day)
    assert "--state NEW_FOLDER" in failed.value.next_step
    marks += marked(day, 2)
    assert look_at(day, marks)[1] == marks[-1]
    day.write_text("text\none\nfour\n")
    assert look_at(day, marks)[1].rows == 1


def test_a_parquet_file_is_counted_whole_or_not_at_all(tmp_path):
    path = tmp_path / "day.parquet"
    pd.DataFrame({"text": ["one"]}).to_parquet(path)
    marks = marked(path, 1)
    assert look_at(path, marks)[1] == marks[0]
    path.write_bytes(path.read_bytes() + b"more")
    assert look_at(path, marks)[1] is None


def test_rows_in_memory_are_known_when_more_follow():
    hashes = np.arange(10, dtype=np.uint64)
    mark, before = look_at_rows(hashes[:6], ())
    assert before is None and mark.rows == 6
    assert look_at_rows(hashes, (mark,))[1] == mark
    assert look_at_rows(hashes[::-1], (mark,))[1] is None


def test_an_image_is_told_by_its_path_and_its_content(tmp_path):
    for name in ("a.png", "b.png"):
        (tmp_path / name).write_bytes(b"the same picture")
    keys = [image_key(name, tmp_path / name) for name in ("a.png", "b.png")]
    assert keys[0] != keys[1] and image_key("a.png", tmp_path / "b.png") == keys[0]
    assert image_key("gone.png", tmp_path / "gone.png")


def test_a_mark_stands_once():
    mark = look_at_rows(np.arange(3, dtype=np.uint64), ())[0]
    assert Counted().with_mark(mark).with_mark(mark).marks == (mark,)
