"""Stores on disk in shards: a shard is one safetensors file, written whole or not at all, read by memory map.

A shard holds, for some hundreds of examples, each tensor's values end to end, the offsets of the examples where
there is a token axis, and each example's key, a hash of its content. A store is a folder of them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import ml_dtypes
import numpy as np
from filelock import AcquireReturnProxy, FileLock, Timeout
from safetensors.numpy import save

from kft.errors import StorageError
from kft.feed.batches import Ragged
from kft.feed.mapping import map_file
from kft.feed.source import Chunk, Column
from kft.records.files import storage_errors, write_file

SUFFIX = ".safetensors"
ABOUT = "store.json"
"""Beside the shards: what wrote the store. It is touched at each use."""
LOCK = ".lock"
ELSEWHERE = "kft cache prune, or another KFT_CACHE"
"""What to try where a store of the cache cannot be written."""
"""Held by the process that writes shards."""
LONGEST_WAIT = 6 * 3600.0
"""Seconds that another process may write to a store before whoever waits for it gives up, and says so."""
KEYS, OFFSETS = "keys", "offsets"
DTYPES = {"F32": np.float32, "F16": np.float16, "F64": np.float64, "I32": np.int32, "I64": np.int64, "BOOL": np.bool_}
DTYPES |= {"U8": np.uint8, "BF16": ml_dtypes.bfloat16}


@dataclass(frozen=True)
class Shard:
    """One open shard.

    Attributes:
        path: The file.
        keys: ``uint8[examples, 16]``.
        offsets: ``int64[examples + 1]``; None where no tensor has a token axis.
        values: By tensor name, memory-mapped: ``[tokens or examples, ...]``.
        checksum: Of everything above, as written.
    """

    path: Path
    keys: np.ndarray
    offsets: np.ndarray | None
    values: Mapping[str, np.ndarray]
    checksum: str


def shard_name(keys: np.ndarray) -> str:
    """Returns the file name for a shard of these examples, in this order."""
    return hashlib.blake2b(np.ascontiguousarray(keys).data, digest_size=16).hexdigest() + SUFFIX


def write_shard(folder: Path, keys: np.ndarray, tensors: Mapping[str, Ragged | np.ndarray], elsewhere: str) -> Path:
    """Writes one shard, atomically; two processes that write the same one leave the same file.

    Args:
        folder: The store.
        keys: ``uint8[examples, 16]``.
        tensors: By name.
        elsewhere: What to try where there is no room.

    Raises:
        StorageError: The disk is full or the folder cannot be written; nothing is left behind.
    """
    arrays = {name: tensor.values if isinstance(tensor, Ragged) else tensor for name, tensor in tensors.items()}
    ragged = [tensor for tensor in tensors.values() if isinstance(tensor, Ragged)]
    if ragged:
        arrays[OFFSETS] = ragged[0].offsets
    arrays[KEYS] = keys
    arrays = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    path = folder / shard_name(keys)
    write_file(path, save(arrays, metadata={"checksum": _checksum(arrays)}), elsewhere=elsewhere)
    return path


def open_shard(path: Path) -> Shard | None:
    """Maps a shard into memory; None when the file is gone, cut short or no shard at all."""
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            header_bytes = int.from_bytes(file.read(8), "little")
            header = json.loads(file.read(header_bytes)) if header_bytes < size else {}
        checksum = header.pop("__metadata__")["checksum"]
        start = 8 + header_bytes
        if max(entry["data_offsets"][1] for entry in header.values()) + start != size:
            return None
        mapped = map_file(path)
        arrays = {name: _view(mapped, start, entry) for name, entry in header.items()}
        return Shard(path, arrays.pop(KEYS), arrays.pop(OFFSETS, None), arrays, checksum)
    except (OSError, ValueError, KeyError):
        return None


def is_intact(shard: Shard) -> bool:
    """Reads the whole shard and compares its checksum: one flipped bit is found."""
    arrays = {**shard.values, KEYS: shard.keys}
    if shard.offsets is not None:
        arrays[OFFSETS] = shard.offsets
    return _checksum(arrays) == shard.checksum


_verified: set[tuple[str, int, int, int]] = set()
"""Shards that this process has read whole and found intact: path, inode, size, time of writing."""


def is_trusted(shard: Shard) -> bool:
    """Whether a shard is intact, read whole once per process: some 1.2 s a GB, whatever reads it afterwards."""
    try:
        found = shard.path.stat()
    except OSError:  # pruned meanwhile; the map still holds it
        return is_intact(shard)
    mark = (str(shard.path), found.st_ino, found.st_size, found.st_mtime_ns)
    if mark not in _verified:
        if not is_intact(shard):
            return False
        _verified.add(mark)
    return True


def _view(mapped: np.ndarray, start: int, entry: Mapping) -> np.ndarray:
    first, last = entry["data_offsets"]
    return mapped[start + first : start + last].view(DTYPES[entry["dtype"]]).reshape(entry["shape"])


def _checksum(arrays: Mapping[str, np.ndarray]) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for name in sorted(arrays):
        digest.update(f"{name}{arrays[name].dtype}{arrays[name].shape}".encode())
        digest.update(np.ascontiguousarray(arrays[name]).view(np.uint8).data)
    return digest.hexdigest()


@dataclass(frozen=True)
class StoredColumn:
    """One tensor of some examples, read from memory-mapped shards.

    Attributes:
        values: The shards' values: ``[tokens or examples, ...]``.
        shard: ``int64[examples]``: which of them.
        start: ``int64[examples]``: the first row there.
        length: ``int64[examples]``: how many rows; None without a token axis.
        dtype: What the model takes, where the store keeps a smaller type.
    """

    values: tuple[np.ndarray, ...]
    shard: np.ndarray
    start: np.ndarray
    length: np.ndarray | None
    dtype: np.dtype

    def row(self, index: int) -> np.ndarray:
        values, start = self.values[self.shard[index]], self.start[index]
        return values[start] if self.length is None else values[start : start + self.length[index]]

    def chunks(self) -> Iterator[Chunk]:
        """Yields all examples' vectors, shard by shard; only without a token axis."""
        for number, values in enumerate(self.values):
            here = np.flatnonzero(self.shard == number)
            if len(here):
                yield here, values[self.start[here]].astype(self.dtype, copy=False)

    def take(self, rows: np.ndarray, edge: int) -> np.ndarray:
        """Returns ``[batch, ...]``, or ``[batch, edge, ...]`` with a token axis; row -1 gives zeros."""
        tail = self.values[0].shape[1:]
        taken = np.zeros((len(rows), *tail) if self.length is None else (len(rows), edge, *tail), self.dtype)
        for position, index in enumerate(rows):
            if index >= 0:
                row = self.row(index)
                if self.length is None:
                    taken[position] = row
                else:
                    taken[position, : len(row)] = row
        return taken


