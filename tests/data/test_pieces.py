"""A large table in pieces: the same rows as when it is read whole."""

import json

import pandas as pd
import pytest

from kft.data import pieces
from kft.data.inputs import read_inputs
from kft.data.pieces import NotInPieces, is_cut, pieces_of
from kft.recipe.schema import DataSpec
from kft.tasks.registry import TASKS

TASK = TASKS.get("text-classification")
SPEC = DataSpec(train="a.csv")
TEXTS = [
    "one, two",
    'say "so"\nthen',
    "\u00fc \u2028 x",
    "=1",
    " ",
    "tab\there",
    "'quoted'",
    "a;b",
    'in"side',
    "\u4e2d",
]
FRAME = pd.DataFrame({"text": TEXTS * 40, "n": [str(number) for number in range(400)], "more": ["x"] * 400})


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setattr(pieces, "LARGE", 0)
    monkeypatch.setattr(pieces, "PIECE", 1000)
    monkeypatch.setattr(pieces, "PIECE_ROWS", 70)


def write(path, how):
    lines = FRAME.to_dict("records")
    if how == "parquet":
        FRAME.assign(n=range(400)).to_parquet(path)
    elif how == "jsonl":
        path.write_text("\n\n".join(json.dumps(line, ensure_ascii=False) for line in lines))
    elif how == "txt":
        path.write_text("".join(f"line {number}\n" for number in range(400)) + "the last")
    elif how == "tsv":
        FRAME[~FRAME["text"].str.contains('\n|\t|"', regex=True)].to_csv(path, sep="\t", index=False)
    else:
        ends = "\r\n" if how == "windows" else "\n"
        sep = ";" if how in ("semicolon", "excel") else ","
        text = FRAME.to_csv(index=False, lineterminator=ends, sep=sep)
        start = {"excel": "sep=;\n", "mark": "\ufeff", "blank": "\n\n"}.get(how, "")
        path.write_bytes((start + text + ("\n\n" if how == "blank" else "")).encode())
    return path


WAYS = {"csv": ".csv", "windows": ".csv", "semicolon": ".csv", "excel": ".csv", "mark": ".csv", "blank": ".csv"}
WAYS |= {"tsv": ".tsv", "txt": ".txt", "jsonl": ".jsonl", "parquet": ".parquet"}


@pytest.mark.parametrize("how", WAYS)
def test_pieces_hold_the_rows_of_the_whole(how, tmp_path):
    path = write(tmp_path / f"rows{WAYS[how]}", how)
    assert is_cut(path, TASK, SPEC)
    whole = read_inputs(path, TASK, SPEC, column="text", unusable="keep")
    found = [read_inputs(piece, TASK, spec, column="text", unusable="keep") for piece, spec in pieces_of(path, SPEC)]
    assert len(found) > 3
    assert [text for given in found for text in given.inputs] == whole.inputs
    rows = pd.concat([given.table for given in found], ignore_index=True)
    pd.testing.assert_frame_equal(rows, whole.table.reset_index(drop=True))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", "text,n\nf\u00fcr,1\n".encode("windows-1252")),
        ("a.csv", "text,n\nx,1\n".encode("utf-16")),
        ("a.csv", b"text,n\nx\0,1\n"),
        ("a.csv", b'text,n\r"open,1\r'),
        ("a.csv", b'text,n\n"open,1\n'),
        ("a.jsonl", b' [{"text": "a"}]'),
        ("a.parquet", b"PAR1 but no more"),
    ],
)
def test_what_has_to_be_read_whole(name, content, tmp_path):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(NotInPieces):
        list(pieces_of(tmp_path / name, SPEC))


def test_what_is_cut(tmp_path, monkeypatch):
    path = write(tmp_path / "a.csv", "csv")
    assert not is_cut(path, TASKS.get("token-tagging"), SPEC)
    assert not is_cut(path, TASKS.get("image-classification"), SPEC)
    assert not is_cut(path, TASK, DataSpec(train="a.csv", columns=("text",)))
    assert not is_cut(tmp_path, TASK, SPEC) and not is_cut(tmp_path / "none.csv", TASK, SPEC)
    monkeypatch.setattr(pieces, "LARGE", 2**30)
    assert not is_cut(path, TASK, SPEC)
