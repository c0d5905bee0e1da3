"""One process at a time moves the aliases of a name on a shelf; the others wait for it."""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from kft.errors import StorageError
from kft.records.files import storage_errors, utc_now
from kft.records.remote import is_url
from kft.records.storage import Storage
from kft.records.waiting import acquire

LOCK = "lock.json"
WAIT_SECONDS, POLL_SECONDS = 300.0, 2.0
"""How long another process may hold a name behind a URL, where nothing tells whether it still lives."""


@contextmanager
def holding(storage: Storage, say: Callable[[], None] | None = None) -> Iterator[None]:
    """Holds a name on a shelf for this process while the body runs; makes its folder first.

    On this disk it is the system's own lock, which goes with its process. In an object store it is a file that only
    one process can make; one that a killed process left has to be removed by a person.

    Args:
        storage: The folder of the name.
        say: Called once when it has to wait.

    Raises:
        StorageError: The folder cannot be written, or another process holds it for too long.
    """
    if is_url(storage.path):
        _take(storage, say)
        try:
            yield
        finally:
            storage.remove(LOCK)
        return
    folder = Path(storage.path)
    with storage_errors(folder, storage.elsewhere):
        folder.mkdir(parents=True, exist_ok=True)
        lock = acquire(folder / ".lock", say, folder)
    with lock:
        for litter in folder.glob(".*.tmp"):  # of a process that was killed
            litter.unlink(missing_ok=True)
        yield


def _take(storage: Storage, say: Callable[[], None] | None) -> None:
    mine = {"pid": os.getpid(), "host": socket.gethostname(), "since": utc_now()}
    until = time.monotonic() + WAIT_SECONDS
    while not storage.create(LOCK, json.dumps(mine).encode()):
        if say is not None:
            say()
            say = None
        if time.monotonic() >= until:
            raise StorageError(
                "another process holds this name on the shelf",
                where=storage.where(LOCK),
                received=(storage.read(LOCK) or b"nothing any more").decode(errors="replace")[:300],
                expected="one process at a time",
                next_step=f"wait for it; if it was killed, remove {storage.where(LOCK)}",
            )
        time.sleep(min(POLL_SECONDS, WAIT_SECONDS))
