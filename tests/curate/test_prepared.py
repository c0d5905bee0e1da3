"""`kft data build`: any program reads the folder, and what trains on it has the same split."""

import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import kft
from kft.api.reading import load
from kft.errors import DataError, KftError, UsageError
from tests import tiny

READER = """
import json, sys
sys.modules["kft"] = None  # whatever is on the path: nothing of it is used
import tensorflow_datasets as tfds

found = {}
for folder in sys.argv[1:]:
    builder = tfds.builder_from_directory(folder)
    if builder.info.file_format.value == "tfrecord":
        rows = {split: list(builder.as_dataset(split=split).as_numpy_iterator()) for split in builder.info.splits}
    else:
        rows = {split: list(builder.as_data_source(split=split)) for split in builder.info.splits}
    label = builder.info.features["label"]
    found[folder] = {
        "counts": {split: info.num_examples for split, info in builder.info.splits.items()},
        "ids": {split: [row["id"].decode() for row in part] for split, part in rows.items()},
        "names": getattr(label, "names", None) or getattr(getattr(label, "feature", None), "names", None),
        "first": {
            name: getattr(value, "shape", None) if name == "image" else repr(value)
            for name, value in rows["train"][0].items()
        },
        "labels": [repr(row["label"]) for row in rows["train"]],
    }
print(json.dumps(found))
"""


def recipe(folder, frame, task="text-classification", name="data.jsonl", **data):
    frame.to_json(folder / name, orient="records", lines=True, force_ascii=False)
    values = {"task": task, "name": "toy-data", "data": {"train": name, "text": "text", "label": "label", **data}}
    (folder / "recipe.yaml").write_text(json.dumps(values))
    return folder / "recipe.yaml"


def texts(labels, count=30):
    rows = [{"text": f"für {row} &amp; mehr", "label": labels[row % len(labels)]} for row in range(count)]
    return pd.DataFrame(rows)


def build(tmp_path, frame, task="text-classification", file_format="tfrecord", **data):
    tmp_path.mkdir(exist_ok=True)
    path = recipe(tmp_path, frame, task, **data)
    return path, kft.build_data(path, tmp_path / "dest", file_format=file_format, quiet=True)


def same(path, built):
    """Both recipes lead to the same split and the same data; returns that which is read from the folder."""
    before, after = load(path, (), None)[1], load(built.recipe, (), None)[1]
    assert before.split_hash == after.split_hash == built.split_hash
    assert before.data_hash == after.data_hash == built.data_hash
    assert before.labels == after.labels
    for key in ("train", "valid", "test"):
        assert before.part(key).ids.tolist() == after.part(key).ids.tolist()  # and in the same order
    return after


SPANS = [{"start": 0, "end": 3, "label": "who"}]
KINDS = {
    "text-classification": (["good", "bad"], {"html": "unescape"}),
    "text-multi-label": ([["x", "y"], [], ["y"]], {}),
    "text-regression": ([0.1, -2.5, 0.250000001], {}),
    "token-tagging": ([SPANS, []], {}),
}


@pytest.mark.parametrize("task", list(KINDS))
def test_every_kind_of_answer_comes_back_as_it_went(tmp_path, task):
    labels, data = KINDS[task]
    same(*build(tmp_path, texts(labels), task, **data))


def test_pairs_groups_and_other_columns_come_back(tmp_path):
    frame = texts(["a", "b"]).assign(
        other="more", who=[f"p{row // 3}" for row in range(30)], where=["N", "S", ""] * 10, group=["m", "f"] * 15
    )
    columns = {"text_pair": "other", "group": "who", "slices": ["where"], "sensitive": ["group"]}
    after = same(*build(tmp_path, frame, "text-pairs", **columns))
    assert after.train.inputs[0][1] == "more" and after.train.groups[0].startswith("p")
    assert sorted(after.train.columns) == ["group_", "where"]  # `group` is what a split keeps together


def test_photos_keep_their_bytes_or_their_pixels(tmp_path):
    rng = np.random.Generator(np.random.PCG64(0))
    for label in ("cat", "dog"):
        (tmp_path / "photos" / label).mkdir(parents=True)
        for row in range(8):
            kind = ("jpg", "png", "webp", "bmp")[row % 4]
            image = Image.fromarray(rng.integers(0, 255, (9, 7, 3), dtype=np.uint8))
            image.save(tmp_path / "photos" / label / f"{row}.{kind}", **({"lossless": True} if kind == "webp" else {}))
    (tmp_path / "recipe.yaml").write_text(json.dumps({"task": "image-classification", "data": {"train": "photos"}}))
    built = kft.build_data(tmp_path / "recipe.yaml", tmp_path / "dest", quiet=True)
    assert built.converted == 8
    before, after = load(tmp_path / "recipe.yaml", (), None)[1], load(built.recipe, (), None)[1]
    assert before.split_hash == after.split_hash
    for old, new in zip(before.train.inputs, after.train.inputs, strict=True):
        if old.suffix in (".jpg", ".png"):
            assert old.read_bytes() == new.read_bytes()
        assert (np.asarray(Image.open(old)) == np.asarray(Image.open(new))).all()


