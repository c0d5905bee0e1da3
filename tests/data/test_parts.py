"""Several files, globs, parquet, encodings and HTML entities: what a source may be, and when it is refused."""

import pandas as pd
import pytest

from kft.assets import locate
from kft.data.inputs import as_inputs, read_inputs
from kft.data.parts import SOURCES, SourceKind, SourceTable
from kft.data.reading import read_table
from kft.errors import DataError, RecipeError
from kft.recipe.schema import DataSpec
from kft.split.data_split import load_split
from kft.tasks.recipes import load_recipe
from kft.tasks.registry import TASKS

TEXTS = TASKS.get("text-classification")


def rows(count, start=0):
    return pd.DataFrame([(f"text {start + i}", "ab"[i % 2]) for i in range(count)], columns=["text", "label"])


def load(folder, source="train.csv", task="text-classification", **spec):
    return load_split(DataSpec(train=source, **spec), task=TASKS.get(task), base=folder, locate=locate)


def refused(folder, source, **spec):
    with pytest.raises(DataError) as caught:
        load(folder, source, **spec)
    assert all((caught.value.where, caught.value.received, caught.value.expected, caught.value.next_step))
    return caught.value


@pytest.fixture
def parts(tmp_path):
    """Three csv files, of which two have the same name."""
    for number, name in enumerate(("one/rows.csv", "two/rows.csv", "two/more.csv")):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        rows(10, start=100 * number).to_csv(tmp_path / name, index=False)
    return tmp_path


def test_a_glob_and_a_list_of_files_are_the_same_split(parts):
    listed = load(parts, ["one/rows.csv", "two/more.csv", "two/rows.csv"])
    found = load(parts, "*/*.csv")
    assert found.split_hash == listed.split_hash and found.data_hash == listed.data_hash
    ids = {str(one) for key in ("train", "valid", "test") for one in found.part(key).ids}
    assert len(ids) == 30 and {"one/rows.csv:1", "two/rows.csv:10", "two/more.csv:5"} <= ids
    assert "one/rows.csv and 2 more" in found.how


def test_one_file_is_named_as_before_and_a_split_may_be_several(parts):
    split = load(parts, "one/rows.csv", valid="two/*.csv", test="15%")
    assert str(split.train.ids[0]).startswith("one/rows.csv:") and len(split.valid) == 20
    assert set(load(parts, "two/more.csv", test=["one/rows.csv"]).test.ids) >= {"rows.csv:1"}


def test_a_glob_without_a_match_shows_what_lies_beside(parts):
    error = refused(parts, "two/*.tsv")
    assert error.problem == "no file matches 'two/*.tsv'"
    assert error.where == str(parts / "two") and error.received == "more.csv, rows.csv"


def test_parts_with_other_columns_are_refused(parts):
    rows(3).rename(columns={"label": "queue"}).to_csv(parts / "two" / "odd.csv", index=False)
    error = refused(parts, "two/*.csv")
    assert error.problem == "the files of one split have different columns"
    assert error.received == "odd.csv lacks 'label' and has 'queue' besides"


def test_one_file_twice_in_a_split_or_in_two_splits(parts):
    assert refused(parts, ["two/more.csv", "two/*.csv"]).problem == "one file is in a list twice"
    assert refused(parts, "two/*.csv", test="two/more.csv").problem == "two splits are the same file"


def test_ids_of_a_column_are_unique_over_all_parts(parts):
    for name in ("more", "rows"):
        rows(10).assign(key=range(10)).to_csv(parts / "two" / f"{name}.csv", index=False)
    error = refused(parts, "two/*.csv", id="key")
    assert error.problem == "ids must be unique and not empty" and "0 (2 times)" in error.received
    assert "more.csv and 1 more, column 'key'" in error.where


def test_labels_of_all_parts_are_read_alike(parts):
    frames = [pd.DataFrame({"text": [f"{name} {i}" for i in range(6)], "label": [name] * 6}) for name in ("a;b", "b")]
    for number, frame in enumerate(frames):
        frame.to_csv(parts / f"part{number}.csv", index=False)
    split = load(parts, "part*.csv", "text-multi-label")
    assert split.labels == ("a", "b")


def test_a_list_may_not_be_empty_or_hold_numbers(tmp_path):
    for source in ([], 5, ["a.csv", 5]):
        with pytest.raises(RecipeError, match=r"data.train: received .*, expected a file, or a list of files"):
            load_recipe({"task": "text-classification", "data": {"train": source}})


def test_a_recipe_in_a_run_finds_lists_and_globs_again(tmp_path):
    values = {"task": "text-classification", "data": {"train": ["a/*.csv", "package:x"], "valid": "tfds:x?split=a"}}
    again = load_recipe(values, base=tmp_path).comparable()
    assert again["data.train"] == [f"{tmp_path}/a/*.csv", "package:x"]
    assert again["data.valid"] == "tfds:x?split=a" and again["data.test"] == "15%"
    (tmp_path / "x").mkdir()  # a folder wins over a name, as everywhere
    assert load_recipe(values, base=tmp_path).comparable()["data.valid"] == f"tfds:{tmp_path}/x?split=a"


