"""A folder is written whole or not at all, under a name that is free."""

import pytest

from kft.errors import StorageError
from kft.records.files import write_folder

FILES = {"a.txt": "one", "b.bin": b"\x00two"}


def test_a_folder_is_written_under_the_first_free_number(tmp_path):
    (tmp_path / "audits").mkdir()
    (tmp_path / "audits" / "mine-1").write_text("a file of that name")
    written = [write_folder(FILES, None, numbered=tmp_path / "audits" / "mine") for _ in range(2)]
    assert [folder.name for folder in written] == ["mine-2", "mine-3"]
    assert {path.name: path.read_bytes() for path in written[1].iterdir()} == {"a.txt": b"one", "b.bin": b"\x00two"}
    assert len(list((tmp_path / "audits").iterdir())) == 3, "nothing temporary is left"


def test_a_folder_that_was_taken_meanwhile_is_left_alone(tmp_path):
    target = tmp_path / "mine"
    target.mkdir()
    (target / "theirs.txt").write_text("kept")
    with pytest.raises(StorageError, match="not empty") as caught:
        write_folder(FILES, target, numbered=tmp_path / "unused")
    assert "choose another folder with -o DIR" in str(caught.value)
    assert [path.name for path in tmp_path.rglob("*")] == ["mine", "theirs.txt"]


def test_an_empty_folder_is_filled(tmp_path):
    (tmp_path / "mine").mkdir()
    assert write_folder(FILES, tmp_path / "mine", numbered=tmp_path / "unused") == tmp_path / "mine"
    assert sorted(path.name for path in (tmp_path / "mine").iterdir()) == ["a.txt", "b.bin"]


def test_what_fails_in_between_leaves_nothing(tmp_path):
    with pytest.raises(StorageError, match="cannot be written"):
        write_folder({**FILES, "n" * 300: "a name that is too long"}, tmp_path / "mine", numbered=tmp_path / "unused")
    assert list(tmp_path.iterdir()) == []
