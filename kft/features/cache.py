"""All stores on this disk, of features and of decoded images: what is there, what may go, what is damaged."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from kft.assets import cache_dir
from kft.feed.shards import ABOUT, LOCK, SUFFIX, is_intact, open_shard

PRUNED, PARTIAL = ".pruned", ".partial"
"""What folders are called that are on their way out, and on their way in."""


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
    folders = (folder for root in roots if root.is_dir() for folder in root.iterdir())
    for folder in (folder for folder in folders if not folder.name.startswith(".") and folder.is_dir()):
        with suppress(OSError):  # another process prunes it just now
            files = list(folder.iterdir())
            if not any(path.name in (ABOUT, LOCK) or SUFFIX in path.name for path in files):
                continue  # somebody else's
            size = sum(path.stat().st_size for path in files)
            used, about = 0.0, {}  # of one that lacks the file, half made or half removed: the first to go
            with suppress(OSError, ValueError):
                about = json.loads((folder / ABOUT).read_text(encoding="utf-8"))
                used = (folder / ABOUT).stat().st_mtime
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
    gone = folder.with_name(f".{folder.name}.{os.getpid()}{PRUNED}")
    try:
        folder.rename(gone)  # in one step, so that no half of a store is left where stores are looked for
    except OSError:
        return False
    finally:
        lock.release()
    shutil.rmtree(gone, ignore_errors=True)
    return True


def tidy(*roots: Path) -> int:
    """Removes what killed processes left below these folders, never what belongs to one at work.

    Shards that were not written to their end, stores that were half removed, packages and copies half fetched.

    Args:
        roots: Folders of stores, of packages, of copies.

    Returns:
        The bytes that are free again.
    """
    free = 0
    for root in (root for root in roots if root.is_dir()):
        for path in root.glob(f".*{PRUNED}"):
            free += _delete(path)
        for path in root.glob(f".*{PARTIAL}"):
            free += _delete_unless_held(path, [path], root / f"{path.name.removesuffix(PARTIAL)}.lock")
        for folder in (each for each in root.iterdir() if each.is_dir() and not each.name.startswith(".")):
            left = list(folder.glob(".*.tmp"))
            if left:
                free += _delete_unless_held(folder, left, folder / LOCK)
    return free


def _delete_unless_held(owner: Path, paths: Sequence[Path], lock: Path) -> int:
    try:
        held = FileLock(str(lock)).acquire(timeout=0)
    except (Timeout, OSError):  # a living process is at work there
        return 0
    with held:
        return sum(map(_delete, paths)) if owner.exists() else 0


def _delete(path: Path) -> int:
    inside = path.rglob("*") if path.is_dir() else [path]
    with suppress(OSError):
        size = sum(each.stat().st_size for each in inside if each.is_file())
        shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink()
        return size
    return 0