def test_parquet_cells_keep_what_they_are(tmp_path):
    frame = rows(20).assign(n=pd.array([None, *range(19)], "Int64"), many=[["x", "y"]] * 20)
    frame.to_parquet(tmp_path / "train.parquet")
    read = read_table(tmp_path / "train.parquet")
    assert repr(read.n.tolist()[:3]) == "[None, 0, 1]" and read.many[0] == ["x", "y"]
    assert len(load(tmp_path, "train.parquet").train) == 14
    whole = (tmp_path / "train.parquet").read_bytes()
    (tmp_path / "train.parquet").write_bytes(whole[:-10])
    assert refused(tmp_path, "train.parquet").problem == "the file is not a whole parquet file"


@pytest.mark.parametrize("encoding", ["windows-1252", "utf-8", "utf-8-sig", "utf-16"])
def test_an_encoding_is_for_files_that_are_not_utf_8(tmp_path, encoding):
    frame = rows(20)
    frame["text"] += " für 5 €"
    (tmp_path / "train.csv").write_bytes(frame.to_csv(index=False).encode(encoding))
    assert all(text.endswith("für 5 €") for text in load(tmp_path, encoding="windows-1252").train.inputs)


def test_seven_bit_encodings_are_read_as_told(tmp_path):
    frame = rows(20)
    frame["text"] += " 日本"
    for encoding in ("iso-2022-jp", "shift_jis", "utf-16-le"):
        (tmp_path / "train.csv").write_bytes(frame.to_csv(index=False).encode(encoding))
        assert load(tmp_path, encoding=encoding).train.inputs[0].endswith("日本"), encoding


def test_another_encoding_is_refused_with_the_key_that_mends_it(tmp_path):
    (tmp_path / "train.csv").write_bytes("text,label\nfür,\x81\n".encode("latin-1"))
    error = refused(tmp_path, "train.csv")
    assert error.problem == "the file is not UTF-8, and no words in windows-1252"
    assert error.where.endswith("line 2, byte 12")
    assert error.next_step.startswith("--set data.encoding=windows-1252")
    error = refused(tmp_path, "train.csv", encoding="ascii")
    assert error.problem == "the file is not ascii" and "data.encoding" in error.next_step
    for name in ("windows-1252x", "zlib", "idna"):
        with pytest.raises(RecipeError, match="expected an encoding that Python knows"):
            load_recipe({"task": "text-classification", "data": {"train": "a.csv", "encoding": name}})


def test_entities_are_decoded_in_training_and_in_use_alike(tmp_path):
    frame = rows(20)
    frame["text"] = "fish &amp;amp; chips &lt;" + frame["text"]
    frame.to_csv(tmp_path / "train.csv", index=False)
    kept, decoded = load(tmp_path), load(tmp_path, html="unescape")
    assert kept.train.inputs[0].startswith("fish &amp;amp; chips &lt;")
    assert decoded.train.inputs[0].startswith("fish & chips <text")
    spec = DataSpec(train="train.csv", html="unescape")
    assert as_inputs("a &lt; b", TEXTS, spec) == ["a < b"]
    assert as_inputs([("a &lt; b", "&amp;")], TASKS.get("text-pairs"), spec) == [("a < b", "&")]
    assert read_inputs(tmp_path / "train.csv", TEXTS, spec, column="text").inputs[0].startswith("fish & chips <text")
    (tmp_path / "lines.txt").write_text("R&amp;D\n")
    assert read_inputs(tmp_path / "lines.txt", TEXTS, spec, column="text").inputs == ["R&D"]
    assert read_inputs(tmp_path / "lines.txt", TEXTS, DataSpec(train="a"), column="text").inputs == ["R&amp;D"]


def test_a_text_of_entities_for_spaces_alone_is_empty(tmp_path):
    frame = rows(20)
    frame.loc[3, "text"] = "&nbsp; "
    frame.to_csv(tmp_path / "train.csv", index=False)
    assert len(load(tmp_path).train) == 14
    with pytest.raises(DataError, match="1 row cannot be used: empty text"):
        load(tmp_path, html="unescape")


def test_entities_are_not_decoded_where_spans_count_characters():
    with pytest.raises(RecipeError, match=r"data.html: only for .*; the task is token-tagging"):
        load_recipe({"task": "token-tagging", "data": {"train": "a.csv", "html": "unescape"}})


def test_a_kind_of_source_of_ones_own_is_one_function_and_one_line(tmp_path, monkeypatch):
    """What docs/data.md says of sources."""

    def open_made(source, base):
        return [SourceTable(base / source.removeprefix("made:"), rows(20))]

    kinds = dict(SOURCES._entries, made=SourceKind(lambda source, base: source.startswith("made:"), open_made))
    monkeypatch.setattr(SOURCES, "_entries", kinds)
    split = load(tmp_path, "made:twenty")
    assert len(split.train) + len(split.valid) + len(split.test) == 20
    assert str(split.train.ids[0]).startswith("twenty:")
