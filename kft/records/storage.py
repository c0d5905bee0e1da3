"""Files that are written whole: in a folder on this disk, or in an object store such as ``gs://bucket/run``."""

from __future__ import annotations

import hashlib
import os
import shutil
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import IO, TYPE_CHECKING

from kft.errors import StorageError
from kft.records.files import reading_errors, storage_errors, write_file
from kft.records.remote import EXTRAS, is_url, open_store, store_errors

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from fsspec import AbstractFileSystem


PIECE_BYTES = 1 << 20


@dataclass(frozen=True)
class Storage:
    """Files in one folder, each written whole or not at all.

    Attributes:
        path: A local folder, or a URL that fsspec has a driver for.
        advice: What to do where a store does not answer.
        elsewhere: How a person has it written to another place.

    Example:
        >>> import tempfile
        >>> storage = Storage(tempfile.mkdtemp())
        >>> storage.write("a.json", b"{}")
        >>> storage.read("a.json"), storage.names()
        (b'{}', ['a.json'])
    """

    path: str
    advice: str = "check the folder and the credentials"
    elsewhere: str = "choose another folder with --run DIR"

    @cached_property
    def _system(self) -> AbstractFileSystem:
        return open_store(self.path if is_url(self.path) else "file://")[0]

    def where(self, name: str) -> str:
        return f"{self.path.rstrip('/')}/{name}"

    def _reading(self, where: str) -> AbstractContextManager[None]:
        return store_errors(where, StorageError, self.advice) if is_url(where) else reading_errors(Path(where))

    def _writing(self, where: str) -> AbstractContextManager[None]:
        if not is_url(where):
            return storage_errors(Path(where), self.elsewhere)
        return store_errors(where, StorageError, self.advice, writing=True)

    def write(self, name: str, content: bytes) -> None:
        """Writes a file.

        Raises:
            StorageError: The disk is full, or the folder cannot be written.
        """
        where = self.where(name)
        if not is_url(where):
            write_file(Path(where), content, elsewhere=self.elsewhere)
            return
        with self._writing(where):
            self._make_folder_of(where)
            # An object store shows a file once it is whole; elsewhere the manifest's hashes tell one cut short.
            self._system.pipe_file(where, content)

    def create(self, name: str, content: bytes) -> bool:
        """Writes a file that must not be there yet: of several processes that try, one does it.

        Returns:
            Whether this one did.

        Raises:
            StorageError: The folder cannot be written.
        """
        where = self.where(name)
        with self._writing(where):
            self._make_folder_of(where)
            try:
                if is_url(where):
                    self._system.pipe_file(where, content, mode="create")
                else:
                    with Path(where).open("xb") as file:
                        file.write(content)
            except FileExistsError:
                return False
        return True

    def append(self, name: str, line: bytes) -> None:
        """Adds a line to a file, for good once this returns.

        An object store cannot: the file is written anew, so that only one process may do so at a time.

        Raises:
            StorageError: The disk is full, or the folder cannot be written; what the file held is as it was.
        """
        where = self.where(name)
        if is_url(where):
            self.write(name, (self.read(name) or b"") + line)
            return
        # Without a buffer: that would write the rest of the line once more when the file is closed.
        with self._writing(where), Path(where).open("ab", buffering=0) as file:
            before = file.seek(0, os.SEEK_END)
            try:
                while line:
                    line = line[file.write(line) :]
                os.fsync(file.fileno())
            except OSError:
                os.ftruncate(file.fileno(), before)
                raise

    def put(self, source: Path, name: str) -> str:
        """Copies a local file, for good once this returns; while it goes on, anybody can see half of it.

        Returns:
            The sha256 of what was copied.

        Raises:
            StorageError: The disk is full, or the folder cannot be written.
        """
        where, digest = self.where(name), hashlib.sha256()
        with self._writing(where):
            self._make_folder_of(where)
            with source.open("rb") as read, self._open(where) as file:
                while piece := read.read(PIECE_BYTES):
                    digest.update(piece)
                    file.write(piece)
                if not is_url(where):
                    file.flush()
                    os.fsync(file.fileno())
        return digest.hexdigest()

    def _make_folder_of(self, where: str) -> None:
        if not is_url(where):
            Path(where).parent.mkdir(parents=True, exist_ok=True)
        elif self.path.partition(":")[0] not in EXTRAS:  # object stores have no folders, and would make a bucket
            self._system.makedirs(where.rpartition("/")[0], exist_ok=True)

    def _open(self, where: str) -> IO[bytes]:
        found: IO[bytes] = self._system.open(where, "wb")
        return found

    def settle(self, name: str = "") -> None:
        """Has the disk keep the names in the folder, or in a folder of it and all below; a store does so by itself."""
        if not is_url(self.path):
            with self._writing(self.path):
                below = os.walk(Path(self.path) / name) if name else [(self.path, [], [])]
                for place, _, _ in below:
                    descriptor = os.open(place, os.O_RDONLY)
                    try:
                        os.fsync(descriptor)
                    finally:
                        os.close(descriptor)

    def clear(self, name: str) -> None:
        """Removes a folder and all that is in it, where it is there.

        Raises:
            StorageError: It cannot be removed.
        """
        where = self.where(name)
        with self._writing(where):
            if is_url(where):
                self._system.invalidate_cache()
                if self._system.exists(where):
                    self._system.rm(where, recursive=True)
            elif Path(where).exists():
                shutil.rmtree(where)

    def read(self, name: str) -> bytes | None:
        """Returns a file's content, or None when there is none.

        Raises:
            StorageError: It is there, or may be, and cannot be read.
        """
        with suppress(FileNotFoundError), self._reading(self.where(name)):
            content: bytes = self._system.cat_file(self.where(name))
            return content
        return None

    def size(self, name: str) -> int:
        """Returns a file's bytes; 0 where there is none."""
        with suppress(FileNotFoundError), self._reading(self.where(name)):
            return int(self._system.size(self.where(name)) or 0)
        return 0

    def names(self) -> list[str]:
        """Returns the files' names; none when the folder is not there.

        Raises:
            StorageError: It cannot be listed; that is not the same as empty.
        """
        with suppress(FileNotFoundError), self._reading(self.path):
            if not is_url(self.path):
                return sorted(path.name for path in Path(self.path).iterdir())
            self._system.invalidate_cache()  # another process writes there too
            return sorted(path.rstrip("/").rpartition("/")[2] for path in self._system.ls(self.path, detail=False))
        return []

    def rename(self, name: str, to: str) -> None:
        """Renames a file; the one that has the name goes."""
        with self._writing(self.where(to)):
            if is_url(self.path):
                self._system.mv(self.where(name), self.where(to))
            else:
                Path(self.where(name)).replace(self.where(to))

    def remove(self, name: str) -> None:
        """Removes a file that nothing needs any more; one that stays costs space and nothing else."""
        with suppress(OSError, StorageError), self._writing(self.where(name)):
            self._system.rm_file(self.where(name))
