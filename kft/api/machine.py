"""What this machine has: versions, devices, and what kft keeps on its disk."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from kft import assets, runtime, strategy
from kft.compare.kept import answers_root
from kft.data.remote import remote_root
from kft.data.tfds import images_folder
from kft.errors import KftError, StorageError, UsageError
from kft.features.cache import StoreInfo, features_root, list_stores, prune, tidy, verify
from kft.feed.compacting import compact
from kft.feed.image_store import images_root
from kft.packages import PACKAGES
from kft.records.files import free_bytes, write_file


@dataclass(frozen=True)
class CacheEntry:
    """Something kept on disk.

    Attributes:
        kind: ``package`` (weights and data), ``copy`` (of remote files, of tensorflow-datasets' images), ``features``,
            ``images`` (decoded) or ``answers`` (out of fold, of ``kft choose``).
        name: The package's version, the file's name, or what the features or images are of.
        bytes: What it takes.
        used: When it was last used, or fetched (packages).
        folder: Where it lies.
    """

    kind: str
    name: str
    bytes: int
    used: datetime
    folder: Path


def diagnose() -> dict[str, Any]:
    """Returns what ``kft doctor`` shows: versions, devices, caches, and problems with their mend."""
    problems = []
    versions = runtime.versions()
    for package, version in versions.items():
        if version == "not installed":
            problems.append(f"{package} is not installed: pip install {package}")
    devices: tuple[str, ...] = ()
    auto = strategy.DeviceChoice("none", "TensorFlow does not start")
    try:
        auto = strategy.choose("auto")
        devices = runtime.describe_devices()
    except UsageError as error:
        problems.append(f"{error.problem} ({error.where}): {error.received}; {error.next_step}")
    except (ImportError, KftError) as error:
        problems.append(f"TensorFlow does not start: {str(error).splitlines()[0]}")
    cache = assets.cache_dir()
    free_gib = free_bytes(cache) / 2**30
    if free_gib < 1:
        problems.append(f"less than 1 GiB is free at {cache}: free some space, or set KFT_CACHE")
    try:
        probe = cache / ".doctor"
        write_file(probe, b"")
        probe.unlink()
    except (StorageError, OSError):
        problems.append(f"{cache} cannot be written: set KFT_CACHE to a folder of your own")
    return {
        "versions": versions,
        "devices": list(devices),
        "auto": {"devices": auto.kind, "why": auto.why},
        "cache": {"folder": str(cache), "free_gib": round(free_gib, 2)},
        "packages": {name: assets.is_cached(PACKAGES.get(name)) for name in PACKAGES.names()},
        "problems": problems,
    }


def list_cache() -> list[CacheEntry]:
    """Returns what kft keeps on disk: packages and copies, then features, images and answers, oldest use first."""
    found = [
        CacheEntry("package", folder.name.rsplit("-", 1)[0], _size(folder), _time(folder.stat().st_mtime), folder)
        for folder in assets.fetched_folders()
    ]
    found += [
        CacheEntry("copy", _copy_name(folder), _size(folder), _time(folder.stat().st_mtime), folder)
        for folder in _copies()
    ]
    for store in _stores():
        name = f"{store.about.get('model', '?')}, after {', '.join(store.about.get('boundary', ['?']))}"
        if store.folder.parent == images_root():
            name = f"{store.about.get('images', '?')}, {store.about.get('fit', '?')}"
        if store.folder.parent == answers_root():
            name = f"{store.about.get('model', '?')}, out of fold"
        found.append(CacheEntry(store.folder.parent.name, name, store.bytes, _time(store.used), store.folder))
    return found


def _copies() -> list[Path]:
    """Returns the folders of what was copied from elsewhere."""
    remote = sorted(remote_root().glob("[!.]*")) if remote_root().is_dir() else []
    return [*remote, *([images_folder()] if images_folder().is_dir() else [])]


def _copy_name(folder: Path) -> str:
    if folder == images_folder():
        return "images of tensorflow-datasets"
    return next((path.name for path in folder.iterdir()), "nothing")


def _stores() -> list[StoreInfo]:
    return list_stores(features_root(), images_root(), answers_root())


def prune_cache(limit: int = 0, *, packages: bool = False) -> list[CacheEntry]:
    """Removes features and decoded images, those used longest ago first, until they take at most ``limit`` bytes.

    Everything that goes can be made or fetched again.

    Args:
        limit: In bytes; 0 removes every store that no process is writing to.
        packages: Remove fetched packages and copies of weights and data too, whatever they take.

    Returns:
        What was removed.
    """
    tidy(features_root(), images_root(), answers_root(), assets.packages_root(), remote_root())
    before = list_cache()
    if packages:
        for folder in (*assets.fetched_folders(), *_copies()):
            shutil.rmtree(folder, ignore_errors=True)
    prune(_stores(), limit)
    return [entry for entry in before if not entry.folder.is_dir()]


def compact_cache() -> int:
    """Joins small shards of features and images, which every change of the data adds; returns how many files went.

    Stores that a process is writing to are left alone; one that is being read has to be read again.

    Raises:
        StorageError: The disk is full; what was there before is there still.
    """
    tidy(features_root(), images_root(), answers_root())
    elsewhere = "set KFT_CACHE to a folder on another disk"
    return sum(compact(store.folder, elsewhere) for store in _stores())


def verify_cache() -> tuple[int, list[str]]:
    """Reads all of the cache against its checksums; what is damaged is made or fetched again when next needed.

    Returns:
        How many files were looked at, and one line for each that was damaged.
    """
    looked, damaged = verify(_stores())
    lines = [f"{path}: removed; its examples are computed again when next needed" for path in damaged]
    for name in PACKAGES.names():
        asset = PACKAGES.get(name)
        if assets.is_fetched(asset):
            looked += 1
            flaw = assets.find_flaw(asset)
            if flaw:
                lines.append(f"{name}: {flaw}; it is fetched again when next needed")
    return looked, lines


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _time(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