class ShardIndex:
    """Where each example lies: built from the shards' own keys, so no second file can disagree with them.

    Args:
        folder: The store; it need not be there yet.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        opened = (open_shard(path) for path in sorted(folder.glob(f"*{SUFFIX}")))
        self.shards = [shard for shard in opened if shard is not None]  # a damaged one counts as not there

    def present(self, keys: np.ndarray) -> int:
        return int((self._places(keys) >= 0).sum())

    def missing(self, keys: np.ndarray) -> np.ndarray:
        """Returns ``int64[n]``: the examples not here, each content once."""
        lacking = np.flatnonzero(self._places(keys) < 0)
        _, first = np.unique(_comparable(keys[lacking]), return_index=True)
        return lacking[np.sort(first)]

    def _places(self, keys: np.ndarray) -> np.ndarray:
        """Returns each example's place among the shards' examples taken end to end, -1 where there is none.

        A shard that holds one of them is read whole first; a damaged one counts as not there from then on.
        """
        while self.shards:
            places = self._found(keys)
            ends = np.cumsum([len(shard.keys) for shard in self.shards])
            used = np.unique(np.searchsorted(ends, places[places >= 0], side="right"))
            damaged = {int(number) for number in used if not is_trusted(self.shards[number])}
            if not damaged:
                return places
            self.shards = [shard for number, shard in enumerate(self.shards) if number not in damaged]
        return np.full(len(keys), -1, np.int64)

    def _found(self, keys: np.ndarray) -> np.ndarray:
        here = _comparable(np.concatenate([shard.keys for shard in self.shards]))
        order = np.argsort(here, kind="stable")
        wanted = _comparable(keys)
        nearest = np.minimum(np.searchsorted(here[order], wanted), len(here) - 1)
        return np.where(here[order[nearest]] == wanted, order[nearest], -1)

    def columns(self, keys: np.ndarray, tensors: Mapping[str, tuple[np.dtype, bool]]) -> dict[str, Column]:
        """Returns each stored tensor of these examples.

        Args:
            keys: ``uint8[examples, 16]``.
            tensors: By name: what dtype the reader wants, and whether the tensor has a token axis.

        Raises:
            StorageError: An example is not here.
        """
        ends = np.cumsum([len(shard.keys) for shard in self.shards])
        places = self._places(keys)
        if (places < 0).any():
            raise StorageError(
                "what was stored went away while it was in use",
                where=str(self.folder),
                received=f"{int((places < 0).sum()):,} examples are missing",
                expected="a cache that nothing prunes during a run",
                next_step="run the command again: what is missing is computed again",
            )
        shard = np.searchsorted(ends, places, side="right")
        row = places - np.concatenate([[0], ends])[shard]
        start, length = row.copy(), np.ones(len(row), np.int64)
        for number, opened in enumerate(self.shards):
            if opened.offsets is not None:
                here = shard == number
                start[here] = opened.offsets[row[here]]
                length[here] = opened.offsets[row[here] + 1] - start[here]
        columns: dict[str, Column] = {}
        for name, (dtype, per_token) in tensors.items():
            values = tuple(opened.values[name] for opened in self.shards)
            columns[name] = StoredColumn(
                values, shard, start if per_token else row, length if per_token else None, dtype
            )
        return columns


def locked(folder: Path, wait: Callable[[], None] | None, elsewhere: str) -> AcquireReturnProxy:
    """Takes the lock of the one process that writes to a store.

    Args:
        folder: The store.
        wait: Called once when another process has it.
        elsewhere: What to try where the folder cannot be written.
    """
    with storage_errors(folder, elsewhere):
        folder.mkdir(parents=True, exist_ok=True)  # it may have been pruned a moment ago
        lock = FileLock(str(folder / LOCK))
        try:
            held = lock.acquire(timeout=0)
            _remove_litter(folder)
            return held
        except Timeout:
            if wait:
                wait()
        try:
            held = lock.acquire(timeout=LONGEST_WAIT)
            _remove_litter(folder)
            return held
        except Timeout as error:
            raise StorageError(
                "another process has been writing to this store for too long",
                where=str(folder / LOCK),
                received=f"no end after {LONGEST_WAIT / 3600:g} hours",
                expected="a process that ends, or one that still gets on",
                next_step=f"fuser {folder / LOCK} says which it is; end it, or {elsewhere}",
            ) from error


def _remove_litter(folder: Path) -> None:
    """Removes what a writer that was killed left half-written; whoever holds the lock is the only one who writes."""
    for path in folder.glob(".*.tmp"):
        with suppress(OSError):
            path.unlink()


def _comparable(keys: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(keys).view(f"S{keys.shape[1]}").ravel()  # as bytes, which NumPy can sort
