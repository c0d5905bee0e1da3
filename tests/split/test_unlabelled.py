"""Rows without labels: none that valid or test holds, no label of theirs, and every one is counted."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from kft.errors import DataError
from kft.recipe.schema import DataSpec
from kft.split.data_split import load_split
from kft.tasks.registry import TASKS
from tests import tiny

TEXTS = TASKS.get("text-classification")


def split(base: Path, frames=None, **data):
    spec = DataSpec(**({"train": "train.csv", "valid": "valid.csv", "test": "test.csv"} | data))
    return load_split(spec, task=TEXTS, base=base, locate=lambda source, base: base / source, frames=frames)


@pytest.fixture
def base(tmp_path):
    for seed, name in enumerate(("train", "valid", "test")):
        tiny.write_table(tmp_path / f"{name}.csv", 30, seed=seed)
    return tmp_path


def test_copies_of_valid_and_test_are_left_out_and_labels_are_never_read(base):
    held = {name: pd.read_csv(base / f"{name}.csv")["text"][3] for name in ("train", "valid", "test")}
    texts, _ = tiny.texts_and_labels(20, seed=9)
    rows = [*texts, held["train"], held["valid"].upper(), held["test"]]
    pd.DataFrame({"text": rows, "label": [["no", "label"]] * len(rows)}).to_json(
        base / "more.jsonl", orient="records", lines=True
    )
    found = split(base, unlabelled="more.jsonl")
    assert found.unlabelled.labels is None
    assert found.unlabelled.inputs == [*texts, held["train"]]
    assert "2 copies or near-copies of valid or test rows left out of unlabelled" in found.how
    plain = split(base)
    assert found.split_hash == plain.split_hash and found.data_hash != plain.data_hash
    assert found.without_test().unlabelled is found.unlabelled and plain.without_test().unlabelled is None
    frame = found.frame()
    assert set(frame["split"]) == {"train", "valid", "test", "unlabelled"} and len(frame) == 30 * 3 + 21


def test_lines_of_a_text_file_several_files_and_a_frame_are_read(base):
    (base / "lines.txt").write_text("a phone it is\n\nmy very broken camera\n")
    pd.DataFrame({"message": ["one battery alone"]}).to_csv(base / "other.csv", index=False)
    with pytest.raises(DataError, match="empty text"):
        split(base, unlabelled="lines.txt")
    found = split(base, unlabelled="lines.txt", unusable_rows="skip")
    assert found.unlabelled.inputs == ["a phone it is", "my very broken camera"]
    assert [row.id for row in found.rejected] == ["lines.txt:2"]
    assert found.unlabelled.ids.tolist() == ["lines.txt:1", "lines.txt:3"]
    both = split(base, unlabelled=("lines.txt", "other.csv"), unusable_rows="skip")
    assert both.unlabelled.inputs[-1] == "one battery alone"
    frames = {"train": pd.read_csv(base / "train.csv"), "unlabelled": pd.DataFrame({"text": ["a really plain one"]})}
    assert split(base, frames=frames, train="dataframe").unlabelled.inputs == ["a really plain one"]


def test_rows_of_a_held_out_group_are_left_out(base):
    for name in ("train", "valid", "test"):
        frame = pd.read_csv(base / f"{name}.csv")
        frame.assign(shop=[f"{name}-{row % 3}" for row in range(len(frame))]).to_csv(base / f"{name}.csv", index=False)
    texts, _ = tiny.texts_and_labels(4, seed=9)
    shops = ["train-0", "test-1", "valid-2", "new"]
    pd.DataFrame({"text": texts, "shop": shops}).to_csv(base / "more.csv", index=False)
    found = split(base, unlabelled="more.csv", group={"column": "shop"})
    assert found.unlabelled.groups.tolist() == ["train-0", "new"]
    assert "2 rows of their groups left out of unlabelled" in found.how
    pd.DataFrame({"text": texts}).to_csv(base / "more.csv", index=False)
    with pytest.raises(DataError, match="column"):
        split(base, unlabelled="more.csv", group={"column": "shop"})


def test_what_cannot_be_learned_from_is_refused(base):
    with pytest.raises(DataError, match="two splits are the same file"):
        split(base, unlabelled="test.csv")
    (base / "copy.csv").write_text((base / "test.csv").read_text())
    with pytest.raises(DataError, match="no unlabelled row is left") as stop:
        split(base, unlabelled="copy.csv")
    assert stop.value.received.startswith("30 rows, 30 of them copies of valid or test rows")
    pd.DataFrame({"words": ["a", "b"], "more": [1, 2]}).to_csv(base / "other.csv", index=False)
    with pytest.raises(DataError, match="no text column 'text'"):
        split(base, unlabelled="other.csv")
    for name in ("train", "valid", "test"):
        frame = pd.read_csv(base / f"{name}.csv")
        frame.assign(key=[f"{name}-{row}" for row in range(len(frame))]).to_csv(base / f"{name}.csv", index=False)
    pd.DataFrame({"text": ["a phone"], "key": ["train-3"]}).to_csv(base / "more.csv", index=False)
    with pytest.raises(DataError, match="one id is in two splits") as stop:
        split(base, unlabelled="more.csv", id="key")
    assert stop.value.where == "train and unlabelled"


def test_a_folder_of_images_without_classes_is_read_and_copies_of_held_out_ones_are_left_out(tmp_path):
    rng = np.random.default_rng(0)
    for place in ("photos/cat", "photos/dog", "more/any"):
        (tmp_path / place).mkdir(parents=True)
        for number in range(10):
            pixels = rng.integers(0, 255, (6, 6, 3)).astype(np.uint8).repeat(8, 0).repeat(8, 1)
            Image.fromarray(pixels).save(tmp_path / place / f"{number}.png")
    spec = DataSpec(train="photos", valid="20%", test="20%")
    images = TASKS.get("image-classification")
    first = load_split(spec, task=images, base=tmp_path, locate=lambda source, base: base / source)
    held = first.test.inputs[0]
    (tmp_path / "more" / "again.png").write_bytes(held.read_bytes())
    spec = spec.model_copy(update={"unlabelled": "more"})
    found = load_split(spec, task=images, base=tmp_path, locate=lambda source, base: base / source)
    assert len(found.unlabelled) == 10 and "1 copies or near-copies" in found.how
    assert found.unlabelled.ids[0] == "more/any/0.png" and found.unlabelled.labels is None
