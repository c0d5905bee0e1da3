"""Files and folders behind a URL, such as ``gs://bucket/tickets.csv``: copied into the cache once, then read there."""

from __future__ import annotations

import hashlib
import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from kft.assets import cache_dir
from kft.downloads import FREE_SPACE
from kft.errors import AssetError, DataError
from kft.records.files import storage_errors
from kft.records.remote import open_store, store_errors
from kft.records.waiting import acquire

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

THREADS = 8
CREDENTIALS = (
    "check the network and the credentials (for gs://: gcloud auth application-default login), or copy the file"
)


@dataclass(frozen=True)
class RemoteFile:
    """A file behind a URL.

    Attributes:
        path: Where it lies, as its file system says it.
        name: Its path in the copy.
        version: Changes with its content.
    """

    path: str
    name: str
    version: str


def remote_root() -> Path:
    """Returns the folder of all copies of remote files."""
    return cache_dir() / "remote"


def fetch_remote(url: str) -> Path:
    """Returns a local copy of a file or folder, made the first time and anew when the store says that it changed.

    Args:
        url: Anything that fsspec has a driver for, such as ``gs://bucket/tickets.csv``.

    Raises:
        DataError: There is nothing at the URL, or no driver knows its scheme.
        AssetError: The store does not answer, or refuses.
        StorageError: The cache is full or cannot be written; nothing half-written is kept.

    Example:
        >>> fetch_remote("gs://bucket/tickets.csv").name  # doctest: +SKIP
        'tickets.csv'
    """
    system, path = open_store(url.rstrip("/"))
    with store_errors(url, AssetError, CREDENTIALS):
        try:
            files = _list(system, path)
        except FileNotFoundError as error:
            raise DataError(
                "there is no file at this URL",
                where=url,
                received=str(error) or "nothing",
                expected="a file or folder that is there",
                next_step="mend data.train, data.valid or data.test in the recipe",
            ) from error
    key = hashlib.sha256("".join(f"{file.path}\t{file.version}\n" for file in files).encode()).hexdigest()[:24]
    entry = remote_root() / key
    copy = entry / PurePosixPath(path).name
    if entry.is_dir():
        return copy
    with storage_errors(entry, FREE_SPACE):
        entry.parent.mkdir(parents=True, exist_ok=True)
        with acquire(entry.parent / f".{key}.lock", None, entry.with_name(f".{entry.name}.partial")):
            if not entry.is_dir():
                _copy_all(system, files, entry)
    return copy


def _list(system: AbstractFileSystem, path: str) -> list[RemoteFile]:
    system.invalidate_cache()  # what was listed before may have changed
    found = sorted(system.find(path))
    if not found:
        raise FileNotFoundError(path)
    parent = PurePosixPath(path).parent
    names = [PurePosixPath(one).relative_to(parent).as_posix() for one in found]
    for name in names:
        if not name or ".." in PurePosixPath(name).parts:
            raise DataError("a URL that names no file", where=path, received=name, expected="gs://BUCKET/FILE")
    with ThreadPoolExecutor(THREADS, thread_name_prefix="kft-remote") as pool:
        return list(map(RemoteFile, found, names, pool.map(system.ukey, found)))


def _copy_all(system: AbstractFileSystem, files: list[RemoteFile], entry: Path) -> None:
    stage = entry.with_name(f".{entry.name}.partial")
    shutil.rmtree(stage, ignore_errors=True)  # a process that was killed may have left it; the lock says it is gone

    def copy(file: RemoteFile) -> None:
        target = stage / file.name
        target.parent.mkdir(parents=True, exist_ok=True)
        with (
            target.open("wb") as out,
            store_errors(file.path, AssetError, CREDENTIALS),
            system.open(file.path) as source,
        ):
            shutil.copyfileobj(source, out, 1 << 22)

    try:
        with ThreadPoolExecutor(THREADS, thread_name_prefix="kft-remote") as pool:
            list(pool.map(copy, files))
        os.replace(stage, entry)
    finally:
        shutil.rmtree(stage, ignore_errors=True)
