"""Folders of images of any layout, names and contents: read with the labels that were meant, or refused with words."""

import io

import numpy as np
import pandas as pd
import pytest
from hypothesis import strategies as st
from PIL import Image

from kft.assets import locate
from kft.curate.look import look_at
from kft.data.images import check_image
from kft.recipe.schema import DataSpec
from kft.split.data_split import load_split
from kft.tasks.registry import TASKS
from tests.malformed.surviving import HOW_MANY, survives

WORDS = "train Training test Test_set seg_train seg_test val2017 valid dev unlabelled bus cats dogs fold_1 fold_2"
ODD = [
    "cafe\u0301",
    "caf\u00e9",
    ".hidden",
    "__MACOSX",
    "a b",
    "a'b",
    "-x",
    "~",
    "$(x)",
    "x\ny",
    "\u202ex",
    "%2e",
    "C:",
]
NAMES = st.sampled_from([*WORDS.split(), *ODD, "x" * 200, "images", "C:", "1", "2", "TRAIN"])
FILES = st.sampled_from(["0.png", "1.PNG", "2.jpg", "3.txt", "Thumbs.db", "4.webp", "nothing", "5.gif", "-6.png"])
TREES = st.lists(st.tuples(st.lists(NAMES, max_size=3), st.lists(FILES, min_size=1, max_size=4)), max_size=9)


def picture(kind, seed):
    pixels = np.random.Generator(np.random.PCG64(seed)).integers(0, 255, (10, 12, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind)
    return buffer.getvalue()


KINDS = {"png": "PNG", "jpg": "JPEG", "webp": "WEBP", "gif": "GIF"}


def meet_tree(folder, fault):
    tree, damage = fault
    meant = {}
    for number, (names, files) in enumerate(tree):
        place = folder.joinpath("data", *names)
        place.mkdir(parents=True, exist_ok=True)
        for file in files:
            kind = KINDS.get(file[-3:].lower())
            content = picture(kind, number) if kind else b"text"
            (place / file).write_bytes(content[: len(content) - damage] if damage % 3 == 2 else content)
            if kind and names:
                meant["/".join([*names, file])] = names[0]
    (folder / "data").mkdir(exist_ok=True)
    spec = DataSpec(train="data", valid="20%", test="20%", unusable_rows="skip")
    found = load_split(spec, task=TASKS.get("image-classification"), base=folder, locate=locate)
    for part in (found.train, found.valid, found.test):
        for given, label in zip(part.inputs, part.labels, strict=True):
            names = given.relative_to(folder / "data").parts
            assert label == names[0] == meant["/".join(names)]
    tops = {names[0].casefold() for names, _ in tree if names}
    assert not tops <= {"train", "training", "test", "test_set", "valid", "dev"}, "splits were taken as classes"
    look_at("data", base=folder, locate=lambda source, base: base / source)


PLAIN = "img\\0.png IMG/0.PNG img/0 img/0.jpg C:\\img\\0.png /img/0.png ../img/0.png img . .. img/0.png/ img//0.png"
FORMS = ["img/caf\u00e9.png", "img/cafe\u0301.png", "img/CAF\u00c9", "img/0.png\n", " img/0.png ", "\\\\host\\0.png"]
DEVICES = [
    "/dev/zero",
    "/dev/stdin",
    "/proc/self/mem",
    "img/loop",
    "\0",
    "x" * 300,
    "",
    "file:///img/0.png",
    "%69mg/0.png",
]
CELLS = st.lists(st.sampled_from([*PLAIN.split(), *FORMS, *DEVICES]), max_size=8)


def meet_cells(folder, cells):
    (folder / "img").mkdir()
    for name in ("0.png", "1.png", "cafe\u0301.png"):
        (folder / "img" / name).write_bytes(picture("PNG", len(name)))
    (folder / "img" / "loop").symlink_to("loop")
    rows = [["img/0.png", "a"], ["img/1.png", "b"], *([cell, "ab"[number % 2]] for number, cell in enumerate(cells))]
    frame = pd.DataFrame(rows, columns=["image", "label"], dtype=object)
    spec = DataSpec(train="dataframe", valid="20%", test="20%", unusable_rows="skip", id=None)
    frame = pd.concat([frame, pd.DataFrame({"image": [f"img/0.png?{n}" for n in range(3)], "label": "a"})])
    found = load_split(spec, task=TASKS.get("image-multi-label"), base=folder, locate=locate, frames={"train": frame})
    for part in (found.train, found.valid, found.test):
        assert all(check_image(given) == "" for given in part.inputs)


@pytest.mark.parametrize("examples", HOW_MANY)
@pytest.mark.parametrize("name", ["trees", "cells"])
def test_image_folders_and_tables(name, examples):
    strategy = st.tuples(TREES, st.integers(0, 40)) if name == "trees" else CELLS
    survives(strategy, {"trees": meet_tree, "cells": meet_cells}[name], examples)
