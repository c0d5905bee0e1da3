"""Where checkpoints lie: a folder on this disk, or in an object store such as ``gs://bucket/run``."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from kft.errors import StorageError
from kft.records.files import reading_errors, storage_errors, write_file
from kft.records.remote import EXTRAS, is_url, open_store, store_errors

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from fsspec import AbstractFileSystem

CREDENTIALS = "check train.checkpoints.folder and the credentials"


@dataclass(frozen=True)
class Storage:
    """Files in one folder, each written whole or not at all.

    Attributes:
        path: A local folder, or a URL that fsspec has a driver for.

    Example:
        >>> import tempfile
        >>> storage = Storage(tempfile.mkdtemp())
        >>> storage.write("a.json", b"{}")
        >>> storage.read("a.json"), storage.names()
        (b'{}', ['a.json'])
    """

    path: str

    @cached_property
    def _system(self) -> AbstractFileSystem:
        return open_store(self.path if is_url(self.path) else "file://")[0]

    def where(self, name: str) -> str:
        return f"{self.path.rstrip('/')}/{name}"

    def _reading(self, where: str) -> AbstractContextManager[None]:
        return store_errors(where, StorageError, CREDENTIALS) if is_url(where) else reading_errors(Path(where))

    def _writing(self, where: str) -> AbstractContextManager[None]:
        if not is_url(where):
            return storage_errors(Path(where))
        return store_errors(where, StorageError, CREDENTIALS, writing=True)

    def write(self, name: str, content: bytes) -> None:
        """Writes a file.

        Raises:
            StorageError: The disk is full, or the folder cannot be written.
        """
        where = self.where(name)
        if not is_url(where):
            write_file(Path(where), content)
            return
        with self._writing(where):
            if self.path.partition(":")[0] not in EXTRAS:  # object stores have no folders, and would make a bucket
                self._system.makedirs(self.path, exist_ok=True)
            # An object store shows a file once it is whole; elsewhere the manifest's hashes tell one cut short.
            self._system.pipe_file(where, content)

    def read(self, name: str) -> bytes | None:
        """Returns a file's content, or None when there is none.

        Raises:
            StorageError: It is there, or may be, and cannot be read.
        """
        with suppress(FileNotFoundError), self._reading(self.where(name)):
            content: bytes = self._system.cat_file(self.where(name))
            return content
        return None

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
