"""The first look at a person's data: what could be learnt, and what is amiss."""

import pytest
from PIL import Image

from kft.curate.look import look_at
from kft.data.examples import NamedColumns
from kft.errors import DataError


def look_in(folder, name, **options):
    return look_at(name, base=folder, locate=lambda source, base: base / source, **options)


def look(folder, text, name="data.csv", **options):
    (folder / name).write_text(text, encoding="utf-8")
    return look_in(folder, name, **options)


def rows(*labels, repeat=6):
    return "text,label\n" + "".join(
        f"words number {n} {i},{label}\n" for n in range(repeat) for i, label in enumerate(labels)
    )


def test_classes_of_texts(tmp_path):
    found = look(tmp_path, rows("a", "a", "b") + "words,\n")
    assert found.task.name == "text-classification" and found.counts == {"a": 12, "b": 6}
    assert found.warnings == (
        "1 row cannot be used: the recipe leaves it out (data.unusable_rows: skip), and kft check lists it",
        "1 label has fewer than 10 rows: b",
    )
    assert dict(found.summary())["label"] == "column 'label', 2 classes, smallest 6 rows"


def test_a_guess_of_the_label_names_what_else_it_could_be(tmp_path):
    cells = [
        f"some words number {n},{n % 2},{['ann', 'bob', 'eve', ''][n % 4]},2024-01-{n + 1:02},{'late' if n < 2 else ''}"
        for n in range(18)
    ]
    text = "body,is_reply,writer,day,spare\n" + "\n".join(cells) + "\n"
    found = look(tmp_path, text)
    assert (
        "'is_reply' is guessed to be the label, as it has the fewest different values (2): so could 'writer' (3): "
        in (found.warnings[-1])
    )
    assert found.proposals.others == ("writer", "spare") and found.proposals.slices == ("writer",)
    said = dict(found.summary())
    assert said["time"].endswith("; not in force: data.time in the recipe tests on the newest")
    sure = (look(tmp_path, text, named=NamedColumns(label="writer")), look(tmp_path, text.replace("is_reply", "label")))
    assert not any("guessed" in line for each in sure for line in each.warnings)


def test_paths_of_images_are_images(tmp_path):
    for name in "abcd":
        Image.new("RGB", (8, 8)).save(tmp_path / f"{name}.jpg")
    found = look(tmp_path, "photo,kind\na.jpg,x\nb.jpg,y\nc.jpg,x\nd.jpg,y\n")
    assert found.task.name == "image-classification" and found.columns.text == "photo"


def test_folders_of_splits_are_no_classes(tmp_path):
    for split in ("train", "test"):
        for kind in ("brick", "grass"):
            (tmp_path / "photos" / split / kind).mkdir(parents=True)
            Image.new("RGB", (8, 8)).save(tmp_path / "photos" / split / kind / "1.png")
    with pytest.raises(DataError, match="these folders are splits, not classes") as caught:
        look_in(tmp_path, "photos")
    assert "kft init photos/train -o recipe.yaml" in str(caught.value)
    found = look_in(tmp_path, "photos/train")
    assert found.counts == {"brick": 1, "grass": 1} and found.test == tmp_path / "photos" / "test"


def test_numbers_and_lists_are_told(tmp_path):
    numbers = look(tmp_path, rows(*(f"{n / 10}" for n in range(30)), repeat=2))
    assert any("kft init data.csv --task text-regression" in line for line in numbers.warnings)
    commas = look(tmp_path, rows(*(f'"{n},5"' for n in range(30)), repeat=2))
    assert any("kft init data.csv --task text-regression" in line for line in commas.warnings)
    lists = look(tmp_path, rows("red|round", "blue"))
    assert any("6 labels look like lists: kft init data.csv --task text-multi-label" in line for line in lists.warnings)
    found = look(tmp_path, rows(*(f"{n / 10}" for n in range(30))), task="text-regression")
    assert dict(found.summary())["label"] == "column 'label', numbers from 0 to 2.9, median 1.45"


@pytest.mark.parametrize("several", ["['red', 'round']", "{'red', 'round'}", '["red", "round"]', "('red', 'round')"])
def test_cells_that_list_two_labels_are_several_labels(tmp_path, several):
    found = look(tmp_path, rows(f'"{several.replace(chr(34), chr(34) * 2)}"', "['red']", "['red']"))
    assert found.task.name == "text-multi-label" and found.counts == {"red": 18, "round": 6}
    assert found.usable == found.rows and not any("cannot be used" in line for line in found.warnings)


def test_a_named_task_reads_lists_as_it_can(tmp_path):
    found = look(tmp_path, rows("\"['red', 'round']\"", "['red']", "['blue']"), task="text-classification")
    assert found.counts == {"red": 6, "blue": 6} and found.unusable == (("label is a list of 2 names", 6),)


def test_a_first_line_that_is_a_row(tmp_path):
    text = rows("a", "b").replace("text,label", "It broke on the very first day and I am not at all amused,1.5")
    assert "looks like a row" in look(tmp_path, text).warnings[0]


def test_one_class_teaches_nothing(tmp_path):
    with pytest.raises(DataError, match="one class only") as caught:
        look(tmp_path, rows("a"))
    assert "kft init data.csv --label COLUMN" in str(caught.value)
