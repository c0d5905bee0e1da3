"""Paths of images as tables write them: found where they lie, though the table was made on another system.

A path that is there as written is taken as it is. Otherwise each of its parts is looked for in its folder: with slashes
for backslashes, in another Unicode form, in another case, with the ending that it lacks. One file that fits is
taken, and said; of several none is.
"""

from __future__ import annotations

import os
import re
import unicodedata
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from kft.data.images import SUFFIXES

JPEG = (".jpg", ".jpeg", ".jpe", ".jfif")
"""Endings of one format."""
MOST_LOOKED_AT = 50_000
"""Files among which a name is looked for that lies nowhere near."""
BACKSLASHES, FORM, CASE = "with backslashes", "in another Unicode form", "in another case"
ENDING, OTHER_ENDING = "without the ending", "with another ending of the same format"
ORDER = (BACKSLASHES, FORM, CASE, ENDING, OTHER_ENDING)


@dataclass(frozen=True)
class ImagePaths:
    """Where the images of a table are.

    Attributes:
        paths: One a cell, though nothing be there.
        problems: What is wrong with each; empty where a file was found.
        notes: How cells are written that are not so found, counted, each with an example.
    """

    paths: list[Path]
    problems: list[str]
    notes: tuple[str, ...]


@dataclass
class _Folders:
    """What lies in folders, listed once."""

    root: Path
    listed: dict[Path, dict[str, list[str]]] = field(default_factory=dict)
    below: dict[str, list[str]] | None = None

    def names(self, folder: Path) -> dict[str, list[str]]:
        """Names in a folder by their folded form, and, of images, by that of their stem with a slash behind it."""
        if folder not in self.listed:
            found: dict[str, list[str]] = defaultdict(list)
            for name in sorted(os.listdir(folder)) if folder.is_dir() else ():
                found[_folded(name)].append(name)
                stem, ending = os.path.splitext(name)
                if ending.lower() in SUFFIXES:
                    found[_folded(stem) + "/"].append(name)
            self.listed[folder] = found
        return self.listed[folder]

    def elsewhere(self, name: str) -> str:
        """Where below the table's folder a file of a name lies, if there is one, and the search is not too long."""
        if self.below is None:
            self.below = defaultdict(list)
            seen = 0
            for place, folders, files in os.walk(self.root):
                folders[:] = sorted(folder for folder in folders if not folder.startswith("."))
                seen += len(files)
                if seen > MOST_LOOKED_AT:
                    break
                for file in files:
                    self.below[_folded(file)].append(os.path.relpath(os.path.join(place, file), self.root))
        found = self.below.get(_folded(name), [])
        return f"{found[0]} is there" if len(found) == 1 else ""


def find_files(cells: Sequence[str], folder: Path) -> ImagePaths:
    r"""Finds the files that cells name.

    Args:
        cells: Paths as they are written.
        folder: Where relative ones start.

    Example:
        >>> found = find_files(["none\\a.jpg"], Path("/nowhere"))
        >>> found.problems, found.notes
        (['no such file: none\\a.jpg'], ())
    """
    folders = _Folders(folder)
    paths, problems = [], []
    ways: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for cell in cells:
        path, how, problem = _find(cell, folder, folders)
        paths.append(path)
        problems.append(problem)
        for way in () if problem else how:
            ways[way].append((cell, os.path.relpath(path, folder)))
    notes = tuple(_note(way, ways[way]) for way in ORDER if way in ways)
    return ImagePaths(paths, problems, notes)


def _note(way: str, found: Sequence[tuple[str, str]]) -> str:
    are, were = ("s are", "were") if len(found) > 1 else (" is", "was")
    cell, name = found[0]
    if way == FORM:  # which looks the same in both
        cell, name = (text.encode("ascii", "backslashreplace").decode() for text in (cell, name))
    return f"{len(found):,} image path{are} written {way} and {were} found so: {cell} is {name}"


def _find(cell: str, folder: Path, folders: _Folders) -> tuple[Path, list[str], str]:
    """Returns a cell's path, how it had to be read, and why there is no such file."""
    as_written = folder / cell
    if not cell.strip() or "\0" in cell or os.path.exists(as_written):
        return as_written, [], ""
    text, how = cell.strip(), []
    if "\\" in text:
        text, how = text.replace("\\", "/"), [BACKSLASHES]
    if re.match(r"[A-Za-z]:/|//", text):
        return as_written, [], _missing(cell, text, folders, "a path of another machine")
    place = Path(text) if text.startswith("/") else folder
    if text.startswith("/"):
        place, text = Path("/"), text[1:]
    parts = [part for part in text.split("/") if part not in ("", ".")]
    for number, part in enumerate(parts, 1):
        if part == ".." or os.path.exists(place / part):
            place = place / part
            continue
        fit, way = _fitting(folders.names(place), part, last=number == len(parts))
        if len(fit) != 1:
            reason = f"{' and '.join(fit[:3])} fit alike" if fit else ""
            return as_written, [], _missing(cell, text, folders, reason)
        place, how = place / fit[0], [*how, way]
    return place, list(dict.fromkeys(how)), ""


def _fitting(names: dict[str, list[str]], part: str, *, last: bool) -> tuple[list[str], str]:
    """Returns the names in a folder that a part of a path can mean, and in what they differ from it."""
    alike = names.get(_folded(part), [])
    if same := [name for name in alike if _composed(name) == _composed(part)]:
        return same, FORM
    if alike or not last:
        return alike, CASE
    if whole := names.get(_folded(part) + "/"):
        return whole, ENDING
    stem, ending = os.path.splitext(part)
    if ending.lower() not in JPEG:
        return [], ""
    jpegs = names.get(_folded(stem) + "/", [])
    return [name for name in jpegs if os.path.splitext(name)[1].lower() in JPEG], OTHER_ENDING


def _missing(cell: str, text: str, folders: _Folders, reason: str) -> str:
    hint = "" if " fit alike" in reason else folders.elsewhere(text.rpartition("/")[2])
    said = "; ".join(part for part in (reason, hint) if part)
    return f"no such file: {cell}" + (f" ({said})" if said else "")


def _composed(name: str) -> str:
    return unicodedata.normalize("NFC", name)


def _folded(name: str) -> str:
    return _composed(_composed(name).casefold())
