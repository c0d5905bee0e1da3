"""Files to tables: what is read, and what is refused with which words."""

import pandas as pd
import pytest

from kft.data.reading import read_table
from kft.errors import DataError


def write(folder, name, content):
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def refused(path, **options):
    with pytest.raises(DataError) as caught:
        read_table(path, **options)
    error = caught.value
    assert all((error.where, error.received, error.expected, error.next_step)), str(error)
    return error


def test_csv_cells_are_text_and_quoting_follows_rfc_4180(tmp_path):
    content = 'text,label\r\n"a ""b"", c\r\nd",007\r\n\r\nNA,null\r\n,1.50\r\n'
    frame = read_table(write(tmp_path, "a.csv", content))
    assert frame.to_numpy().tolist() == [['a "b", c\r\nd', "007"], ["NA", "null"], ["", "1.50"]]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
def test_a_byte_order_mark_is_no_part_of_the_first_name(tmp_path, encoding):
    mark = {"utf-16-le": b"\xff\xfe", "utf-16-be": b"\xfe\xff"}.get(encoding, b"")
    frame = read_table(write(tmp_path, "a.csv", mark + "text,label\nÄrger 😀,x\n".encode(encoding)))
    assert frame.columns.tolist() == ["text", "label"]
    assert frame.text.tolist() == ["Ärger 😀"]


def test_in_a_ground_truth_file_a_quotation_mark_is_only_a_character(tmp_path):
    path = write(tmp_path, "truth.txt", '1_1\t2.5\t"Great\n1_2\t-1\tsays "no"\n2_1\t0\tends"\n')
    frame = read_table(path, columns=["id", "rating", "text"])
    assert frame.text.tolist() == ['"Great', 'says "no"', 'ends"']
    assert read_table(write(tmp_path, "b.txt", 'text\tlabel\n"hm\ta\n')).text.tolist() == ['"hm']


def test_tsv_with_a_header_unquotes(tmp_path):
    assert read_table(write(tmp_path, "a.tsv", 'text\tlabel\n"a ""b"""\tx\n')).text.tolist() == ['a "b"']


def test_json_lines_keep_digits_and_line_separators(tmp_path):
    content = '{"text": "a\u2028b\x85", "label": 1.10, "x": NaN}\n\n{"label": true}\r\n{"x": [1]}'
    frame = read_table(write(tmp_path, "a.jsonl", content))
    assert frame.to_numpy().tolist() == [["a\u2028b\x85", "1.10", ""], ["", "true", ""], ["", "", ["1"]]]


def test_a_cell_of_ten_megabytes_is_read(tmp_path):
    path = write(tmp_path, "a.csv", f"text,label\n{'x' * 10_000_000},a\n")
    assert len(read_table(path).text[0]) == 10_000_000


