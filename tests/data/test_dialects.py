"""Separators, encodings and empty columns of tables: found and said, or refused by name."""

import json

import pandas as pd
import pytest

from kft import assets
from kft.data.dialects import Dialect
from kft.data.examples import Columns
from kft.data.inputs import load_labelled
from kft.data.parts import SourceTable
from kft.data.reading import open_table, read_table
from kft.errors import DataError
from kft.recipe.schema import DataSpec
from kft.split.sources import read_sources
from kft.tasks.decimals import as_number
from kft.tasks.registry import TASKS

WORDS = ("den Fall", "alle, ja", "immer")
GERMAN = "Text;Note\r\n" + "".join(f"Für {WORDS[n % 3]} {n};{n % 4},{n % 9}5\r\n" for n in range(60))


def written(folder, name, content):
    (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder / name


def refused(path, **options):
    with pytest.raises(DataError) as caught:
        open_table(path, Dialect(**options))
    assert caught.value.where and caught.value.received and caught.value.next_step
    return caught.value


def test_german_excel_is_read_from_init_to_check(tmp_path, kft_cli):
    written(tmp_path, "t.csv", GERMAN.encode("windows-1252"))
    code, out, err = kft_cli("init", "t.csv", "-o", "r.yaml", "--task", "text-regression")
    assert code == 0, err
    said = " ".join((out + err).split())
    assert "columns are separated by ';' (data.separator: semicolon)" in said
    assert "read as windows-1252, such as 'Für'" in said and "'0,05' is read as 0.05" in said
    text = (tmp_path / "r.yaml").read_text()
    assert "encoding: windows-1252\n" in text and 'separator: ";"' in text
    code, out, err = kft_cli("check", "r.yaml", "--no-features", "--json")
    assert code in (0, 1) and sum(json.loads(out)["n"].values()) == 60, err


def test_two_separators_that_fit_are_refused_until_one_is_named(tmp_path):
    path = written(tmp_path, "a.csv", "text;note,all\ngut;3,5\nnein;1,5\n")
    error = refused(path)
    assert error.problem == "the columns can be separated in two ways"
    assert "--set data.separator=comma or data.separator=semicolon" in error.next_step
    assert read_table(path, separator=";").iloc[0].tolist() == ["gut", "3,5"]
    path = written(tmp_path, "b.csv", "gut;3,5\nnein;1,5\n")
    assert refused(path, columns=("text", "label")).problem == "the columns can be separated in two ways"


def test_a_recipe_that_names_another_separator_is_told(tmp_path):
    path = written(tmp_path, "a.csv", "text,label\na,b\nc,d\n")
    assert "--set data.separator=comma" in refused(path, separator=";").next_step
    table = open_table(path, Dialect(separator=";", firm=False))
    assert table.frame.columns.tolist() == ["text", "label"] and "not by ';' as in training" in table.notes[0]


def test_a_file_to_be_scored_may_have_another_separator(tmp_path):
    path = written(tmp_path, "other.csv", "text;label\ngood, day;a\nbad day;b\n")
    spec, task = DataSpec(train="a.csv", separator=","), TASKS.get("text-classification")
    columns = Columns("text", "label")
    examples, _, notes = load_labelled((SourceTable(path, path),), spec, task, columns=columns, labels=("a", "b"))
    assert list(examples.inputs) == ["good, day", "bad day"]
    assert "read       other.csv: columns are separated by ';', not by ',' as in training" in notes


def test_a_separator_is_refused_where_no_file_has_one(tmp_path, kft_cli):
    rows = [{"text": f"{word} day {n}", "label": word} for n in range(20) for word in ("good", "bad")]
    written(tmp_path, "a.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    pd.DataFrame(rows).to_parquet(tmp_path / "a.parquet")
    for name in ("a.jsonl", "a.parquet"):
        code, _, err = kft_cli("init", name, "-o", "r.yaml", "--separator", "semicolon")
        assert code == 2 and f"received: ';', for {name}" in err and "data.separator" in err
        recipe = {"task": "text-classification", "data": {"train": name, "separator": ";"}}
        written(tmp_path, "r2.yaml", json.dumps(recipe))
        code, _, err = kft_cli("check", "r2.yaml", "--no-features")
        assert code == 2 and "a separator is named, and no file has one" in err
    written(tmp_path, "b.csv", "text;label\ngood day;good\nbad day;bad\n")
    spec = DataSpec(train="a.jsonl", test="b.csv", separator=";", text="text", label="label")
    found = read_sources(spec, task=TASKS.get("text-classification"), base=tmp_path, locate=assets.locate)
    assert [len(rows[0].frame) for rows in found.rows.values()] == [40, 2]


def test_the_files_of_one_source_have_one_separator(tmp_path, kft_cli):
    written(tmp_path, "a.csv", "text,label\n" + "good day,a\nbad day,b\n" * 9)
    written(tmp_path, "b.csv", "text;label\n" + "good, day;a\nbad day;b\n" * 9)
    code, _, err = kft_cli("init", "*.csv", "-o", "r.yaml")
    assert code == 2 and "have different separators" in err and "';' in b.csv" in err


def test_empty_columns_of_a_spreadsheet_are_left_out_and_said(tmp_path):
    table = open_table(written(tmp_path, "a.csv", "v1,v2,,,\nham,Go,,,\nspam,Win,,,\n"))
    assert table.frame.to_numpy().tolist() == [["ham", "Go"], ["spam", "Win"]]
    assert table.notes == ("a.csv: 3 columns without a name and without values are left out",)
    error = refused(written(tmp_path, "a.csv", "v1,v2,,\nham,Go, now,\nspam,Win,,\n"))
    assert error.problem == "a column has values and no name" and "column 3 of 4" in error.where
    path = written(tmp_path, "a.csv", "ham,Go,,\nspam,Win,,\n")
    assert read_table(path, columns=["label", "text"]).to_numpy().tolist() == [["ham", "Go"], ["spam", "Win"]]


def test_a_line_that_excel_reads_names_the_separator(tmp_path):
    table = open_table(written(tmp_path, "a.csv", "sep=;\r\ntext;label\r\na, b;c\r\n"))
    assert table.frame.to_numpy().tolist() == [["a, b", "c"]] and "first line says" in table.notes[0]


@pytest.mark.parametrize(
    "text, encoding",
    [("fällt für", "cp850"), ("fällt für", "mac-roman"), ("Привет, мир", "cp1251"), ("日本語です", "shift_jis")],
)
def test_another_encoding_is_not_taken_for_windows_1252(tmp_path, text, encoding):
    path = written(tmp_path, "a.csv", f"text,label\n{text};x,a\n".encode(encoding))
    error = refused(path)
    assert "not UTF-8, and no words in windows-1252" in error.problem and "data.encoding" in error.next_step


def test_damaged_utf_8_is_not_taken_for_windows_1252(tmp_path):
    assert "not UTF-8" in refused(written(tmp_path, "a.csv", "text,label\nfür alle,ä\n".encode()[:-2])).problem


@pytest.mark.parametrize(
    "cell, value",
    [
        ("3,5", 3.5),
        ("-0,125", -0.125),
        ("1.234,5", 1234.5),
        ("1,234.5", 1234.5),
        ("1.234", 1.234),
        ("12,3456", 12.3456),
    ],
)
def test_decimal_commas(cell, value):
    assert as_number(cell) == value


def test_numbers_that_can_be_two_are_refused(tmp_path, kft_cli):
    written(tmp_path, "a.csv", "text,rating\n" + 'good day,"1,234"\nbad day,"2,5"\nso so,3\n' * 9)
    code, out, err = kft_cli("init", "a.csv", "-o", "r.yaml", "--task", "text-regression")
    assert code == 0 and "label can be two numbers, 1.234 or 1234 (9)" in " ".join((out + err).split()), err
    written(tmp_path, "b.csv", "text,rating\n" + 'good day,1.234\nbad day,"2,5"\n' * 9)
    code, _, err = kft_cli("init", "b.csv", "-o", "s.yaml", "--task", "text-regression")
    assert code == 2 and "a number can be read in two ways" in err


def test_corrected_tables_keep_the_separator_of_the_recipe(tmp_path):
    from kft.curate.rewriting import Edit, write_rows
    from kft.data.parts import SourceTable
    from kft.data.tables import Rows
    from kft.recipe.schema import DataSpec

    path = written(tmp_path, "a.csv", "text;label\na, b;x\nc;y\n")
    spec = DataSpec(train="a.csv", separator=";")
    rows = Rows("a.csv", read_table(path, separator=";"))
    write_rows(SourceTable(path, path), rows, tmp_path / "b.csv", spec, Edit([0, 1], {1: {"label": "z"}}))
    assert (tmp_path / "b.csv").read_text() == "text;label\na, b;x\nc;z\n"
    assert read_table(tmp_path / "b.csv", separator=";").label.tolist() == ["x", "z"]


@pytest.mark.parametrize("given", [";", "semicolon", "tab", "\t", "|", "comma"])
def test_separators_have_names(given):
    from kft.recipe.schema import DataSpec

    assert DataSpec(train="a.csv", separator=given).separator in (",", ";", "tab", "|")
