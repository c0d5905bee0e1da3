"""The files of the feature store: a shard is one safetensors file, written whole or not at all, read by memory map.

A shard holds, for some hundreds of examples, each boundary tensor's values end to end, the offsets of the
examples where there is a token axis, and each example's key.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors.numpy import save

from kft.data.batches import Ragged
from kft.rundir import write_file

SUFFIX = ".safetensors"
ABOUT = "store.json"
"""Beside the shards: what wrote the store. It is touched at each use."""
LOCK = ".lock"
"""Held by the process that writes shards."""
ELSEWHERE = "kft cache prune, another KFT_CACHE, or --set features.store=off"
KEYS, OFFSETS = "keys", "offsets"
DTYPES = {"F32": np.float32, "F16": np.float16, "F64": np.float64, "I32": np.int32, "I64": np.int64, "BOOL": np.bool_}
DTYPES |= {"U8": np.uint8}


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


def write_shard(folder: Path, keys: np.ndarray, tensors: Mapping[str, Ragged | np.ndarray]) -> Path:
    """Writes one shard, atomically; two processes that write the same one leave the same file.

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
    write_file(path, save(arrays, metadata={"checksum": _checksum(arrays)}), elsewhere=ELSEWHERE)
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
        mapped = np.memmap(path, np.uint8, mode="r")
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


def _view(mapped: np.ndarray, start: int, entry: Mapping) -> np.ndarray:
    first, last = entry["data_offsets"]
    return mapped[start + first : start + last].view(DTYPES[entry["dtype"]]).reshape(entry["shape"])


def _checksum(arrays: Mapping[str, np.ndarray]) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for name in sorted(arrays):
        digest.update(f"{name}{arrays[name].dtype}{arrays[name].shape}".encode())
        digest.update(np.ascontiguousarray(arrays[name]).data)
    return digest.hexdigest()
