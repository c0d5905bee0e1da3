"""Corrections applied to copies of a person's files."""

import json
from pathlib import Path

import pandas as pd
import pytest

import kft
from kft.curate.corrections import Correction, as_csv, read_corrections
from kft.data.reading import read_table
from kft.errors import DataError, UsageError
from kft.recipe.schema import DataSpec
from kft.tasks.registry import TASKS

ROWS = [("It broke.", "bad"), ("It works, and well.", "good"), ("Fine", "good"), ("Awful", "bad")]


def table(folder: Path, *changes: tuple[str, ...]) -> Path:
    path = folder / "corrections.csv"
    path.write_text(as_csv(Correction(*change) for change in changes), encoding="utf-8")
    return path


def recipe(source: str, **data: object) -> dict[str, object]:
    return {"task": "text-classification", "data": {"train": source, "text": "text", "label": "label", **data}}


def write_csv(path: Path, rows=ROWS) -> Path:
    pd.DataFrame(rows, columns=["text", "label"]).to_csv(path, index=False)
    return path


def test_rows_are_dropped_and_relabelled_and_the_source_stays(tmp_path):
    source = write_csv(tmp_path / "rows.csv")
    before = source.read_bytes()
    changes = table(tmp_path, ("rows.csv:1", "drop"), ("rows.csv:3", "relabel", "bad"), ("rows.csv:4", "keep", "good"))
    result = kft.apply_corrections(recipe(str(source)), changes, tmp_path / "mended.csv")
    assert (result.dropped, result.relabelled, result.kept) == (1, 1, 1)
    assert source.read_bytes() == before
    assert pd.read_csv(tmp_path / "mended.csv").to_numpy().tolist() == [
        ["It works, and well.", "good"],
        ["Fine", "bad"],
        ["Awful", "bad"],
    ]
    assert result.notes == (
        f"name {tmp_path / 'mended.csv'} in the recipe instead of rows.csv, and kft check again: row numbers move",
    )


def test_a_class_that_loses_all_rows_is_named(tmp_path):
    source = write_csv(tmp_path / "rows.csv", [*ROWS, ("So so", "mixed"), ("Well", "mixed")])
    changes = [Correction(f"rows.csv:{row}", "keep", "good", check="label-noise") for row in (5, 6)]
    mended = str(tmp_path / "mended.csv")
    result = kft.apply_corrections(recipe(str(source)), pd.DataFrame(changes), mended, accept=["label-noise"])
    assert result.relabelled == 2
    assert result.notes[-1] == "no row is called 'mixed' any more, 2 were: write keep in them if they are right"
    changes[0] = Correction("rows.csv:5", "drop")
    result = kft.apply_corrections(recipe(str(source)), pd.DataFrame(changes), tmp_path / "less.csv")
    assert not any("any more" in note for note in result.notes)


def test_lines_of_json_that_do_not_change_stay_to_the_letter(tmp_path):
    lines = ['{"text": "a 1", "label": "x", "n": 1.50}', '{"text":"b","label":"y"}', '{"text": "c", "label": "x"}']
    (tmp_path / "rows.jsonl").write_text("\n".join(lines) + "\n\n")
    changes = table(tmp_path, ("rows.jsonl:2", "relabel", "x"), ("rows.jsonl:3", "drop"))
    kft.apply_corrections(recipe(str(tmp_path / "rows.jsonl")), changes, tmp_path / "new.jsonl")
    written = (tmp_path / "new.jsonl").read_text().splitlines()
    assert written[0] == lines[0] and json.loads(written[1]) == {"text": "b", "label": "x"} and len(written) == 2


def test_all_mistakes_are_listed_at_once_and_nothing_is_written(tmp_path):
    source = write_csv(tmp_path / "rows.csv")
    changes = table(
        tmp_path, ("rows.csv:9", "drop"), ("rows.csv:1", "delete"), ("rows.csv:2", "relabel", "goood"),
        ("rows.csv:3", "drop"), ("rows.csv:3", "keep"),
    )  # fmt: skip
    with pytest.raises(DataError) as caught:
        kft.apply_corrections(recipe(str(source)), changes, tmp_path / "mended.csv")
    assert caught.value.problem == "4 mistakes in the table of corrections"
    assert caught.value.received == (
        "no row 'rows.csv:9'; rows.csv:1: unknown action 'delete'; rows.csv:2: no label 'goood'; "
        "rows.csv:3: drop and keep"
    )
    assert caught.value.expected == "ids of the data, actions drop, relabel or keep, labels such as bad, good"
    assert not (tmp_path / "mended.csv").exists()


