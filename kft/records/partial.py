"""A long file that is written in pieces: what a killed process had written is kept, and gone on with."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from kft.errors import StorageError
from kft.records.files import storage_errors, write_json


@dataclass
class Partial:
    """A file that grows.

    Attributes:
        file: Open for writing, behind what is there.
        rows: How many rows are in it for good.
        facts: What was noted with them.
    """

    file: IO[bytes]
    rows: int
    facts: dict[str, Any]
    _notes: Path = field(repr=False)
    _key: Mapping[str, Any] = field(repr=False)

    def keep(self, rows: int, facts: Mapping[str, Any]) -> None:
        """Puts what was written on disk, so that it need not be written again.

        Args:
            rows: That are in the file now.
            facts: What has to be known to go on.
        """
        self.file.flush()
        os.fsync(self.file.fileno())
        self.rows, self.facts = rows, dict(facts)
        noted = {"key": dict(self._key), "bytes": self.file.tell(), "rows": rows, "facts": self.facts}
        write_json(self._notes, noted)


@contextmanager
def partial_file(path: Path, key: Mapping[str, Any], **advice: str) -> Iterator[Partial]:
    """Opens a file that is to be written in pieces; it takes its place when the body ends.

    What was kept stays beside it, as ``.NAME.partial``, when the body fails or the process is killed. A full disk is
    another matter: there it goes.

    Args:
        path: The file.
        key: What decides its content: what was kept under another key is not gone on with.
        **advice: ``elsewhere``, as for ``storage_errors``.

    Raises:
        StorageError: The disk is full, the folder cannot be written, or another process writes the same file.
    """
    growing, notes = path.with_name(f".{path.name}.partial"), path.with_name(f".{path.name}.partial.json")
    with storage_errors(path, **advice):
        path.parent.mkdir(parents=True, exist_ok=True)
        with growing.open("ab") as file:
            _hold(file, growing, path)
            kept = _kept(notes, key, growing.stat().st_size)
            file.truncate(kept.get("bytes", 0))
            file.seek(0, os.SEEK_END)
            partial = Partial(file, kept.get("rows", 0), kept.get("facts", {}), notes, key)
            try:
                yield partial
                file.flush()
                os.fsync(file.fileno())
                os.replace(growing, path)
                notes.unlink(missing_ok=True)
            except BaseException as error:
                if partial.rows == 0 or isinstance(error, OSError | StorageError):
                    for each in (growing, notes):
                        with suppress(OSError):
                            each.unlink(missing_ok=True)
                raise


def _hold(file: IO[bytes], growing: Path, path: Path) -> None:
    """Refuses a file that another process writes, or has put in its place meanwhile."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        free = growing.exists() and os.path.samestat(os.fstat(file.fileno()), growing.stat())
    except BlockingIOError:
        free = False
    if not free:
        raise StorageError(
            "another process writes the same file",
            where=str(path),
            expected="one at a time",
            next_step="wait for it, or choose another -o FILE",
        )


def _kept(notes: Path, key: Mapping[str, Any], size: int) -> dict[str, Any]:
    """Returns what was noted of the file that is there; nothing where it is of something else, or damaged."""
    try:
        noted = json.loads(notes.read_text(encoding="utf-8"))
        if noted["key"] == json.loads(json.dumps(key)) and 0 < noted["bytes"] <= size and noted["rows"] > 0:
            return dict(noted)
    except (OSError, ValueError, KeyError, TypeError):
        pass
    return {}