@pytest.mark.slow
def test_plain_tensorflow_datasets_reads_it(tmp_path):
    path, first = build(tmp_path / "one", texts(["good", "bad"]).assign(key=[f"k{row}" for row in range(30)]), id="key")
    _, second = build(tmp_path / "two", texts([["x"], ["y", "x"]]), "text-multi-label", "array_record")
    _, third = build(tmp_path / "three", texts([0.1, -2.5, 0.250000001]), "text-regression")
    folders = [str(built.folder) for built in (first, second, third)]
    done = subprocess.run([sys.executable, "-c", READER, *folders], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    one, two, three = json.loads(done.stdout).values()
    split = load(path, (), None)[1]
    assert one["ids"] == {key: split.part(key).ids.tolist() for key in ("train", "valid", "test")}
    assert one["counts"] == first.examples == {"train": 22, "valid": 4, "test": 4}
    assert one["names"] == ["bad", "good"] and two["names"] == ["x", "y"]
    assert set(one["first"]) == {"id", "label", "text"} and "f\\xc3\\xbcr" in one["first"]["text"]
    assert {float(label.partition("(")[2].strip(")")) for label in three["labels"]} == {0.1, -2.5, 0.250000001}
    assert any("1" in label and "0" in label for label in two["labels"])


def test_nothing_half_written_and_nothing_overwritten(tmp_path, monkeypatch):
    path = recipe(tmp_path, texts(["a", "b"]))
    before = sorted(tmp_path.iterdir())
    (tmp_path / "there").mkdir()
    with pytest.raises(UsageError, match="prepared data are never overwritten"):
        kft.build_data(path, tmp_path / "there", quiet=True)
    (tmp_path / "there").rmdir()
    with pytest.raises(UsageError, match="unknown format"):
        kft.build_data(path, tmp_path / "dest", file_format="csv", quiet=True)
    recipe(tmp_path, texts(["a", "line\nbreak"]))
    with pytest.raises(DataError, match="a label's name holds a line break"):
        kft.build_data(path, tmp_path / "dest", quiet=True)
    recipe(tmp_path, texts(["a", "b"]))
    (tmp_path / "file").touch()
    with pytest.raises(KftError, match="cannot be written"):
        kft.build_data(path, tmp_path / "file" / "dest", quiet=True)
    (tmp_path / "file").unlink()
    assert sorted(tmp_path.iterdir()) == before


def test_the_recipe_keeps_what_else_was_asked_for(tmp_path):
    path, built = build(tmp_path, texts(["a", "b"]), valid="20%", unusable_rows="skip")
    values = json.loads(path.read_text()) | {
        "seed": 3,
        "train": {"batch_size": 8, "phases": [{"name": "top", "unfreeze": {"from": "block_04"}, "epochs": 2}]},
    }
    path.write_text(json.dumps(values))
    again = kft.build_data(path, tmp_path / "again", quiet=True)
    old, new = kft.load_recipe(path), kft.load_recipe(again.recipe)
    assert (new.spec.train, new.spec.model, new.spec.seed, new.name) == (
        old.spec.train,
        old.spec.model,
        3,
        "toy-data",
    )
    assert new.spec.data.unusable_rows == "skip" and new.spec.data.id == "id"
    assert new.spec.data.train == "tfds:.?split=train"
    assert new.comparable()["data.train"] == f"tfds:{tmp_path}/again?split=train"
    assert again.split_hash == built.split_hash


@pytest.mark.slow
def test_training_on_the_folder_is_training_on_the_files(tiny_folder, tmp_path):
    path = tiny.recipe(tmp_path, tiny_folder, phases=[tiny.PROBE, tiny.TOP])
    built = kft.build_data(path, tmp_path / "dest", quiet=True)
    runs = [kft.train(one, run=tmp_path / name, quiet=True) for name, one in (("a", path), ("b", built.recipe))]
    receipts = [json.loads((tmp_path / name / "receipt.json").read_text()) for name in "ab"]
    for key in ("split_hash", "data_hash", "labels"):
        assert receipts[0][key] == receipts[1][key]
    assert receipts[1]["split_hash"] == built.split_hash
    assert runs[0].evaluation.metrics == runs[1].evaluation.metrics
    assert (tmp_path / "a/predictions.csv").read_bytes() == (tmp_path / "b/predictions.csv").read_bytes()
    kft.evaluate(tmp_path / "b", quiet=True)  # the folder's place was made absolute in the run