def test_rows_that_have_moved_since_they_were_checked_are_refused(tmp_path):
    shown = [Correction(f"rows.csv:{row}", "drop", text=text) for row, (text, _) in enumerate(ROWS[:2], 1)]
    (tmp_path / "corrections.csv").write_text(as_csv([*shown, Correction("rows.csv:3", "keep", text="Fine")]))
    source = write_csv(tmp_path / "rows.csv", ROWS[1:])  # somebody took the first row out
    with pytest.raises(DataError, match="2 mistakes in the table of corrections") as caught:
        kft.apply_corrections(recipe(str(source)), tmp_path / "corrections.csv", tmp_path / "mended.csv")
    assert caught.value.received == (
        "rows.csv:1: not the text that was checked, 'It broke.'; "
        "rows.csv:2: not the text that was checked, 'It works, and well.'"
    )
    assert "kft check again where rows have moved since" in caught.value.next_step
    write_csv(source, [("It  broke.\n", "bad"), *ROWS[1:]])
    assert kft.apply_corrections(recipe(str(source)), tmp_path / "corrections.csv", tmp_path / "new.csv").dropped == 2


@pytest.mark.parametrize(
    ("output", "problem"),
    [
        ("rows.csv", "there is a file of this name already"),
        ("other/rows.csv", "the corrected file has its source's name"),
        ("mended.jsonl", "the corrected file is of another kind than its source"),
    ],
)
def test_nothing_is_overwritten_or_confused(tmp_path, output, problem):
    source = write_csv(tmp_path / "rows.csv")
    with pytest.raises(UsageError) as caught:
        kft.apply_corrections(recipe(str(source)), table(tmp_path, ("rows.csv:1", "drop")), tmp_path / output)
    assert caught.value.problem == problem and caught.value.next_step.startswith("-o ")


def test_a_table_without_a_decision_is_refused(tmp_path):
    source = write_csv(tmp_path / "rows.csv")
    with pytest.raises(UsageError, match="no row is to be dropped or relabelled"):
        kft.apply_corrections(recipe(str(source)), table(tmp_path, ("rows.csv:1", "keep")), tmp_path / "mended.csv")


def test_several_files_go_to_a_folder_and_untouched_ones_stay_where_they_are(tmp_path):
    for name in ("one", "two", "test"):
        write_csv(tmp_path / f"{name}.csv")
    data = recipe([str(tmp_path / "one.csv"), str(tmp_path / "two.csv")], test=str(tmp_path / "test.csv"))
    changes = table(tmp_path, ("one.csv:1", "drop"), ("test.csv:2", "drop"))
    with pytest.raises(UsageError, match="several files are to be corrected"):
        kft.apply_corrections(data, changes, tmp_path / "mended.csv")
    result = kft.apply_corrections(data, changes, tmp_path / "mended")
    assert sorted(path.name for path in (tmp_path / "mended").iterdir()) == ["one.corrected.csv", "test.corrected.csv"]
    assert set(result.files.values()) == {"one.csv", "test.csv"}


def test_ratings_become_names_of_classes_where_a_class_is_given(tmp_path):
    rows = [("broke", "-3"), ("works", "2.5"), ("fine", "1"), ("odd", "n/a")]
    source = write_csv(tmp_path / "rows.csv", rows)
    data = recipe(str(source), bins={"edges": [0], "labels": ["bad", "good"]}, unusable_rows="skip")
    result = kft.apply_corrections(data, table(tmp_path, ("rows.csv:3", "relabel", "bad")), tmp_path / "mended.csv")
    written = pd.read_csv(tmp_path / "mended.csv", keep_default_na=False)
    assert written["label"].tolist() == ["bad", "good", "bad", ""]
    assert result.notes[-1] == "take data.bins out of the recipe: labels are names of classes now"
    kft.apply_corrections(data, table(tmp_path, ("rows.csv:3", "relabel", "-1.5")), tmp_path / "rated.csv")
    assert pd.read_csv(tmp_path / "rated.csv", keep_default_na=False)["label"].tolist() == ["-3", "2.5", "-1.5", "n/a"]


