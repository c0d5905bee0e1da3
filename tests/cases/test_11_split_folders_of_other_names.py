"""Folders of images that hold splits are no classes, whatever they are called; classes that are called so are."""

import json

import pytest
from PIL import Image

from kft.data.class_folders import find_by_class, splits_beside
from kft.errors import DataError

CLASSES = ("bar", "dot", "square")


def photos(folder, *paths, each=2):
    for number, path in enumerate(paths):
        (folder / path).mkdir(parents=True, exist_ok=True)
        for copy in range(each):
            Image.new("RGB", (8, 8), (number * 20 % 256, copy * 40, 90)).save(folder / path / f"{copy}.png")


def under(*folders, classes=CLASSES):
    return [f"{folder}/{name}" for folder in folders for name in classes]


SPLITS = {
    "Training-Testing": under("Training", "Testing"),
    "Train-Test": under("Train", "Test"),
    "train-valid": under("train", "valid"),
    "train-dev-eval": under("train", "dev"),
    "seg": under("seg_train", "seg_test"),
    "seg-seg": [*under("seg_train/seg_train", "seg_test/seg_test"), "seg_pred/seg_pred"],
    "sets": under("training_set", "test_set"),
    "train_set": under("train_set", "test_set"),
    "images": under("images_train", "unlabelled"),
    "years": under("train2017", "val2017"),
    "loose": [*under("train"), "test"],
    "no-classes": ["train", "test"],
    "one-numbered": ["train", "test1"],
    "with-others": [*under("train", "test"), "icons"],
    "one-below": under("images/train", "images/val"),
    "within": [f"{name}/{split}" for name in CLASSES for split in ("train", "test")],
    "several-sets": under("colour/train", "colour/test", "grey/train", "grey/test"),
    "crossed": [f"{split}_{name}" for split in ("train", "test") for name in CLASSES],
    "half-named": under("train", "newer"),
    "folds": under("fold_1", "fold_2", "fold3"),
}


@pytest.mark.parametrize("name", SPLITS)
def test_splits_are_refused_by_init_check_and_train_alike(tmp_path, kft_cli, name):
    photos(tmp_path / "data", *SPLITS[name])
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(json.dumps({"task": "image-classification", "data": {"train": "data"}, "model": BACKBONE}))
    for command in (
        ("init", "data", "-o", "made.yaml"),
        ("check", recipe, "--no-features"),
        ("train", recipe),
        ("train", recipe, "--set", f"data.train={tmp_path / 'data'}", "--set", "data.test=20%"),
    ):
        code, out, err = kft_cli(*command)
        assert code == 2 and ("split" in err or "parts of the data" in err) and "relabel" not in out + err
        assert "next:" in err and "Traceback" not in err
    assert not (tmp_path / "made.yaml").exists() and not (tmp_path / "runs").exists()


BACKBONE = {"backbone": "efficientnet-lite0"}
NO_SPLITS = {
    "vehicles": ["train", "bus", "car"],
    "vehicles-with-folders": ["train/old", "bus/new", "car/red"],
    "one-folder-each": ["train/images", "bus/images", "car/images"],
    "tests-for-an-illness": ["covid_test", "flu_test"],
    "lab": ["test_tube", "train"],
    "words": ["valid", "invalid"],
    "plain": list(CLASSES),
    "numbers": ["1", "2", "3"],
    "parts-of-a-machine": ["part1", "part2"],
}


@pytest.mark.parametrize("name", NO_SPLITS)
def test_classes_that_are_called_like_a_split_stay_classes(tmp_path, name):
    photos(tmp_path, *NO_SPLITS[name])
    assert {label for _, label in find_by_class(tmp_path)} == {path.split("/")[0] for path in NO_SPLITS[name]}


def test_what_to_write_is_said(tmp_path):
    photos(tmp_path, *SPLITS["seg-seg"])
    with pytest.raises(DataError, match="these folders are splits, not classes") as caught:
        find_by_class(tmp_path)
    assert caught.value.received == (
        "seg_pred (unlabelled), seg_test (test), seg_train (train), with folders bar, dot, square; "
        "no folders of classes in seg_pred"
    )
    assert caught.value.next_step == (
        f"in the recipe, under data: train: {tmp_path}/seg_train/seg_train, test: {tmp_path}/seg_test/seg_test"
    )


def test_init_of_the_folder_train_finds_the_others(tmp_path, kft_cli):
    photos(tmp_path / "seg", *SPLITS["seg-seg"])
    photos(tmp_path, *under("Training", "Testing", "Validation"))
    assert splits_beside(tmp_path / "seg/seg_train/seg_train")[0] == {"test": tmp_path / "seg/seg_test/seg_test"}
    code, _, err = kft_cli("init", "Training", "-o", "made.yaml", "--json")
    assert code == 0, err
    written = (tmp_path / "made.yaml").read_text()
    assert "train: Training" in written and "test: Testing" in written and "valid: Validation" in written


def test_a_folder_without_classes_is_not_promised(tmp_path, kft_cli):
    photos(tmp_path / "data", *SPLITS["loose"])
    code, _, err = kft_cli("init", "data", "-o", "made.yaml")
    assert code == 2 and "kft init data/train -o recipe.yaml" in err and "beside it" not in err
    code, out, _ = kft_cli("init", "data/train", "-o", "made.yaml")
    assert code == 0 and "the folder test beside it has none of these classes' folders" in " ".join(out.split())


def test_folders_that_could_be_either_are_said(tmp_path, kft_cli):
    photos(tmp_path / "pets", *under("cats", "dogs", classes=("indoor", "outdoor")), each=20)
    code, out, err = kft_cli("init", "pets", "-o", "made.yaml")
    assert code == 0, err
    said = "the folders cats, dogs all hold folders indoor, outdoor: the outer names are taken as classes"
    assert said in " ".join((out + err).split())
    code, out, err = kft_cli("check", "made.yaml", "--no-features", "--set", "data.keep_together=copies")
    assert said in " ".join((out + err).split())
