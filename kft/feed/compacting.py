"""Joining small shards of a store: every change of the data adds some."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from filelock import FileLock, Timeout

from kft.feed.batches import Ragged
from kft.feed.shards import LOCK, SUFFIX, Shard, is_trusted, open_shard, write_shard


def compact(folder: Path, elsewhere: str, shard_bytes: int = 64 * 2**20) -> int:
    """Joins shards that are smaller than a quarter of what one may hold; every change of the data adds some.

    Args:
        folder: A store that no run is using.
        elsewhere: What to try where there is no room.
        shard_bytes: What a joined shard may hold.

    Returns:
        How many files fewer there are; 0 where a process is writing to the store.

    Raises:
        StorageError: The disk is full; what was there before is there still.
    """
    try:
        held = FileLock(str(folder / LOCK)).acquire(timeout=0)
    except (Timeout, OSError):
        return 0
    with held:
        opened = (open_shard(path) for path in sorted(folder.glob(f"*{SUFFIX}")))
        shards = [shard for shard in opened if shard is not None and is_trusted(shard)]
        small = [shard for shard in shards if shard.path.stat().st_size < shard_bytes / 4]
        fewer = 0
        for group in _groups(small, shard_bytes):
            written = _join(folder, group, elsewhere)
            fewer += len(group) - 1
            for shard in group:
                if shard.path != written:
                    shard.path.unlink(missing_ok=True)
        return fewer


def _groups(shards: list[Shard], most: int) -> Iterator[list[Shard]]:
    """Yields shards of the same tensors that fit into one."""
    alike: dict[tuple, list[Shard]] = {}
    for shard in shards:
        kinds = tuple(sorted((name, str(each.dtype), each.shape[1:]) for name, each in shard.values.items()))
        alike.setdefault((kinds, shard.offsets is None), []).append(shard)
    for several in alike.values():
        group: list[Shard] = []
        size = 0
        for shard in several:
            bytes_ = shard.path.stat().st_size
            if group and size + bytes_ > most:
                if len(group) > 1:
                    yield group
                group, size = [], 0
            group, size = [*group, shard], size + bytes_
        if len(group) > 1:
            yield group


def _join(folder: Path, shards: list[Shard], elsewhere: str) -> Path:
    tensors: dict[str, Ragged | np.ndarray] = {}
    lengths = [np.diff(shard.offsets) for shard in shards if shard.offsets is not None]
    ends = np.concatenate([[0], np.cumsum(np.concatenate(lengths))]) if lengths else None
    for name in shards[0].values:
        values = np.concatenate([shard.values[name] for shard in shards])
        per_token = ends is not None and len(values) == ends[-1] != sum(len(shard.keys) for shard in shards)
        tensors[name] = Ragged(values, ends) if per_token and ends is not None else values
    return write_shard(folder, np.concatenate([shard.keys for shard in shards]), tensors, elsewhere)
