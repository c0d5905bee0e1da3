"""Files in a folder, on this disk or behind a URL."""

import hashlib

import pytest

from kft.errors import StorageError
from kft.records.storage import Storage
from tests import forked


@pytest.fixture(params=["disk", "memory", "file"])
def storage(request, tmp_path):
    path = {"disk": str(tmp_path / "a"), "memory": f"memory://{tmp_path.name}/a", "file": (tmp_path / "a").as_uri()}
    return Storage(path[request.param])


def test_a_file_is_made_once(storage):
    assert storage.create("lock", b"mine") and not storage.create("lock", b"theirs")
    assert storage.read("lock") == b"mine"
    storage.remove("lock")
    assert storage.read("lock") is None and storage.create("lock", b"theirs")


def test_lines_are_added(storage):
    storage.write("log", b"")
    for line in (b"a\n", b"b\n"):
        storage.append("log", line)
    assert storage.read("log") == b"a\nb\n" and storage.names() == ["log"]


def test_files_are_copied_and_folders_removed(storage, tmp_path):
    content = bytes(range(256)) * 9000  # more than one piece
    (tmp_path / "source").write_bytes(content)
    assert storage.put(tmp_path / "source", "1/deep/copy") == hashlib.sha256(content).hexdigest()
    storage.write("kept", b"")
    storage.settle("1")
    storage.settle()
    assert storage.read("1/deep/copy") == content
    storage.clear("1")
    storage.clear("never there")
    assert storage.names() == ["kept"]


def test_where_a_folder_cannot_be(tmp_path):
    (tmp_path / "file").write_text("")
    storage = Storage(str(tmp_path / "file"), elsewhere="take another one")
    acts = (lambda: storage.write("a", b""), lambda: storage.create("a", b""), lambda: storage.append("a", b""))
    for act in (*acts, lambda: storage.put(tmp_path / "file", "a")):
        with pytest.raises(StorageError) as caught:
            act()
        assert caught.value.next_step == "take another one"


def test_a_line_that_does_not_fit_is_not_half_there(tmp_path):
    (tmp_path / "log").write_bytes(b"x" * 49_990 + b"\n")
    done = forked.run("tests.limited_append", tmp_path)
    assert done.returncode == 3 and "the disk is full" in done.stderr, done.stderr
    assert (tmp_path / "log").read_bytes() == b"x" * 49_990 + b"\n"
