"""One process at a time writes into a run folder: the others are told who does.

The lock is the system's own (flock), so it goes with its process, however that ends. What a killed process leaves in
the file only says who it was.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from kft.errors import RunError
from kft.records.files import storage_errors, utc_now
from kft.records.run_folder import LOCK, RunFolder

UNKNOWN = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL)
"""What a file system without locks answers."""


@contextmanager
def hold(
    run: RunFolder,
    note: Callable[[str], None] = lambda line: None,
    what: str = "run folder",
    next_step: str = "",
) -> Iterator[None]:
    """Holds a run folder, or another that one process writes, for this process while the body runs.

    Args:
        run: The folder, which is there.
        note: Told of a process that was killed while it held the folder, and of a file system without locks.
        what: The folder is called.
        next_step: Of the refusal; default: to wait for the other process, or to end it.

    Raises:
        RunError: Another process holds it; the message says which, where and since when.
        StorageError: The folder cannot be written.
    """
    path = run.path / LOCK
    with _locked(run, note, what, next_step) as file:
        if left := _read(file):
            note(f"lock       left by {_who(left)}, which is gone: cleared")
        for litter in (*run.path.glob(".*.tmp"), *run.evaluations.glob(".*.tmp")):  # of a process that was killed
            if not litter.is_dir():  # that is what an export was building: kft clean removes it
                litter.unlink(missing_ok=True)
        _write(file, {"pid": os.getpid(), "host": socket.gethostname(), "since": utc_now(), "command": _command()})
        try:
            yield
        finally:
            with suppress(OSError):
                path.unlink()


def seems_held(run: RunFolder) -> bool:
    """Whether a process holds a run folder, as far as can be told without touching its lock.

    A process of this machine is looked for; one of another machine is believed to be there still.
    """
    try:
        with (run.path / LOCK).open(encoding="utf-8") as file:
            holder = _read(file)
    except OSError:
        return False
    pid, here = holder.get("pid"), holder.get("host") == socket.gethostname()
    return bool(holder) and not (here and isinstance(pid, int) and not Path(f"/proc/{pid}").exists())


def _locked(run: RunFolder, note: Callable[[str], None], what: str, next_step: str) -> IO[str]:
    path = run.path / LOCK
    while True:
        with storage_errors(path):
            file = path.open("a+", encoding="utf-8")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in UNKNOWN:
                holder = _read(file)
                file.close()
                raise _refusal(run, holder, what, next_step) from None
            note("lock       this file system has none: make sure that only one process writes into the folder")
        if path.exists() and os.fstat(file.fileno()).st_ino == path.stat().st_ino:
            return file
        file.close()  # its last holder removed it in between


def _refusal(run: RunFolder, holder: dict[str, Any], what: str, next_step: str) -> RunError:
    wait = f"wait for it, or end it first: kill {holder.get('pid', 'PID')} on {holder.get('host', 'its host')}"
    return RunError(
        f"another process is at work in this {what}",
        where=str(run.path),
        received=_who(holder) if holder else "a process that did not say which it is",
        expected="one process at a time",
        next_step=next_step or wait,
    )


def _who(holder: dict[str, Any]) -> str:
    return "process {pid} on {host}, since {since}: {command}".format(
        **{key: str(holder.get(key, "unknown"))[:200] for key in ("pid", "host", "since", "command")}
    )


def _read(file: IO[str]) -> dict[str, Any]:
    file.seek(0)
    try:
        found = json.loads(file.read(4096))
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _write(file: IO[str], values: dict[str, Any]) -> None:
    with suppress(OSError):  # who it is helps people alone; the lock holds without it
        file.truncate(0)
        file.seek(0)
        file.write(json.dumps(values))
        file.flush()


def _command() -> str:
    return " ".join([Path(sys.argv[0]).name, *sys.argv[1:]])
