"""The file system's errors in words: what is used up, and what to do."""

import errno
import os

import numpy as np
import pytest
from safetensors.numpy import save_file

from kft.errors import StorageError
from kft.records import files
from kft.records.files import storage_errors


@pytest.mark.parametrize(
    ("number", "free", "said", "step"),
    [
        (errno.ENOSPC, 5, "the disk is full", "free some space"),
        (errno.ENOSPC, 0, "the disk holds as many files as it can", "df -i"),
        (errno.EDQUOT, 5, "the quota of this user is used up", "free some space"),
        (errno.EMFILE, 5, "too many files are open at once", "ulimit -n"),
        (errno.EACCES, 5, "a file cannot be written", "another folder"),
    ],
)
def test_what_is_used_up_is_said(tmp_path, monkeypatch, number, free, said, step):
    monkeypatch.setattr(files, "free_files", lambda path: free)
    with pytest.raises(StorageError, match=said) as caught, storage_errors(tmp_path, "another folder"):
        raise OSError(number, os.strerror(number))
    assert step in str(caught.value) and str(tmp_path) in str(caught.value)


def test_what_safetensors_says_of_the_file_system_is_said_too(tmp_path):
    with pytest.raises(StorageError, match="a file cannot be written") as caught, storage_errors(tmp_path):
        save_file({"a": np.zeros(3)}, tmp_path / "no" / "a.safetensors")
    assert "No such file or directory" in str(caught.value)
