"""A table names its photos in one Unicode form, the disk in another: they are found, and that is said."""

import json
import unicodedata

import pytest
from PIL import Image

from kft.data.image_paths import find_files

BACKBONE = {"backbone": "efficientnet-lite0"}


@pytest.mark.parametrize("on_disk, written", [("NFD", "NFC"), ("NFC", "NFD")])
def test_names_are_compared_in_one_form(tmp_path, kft_cli, on_disk, written):
    (tmp_path / "photos").mkdir()
    rows = ["image,label"]
    for number in range(40):
        name = f"café_{number}.png"
        Image.new("RGB", (8, 8), (number * 6, 9, 9)).save(tmp_path / "photos" / unicodedata.normalize(on_disk, name))
        rows.append(f"photos/{unicodedata.normalize(written, name)},{'ab'[number % 2]}")
    (tmp_path / "photos.csv").write_text("\n".join(rows) + "\n")
    recipe = tmp_path / "photos.yaml"
    recipe.write_text(json.dumps({"task": "image-classification", "data": {"train": "photos.csv"}, "model": BACKBONE}))
    _, _, err = kft_cli("check", recipe, "--no-features")
    assert "40 image paths are written in another Unicode form" in " ".join(err.split())
    composed, apart = ("caf\\xe9_0.png", "cafe\\u0301_0.png")[:: 1 if written == "NFC" else -1]
    assert f"photos/{composed} is photos/{apart}" in " ".join(err.split())
    found = json.loads((tmp_path / "audits" / "photos-1" / "findings.json").read_text())
    assert sum(found["n"].values()) == 40
    assert any(each["check"] == "reading" and "Unicode form" in each["message"] for each in found["findings"])


def test_two_files_that_differ_in_the_form_alone_are_told_apart(tmp_path):
    for form in ("NFC", "NFD"):
        (tmp_path / unicodedata.normalize(form, "é.png")).touch()
    for form in ("NFC", "NFD"):
        name = unicodedata.normalize(form, "é.png")
        assert find_files([name], tmp_path).paths == [tmp_path / name]
    assert find_files([unicodedata.normalize("NFC", "É.png")], tmp_path).problems[0].endswith("fit alike)")
