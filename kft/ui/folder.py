"""The folder that the page works in: its data files, the pages that kft wrote there, and nothing outside it."""

from __future__ import annotations

import os
import re
from collections.abc import AsyncIterator, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from kft.characters import acting_in, visible
from kft.data.images import SUFFIXES as IMAGES
from kft.data.reading import SUFFIXES
from kft.errors import DataError, UsageError
from kft.recipe.shipped import is_recipe
from kft.records.files import storage_errors

LARGEST_FILE = 200 * 2**20
"""Of what the page looks at, and of what it takes: beyond it the command line is the better place."""
MOST_ENTRIES = 1000
MOST_LISTED = 200
"""The first by name; the page says that there are more."""
NOT_DATA = ("runs", "audits")
"""Folders that kft writes."""
PAGE = re.compile(r"(?:runs/[^/]+/report|audits/[^/]+/audit)\.html")
OWN = ".kft-ui"
"""The folder in which the page's server keeps what it has started."""


def place_of(root: Path, name: str) -> Path:
    """Returns the path of a file or folder that a person has chosen below the folder.

    Raises:
        UsageError: The name leads out of the folder, also through a link, or names what is hidden.
    """
    parts = Path(name).parts
    found = acting_in(name)
    odd = not name or Path(name).is_absolute() or ".." in parts or "\\" in name or "://" in name or found
    path = root if odd else root / name
    if odd or any(part.startswith(".") for part in parts) or not path.resolve().is_relative_to(root.resolve()):
        raise UsageError(
            "the page reads nothing outside its folder",
            where=str(root),
            received=visible(name)[:200] or "no name",
            expected="the name of a file or folder in it, without .. and without a link that leads out",
            next_step="choose a file of the list, or one of your computer: it is copied here",
        )
    return path


def source_of(root: Path, name: str) -> str:
    """Returns data as a recipe names them.

    Raises:
        UsageError: It is outside the folder, or larger than the page takes.
        DataError: It is not there.
    """
    path = place_of(root, name)
    if not path.exists():
        raise DataError(
            "the file is not there any more",
            where=name,
            received="nothing of that name",
            next_step="choose another one: the list is read anew each time this page is shown",
        )
    if path.is_file() and path.stat().st_size > LARGEST_FILE:
        raise too_large(name, path.stat().st_size)
    # A name such as data[1].csv is no pattern of several files, and package:x is a file here.
    return f"./{name}"


def too_large(name: str, size: int) -> UsageError:
    """Returns the refusal of a file that is larger than the page takes."""
    return UsageError(
        "the file is larger than this page takes",
        where=visible(name),
        received=f"{size / 2**20:,.0f} MB or more",
        expected=f"at most {LARGEST_FILE // 2**20} MB",
        next_step="use fewer rows first; or type: kft init FILE -o recipe.yaml, which knows no such limit",
    )


def data_in(root: Path) -> list[dict[str, Any]]:
    """Returns what could be learnt from in a folder: name, size and kind of each, by name; looks at names alone."""
    found: list[dict[str, Any]] = []
    tables, folders = _entries(root)
    for path in sorted([*tables, *folders[:MOST_ENTRIES]], key=lambda path: path.name.lower()):
        if path.name.startswith(".") or acting_in(path.name) or not path.resolve().is_relative_to(root.resolve()):
            continue
        if path.is_file():
            found.append({"name": path.name, "bytes": path.stat().st_size, "kind": "file"})
        elif path.is_dir() and path.name not in NOT_DATA and _has_images(path):
            found.append({"name": path.name, "bytes": None, "kind": "folder of images"})
    return found


def _entries(root: Path) -> tuple[list[Path], list[Path]]:
    """Returns what is called as tables are, and the folders, among however many photos."""
    with os.scandir(root) as entries:
        kept = [entry for entry in entries if entry.name.lower().endswith(SUFFIXES) or entry.is_dir()]
    tables = [root / entry.name for entry in kept if not entry.is_dir()]
    return tables, sorted(root / entry.name for entry in kept if entry.is_dir())


def recipes_in(root: Path) -> list[str]:
    """Returns the names of the recipes in a folder."""
    found = (path for path in islice(root.glob("*.yaml"), MOST_ENTRIES) if not path.name.startswith("."))
    return sorted(path.name for path in found if not acting_in(path.name) and is_recipe(path))


def _has_images(folder: Path) -> bool:
    return any(name.lower().endswith(IMAGES) for name in _first_names(folder))


def _first_names(folder: Path) -> Iterator[str]:
    """Yields a few names of files in the subfolders of a folder."""
    try:
        with os.scandir(folder) as entries:
            for entry in islice(entries, 5):
                if entry.is_dir(follow_symlinks=False):
                    with os.scandir(entry.path) as inner:
                        yield from (each.name for each in islice(inner, 5))
    except OSError:
        return


def page_in(root: Path, name: str) -> Path | None:
    """Returns a page that ``kft report`` or ``kft check`` wrote; None where there is none of that name."""
    if not PAGE.fullmatch(name):
        return None
    path = place_of(root, name)
    return path if path.is_file() else None


def new_recipe(root: Path, source: str) -> Path:
    """Returns where the recipe for data goes: a name that is free, as a path that starts in the folder."""
    stem = re.sub(r"[^\w-]+", "-", Path(source).stem).strip("-") or "recipe"
    names = (f"{stem}{f'-{number}' if number > 1 else ''}.yaml" for number in range(1, 10_000))
    return Path(next(name for name in names if not (root / name).exists()))


async def take_in(root: Path, name: str, parts: AsyncIterator[bytes]) -> str:
    """Writes a file that a person has chosen on their computer, whole or not at all; returns what it is called here.

    Nothing is overwritten: another file of that name makes it ``tickets-2.csv``.

    Raises:
        UsageError: The name is no file's in the folder, of a kind that is not read, or the file is too large.
        StorageError: The disk is full or the folder cannot be written.
    """
    path = place_of(root, name)
    if path.parent != root or path.suffix.lower() not in SUFFIXES:
        raise UsageError(
            "files of this kind are not read here",
            received=visible(name)[:200],
            expected="a file that ends in " + ", ".join(SUFFIXES),
            next_step="save the table as csv in UTF-8; photos: a folder here, with one subfolder a class",
        )
    arriving = root / OWN / f"arriving-{os.urandom(6).hex()}"
    size = 0
    with storage_errors(path):
        arriving.parent.mkdir(exist_ok=True)
        try:
            with arriving.open("xb") as file:
                async for part in parts:
                    size += len(part)
                    if size > LARGEST_FILE:
                        raise too_large(name, size)
                    file.write(part)
            for number in range(1, 10_000):
                target = root / (name if number == 1 else f"{path.stem}-{number}{path.suffix}")
                try:
                    target.touch(exist_ok=False)  # it is ours from here on
                except FileExistsError:
                    continue
                os.replace(arriving, target)
                return target.name
        finally:
            arriving.unlink(missing_ok=True)
    raise UsageError("too many files of one name", received=name, next_step="rename the file, and choose it again")
