"""Which rows were counted: told by what files hold, not by what they are called."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

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
        until: The latest time of a row, in seconds since 1970.
    """

    marks: tuple[Mark, ...] = ()
    images: frozenset[str] = frozenset()
    record: tuple[int, int] = (0, 0)
    until: float = -np.inf

    def with_mark(self, mark: Mark) -> Counted:
        """Returns all with one more."""
        return self if mark in self.marks else replace(self, marks=(*self.marks, mark))


def look_at(path: Path, marks: Iterable[Mark], whole_lines: bool = False) -> tuple[Mark, Mark | None]:
    """Returns a file's mark, whose rows are not known yet, and what of it was counted.

    A file that was counted and has grown since was counted up to there, where a line ended there.

    Args:
        path: The file.
        marks: Of what was counted.
        whole_lines: Whether a last line without an end is still being written, and is left for later.
    """
    growing = path.suffix.lower() in GROWING
    found: list[Mark] = []
    with reading_errors(path), path.open("rb") as file:
        size = _end(path) if whole_lines else path.stat().st_size
        sizes = sorted({mark.size for mark in marks if mark.size <= size})
        digest = hashlib.sha256()
        done, last = 0, b""
        for stop in (*sizes, size):
            while done < stop and (piece := file.read(min(PIECE, stop - done))):
                digest.update(piece)
                done, last = done + len(piece), piece[-1:]
            if done == size or (growing and last in (b"\n", b"\r")):
                known = digest.hexdigest()
                found += [mark for mark in marks if mark.size == done == stop and mark.digest == known]
    return Mark(done, digest.hexdigest(), 0), found[-1] if found else None


def _end(path: Path) -> int:
    """Returns the size of a file up to the end of its last whole line."""
    size = path.stat().st_size
    with path.open("rb") as file:
        at = size
        while at > 0:
            start = max(0, at - PIECE)
            file.seek(start)
            place = file.read(at - start).rfind(b"\n")
            if place >= 0:
                return start + place + 1
            at = start
    return 0


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
