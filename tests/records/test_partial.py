"""A file that is written in pieces."""

import errno
import json
import os

import pytest

from kft.errors import StorageError
from kft.records.partial import partial_file


def written(path, key, rows, fail=None):
    with partial_file(path, key) as partial:
        begun = partial.rows
        for row in range(partial.rows, rows):
            partial.file.write(b"%d\n" % row)
            if row % 2:
                partial.keep(row + 1, {"last": row})
        if fail is not None:
            raise fail
    return begun


def test_what_was_kept_is_gone_on_with(tmp_path):
    path = tmp_path / "a.jsonl"
    with pytest.raises(KeyboardInterrupt):
        written(path, {"model": "a"}, 5, KeyboardInterrupt())
    assert not path.exists() and sorted(each.name for each in tmp_path.iterdir()) == [
        ".a.jsonl.partial",
        ".a.jsonl.partial.json",
    ]
    with (tmp_path / ".a.jsonl.partial").open("ab") as file:
        file.write(b"half a li")
    assert written(path, {"model": "a"}, 7) == 4
    assert path.read_bytes() == b"0\n1\n2\n3\n4\n5\n6\n" and list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("how", ["key", "notes", "short", "damaged"])
def test_what_is_of_something_else_begins_anew(how, tmp_path):
    path, notes = tmp_path / "a.jsonl", tmp_path / ".a.jsonl.partial.json"
    with pytest.raises(RuntimeError):
        written(path, {"model": "a"}, 4, RuntimeError())
    if how == "notes":
        notes.unlink()
    elif how == "short":
        (tmp_path / ".a.jsonl.partial").write_bytes(b"0\n")
    elif how == "damaged":
        notes.write_text(json.dumps({"key": {"model": "a"}, "bytes": "8"})[:-3])
    assert written(path, {"model": "b" if how == "key" else "a"}, 3) == 0
    assert path.read_bytes() == b"0\n1\n2\n" and list(tmp_path.iterdir()) == [path]


def test_what_fails_before_anything_was_kept_and_a_full_disk_leave_nothing(tmp_path):
    with pytest.raises(RuntimeError):
        written(tmp_path / "a", {}, 1, RuntimeError())
    assert not list(tmp_path.iterdir())
    with pytest.raises(StorageError, match="the disk is full"):
        written(tmp_path / "a", {}, 4, OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))
    assert not list(tmp_path.iterdir())


def test_two_at_once_are_refused(tmp_path):
    with partial_file(tmp_path / "a", {}) as partial:
        partial.file.write(b"mine")
        with pytest.raises(StorageError, match="another process writes the same file"):
            written(tmp_path / "a", {}, 2)
    assert (tmp_path / "a").read_bytes() == b"mine"
