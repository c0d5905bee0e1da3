"""Files and folders behind a URL, such as ``gs://bucket/tickets.csv``: copied into the cache once, then read there."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from filelock import FileLock

from kft import runtime
from kft.assets import FREE_SPACE, cache_dir
from kft.errors import AssetError, DataError
from kft.records.files import storage_errors

THREADS = 8


@dataclass(frozen=True)
class RemoteFile:
    """A file behind a URL.

    Attributes:
        url: Where it lies.
        name: Its path in the copy.
        version: Size and time of its last change.
    """

    url: str
    name: str
    version: str


def remote_root() -> Path:
    """Returns the folder of all copies of remote files."""
    return cache_dir() / "remote"


def fetch_remote(url: str) -> Path:
    """Returns a local copy of a file or folder, made the first time and anew when its size or date changes.

    Args:
        url: Anything that ``tf.io.gfile`` knows, such as ``gs://bucket/tickets.csv``.

    Raises:
        DataError: There is nothing at the URL, or TensorFlow does not know its scheme.
        AssetError: The store does not answer, or refuses.
        StorageError: The cache is full or cannot be written; nothing half-written is kept.

    Example:
        >>> fetch_remote("gs://bucket/tickets.csv").name  # doctest: +SKIP
        'tickets.csv'
    """
    runtime.load_tensorflow()
    files = _list(url.rstrip("/"))
    key = hashlib.sha256("".join(f"{file.url}\t{file.version}\n" for file in files).encode()).hexdigest()[:24]
    entry = remote_root() / key
    copy = entry / PurePosixPath(url.rstrip("/")).name
    if entry.is_dir():
        return copy
    with storage_errors(entry, FREE_SPACE):
        entry.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(str(entry.parent / f".{key}.lock")):
            if not entry.is_dir():
                _copy_all(files, entry)
    return copy


def _list(url: str) -> list[RemoteFile]:
    import tensorflow as tf

    with _remote_errors(url):
        if not tf.io.gfile.isdir(url):
            return [_described(url, PurePosixPath(url).name)]
        parent = url.rpartition("/")[0]
        found = [f"{folder.rstrip('/')}/{name}" for folder, _, names in tf.io.gfile.walk(url) for name in names]
        with ThreadPoolExecutor(THREADS, thread_name_prefix="kft-remote") as pool:
            return list(pool.map(lambda path: _described(path, path.removeprefix(parent + "/")), sorted(found)))


def _described(url: str, name: str) -> RemoteFile:
    import tensorflow as tf

    if not name or ".." in PurePosixPath(name).parts:
        raise DataError("a URL that names no file", where=url, received=name or "nothing", expected="gs://BUCKET/FILE")
    stat = tf.io.gfile.stat(url)
    return RemoteFile(url, name, f"{stat.length} {stat.mtime_nsec}")


def _copy_all(files: list[RemoteFile], entry: Path) -> None:
    stage = entry.with_name(f".{entry.name}.partial")
    shutil.rmtree(stage, ignore_errors=True)  # a process that was killed may have left it; the lock says it is gone
    try:
        with ThreadPoolExecutor(THREADS, thread_name_prefix="kft-remote") as pool:
            list(pool.map(lambda file: _copy(file, stage / file.name), files))
        os.replace(stage, entry)
    finally:
        shutil.rmtree(stage, ignore_errors=True)


def _copy(file: RemoteFile, target: Path) -> None:
    import tensorflow as tf

    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("wb") as out, _remote_errors(file.url), tf.io.gfile.GFile(file.url, "rb") as remote:
        shutil.copyfileobj(remote, out, 1 << 22)


@contextmanager
def _remote_errors(url: str) -> Iterator[None]:
    import tensorflow as tf

    try:
        yield
    except tf.errors.NotFoundError as error:
        raise DataError(
            "there is no file at this URL",
            where=url,
            received=_message(error),
            expected="a file or folder that is there",
            next_step="mend data.train, data.valid or data.test in the recipe",
        ) from error
    except tf.errors.UnimplementedError as error:
        raise DataError(
            f"TensorFlow does not know files of the kind {url.partition(':')[0]}://",
            where=url,
            received=_message(error),
            expected="a local file, or gs://BUCKET/FILE",
            next_step="copy the file to this disk",
        ) from error
    except tf.errors.OpError as error:
        raise AssetError(
            "the store of this file does not answer as it should",
            where=url,
            received=_message(error),
            expected="a file that these credentials may read",
            next_step="check the network and the credentials (gcloud auth application-default login), or copy the file",
        ) from error


def _message(error: Any) -> str:
    return str(error.message or type(error).__name__).splitlines()[0]
