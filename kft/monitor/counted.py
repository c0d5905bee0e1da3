"""Which rows were counted: told by what files hold, not by what they are called."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from kft.errors import DataError
from kft.records.files import reading_errors

PIECE = 2**20
"""Bytes that are read at once."""
GROWING = (".csv", ".tsv", ".txt", ".jsonl")
"""Endings of files that programs add lines to."""


@dataclass(frozen=True)
class Mark:
    """The beginning of something that was counted.

    Attributes:
        size: Its bytes.
        digest: Their sha256.
        rows: That it holds.
    """

    size: int
    digest: str
    rows: int


@dataclass(frozen=True)
class Counted:
    """All that was.

    Attributes:
        marks: Of files and tables.
        images: Hashes of images with their paths.
        record: File and line of a server's records that was counted last.
        line: sha256 of that line; empty: not known.
        until: The latest time of a row, in seconds since 1970.
    """

    marks: tuple[Mark, ...] = ()
    images: frozenset[str] = frozenset()
    record: tuple[int, int] = (0, 0)
    until: float = -np.inf
    line: str = ""

    def with_mark(self, mark: Mark) -> Counted:
        """Returns all with one more."""
        return self if mark in self.marks else replace(self, marks=(*self.marks, mark))


def look_at(path: Path, marks: Iterable[Mark]) -> tuple[Mark, Mark | None]:
    """Returns a file's mark, whose rows are not known yet, and what of it was counted.

    A file that was counted and has grown since was counted up to there, where a line ended there. Its last line needs
    no end when it is counted: the end may be the first byte that came.

    Args:
        path: The file.
        marks: Of what was counted.

    Raises:
        DataError: The file was counted when its last line was half written: that row would be counted twice.
    """
    growing = path.suffix.lower() in GROWING
    found: Mark | None = None
    torn = False
    with reading_errors(path), path.open("rb") as file:
        size = path.stat().st_size
        sizes = sorted({mark.size for mark in marks if mark.size <= size})
        digest = hashlib.sha256()
        done, last = 0, b""
        for stop in (*sizes, size):
            while done < stop and (piece := file.read(min(PIECE, stop - done))):
                digest.update(piece)
                done, last = done + len(piece), piece[-1:]
            known = [mark for mark in marks if mark.size == done == stop and mark.digest == digest.hexdigest()]
            if known and (done == size or growing):
                found = known[-1]
                torn = done < size and not {last, file.peek(1)[:1]} & {b"\n", b"\r"}
    if found and torn:
        raise DataError(
            "this file was counted when its last line was half written",
            where=str(path),
            received=f"after the {found.rows:,} rows that were counted, the last of them goes on",
            expected="a file that grows by whole lines",
            next_step="--state NEW_FOLDER begins anew; or hand over the lines after that one as a file of their own",
        )
    return Mark(done, digest.hexdigest(), 0), found


def look_at_rows(hashes: np.ndarray, marks: Iterable[Mark]) -> tuple[Mark, Mark | None]:
    """Returns the mark of rows in memory, and what of them was counted; see ``look_at``.

    Args:
        hashes: ``uint64[rows]``: of each row.
        marks: Of what was counted.
    """
    content = hashes.astype("<u8").tobytes()
    known = [mark for mark in marks if mark.size <= len(content) and _digest(content[: mark.size]) == mark.digest]
    return Mark(len(content), _digest(content), len(hashes)), max(known, key=lambda mark: mark.size, default=None)


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def image_key(name: str, path: Path) -> str:
    """Returns a hash of an image and of its path in its folder: a camera may well send the same picture every day.

    Args:
        name: The path in the folder.
        path: Of the file; one that cannot be read counts as empty.
    """
    try:
        content = path.read_bytes()
    except OSError:
        content = b""
    return hashlib.sha256(name.encode("utf-8", "surrogateescape") + b"\0" + content).hexdigest()[:20]