@pytest.mark.parametrize(
    ("name", "content", "options", "problem", "where", "received", "next_step"),
    [
        ("a.csv", "", {}, "no rows", "a.csv", "an empty file", "right file"),
        ("a.jsonl", "\n", {}, "no rows", "a.jsonl", "an empty file", "right file"),
        ("a.txt", "", {"columns": ["a", "b"]}, "no rows", "a.txt", "an empty file", "right file"),
        ("a.csv", "text,label\n", {}, "no rows", "a.csv", "a header and nothing else", "right file"),
        ("a.csv", "t,l\na,b\n\nc\n", {}, "number of fields", "line 4", "1 fields: c", "double quotes"),
        (
            "a.csv",
            't,l\n"a\nb",c\nd,e,f\n',
            {},
            "number of fields",
            "line 4",
            "3 fields: d | e | f",
            "double",
        ),
        (
            "a.txt",
            "a\tb\tc\n",
            {"columns": ["x", "y"]},
            "number of fields",
            "line 1",
            "3 fields",
            "data.columns",
        ),
        ("a.csv", "t,l,t\na,b,c\n", {}, "same name", "line 1", "'t'", "rename"),
        ("a.csv", 't,l\na,b\n"c,d\ne,f\n', {}, "quoted", "line 3", "unexpected end of data", '""'),
        ("a.csv", 't,l\n"a"b,c\n', {}, "quoted", "line 2", "expected after", '""'),
        ("a.tsv", 't\tl\n"a\tb\nc"\td\n', {}, "quoted", "line 2", "tab and a line break", ".txt"),
        ("a.txt", "one text a line\n", {}, "no tab", "line 1", "one text a line", "csv"),
        ("a.xlsx", "PK", {}, "damaged or encrypted", "a.xlsx", "File is not a zip file", "csv in UTF-8"),
        ("a.ods", "PK", {}, "kind '.ods'", "a.ods", "a.ods", "save the table as csv"),
        ("a", "t,l", {}, "kind 'without an ending'", "a", "a", "csv"),
        (
            "a.csv",
            b"\xef\xbb\xbft,l\na,b\nM\xfcll,c\n",
            {},
            "not UTF-8",
            "line 3, byte 12",
            "0xfc",
            "iconv -f WIND",
        ),
        (
            "a.csv",
            "t,l\na,b".encode("utf-16") + b"\x00",
            {},
            "not UTF-16",
            "line 2, byte 16",
            "0x00",
            "-f UTF-16",
        ),
        ("a.csv", "t,l\na,b\0\n", {}, "NUL", "line 2", "code 0", "UTF-16"),
        ("a.csv", "t,l\na,b\n".encode("utf-16-le"), {}, "NUL", "line 1", "code 0", "UTF-16"),
        ("a.jsonl", '{"text": "a"}\n{"text"', {}, "not a JSON object", "line 2", '{"text"', "Expecting"),
        ("a.jsonl", "[1]", {}, "not a JSON object", "line 1", "[1]", "this is none"),
        ("a.jsonl", "[" * 200_000, {}, "not a JSON object", "line 1", "[[", "nested too deeply"),
        (
            "a.jsonl",
            '{"t": 1, "t": 2}',
            {},
            "not a JSON object",
            "line 1",
            '"t": 2',
            "'t' is there twice",
        ),
        ("a.jsonl", '{"t": "\\ud83d"}', {}, "not a JSON object", "line 1", "ud83d", "half a surrogate pair"),
    ],
)
def test_what_is_no_table_is_refused_once_and_clearly(
    tmp_path, name, content, options, problem, where, received, next_step
):
    error = refused(write(tmp_path, name, content), **options)
    assert problem in error.problem
    assert where in error.where
    assert received in error.received
    assert next_step in error.next_step


def test_a_missing_file_and_a_folder_are_refused(tmp_path):
    assert "No such file" in refused(tmp_path / "none.csv").received
    (tmp_path / "folder.csv").mkdir()
    assert "directory" in refused(tmp_path / "folder.csv").received


def test_a_dataframe_is_copied_and_its_names_become_text():
    frame = pd.DataFrame({0: ["a"], "label": [1]})
    read = read_table(frame)
    assert read.columns.tolist() == ["0", "label"] and frame.columns.tolist() == [0, "label"]
    assert "'1'" in refused(pd.DataFrame([["a", "b"]], columns=[1, "1"])).received
    assert refused(frame.iloc[:0]).received == "a DataFrame without rows"


@pytest.mark.parametrize(
    ("start", "kind"), [(b"PK\x03\x04", "a spreadsheet (xlsx, ods) or a zip archive"), (b"\x89PNG\r\n", "an image")]
)
def test_a_file_that_is_no_text_is_told_from_one_in_another_encoding(tmp_path, start, kind):
    (tmp_path / "table.csv").write_bytes(start + bytes(range(256)))
    with pytest.raises(DataError) as caught:
        read_table(tmp_path / "table.csv")
    assert caught.value.problem == "the file is not text, whatever its name says"
    assert caught.value.received == f"the first bytes of {kind}" and "export it as csv" in caught.value.next_step
