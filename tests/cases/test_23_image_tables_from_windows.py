"""Tables of photos that were made on Windows: found where they lie, or refused with the reason."""

import json

import pytest
from PIL import Image

from kft.data.image_paths import find_files
from kft.data.inputs import read_inputs
from kft.recipe.schema import DataSpec
from kft.tasks.registry import TASKS


@pytest.fixture
def table(tmp_path):
    """Writes a table; the files are img/IMG_0.JPG and so on."""
    (tmp_path / "img").mkdir()
    for number in range(40):
        Image.new("RGB", (8, 8), (number * 6, 200 - number, 9)).save(tmp_path / "img" / f"IMG_{number}.JPG", "JPEG")

    def write(cell, labels=("square", "bar"), rows=None):
        lines = rows or [(cell.format(number), labels[number % 2]) for number in range(40)]
        (tmp_path / "t.csv").write_text("filename,label\n" + "".join(f"{path},{label}\n" for path, label in lines))
        return tmp_path / "t.csv"

    return write


SPELLINGS = {
    "img\\IMG_{}.JPG": "with backslashes",
    "img/IMG_{}.jpg": "in another case",
    "IMG/img_{}.Jpg": "in another case",
    "img/IMG_{}": "without the ending",
    "img/IMG_{}.jpeg": "with another ending of the same format",
    ".\\img\\img_{}": "without the ending",
}


@pytest.mark.parametrize("cell", SPELLINGS)
def test_spellings_are_found_and_said(table, kft_cli, tmp_path, cell):
    table(cell)
    code, out, err = kft_cli("init", "t.csv", "-o", "r.yaml")
    assert code == 0, err
    assert "image-classification" in out
    code, out, err = kft_cli("check", "r.yaml", "--no-features", "--json", "--set", "data.keep_together=copies")
    found = json.loads(out)
    assert sum(found["n"].values()) == 40 and code in (0, 1)
    assert any(SPELLINGS[cell] in each["message"] for each in found["findings"])


@pytest.mark.parametrize(
    "cell, reason",
    [
        ("photos/IMG_{}.JPG", "no such file: photos/IMG_0.JPG (img/IMG_0.JPG is there)"),
        ("IMG_{}.jpg", "no such file: IMG_0.jpg (img/IMG_0.JPG is there)"),
        ("C:\\Users\\me\\img\\IMG_{}.JPG", "a path of another machine; img/IMG_0.JPG is there"),
        ("img/IMG_{}.png", "no such file: img/IMG_0.png"),
        ("img/photo_{}.jpg", "no such file: img/photo_0.jpg"),
    ],
)
def test_what_cannot_be_found_is_refused_with_why(table, kft_cli, tmp_path, cell, reason):
    table(cell)
    recipe = {"task": "image-classification", "data": {"train": "t.csv"}, "model": {"backbone": "efficientnet-lite0"}}
    (tmp_path / "r.yaml").write_text(json.dumps(recipe))
    for command in (("check", "r.yaml", "--no-features"), ("train", "r.yaml")):
        code, _, err = kft_cli(*command)
        said = " ".join(err.split())
        assert code == 2 and "no such file (40)" in said and reason in said


def test_an_ending_that_could_be_two_files_is_refused(table, tmp_path):
    Image.new("RGB", (8, 8)).save(tmp_path / "img" / "IMG_0.png")
    assert "fit alike" in find_files(["img/IMG_0"], tmp_path).problems[0]


KINDS = ("square", "shape")
ROW_PER_LABEL = [(f"img/IMG_{number}.JPG", KINDS[row]) for number in range(40) for row in range(1 + number % 2)]


def test_one_row_per_label_is_refused_for_one_class_and_joined_for_several(table, kft_cli, tmp_path):
    table("", rows=ROW_PER_LABEL)
    recipe = {"task": "image-classification", "data": {"train": "t.csv"}, "model": {"backbone": "efficientnet-lite0"}}
    (tmp_path / "r.yaml").write_text(json.dumps(recipe))
    code, _, err = kft_cli("check", "r.yaml", "--no-features")
    assert code == 2 and "20 images are in 40 rows" in err and "set task: image-multi-label" in " ".join(err.split())
    code, out, err = kft_cli("check", "r.yaml", "--no-features", "--json", "--set", "task=image-multi-label")
    assert sum(json.loads(out)["n"].values()) == 40, err
    assert "their labels are joined" in " ".join(err.split())
    code, _, err = kft_cli("init", "t.csv", "-o", "s.yaml")
    assert code == 2 and "kft init with --task image-multi-label, which joins" in " ".join(err.split())
    code, out, err = kft_cli("init", "t.csv", "-o", "s.yaml", "--task", "image-multi-label")
    assert code == 0 and "20 images are in 40 rows" in " ".join(out.split())


@pytest.mark.parametrize("cell", ["img\\IMG_{}.JPG", "img/img_{}", "img/IMG_{}.JPG"])
def test_answers_are_given_for_the_same_tables(table, cell):
    path = table(cell)
    given = read_inputs(path, TASKS.get("image-classification"), DataSpec(train="t.csv"), column="filename")
    assert given.inputs[3] == path.parent / "img" / "IMG_3.JPG"
    assert given.table["filename"][3] == cell.format(3), "answers stand beside what the table says"
    assert len(given.notes) == (cell != "img/IMG_{}.JPG")
