"""Rows labelled later: old splits stay as they are, copies never cross, and every row is counted."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from kft.errors import DataError
from kft.recipe.schema import DataSpec
from kft.split.data_split import data_hash, load_split
from kft.tasks.registry import TASKS
from tests import tiny

TEXTS = TASKS.get("text-classification")


def split(base: Path, task=TEXTS, **data):
    spec = DataSpec(**({"train": "old.csv", "valid": "20%", "test": "25%"} | data))
    return load_split(spec, task=task, base=base, locate=lambda source, base: base / source)


@pytest.fixture
def base(tmp_path):
    tiny.write_table(tmp_path / "old.csv", 120, seed=1)
    tiny.write_table(tmp_path / "new.csv", 100, seed=2)
    return tmp_path


def write(path: Path, rows, **more) -> Path:
    frame = pd.DataFrame(rows, columns=["text", "label"]).assign(**more)
    frame.to_csv(path, index=False)
    return path


def fresh(rows: int, seed: int = 2) -> list[tuple[str, str]]:
    return list(zip(*tiny.texts_and_labels(rows, seed=seed), strict=True))


def test_old_rows_stay_where_they_were_and_new_ones_are_shared_out(base):
    before, after = split(base), split(base, added=("new.csv",))
    for name in ("train", "valid", "test"):
        ids = before.part(name).ids.tolist()
        assert after.part(name).ids.tolist()[: len(ids)] == ids
        assert after.part(name).ids.tolist()[len(ids) :] == list(after.added[0].places[name])
    added = after.added[0]
    counts = {name: len(ids) for name, ids in added.places.items()}
    assert counts["test"] == pytest.approx(30, abs=3) and counts["valid"] == pytest.approx(15, abs=3)
    assert sum(counts.values()) + added.copies + added.of_test == added.rows == 100
    assert added.places["train"][0].startswith("added-1:")
    assert f"added-1: {counts['train']} train" in after.how
    assert before.split_hash != after.split_hash and before.data_hash != after.data_hash


def test_a_later_round_does_not_move_an_earlier_one(base):
    write(base / "third.csv", fresh(90, seed=3))
    one, two = split(base, added=("new.csv",)), split(base, added=("new.csv", "third.csv"))
    for name in ("train", "valid", "test"):
        ids = one.part(name).ids.tolist()
        assert two.part(name).ids.tolist()[: len(ids)] == ids
    assert two.added[0] == one.added[0]


def test_what_copies_an_old_row_is_left_out_or_goes_to_its_side(base):
    before = split(base)
    long = " it was my phone and the battery and the screen and the camera very really a phone"
    test, train, valid = (before.part(name).inputs[0] for name in ("test", "train", "valid"))
    rows = [
        (test, "positive"),
        (test.upper() + "!", "negative"),
        (train, before.train.labels[0]),
        (valid, "positive" if before.valid.labels[0] == "negative" else "negative"),
        *fresh(100),
        ("one text" + long, "positive"),
        ("one text" + long, "negative"),
        ("another text" + long + long, "negative"),
        ("another text" + long + long, "negative"),
        ("no label yet", ""),
        ("nor here", None),
    ]
    after = split(base, added=(write(base / "rows.csv", rows).name,))
    added = after.added[0]
    kept = {given for name in added.places for given in after.part(name).inputs[-len(added.places[name]) :]}
    assert not {test, test.upper() + "!", train, valid, "one text" + long} & kept
    assert added.copies >= 5 and added.relabelled >= 1 and added.contradictory == 2 and added.unlabelled == 2
    assert sum(map(len, added.places.values())) + added.copies + added.contradictory + added.of_test + 2 == len(rows)
    assert "2 without a label" in str(added) and "2 with two labels" in str(added)


def test_a_near_copy_of_a_test_row_never_trains(tmp_path):
    sentence = "the parcel number {} came late on a rainy day and nobody at the desk could tell us where it had been"
    old = [
        (sentence.format(row) + f" {word}" * 6, label)
        for row, (word, label) in enumerate([(f"w{n}x{n * 7}", ("a", "b")[n % 2]) for n in range(80)])
    ]
    write(tmp_path / "old.csv", old)
    before = split(tmp_path)
    near = [(text + " indeed", label) for text, label in zip(before.test.inputs, before.test.labels, strict=True)]
    beside = [(text + " indeed", label) for text, label in zip(before.train.inputs, before.train.labels, strict=True)]
    after = split(
        tmp_path,
        added=(
            write(
                tmp_path / "new.csv",
                [
                    *near,
                    *beside,
                    *[(f"{text} {place}", ("a", "b")[place % 2]) for place, (text, _) in enumerate(fresh(100))],
                ],
            ).name,
        ),
    )
    added = after.added[0]
    new = {name: set(after.part(name).inputs[len(before.part(name)) :]) for name in ("train", "valid", "test")}
    assert not {text for text, _ in near} & (new["train"] | new["valid"] | new["test"])
    assert added.of_test >= len(near)
    assert {text for text, _ in beside} <= new["train"] and added.beside >= len(beside)


def test_groups_stay_on_their_side(base):
    old = pd.read_csv(base / "old.csv").assign(shop=[f"s{row // 2}" for row in range(120)])
    old.to_csv(base / "old.csv", index=False)
    before = split(base, group="shop")
    shop = {name: before.part(name).groups[0] for name in ("train", "valid", "test")}
    rows = fresh(120)
    shops = [shop["train"], shop["valid"], shop["test"]] * 4 + [f"n{row // 4}" for row in range(108)]
    after = split(base, group="shop", added=(write(base / "rows.csv", rows, shop=shops).name,))
    sides = {name: set(after.part(name).groups) for name in ("train", "valid", "test")}
    assert not (sides["train"] & sides["valid"] or sides["train"] & sides["test"] or sides["valid"] & sides["test"])
    assert after.added[0].of_test >= 3
    plain = split(base, group="shop", added=("new.csv",))  # without the column: each row stands alone
    assert plain.train.groups[-1] == plain.train.ids[-1]


def test_labels_that_are_not_known_are_refused_or_learned(base):
    rows = [*fresh(100), *[(f"the {word} phone is new", "neutral") for word in "abcdefghijkl"]]
    write(base / "rows.csv", rows)
    with pytest.raises(DataError, match="labels that the run does not know") as refused:
        split(base, added=("rows.csv",))
    assert "'neutral' (12)" in str(refused.value) and "--new-labels" in str(refused.value)
    found = split(base, added=("rows.csv",), new_labels=True, keep_together="nothing")
    assert "neutral" in found.labels and found.added[0].new_labels == ("neutral",)
    respelled = [*fresh(100), *[(f"the {word} phone is fine", "Positive") for word in "abcdefghijkl"]]
    write(base / "respelled.csv", respelled)
    with pytest.raises(DataError, match="known in another spelling") as refused:  # and not learned beside itself
        split(base, added=("respelled.csv",), new_labels=True)
    assert "'Positive' (12)" in refused.value.received and refused.value.next_step == "mend the labels"
    write(base / "few.csv", [*fresh(100), ("the phone is odd", "odd")])
    with pytest.raises(DataError, match="new labels with too few rows") as refused:
        split(base, added=("few.csv",), new_labels=True)
    assert "'odd' (1)" in str(refused.value)


def test_too_few_new_rows_and_none_with_a_label_are_refused(base):
    write(base / "few.csv", fresh(30))
    with pytest.raises(DataError, match="too few new rows to tell a better model from a worse one") as refused:
        split(base, added=("few.csv",))
    assert "at least 67 such rows" in str(refused.value)
    with pytest.raises(DataError, match="too few new rows"):
        split(base, added=("old.csv",))
    write(base / "empty.csv", [("a text", ""), ("another one", "")])
    with pytest.raises(DataError, match="no row has a label yet"):
        split(base, added=("empty.csv",))


def test_what_annotation_tools_export_is_read(base):
    tasks = [
        {
            "id": row,
            "data": {"text": text},
            "annotations": [{"result": [{"from_name": "label", "type": "choices", "value": {"choices": [label]}}]}]
            if row
            else [],
        }
        for row, (text, label) in enumerate(fresh(100))
    ]
    (base / "tasks.json").write_text(json.dumps(tasks))
    found = split(base, added=("tasks.json",))
    assert sum(map(len, found.added[0].places.values())) + found.added[0].copies + found.added[0].of_test == 99
    assert any("Label Studio" in note for note in found.notes)


def test_a_file_with_or_without_a_header_is_read_as_it_is(tmp_path):
    old, new = fresh(120, 1), fresh(100)
    for name, rows, header in (("old.csv", old, False), ("bare.csv", new, False), ("named.csv", new, True)):
        pd.DataFrame(rows, columns=["message", "queue"]).to_csv(tmp_path / name, index=False, header=header)
    bare, named = (
        split(tmp_path, columns=("message", "queue"), text="message", label="queue", added=(name,)).added[0]
        for name in ("bare.csv", "named.csv")
    )
    assert bare.rows == named.rows == 100 and bare.places == named.places
    write(tmp_path / "old.csv", old)
    with pytest.raises(DataError, match="first line"):
        split(tmp_path, added=("bare.csv",))


def test_ids_of_a_column_are_kept_and_those_of_a_tool_are_not(base):
    old = pd.read_csv(base / "old.csv").assign(id=range(120))
    old.to_csv(base / "old.csv", index=False)
    write(base / "rows.csv", fresh(100), id=range(500, 600))
    assert split(base, id="id", added=("rows.csv",)).added[0].places["train"][0].startswith("5")
    write(base / "again.csv", fresh(100), id=range(100))
    with pytest.raises(DataError, match="one id is in"):
        split(base, id="id", added=("again.csv",))
    records = [
        {"id": str(row), "fields": {"text": text}, "responses": {"label": [{"value": label}]}}
        for row, (text, label) in enumerate(fresh(100))
    ]
    (base / "records.json").write_text(json.dumps(records))
    assert split(base, id="id", added=("records.json",)).added[0].places["train"][0].startswith("added-1:")


def test_images_by_class_are_added(tmp_path):
    rng = np.random.default_rng(0)
    for folder, count in (("old", 60), ("new", 100)):
        for row in range(count):
            place = tmp_path / folder / ("a", "b")[row % 2]
            place.mkdir(parents=True, exist_ok=True)
            Image.fromarray(rng.integers(0, 255, (24, 24, 3), np.uint8)).save(place / f"{row}.png")
    shutil.copy(tmp_path / "old" / "a" / "0.png", tmp_path / "new" / "a" / "copy.png")
    found = split(tmp_path, TASKS.get("image-classification"), train="old", added=("new",)).added[0]
    assert found.rows == 101 and found.copies == 1 and found.places["train"][0].startswith("added-1/")


def test_soft_labels_of_old_rows_stay_what_they_were(tmp_path):
    for name, seed, rows in (("old.csv", 1, 120), ("new.csv", 2, 100)):
        texts, _ = tiny.texts_and_labels(rows, seed=seed)
        votes = np.random.default_rng(seed).integers(1, 5, (rows, 2))
        pd.DataFrame({"text": texts, "yes": votes[:, 0], "no": votes[:, 1]}).to_csv(tmp_path / name, index=False)
    soft = {"label": ("yes", "no"), "label_columns_hold": "shares"}
    before, after = split(tmp_path, **soft), split(tmp_path, added=("new.csv",), **soft)
    new = {each for ids in after.added[0].places.values() for each in ids}
    parts = [after.part(name) for name in ("train", "valid", "test")]
    old = [part.take(np.flatnonzero([each not in new for each in part.ids])) for part in parts]
    assert data_hash(old) == before.data_hash and len(new) > 80


@pytest.mark.parametrize("task", ["text-regression", "text-multi-label", "token-tagging"])
def test_every_kind_of_label_can_be_added(tmp_path, task):
    texts, more = tiny.texts_and_labels(120, seed=1)[0], tiny.texts_and_labels(100, seed=5)[0]

    def of(texts):
        if task == "text-regression":
            return [len(text) / 10 for text in texts]
        if task == "text-multi-label":
            return [["short"] if len(text) < 40 else ["long", "wordy"] for text in texts]
        return [[{"start": 0, "end": 3, "label": "W"}] for _ in texts]

    name = "spans" if task == "token-tagging" else "label"
    for file, rows in (("old.jsonl", texts), ("new.jsonl", more)):
        pd.DataFrame({"text": rows, name: of(rows)}).to_json(tmp_path / file, orient="records", lines=True)
    found = split(tmp_path, TASKS.get(task), train="old.jsonl", added=("new.jsonl",))
    assert len(found.added[0].places["test"]) >= 20


def test_what_a_model_has_said_is_no_label(base):
    rows = pd.DataFrame(fresh(100), columns=["text", "answer"])
    said = rows.assign(confidence=0.5, why="unsure", inclusion_probability=0.5)  # the column of labels is gone
    said.to_csv(base / "queue.csv", index=False)
    with pytest.raises(DataError, match="no column looks like the label"):
        split(base, added=("queue.csv",))
    answers = rows.rename(columns={"answer": "label"}).assign(confidence=0.5, abstain=False, probabilities="{}")
    answers.to_csv(base / "answers.csv", index=False)
    with pytest.raises(DataError, match="these labels are what a model has answered") as caught:
        split(base, added=("answers.csv",))
    assert "take the column 'probabilities' out" in caught.value.next_step
    answers.drop(columns="probabilities").rename(columns={"label": "topic"}).to_csv(base / "mended.csv", index=False)
    found = split(base, added=("mended.csv",)).added[0]
    assert found.notes[-1] == "added-1: inputs from the column 'text', labels from 'topic'"
