"""Waiting for another process: as long as it gets on, and no longer."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from filelock import AcquireReturnProxy, FileLock, Timeout

from kft.errors import StorageError

IDLE_SECONDS = 1800.0
"""So long the holder of a lock may show no sign of work."""
POLL_SECONDS = 5.0


def acquire(
    path: Path, say: Callable[[], None] | None, at_work: Path, *, idle_seconds: float = IDLE_SECONDS
) -> AcquireReturnProxy:
    """Takes a lock; where another process has it, waits while that one writes.

    A process that dies gives its lock back at once.

    Args:
        path: The lock's file.
        say: Called once when it has to wait.
        at_work: The folder in which the holder writes.
        idle_seconds: How long nothing may change there.

    Raises:
        StorageError: The holder has shown no sign of work for too long.
    """
    lock = FileLock(str(path))
    try:
        return lock.acquire(timeout=0)
    except Timeout:
        if say:
            say()
    seen, since = _latest(at_work), time.monotonic()
    while True:
        try:
            return lock.acquire(timeout=min(POLL_SECONDS, idle_seconds))
        except Timeout:
            now = _latest(at_work)
            if now != seen:
                seen, since = now, time.monotonic()
            elif time.monotonic() - since > idle_seconds:
                raise StorageError(
                    "another process holds what this one needs, and makes no progress",
                    where=str(path),
                    received=f"nothing new in {at_work} for {time.monotonic() - since:,.0f} s",
                    expected="a process that writes, or ends",
                    next_step=f"see which it is (fuser {path}), end it, and run the command again",
                ) from None


def _latest(folder: Path) -> float:
    """Returns when anything in a folder was last written."""
    found = [0.0]
    for path in (folder, *folder.rglob("*")) if folder.is_dir() else ():
        try:
            found.append(path.stat().st_mtime)
        except OSError:  # it went away meanwhile: a sign of work, too, by its folder's time
            continue
    return max(found)
