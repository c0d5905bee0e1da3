"""Where an artifact comes to lie: built beside, then one rename. What fails leaves nothing behind."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from kft.errors import UsageError
from kft.records.files import require_writable, storage_errors
from kft.records.shipped import NAME

BUILT = ".{name}.kft.tmp"
"""What a folder is called while an artifact called NAME is built in it, and nobody else calls one: leftovers go."""


def refuse_there(destination: Path) -> None:
    """Refuses a folder that is there already: an artifact is never overwritten.

    Raises:
        UsageError: It is taken.
        StorageError: This user may not write there.
    """
    if destination.exists():
        is_ours = (destination / NAME).is_file()
        raise UsageError(
            "the folder already exists; an artifact is never overwritten",
            where=str(destination),
            received="an artifact" if is_ours else "something else",
            expected="a folder that does not exist yet",
            next_step="choose another DEST, or remove this one",
        )
    require_writable(destination.parent)


@contextmanager
def building(destination: Path) -> Iterator[Path]:
    """Gives a folder beside the destination, which takes its place when the body ends; or is gone when it fails.

    One process at a time builds there: two would mix their files, and each would vouch for the other's.

    Raises:
        UsageError: Another process builds it, or has built it meanwhile.
        StorageError: The disk is full or the folder cannot be written.
    """
    temporary = destination.with_name(BUILT.format(name=destination.name))
    with storage_errors(destination):
        temporary.mkdir(parents=True, exist_ok=True)
        with _held(temporary, destination):
            try:
                for litter in temporary.iterdir():  # of an export that was killed
                    shutil.rmtree(litter) if litter.is_dir() and not litter.is_symlink() else litter.unlink()
                yield temporary
                refuse_there(destination)
                temporary.rename(destination)
            except BaseException:
                shutil.rmtree(temporary, ignore_errors=True)
                raise


@contextmanager
def _held(folder: Path, destination: Path) -> Iterator[None]:
    """Locks a folder itself, so that no file is left: the lock goes with its process, however that ends."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            free = folder.is_dir() and os.path.samestat(os.fstat(handle), folder.stat())  # else renamed just now
        except BlockingIOError:
            free = False
        if not free:
            raise UsageError(
                "another process exports to the same folder",
                where=str(destination),
                expected="one export at a time",
                next_step="wait for it, or choose another DEST",
            )
        yield
    finally:
        os.close(handle)
