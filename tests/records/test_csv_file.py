"""Tables for people: no cell is a formula to a spreadsheet, and every cell comes back as it was."""

import csv
import io

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from kft.curate.corrections import Correction, as_csv, read_corrections
from kft.errors import RunError
from kft.records.csv_file import neutral, original, read_rows, read_table, write_csv

FORMULAS = [
    "=1+1",
    "+1+cmd|' /C calc'!A0",
    "-2+3+cmd|' /C calc'!A0",
    "@SUM(1+1)",
    "\t=1",
    "\r=1",
    "  =1",
    "\u00a0=1",
    "'=1",
    "\uff1d1+1",
    "\u22122+3",
    "-",
    "--1",
    "-1-1",
    "+49 170 1234",
]
NEW_CELLS = ["a;=1", "a\t@SUM(1)", "two lines\n=1", "a;'=1", "a; -1+1;"]
PLAIN = ["-0.5", "+1", "-1e-7", "1", "a-b", "'tis", "''", "", "e=mc2", "a; b", "[=1]", "x\ny"]
CELLS = st.text(st.sampled_from("=+-@'; \t\r\nab1,\"\uff1d\u00a0|"), max_size=9)


@pytest.mark.parametrize("cell", FORMULAS)
def test_what_would_be_a_formula_begins_with_a_quote(cell):
    assert neutral(cell) == "'" + cell.replace("\t=", "\t'=").replace("\r=", "\r'=")
    assert original(neutral(cell)) == cell


@pytest.mark.parametrize("cell", NEW_CELLS)
def test_no_cell_begins_a_formula_under_another_separator(cell):
    for mark in ";\t\n":
        assert not any(part.lstrip(" ").startswith(("=", "+", "-", "@")) for part in neutral(cell).split(mark))
    assert original(neutral(cell)) == cell


@pytest.mark.parametrize("cell", PLAIN)
def test_numbers_and_words_stay_as_they_are(cell):
    assert neutral(cell) == original(cell) == cell


@settings(max_examples=400, deadline=None, derandomize=True, database=None)
@given(CELLS, CELLS)
@example("'=1", "=1")
@example("''=1", "'=1")
def test_every_cell_comes_back_and_no_two_become_one(cell, other):
    assert original(neutral(cell)) == cell
    assert (neutral(cell) == neutral(other)) == (cell == other)


@settings(max_examples=60, deadline=None, derandomize=True, database=None)
@given(st.lists(st.lists(CELLS, min_size=2, max_size=2), max_size=4))
def test_a_table_comes_back_whole(tmp_path_factory, rows):
    path = tmp_path_factory.mktemp("table") / "t.csv"
    write_csv(path, ("id", "=label"), rows)
    assert read_rows(path) == [["id", "=label"], *rows]
    assert read_table(path) == [{"id": one, "=label": two} for one, two in rows]


def test_corrections_name_the_labels_that_the_data_have(tmp_path):
    changes = [Correction("=a.csv:3", "relabel", "@home", text="-1+1"), Correction("b", "relabel", "'=x")]
    path = tmp_path / "corrections.csv"
    path.write_text(as_csv(changes), encoding="utf-8")
    shown = list(csv.reader(io.StringIO(path.read_text())))
    assert [cell for row in shown for cell in row if cell.startswith(("=", "+", "-", "@"))] == []
    assert [(each.id, each.label, each.text) for each in read_corrections(path)] == [
        ("=a.csv:3", "@home", "-1+1"),
        ("b", "'=x", ""),
    ]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", ["an empty file"]),
        ("id,label\na,b\nc\n", ["row 3", "1 cells, and 2 in the first row"]),
        ("id,la", []),
        ("id,label\na,b,c\n", ["row 2", "3 cells"]),
    ],
)
def test_a_table_that_was_cut_short_is_named(tmp_path, text, words):
    path = tmp_path / "per_class.csv"
    path.write_text(text)
    if not words:
        assert read_table(path) == []
        return
    with pytest.raises(RunError, match=r"per_class\.csv is damaged") as failed:
        read_table(path)
    assert all(word in str(failed.value) for word in words) and f"kft evaluate {tmp_path}" in str(failed.value)
