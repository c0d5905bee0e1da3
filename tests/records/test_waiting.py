"""Waiting for another process ends when it ends, or when it has done nothing for long."""

import threading
import time

import pytest
from filelock import FileLock

from kft.errors import StorageError
from kft.records import waiting
from kft.records.waiting import acquire


def test_a_free_lock_is_taken_without_a_word(tmp_path):
    with acquire(tmp_path / "lock", lambda: pytest.fail("nobody has it"), tmp_path):
        pass


def test_one_that_does_nothing_is_waited_for_no_longer_than_said(tmp_path):
    said = []
    (tmp_path / "work").mkdir()
    with (
        FileLock(str(tmp_path / "lock")),
        pytest.raises(StorageError, match="holds what this one needs, and makes no progress") as failed,
    ):
        acquire(tmp_path / "lock", lambda: said.append("waiting"), tmp_path / "work", idle_seconds=0.2)
    assert said == ["waiting"] and f"fuser {tmp_path / 'lock'}" in str(failed.value)


def test_one_that_gets_on_is_waited_for(tmp_path, monkeypatch):
    monkeypatch.setattr(waiting, "POLL_SECONDS", 0.05)
    (tmp_path / "work").mkdir()
    held = FileLock(str(tmp_path / "lock"), thread_local=False)
    held.acquire()

    def work():
        for number in range(12):
            (tmp_path / "work" / str(number)).touch()
            time.sleep(0.1)
        held.release()

    thread = threading.Thread(target=work)
    thread.start()
    with acquire(tmp_path / "lock", None, tmp_path / "work", idle_seconds=0.6):
        pass
    thread.join()