def test_files_without_a_header_stay_so(tmp_path):
    (tmp_path / "rows.txt").write_text('1\tgood\tsays "fine"\n2\tbad\tbroke\n3\tbad\tawful\n')
    data = recipe(str(tmp_path / "rows.txt"), columns=["key", "label", "text"], id="key")
    result = kft.apply_corrections(data, table(tmp_path, ("2", "drop")), tmp_path / "new.txt")
    assert result.notes[0].endswith("and kft check again")  # ids are a column: no row number moves
    assert (tmp_path / "new.txt").read_text() == '1\tgood\tsays "fine"\n3\tbad\tawful\n'


def test_a_folder_of_images_becomes_a_table_of_paths(tmp_path):
    from PIL import Image

    for name, colour in (("cats/1.png", "red"), ("cats/2.png", "blue"), ("dogs/1.png", "green")):
        (tmp_path / "photos" / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8), colour).save(tmp_path / "photos" / name)
    data = {"task": "image-classification", "data": {"train": str(tmp_path / "photos")}}
    changes = table(tmp_path, ("photos/cats/2.png", "relabel", "dogs"), ("photos/cats/1.png", "drop"))
    kft.apply_corrections(data, changes, tmp_path / "lists" / "mended.csv")
    written = pd.read_csv(tmp_path / "lists" / "mended.csv")
    assert written.to_numpy().tolist() == [["../photos/cats/2.png", "dogs"], ["../photos/dogs/1.png", "dogs"]]


def test_a_table_of_something_else_is_refused():
    with pytest.raises(DataError, match="this is not a table of corrections") as caught:
        read_corrections(pd.DataFrame({"text": ["a"], "label": ["b"]}))
    assert caught.value.received == "columns text, label"


def test_the_command_line_says_what_was_written(tmp_path):
    from click.testing import CliRunner

    from kft.cli.correcting import apply

    write_csv(tmp_path / "rows.csv")
    (tmp_path / "recipe.yaml").write_text(json.dumps(recipe("rows.csv")))
    changes = table(tmp_path, ("rows.csv:1", "drop"))
    arguments = [str(tmp_path / "recipe.yaml"), str(changes), "-o", str(tmp_path / "mended.csv")]
    done = CliRunner().invoke(apply, [*arguments, "--json"])
    assert json.loads(done.stdout)["dropped"] == 1
    arguments[-1] = str(tmp_path / "again.csv")
    assert "rows       1 dropped, 0 relabelled, 0 left alone" in CliRunner().invoke(apply, arguments).stdout


@pytest.mark.parametrize(
    ("cells", "task", "new", "expected"),
    [
        ([True, False, True], "text-classification", "false", ["false", "false", "true"]),
        ([1, 2, 2], "text-classification", "2", ["2", "2", "2"]),
        ([1.0, 2.0, 2.0], "text-classification", "2", ["2", "2", "2"]),
        ([["a"], ["b", "a"], []], "text-multi-label", '["b"]', [("b",), ("a", "b"), ()]),
    ],
)
def test_a_new_label_in_parquet_is_of_the_kind_that_its_column_can_hold(tmp_path, cells, task, new, expected):
    pd.DataFrame({"text": ["one", "two", "three"], "label": cells}).to_parquet(tmp_path / "rows.parquet")
    data = {**recipe(str(tmp_path / "rows.parquet")), "task": task}
    kft.apply_corrections(data, table(tmp_path, ("rows.parquet:1", "relabel", new)), tmp_path / "new.parquet")
    frame, kind = read_table(tmp_path / "new.parquet"), TASKS.get(task).kind.labels
    assert [kind.parse(cell, "", DataSpec(train="a"))[0] for cell in frame["label"]] == expected
