"""Takes single files or folders out of wheels and tar archives, without ever leaving the target folder."""

from __future__ import annotations

import errno
import gzip
import lzma
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO

LARGEST_RATIO = 20
"""An archive that unpacks to more than so many times its own size is refused."""

PIECE_BYTES = 1 << 20
BROKEN = (
    *(zipfile.BadZipFile, tarfile.TarError, gzip.BadGzipFile, zlib.error, lzma.LZMAError, EOFError, struct.error),
    *(ValueError, OverflowError),  # numbers and names that are none
    RuntimeError,  # encrypted, or written by a later version of zip
)
OWN_FAULTS = (None, errno.ENAMETOOLONG, errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.EINVAL)
"""Errors of the system that are an archive's own: broken bzip2, a name that is too long, or a file and a folder."""


class BadArchive(Exception):
    """The archive cannot be used; the message says what was found in it."""


def unpack_member(archive: Path, folder: Path, *, member: str, nested: str | None, is_zip: bool) -> None:
    """Unpacks one file or folder of an archive, and nothing else, below ``folder``.

    Args:
        archive: A zip file or a tar file, compressed or not.
        folder: Where the member goes, under its own path.
        member: Path of a file or a folder in the archive.
        nested: An archive inside the archive that holds ``member``: a zip file by its name, else a tar file; None
            where there is none.
        is_zip: Whether the outer archive is a zip file.

    Raises:
        BadArchive: The archive cannot be read, lacks the member, names a path outside, holds a link where a
            file should be, or unpacks to more than ``LARGEST_RATIO`` times its size.

    Example:
        >>> unpack_member(Path("some.whl"), Path("out"), member="pkg/model", nested=None, is_zip=True)  # doctest: +SKIP
    """
    budget = int(LARGEST_RATIO * archive.stat().st_size)
    written = 0
    try:
        with archive.open("rb") as packed:
            files = outer = _files(packed, is_zip=is_zip)
            if nested is not None:
                # `outer` stays referenced: it closes what `inner` reads from when it goes.
                inner = next((content for name, content in outer if name == nested), None)
                if inner is None:
                    raise BadArchive(f"it has no {nested}")
                files = _files(inner, is_zip=nested.endswith(".zip"))
            for name, content in files:
                if not belongs(name, member):
                    continue
                if content is None:
                    raise BadArchive(f"{name} is a link or a device")
                target = folder / name
                target.parent.mkdir(parents=True, exist_ok=True)
                with target.open("wb") as file:
                    while piece := content.read(PIECE_BYTES):
                        written += len(piece)
                        if written > budget:
                            raise BadArchive(f"{name} unpacks to too much")
                        file.write(piece)
    except (*BROKEN, OSError) as error:
        if isinstance(error, OSError) and error.errno not in OWN_FAULTS:
            raise  # a full disk
        raise BadArchive(f"it cannot be read ({error})") from error
    if not written:
        raise BadArchive(f"it has no {member}")


def belongs(name: str, member: str) -> bool:
    """Whether a path is the member itself or lies inside it.

    Example:
        >>> belongs("pkg/model/config.json", "pkg/model"), belongs("pkg/models/x", "pkg/model")
        (True, False)
    """
    return name == member or name.startswith(f"{member}/")


def _files(packed: IO[bytes], *, is_zip: bool) -> Iterator[tuple[str, IO[bytes] | None]]:
    """Yields name and content of every file of an archive; None for a link or a device."""
    if is_zip:
        with zipfile.ZipFile(packed) as wheel:
            for entry in wheel.infolist():
                _check_name(entry.filename)
                is_file = stat.S_IFMT(entry.external_attr >> 16) in (0, stat.S_IFREG)
                if not entry.is_dir():
                    yield entry.filename, wheel.open(entry) if is_file else None
        return
    with tarfile.open(fileobj=packed, mode="r:*") as tar:
        for member in tar:
            _check_name(member.name)
            if not member.isdir():
                yield member.name, tar.extractfile(member) if member.isreg() else None


def _check_name(name: str) -> None:
    if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts or "\\" in name:
        raise BadArchive(f"it names the path {name!r}, which leaves its folder")
