"""Decodes each image once: a store on disk of pixels at one size, found by the content of the image's file.

It is a store in shards, as that of features is, and ``kft.features.cache`` lists, prunes and verifies it likewise: one
folder for each way of sizing, in it the images of all data sets.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kft.assets import cache_dir
from kft.data.images import ImageSizing, UnusableImage, decode_bytes, workers
from kft.errors import DataError, StorageError
from kft.feed.shards import ABOUT, ELSEWHERE, ShardIndex, StoredColumn, locked, write_shard
from kft.feed.source import KEY_BYTES
from kft.records.files import free_bytes, storage_errors, write_json

FORMAT = 1
"""Of the pixels: counts up when a file is decoded to other ones."""
SHARD_BYTES = 32 * 2**20
"""Memory stays at a few times this, and a kill loses no more."""
SPARE_BYTES = 2**28
"""What is left free on the disk."""
IMAGES = "images"


def decode_images(
    paths: Sequence[Path],
    sizing: ImageSizing,
    root: Path,
    *,
    tick: Callable[[int], None] | None = None,
    report: Callable[[str], None] | None = None,
) -> StoredColumn:
    """Returns the pixels of images, read from memory-mapped files; only what the store lacks is decoded.

    Every file is read on every call, to see whether it has changed; that takes about a second a gigabyte. Safe to
    kill, and safe for several processes: one decodes, the others wait and find it done.

    Args:
        paths: The files.
        sizing: The size, and how to get there.
        root: The folder that holds all stores of images, ``<cache>/images``.
        tick: Called with the number of images that are done.
        report: Called with a line when something is decoded or waited for.

    Returns:
        A column of ``uint8[images, height, width, 3]``.

    Raises:
        DataError: Images cannot be used; all of them are counted, the first ones named. The others are stored.
        StorageError: The disk is full or cannot be written; what was stored before is kept.

    Example:
        >>> column = decode_images([Path("a.jpg"), Path("b.png")], ImageSizing(224, 224), root)  # doctest: +SKIP
        >>> column.take(np.array([1, 0, -1]), 1).shape  # doctest: +SKIP
        (3, 224, 224, 3)
    """
    say = report or (lambda line: None)
    folder = image_store_folder(sizing, root)
    with ThreadPoolExecutor(workers(), thread_name_prefix="kft-images") as pool:
        hashed = list(pool.map(_hash_file, paths))
        _raise_unusable(paths, {row: found for row, found in enumerate(hashed) if isinstance(found, str)})
        keys = np.frombuffer(b"".join(key for key in hashed if isinstance(key, bytes)), np.uint8)
        keys = keys.reshape(-1, KEY_BYTES)
        index = ShardIndex(folder)
        if index.missing(keys).size:
            with storage_errors(folder, ELSEWHERE):
                folder.mkdir(parents=True, exist_ok=True)
            with locked(folder, lambda: say("images     another process is decoding some; waiting"), ELSEWHERE):
                index = ShardIndex(folder)  # with what another process has written meanwhile
                missing = index.missing(keys)
                if tick:
                    tick(len(paths) - len(missing))
                _check_room(folder, len(missing), sizing)
                if len(missing):
                    size = len(missing) * _bytes(sizing) / 1e6
                    shape = f"{sizing.height} x {sizing.width}"
                    say(f"images     decoding {len(missing):,} to {shape}, once: {size:,.0f} MB")
                write_json(folder / ABOUT, _about(sizing), elsewhere=ELSEWHERE)
                unusable: dict[int, str] = {}
                for rows in _shards(missing, sizing):
                    unusable |= _decode_shard(pool, _Images(paths, keys, sizing), rows, folder, tick)
                _raise_unusable(paths, unusable)
                index = ShardIndex(folder)
        elif tick:
            tick(len(paths))
    with suppress(OSError):  # when it was last used: pruning starts with the oldest
        (folder / ABOUT).touch()
    if not len(paths):
        none = np.zeros(0, np.int64)
        return StoredColumn((np.zeros((0, *sizing.shape), np.uint8),), none, none, None, np.dtype(np.uint8))
    column = index.columns(keys, {IMAGES: (np.dtype(np.uint8), False)})[IMAGES]
    assert isinstance(column, StoredColumn)
    return column


def images_root() -> Path:
    """Returns the folder of all stores of decoded images."""
    return cache_dir() / "images"


def image_store_folder(sizing: ImageSizing, root: Path) -> Path:
    """Returns the folder of the store for this way of sizing."""
    return root / hashlib.blake2b(json.dumps(_about(sizing)).encode(), digest_size=12).hexdigest()


def _about(sizing: ImageSizing) -> dict[str, object]:
    return {"images": f"{sizing.height} x {sizing.width}", "fit": sizing.fit, "format": FORMAT}


def _bytes(sizing: ImageSizing) -> int:
    return sizing.height * sizing.width * 3


def _hash_file(path: Path) -> bytes | str:
    """Returns a file's key, or why there is none."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=KEY_BYTES)).digest()
    except OSError as error:
        return f"cannot be read: {error.strerror or error}"


