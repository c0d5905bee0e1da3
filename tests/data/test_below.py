"""A folder that is answered: what in it is read, what is passed over is told, and what cannot be used has a name."""

import pytest
from PIL import Image

from kft.data.class_folders import IMAGES, find_by_class
from kft.data.documents import DOCUMENTS
from kft.data.inputs import read_inputs
from kft.errors import DataError
from kft.recipe.schema import DataSpec
from kft.tasks.registry import TASKS

SPEC = DataSpec(train="photos")


def read(source, task="image-classification"):
    return read_inputs(source, TASKS.get(task), SPEC, column="image" if task.startswith("image") else "text")


@pytest.fixture
def inbox(tmp_path):
    (tmp_path / "a").mkdir()
    Image.new("RGB", (4, 4)).save(tmp_path / "a" / "1.PNG")
    Image.new("RGB", (4, 4)).save(tmp_path / "2.jpg")
    for name in (".hidden.heic", "Thumbs.db", "a/IMG_1.heic", "letter.docx", "letter.md"):
        (tmp_path / name).write_bytes(b"words")
    return tmp_path


def test_files_that_are_not_read_are_told(inbox):
    found = read(inbox)
    assert found.table["image"].tolist() == ["2.jpg", "a/1.PNG"]
    assert found.notes == (
        "3 files are passed over, such as a/IMG_1.heic: images end in " + ", ".join(IMAGES.suffixes),
    )
    found = read(inbox, "text-classification")
    assert found.inputs == ["words"]
    assert found.notes == ("4 files are passed over, such as 2.jpg: documents end in " + ", ".join(DOCUMENTS.suffixes),)


def test_links_to_folders_are_followed_and_lead_nowhere_twice(inbox, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    Image.new("RGB", (4, 4)).save(elsewhere / "3.png")
    (inbox / "a" / "more").symlink_to(elsewhere)
    (elsewhere / "round").symlink_to(inbox / "a")
    assert read(inbox).table["image"].tolist() == ["2.jpg", "a/1.PNG", "a/more/3.png"]
    (inbox / "2.jpg").unlink()
    (inbox / "a" / "IMG_1.heic").unlink()
    assert find_by_class(inbox) == [("a/1.PNG", "a"), ("a/more/3.png", "a")]


def test_an_index_of_documents_tells_them_too(inbox):
    from kft.search.documents import find_documents

    found = find_documents(inbox)
    assert found.ids == ["letter.md"] and found.notes[0].startswith("4 files are passed over")


def test_images_that_cannot_be_used_are_named(inbox):
    for name in ("b.png", "c.png"):
        (inbox / "a" / name).write_bytes(b"words")
    with pytest.raises(DataError, match="2 of 4 images cannot be used") as caught:
        read(inbox)
    first, second = (caught.value.received or "").split("; ")
    assert first == f"{inbox}/a/b.png: not an image: it is none of JPEG, PNG, WEBP, GIF, BMP, TIFF, AVIF"
    assert second.startswith(f"{inbox}/a/c.png: not an image")


def test_a_file_of_another_kind_is_no_table_that_could_be_saved_as_csv(inbox):
    with pytest.raises(DataError, match=r"files of the kind '\.heic' are not read") as caught:
        read(inbox / "a" / "IMG_1.heic")
    assert "an image that ends in .jpg" in (caught.value.expected or "")
    assert caught.value.next_step == "convert it to JPEG or PNG"
