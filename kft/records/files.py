"""Writing so that nothing is ever half there, and the file system's errors as one message that says what to do."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

from kft.errors import StorageError

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""What the system answers where a disk takes no more: no bytes, no inodes, no more of this user's share."""
ELSEWHERE = "choose another folder with -o DIR"


@contextmanager
def _named_by_safetensors() -> Iterator[None]:
    """Turns what safetensors raises of the file system, which is no OSError, into the one that it speaks of."""
    try:
        yield
    except Exception as error:
        said = re.search(r"\(os error (\d+)\)", str(error)) if type(error).__name__ == "SafetensorError" else None
        if said is None:
            raise
        raise OSError(int(said[1]), os.strerror(int(said[1]))) from error


@contextmanager
def storage_errors(path: Path, elsewhere: str = "choose another folder with --run DIR") -> Iterator[None]:
    """Turns an error of the file system into one message that says what to do.

    Args:
        path: What is written.
        elsewhere: How a person has it written to another place.
    """
    try:
        with _named_by_safetensors():
            yield
    except OSError as error:
        if error.errno in FULL:
            raise _full(path, error, elsewhere) from error
        if error.errno in (errno.EMFILE, errno.ENFILE):
            raise StorageError(
                "too many files are open at once",
                where=str(path),
                received=error.strerror,
                expected="a limit that leaves room for one more",
                next_step="ulimit -n 4096 raises the limit of this shell, then run the command again",
            ) from error
        raise StorageError(
            "a file cannot be written",
            where=str(path),
            received=error.strerror or str(error),
            expected="a folder that this user may write to",
            next_step=elsewhere,
        ) from error


def _full(path: Path, error: OSError, elsewhere: str) -> StorageError:
    """Says what is used up: the bytes of a disk, a person's share of them, or the number of files that it holds."""
    intact = "what was written before is intact"
    if error.errno == errno.ENOSPC and free_files(path) == 0:
        return StorageError(
            "the disk holds as many files as it can",
            where=str(path),
            received=f"no inode is free, though {free_bytes(path) / 2**20:,.0f} MiB are",
            expected=f"room for one more file; {intact}",
            next_step=f"remove files there (df -i shows how many it holds), or {elsewhere}",
        )
    return StorageError(
        "the disk is full" if error.errno != errno.EDQUOT else "the quota of this user is used up",
        where=str(path),
        received=f"{error.strerror}; {free_bytes(path) / 2**20:,.0f} MiB free",
        expected=f"room for this file; {intact}",
        next_step=f"free some space, or {elsewhere}",
    )


@contextmanager
def reading_errors(path: Path) -> Iterator[None]:
    """Turns an error of the file system, but that the file is not there, into one message that says what to do."""
    try:
        yield
    except FileNotFoundError:
        raise
    except OSError as error:
        raise StorageError(
            "a file or folder cannot be read",
            where=str(path),
            received=error.strerror or str(error),
            expected="one that this user may read, on a disk that answers",
            next_step=f"ls -ld {path} shows what is there",
        ) from error


def free_bytes(path: Path) -> int:
    """Returns the free space of the disk a path lies on, or would lie on."""
    return shutil.disk_usage(_there(path)).free


def free_files(path: Path) -> int | None:
    """Returns how many more files the disk of a path can hold; None where it sets no such limit."""
    if not hasattr(os, "statvfs"):
        return None
    found = os.statvfs(_there(path))
    return found.f_favail if found.f_files else None


def _there(path: Path) -> Path:
    folder = path.absolute()
    while not folder.exists():
        folder = folder.parent
    return folder


def require_writable(folder: Path) -> None:
    """Refuses a folder that cannot be made or written to, before anything is computed for it.

    Raises:
        StorageError: This user may not write there.
    """
    place = folder.absolute()
    while not place.exists():
        place = place.parent
    if not os.access(place, os.W_OK):
        raise StorageError(
            "the folder cannot be written",
            where=str(folder),
            received=f"{place} belongs to another user, or is read-only",
            expected="a folder that this user may write to",
            next_step="choose another folder",
        )


def utc_now() -> str:
    """Returns the time as files have it: ISO 8601, UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def sha256_of(path: Path) -> str:
    """Returns the sha256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_file(path: Path, content: bytes | str, **advice: str) -> None:
    """Writes a file whole or not at all: a temporary file beside it, then an atomic rename.

    Args:
        path: The file.
        content: All of it.
        **advice: ``elsewhere``, as for ``storage_errors``.

    Raises:
        StorageError: The disk is full or the folder cannot be written; the file is then as it was before.
    """
    with writing(path, **advice) as file:
        file.write(content.encode() if isinstance(content, str) else content)


@contextmanager
def writing(path: Path, **advice: str) -> Iterator[IO[bytes]]:
    """Opens a file to be written in pieces; it appears whole when the body ends, or not at all; see ``write_file``."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with storage_errors(path, **advice):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with temporary.open("wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
        except BaseException:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)
            raise


def write_json(path: Path, values: Any, **advice: str) -> None:
    """Writes readable JSON, whole or not at all; see ``write_file``."""
    write_file(path, json.dumps(values, indent=2, ensure_ascii=False) + "\n", **advice)


def write_folder(files: Mapping[str, bytes | str], target: Path | None, *, numbered: Path) -> Path:
    """Writes a folder of files whole or not at all: into a temporary one beside it, then an atomic rename.

    Args:
        files: Name and content of each.
        target: The folder; one that is there has to be empty.
        numbered: Without ``target``, the folder is the first of ``<numbered>-1``, ``-2`` ... that is free.

    Returns:
        The folder.

    Raises:
        StorageError: The disk is full, the folder cannot be written, or another process took it meanwhile.
    """
    wanted = target or numbered
    temporary = wanted.with_name(f".{wanted.name}.{os.getpid()}.tmp")
    folder, number = target or _numbered(numbered, 1), 1
    try:
        for name, content in files.items():
            write_file(temporary / name, content, elsewhere=ELSEWHERE)
        while not _renamed(temporary, folder):
            if target is not None:
                raise StorageError("the folder is not empty", where=str(target), next_step=ELSEWHERE)
            number += 1
            folder = _numbered(numbered, number)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return folder


def _numbered(path: Path, number: int) -> Path:
    return path.with_name(f"{path.name}-{number}")


def _renamed(temporary: Path, folder: Path) -> bool:
    """Renames a folder in one step; False where something is there already."""
    with storage_errors(folder, ELSEWHERE):
        try:
            temporary.rename(folder)
        except OSError as error:
            if error.errno in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):
                return False
            raise
    return True
