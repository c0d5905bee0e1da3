"""Excel's files as tables: the values that a person sees, or a refusal by name."""

from datetime import date

import pytest
from openpyxl import Workbook

from kft.data.reading import read_table
from kft.errors import DataError


def written(path, *rows, change=lambda book: None):
    book = Workbook()
    for row in rows:
        book.active.append(row)
    change(book)
    book.save(path)
    return path


HEAD = ["text", "label"]


def test_cells_are_text(tmp_path):
    path = written(
        tmp_path / "a.xlsx",
        ["text", "label", "stars", "day", "fine"],
        ["It broke", "bad", 2.0, date(2026, 1, 5), True],
        ["NA", "good", 4.5, None, None],
        [],
    )
    frame = read_table(path)
    assert frame.values.tolist() == [["It broke", "bad", "2", "2026-01-05", "true"], ["NA", "good", "4.5", "", ""]]


@pytest.mark.parametrize(
    ("rows", "change", "problem", "text"),
    [
        (
            [HEAD, ["a", "b"]],
            lambda book: book.create_sheet("More").append(["x"]),
            "the workbook has several sheets with values",
            "'Sheet', 'More'",
        ),
        ([HEAD, ["a", "b"], ["c", "b"]], lambda book: book.active.merge_cells("B2:B3"), "cells are merged", "B2:B3"),
        ([HEAD, ["a", "=A2"]], lambda book: None, "a formula was saved without its value", "=A2"),
        ([["text", None], ["a", "b"]], lambda book: None, "a column has values and no name", "text"),
        ([], lambda book: None, "the workbook holds no values", "empty sheets"),
        ([HEAD], lambda book: None, "there are no rows", "columns and no row"),
        ([["text", "text"], ["a", "b"]], lambda book: None, "two columns have the same name", "'text'"),
    ],
)
def test_what_is_not_one_table_is_refused(tmp_path, rows, change, problem, text):
    with pytest.raises(DataError, match=problem) as caught:
        read_table(written(tmp_path / "a.xlsx", *rows, change=change))
    assert text in caught.value.received


@pytest.mark.parametrize(
    "content", [b"", b"PK\x03\x04 no archive", b"\xd0\xcf\x11\xe0 encrypted", b"text,label\na,b\n"]
)
def test_damaged_files_are_refused(tmp_path, content):
    (tmp_path / "a.xlsx").write_bytes(content)
    with pytest.raises(DataError, match="the spreadsheet is damaged or encrypted"):
        read_table(tmp_path / "a.xlsx")


def test_an_error_in_a_cell_is_no_label(tmp_path):
    from kft.tasks.cells import text_problem

    frame = read_table(written(tmp_path / "a.xlsx", HEAD, ["a", "#N/A"]))
    assert text_problem(frame["label"][0]) == "the cell B2 holds the error #N/A"