def _check_room(folder: Path, images: int, sizing: ImageSizing) -> None:
    wanted, free = images * _bytes(sizing) + SPARE_BYTES, free_bytes(folder)
    if images and wanted > free:
        raise StorageError(
            "the decoded images do not fit on the disk; nothing was decoded",
            where=str(folder),
            received=f"{free / 1e6:,.0f} MB free",
            expected=f"{wanted / 1e6:,.0f} MB for {images:,} images of {sizing.height} x {sizing.width}",
            next_step=f"free some space, {ELSEWHERE}, or a smaller image size",
        )


def _shards(missing: np.ndarray, sizing: ImageSizing) -> Iterator[np.ndarray]:
    step = max(1, SHARD_BYTES // _bytes(sizing))
    for start in range(0, len(missing), step):
        yield missing[start : start + step]


@dataclass(frozen=True)
class _Images:
    """The files of a store and how they are read."""

    paths: Sequence[Path]
    keys: np.ndarray
    sizing: ImageSizing


def _decode_shard(
    pool: ThreadPoolExecutor, images: _Images, rows: np.ndarray, folder: Path, tick: Callable[[int], None] | None
) -> dict[int, str]:
    """Decodes and stores one shard's images; returns the unusable ones, with reasons."""
    paths, keys, sizing = images.paths, images.keys, images.sizing
    pixels = np.empty((len(rows), *sizing.shape), np.uint8)

    def decode(place: int) -> str:
        row = int(rows[place])
        try:
            content = paths[row].read_bytes()
            if hashlib.blake2b(content, digest_size=KEY_BYTES).digest() != keys[row].tobytes():
                return "changed: another content than a moment ago"
            pixels[place] = decode_bytes(content, sizing)
        except UnusableImage as error:
            return str(error)
        except OSError as error:
            return f"cannot be read: {error.strerror or error}"
        return ""

    unusable = {}
    futures = [pool.submit(decode, place) for place in range(len(rows))]
    try:
        for place, future in enumerate(futures):
            reason = future.result()
            if reason:
                unusable[int(rows[place])] = reason
            if tick:
                tick(1)
    finally:
        for future in futures:
            future.cancel()  # Ctrl-C waits for those at work, not for the whole shard
    kept = np.array([place for place, row in enumerate(rows) if int(row) not in unusable], np.int64)
    if len(kept):
        whole = pixels if len(kept) == len(rows) else pixels[kept]
        write_shard(folder, keys[rows[kept]], {IMAGES: whole}, ELSEWHERE)
    return unusable


def _raise_unusable(paths: Sequence[Path], unusable: dict[int, str]) -> None:
    if unusable:
        first = [f"{paths[row]} ({reason})" for row, reason in list(unusable.items())[:5]]
        raise DataError(
            f"{len(unusable):,} of {len(paths):,} images cannot be used",
            where=str(paths[next(iter(unusable))].parent),
            received="; ".join(first) + (f" and {len(unusable) - 5:,} more" if len(unusable) > 5 else ""),
            expected="images that open, whole",
            next_step="take them out of the data, or mend them",
        )
