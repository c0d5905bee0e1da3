"""All stores on this disk, of features and of decoded images: what is there, what may go, what is damaged."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from kft.assets import cache_dir
from kft.feed.shards import ABOUT, LOCK, SUFFIX, is_intact, open_shard


@dataclass(frozen=True)
class StoreInfo:
    """One store.

    Attributes:
        folder: Where it lies.
        bytes: What it takes on disk.
        used: When it was last used, in seconds since the epoch.
        about: What wrote it: backbone, boundary, tensors; or how images were sized.
    """

    folder: Path
    bytes: int
    used: float
    about: dict[str, Any]


def features_root() -> Path:
    """Returns the folder of all feature stores."""
    return cache_dir() / "features"


def list_stores(*roots: Path) -> list[StoreInfo]:
    """Returns the stores below these folders, the one used longest ago first."""
    found = []
    for folder in (folder for root in roots if root.is_dir() for folder in root.iterdir()):
        with suppress(OSError):  # another process prunes it just now
            size = sum(path.stat().st_size for path in folder.iterdir())
            named = folder / ABOUT  # lacking where pruning was killed half-way
            used = (named if named.is_file() else folder).stat().st_mtime
            try:
                about = json.loads((folder / ABOUT).read_text(encoding="utf-8"))
            except (ValueError, FileNotFoundError):
                about = {}
            found.append(StoreInfo(folder, size, used, about))
    return sorted(found, key=lambda store: store.used)


def prune(
    stores: Sequence[StoreInfo], limit: int, *, keep: Path | None = None, only: Path | None = None
) -> list[StoreInfo]:
    """Removes the stores used longest ago until all take at most ``limit`` bytes; returns what went.

    A store that a process is writing to is left alone. One that is being read may go: on POSIX systems the
    reader's memory maps stay valid.

    Args:
        stores: From ``list_stores``.
        limit: In bytes.
        keep: A store that stays in any case.
        only: The one store that may go.
    """
    total = sum(store.bytes for store in stores)
    gone = []
    for store in stores:
        if total <= limit:
            break
        if store.folder != keep and only in (None, store.folder) and _remove(store.folder):
            total -= store.bytes
            gone.append(store)
    return gone


def verify(stores: Sequence[StoreInfo]) -> tuple[int, list[Path]]:
    """Reads every shard; removes the damaged ones, whose examples are computed again when next needed.

    Returns:
        How many shards were looked at, and which were removed.
    """
    looked, damaged = 0, []
    for store in stores:
        for path in sorted(store.folder.glob(f"*{SUFFIX}")):
            looked += 1
            shard = open_shard(path)
            if shard is None or not is_intact(shard):
                path.unlink(missing_ok=True)
                damaged.append(path)
    return looked, damaged


def _remove(folder: Path) -> bool:
    lock = FileLock(str(folder / LOCK))
    try:
        lock.acquire(timeout=0)
    except (Timeout, OSError):
        return False
    try:
        shutil.rmtree(folder, ignore_errors=True)
        return True
    finally:
        lock.release()
