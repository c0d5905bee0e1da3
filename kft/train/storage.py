"""Where checkpoints lie: a folder on this disk, or in an object store such as ``gs://bucket/run``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from kft.errors import StorageError
from kft.records.files import reading_errors, storage_errors, write_file


@dataclass(frozen=True)
class Storage:
    """Files in one folder, each written whole or not at all.

    Attributes:
        path: A local folder, or a URL that ``tf.io.gfile`` knows.

    Example:
        >>> import tempfile
        >>> storage = Storage(tempfile.mkdtemp())
        >>> storage.write("a.json", b"{}")
        >>> storage.read("a.json"), storage.names()
        (b'{}', ['a.json'])
    """

    path: str

    @property
    def is_remote(self) -> bool:
        """Whether it lies behind a URL."""
        return "://" in self.path

    def where(self, name: str) -> str:
        """Returns a file's full path."""
        return f"{self.path.rstrip('/')}/{name}"

    def write(self, name: str, content: bytes) -> None:
        """Writes a file.

        Raises:
            StorageError: The disk is full, or the folder cannot be written.
        """
        if not self.is_remote:
            write_file(Path(self.where(name)), content)
            return
        import tensorflow as tf

        # An object store shows a file once it is whole; the name comes last for file systems that do not.
        with _remote_errors(self.where(name)):
            tf.io.gfile.makedirs(self.path)
            with tf.io.gfile.GFile(self.where(f"{name}.tmp"), "wb") as file:
                file.write(content)
            tf.io.gfile.rename(self.where(f"{name}.tmp"), self.where(name), overwrite=True)

    def read(self, name: str) -> bytes | None:
        """Returns a file's content, or None when there is none.

        Raises:
            StorageError: It is there, or may be, and cannot be read.
        """
        if not self.is_remote:
            try:
                with reading_errors(Path(self.where(name))):
                    return Path(self.where(name)).read_bytes()
            except FileNotFoundError:
                return None
        import tensorflow as tf

        try:
            with _remote_errors(self.where(name)), tf.io.gfile.GFile(self.where(name), "rb") as file:
                return file.read()
        except StorageError as error:
            if isinstance(error.__cause__, tf.errors.NotFoundError):
                return None
            raise

    def names(self) -> list[str]:
        """Returns the files' names; none when the folder is not there.

        Raises:
            StorageError: It cannot be listed; that is not the same as empty.
        """
        if not self.is_remote:
            try:
                with reading_errors(Path(self.path)):
                    return sorted(path.name for path in Path(self.path).iterdir())
            except FileNotFoundError:
                return []
        import tensorflow as tf

        with _remote_errors(self.path):
            # Not isdir, nor listdir, which asks it: that says no to a store that does not answer, too.
            try:
                tf.io.gfile.stat(self.path)
            except tf.errors.NotFoundError:
                return []
            return sorted(tf.io.gfile.listdir(self.path))

    def rename(self, name: str, to: str) -> None:
        """Renames a file; the one that has the name goes."""
        if not self.is_remote:
            with storage_errors(Path(self.where(to))):
                Path(self.where(name)).replace(self.where(to))
            return
        import tensorflow as tf

        with _remote_errors(self.where(to)):
            tf.io.gfile.rename(self.where(name), self.where(to), overwrite=True)

    def remove(self, name: str) -> None:
        """Removes a file that nothing needs any more; one that stays costs space and nothing else."""
        if not self.is_remote:
            with suppress(OSError):
                Path(self.where(name)).unlink()
            return
        import tensorflow as tf

        with suppress(tf.errors.OpError):
            tf.io.gfile.remove(self.where(name))


@contextmanager
def _remote_errors(where: str) -> Iterator[None]:
    import tensorflow as tf

    try:
        yield
    except tf.errors.OpError as error:
        raise StorageError(
            "the object store does not answer as it should",
            where=where,
            received=(error.message or type(error).__name__).splitlines()[0],
            expected="a folder that these credentials may read and write",
            next_step="check train.checkpoints.folder and the credentials",
        ) from error
