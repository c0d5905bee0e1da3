"""Folders of images or documents: one subfolder a class; and folders that look alike, but hold splits or parts.

A folder's name alone says little: a class can be called "train". What lies below says more: splits hold the same
folders each, the classes.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path

from kft.data.images import SUFFIXES
from kft.data.split_names import PART, Role, SplitName, read_name, same_series
from kft.errors import DataError

DROPPINGS = ("thumbs.db", "desktop.ini", "__macosx")
"""What a system leaves in folders of images, besides hidden files."""
ONE_A_CLASS = "a folder with one subfolder a class"


@dataclass(frozen=True)
class FileKind:
    """What files of a folder are read.

    Attributes:
        one: What a person calls one, with its article.
        many: What a person calls several.
        suffixes: How their names end, in lower case.
    """

    one: str
    many: str
    suffixes: tuple[str, ...]

    def __contains__(self, name: str) -> bool:
        return name.lower().endswith(self.suffixes)


IMAGES = FileKind("an image", "images", SUFFIXES)


class SplitFolders(DataError):
    """A folder whose subfolders are splits was named where one of classes is wanted.

    Attributes:
        folders: The folders of each split that hold folders of classes.
    """

    folders: Mapping[Role, Sequence[Path]] = {}


@dataclass
class _Folder:
    """Images of a folder, and its subfolders that hold some."""

    images: int = 0
    folders: dict[str, _Folder] = field(default_factory=dict)

    @property
    def names(self) -> set[str]:
        return set(self.folders)


def find_by_class(folder: Path, kind: FileKind = IMAGES) -> list[tuple[str, str]]:
    """Finds the files of a folder that has one subfolder a class.

    Folders inside a class's folder are looked into; hidden files and folders are not. Files beside the classes'
    folders (a licence, a table) play no part, unless they are images: those have no class. Beside folders of documents
    a file that could be one (README.md) plays no part either.

    Args:
        folder: Which.
        kind: What its files are.

    Returns:
        Path relative to the folder, with forward slashes, and label of each file, sorted by path.

    Raises:
        SplitFolders: The subfolders hold splits.
        DataError: There are no subfolders, no such files, one without a class, a class without one, or a file among
            them that is none. All that is wrong is listed at once.

    Example:
        >>> find_by_class(Path("photos"))  # doctest: +SKIP
        [('cats/001.jpg', 'cats'), ('dogs/001.jpg', 'dogs')]
    """
    many = kind.many
    if not folder.is_dir():
        raise DataError(f"no such folder of {many}", where=str(folder), expected=ONE_A_CLASS)
    found, others, empty = [], [], []
    entries = sorted(entry for entry in folder.iterdir() if not is_left_out(entry.name))
    classes = [entry.name for entry in entries if entry.is_dir()]
    for label in classes:
        files = [f"{label}/{name}" for name in files_in(folder / label)]
        fitting = [name for name in files if name in kind]
        found += [(name, label) for name in fitting]
        others += [name for name in files if name not in kind]
        if not fitting:
            empty.append(label)
    loose = [entry.name for entry in entries if entry.is_file() and entry.name in kind]
    if not classes:
        raise DataError(
            f"the folder of {many} has no subfolders",
            where=str(folder),
            received=f"{len(loose):,} {many} without a class" if loose else f"no {many} either",
            expected=f"one subfolder a class, named after it, with its {many} inside",
            next_step=f"move the {many} into a folder a class, or give a csv of paths and labels",
        )
    if not found:
        raise DataError(
            f"the folder holds no {many}",
            where=str(folder),
            received=f"folders {_some(classes)}" + (f" with {_some(others)}" if others else ""),
            expected="files that end in " + ", ".join(kind.suffixes),
        )
    refuse_other_layouts(folder, [name for name, _ in found])
    problems = (
        (f"files among the {many} that are none", others),
        (f"{many} that lie in no class's folder", loose if kind == IMAGES else []),
        (f"folders without {kind.one}", empty),
    )
    if any(names for _, names in problems):
        raise DataError(
            f"not everything in the folder of {many} can be used",
            where=str(folder),
            received="; ".join(f"{len(names):,} {what}: {_some(names)}" for what, names in problems if names),
            expected=f"one subfolder a class with nothing but {many} that end in " + ", ".join(kind.suffixes),
            next_step="move these out of the folder (a name that begins with a dot is passed over), or convert them",
        )
    return sorted(found)


def files_in(folder: Path) -> list[str]:
    """Returns all files below a folder, by their paths from it, sorted; links to folders are followed, each once.

    Hidden ones, and what a system leaves behind, are left out.
    """
    found, seen = [], set[str]()
    for place, folders, files in os.walk(folder, followlinks=True):
        real = os.path.realpath(place)
        if real in seen:  # a link that leads round
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(name for name in folders if not is_left_out(name))
        found += [(Path(place) / name).relative_to(folder).as_posix() for name in files if not is_left_out(name)]
    return sorted(found)


def is_left_out(name: str) -> bool:
    """Whether a file or folder is hidden, or what a system leaves behind."""
    return name.startswith(".") or name.lower() in DROPPINGS


def _some(names: Sequence[str], most: int = 5) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most:,} more" if len(names) > most else "")


def refuse_other_layouts(folder: Path, images: Sequence[str]) -> None:
    """Refuses a folder whose subfolders are plainly no classes.

    Args:
        folder: Which.
        images: Paths of its images, relative to it.

    Raises:
        SplitFolders: They are splits, or lie within the folders of classes or beside other files.
        DataError: They are parts of the data, or could be either splits or classes.

    Example:
        >>> refuse_other_layouts(Path("photos"), ["train/1.jpg", "bus/1.jpg"])  # a class can be called train
    """
    tree = _tree(images)
    roles = _splits(tree)
    if roles:
        raise _split_folders(folder, tree, roles)
    _refuse_ambiguous(folder, tree)
    inner = {name: splits for name, below in tree.folders.items() if (splits := _splits(below, plainly=True))}
    if inner:
        raise _inner_splits(folder, tree, inner)


def shared_folders(images: Sequence[str]) -> str:
    """Returns what to say of folders that could be other things than classes; empty where nothing is.

    Example:
        >>> shared_folders(["cats/in/1.jpg", "cats/out/1.jpg", "dogs/in/1.jpg", "dogs/out/1.jpg"])
        'the folders cats, dogs all hold folders in, out: the outer names are taken as classes, the inner ones are not'
    """
    tree = _tree(images)
    common = set.intersection(*(below.names for below in tree.folders.values())) if len(tree.folders) > 1 else set()
    if len(common) < 2:
        return ""
    outer, inner = _some(sorted(tree.folders)), _some(sorted(common))
    return f"the folders {outer} all hold folders {inner}: the outer names are taken as classes, the inner ones are not"


def class_root(folder: Path) -> Path:
    """Returns the folder that holds the classes: below folders that hold one single folder each.

    Example:
        >>> class_root(Path("archive/seg_train"))  # doctest: +SKIP
        PosixPath('archive/seg_train/seg_train')
    """
    while True:
        entries = [entry for entry in folder.iterdir() if not is_left_out(entry.name)]
        folders = [entry for entry in entries if entry.is_dir()]
        loose = any(entry.name.lower().endswith(SUFFIXES) for entry in entries)
        if loose or len(folders) != 1 or not any(below.is_dir() for below in folders[0].iterdir()):
            return folder
        folder = folders[0]


def splits_beside(folder: Path) -> tuple[dict[Role, Path], list[str]]:
    """Finds the folders of other splits beside one that is called train.

    Returns:
        valid and test, where there is plainly one; and what a person should know of those that do not fit.

    Example:
        >>> splits_beside(Path("photos/train"))[0]  # doctest: +SKIP
        {'test': PosixPath('photos/test')}
    """
    folder = folder.resolve()
    own = next((place for place in (folder, folder.parent) if _role(place.name) == "train"), None)
    if own is None:
        return {}, []
    if _role(own.parent.name) == "train":  # seg_train/seg_train
        own = own.parent
    named = read_name(own.name)
    classes = {entry.name for entry in folder.iterdir() if entry.is_dir() and not is_left_out(entry.name)}
    found: dict[Role, list[Path]] = {"valid": [], "test": []}
    notes = []
    for entry in sorted(own.parent.iterdir()):
        other = read_name(entry.name)
        if not entry.is_dir() or other is None or named is None or other.role not in found:
            continue
        root = class_root(entry)
        if {below.name for below in root.iterdir() if below.is_dir()} & classes:
            found[other.role].append(root)
        elif same_series([named, other]):
            notes.append(f"the folder {entry.name} beside it has none of these classes' folders: it is not used")
    for role, places in found.items():
        if len(places) > 1:
            notes.append(f"several folders could be {role}: {_some([place.name for place in places])}; none is used")
    return {role: places[0] for role, places in found.items() if len(places) == 1}, notes


def _role(name: str) -> Role | None:
    found = read_name(name)
    return None if found is None else found.role


def _tree(images: Sequence[str]) -> _Folder:
    root = _Folder()
    for path in images:
        place = root
        for name in path.split("/")[:-1]:
            place = place.folders.setdefault(name, _Folder())
        place.images += 1
    return root


def _unwrapped(below: _Folder) -> tuple[_Folder, tuple[str, ...]]:
    """Follows single folders down to the one that branches, or that holds the last folder."""
    path: tuple[str, ...] = ()
    while not below.images and len(below.folders) == 1:
        ((name, inner),) = below.folders.items()
        if not inner.folders and read_name(name) is None:
            break
        below, path = inner, (*path, name)
    return below, path


def _inside(tree: _Folder) -> dict[str, set[str]]:
    """The folders that would be the classes, if the given ones were splits."""
    return {name: _unwrapped(below)[0].names for name, below in tree.folders.items()}


def _alike(first: set[str], second: set[str]) -> bool:
    """Whether two folders or more, and at least half of those in the smaller one, stand in both."""
    common = len(first & second)
    return common > 1 and 2 * common >= min(len(first), len(second))


def _splits(tree: _Folder, *, plainly: bool = False) -> dict[str, Role]:
    """Returns the subfolders that hold splits, with what they hold; none where they are something else.

    Args:
        tree: The folder.
        plainly: Whether two different splits have to be there, and nothing beside them.
    """
    read = {name: found for name in tree.folders if (found := read_name(name))}
    named = {name: found for name, found in read.items() if found.role != "unlabelled"}
    roles = {found.role for found in named.values()}
    if not named:
        return {}
    if len(read) == len(tree.folders):
        enough = len(roles) > 1 or (not plainly and len(named) == 1)
        if enough and (same_series(list(named.values())) or _crossed(named)):
            return {name: found.role for name, found in read.items()}
    inside = _inside(tree)
    if any(_alike(inside[a], inside[b]) for a, b in combinations(named, 2)):
        return {name: found.role for name, found in read.items()}
    return {}


def _crossed(named: Mapping[str, SplitName]) -> bool:
    """Whether split and class are in one name: train_cat, test_cat, train_dog, test_dog."""
    rests: dict[str, set[str]] = {}
    for found in named.values():
        rests.setdefault(found.rest, set()).add(found.role)
    return sum(len(roles) > 1 for roles in rests.values()) > 1


def _refuse_ambiguous(folder: Path, tree: _Folder) -> None:
    """Refuses folders that hold the same folders each where one of them is called like a split, or all are parts."""
    inside = _inside(tree)
    named = [name for name in inside if _role(name) is not None]
    alike = len(inside) > 1 and all(_alike(inside[a], inside[b]) for a, b in combinations(sorted(inside)[:20], 2))
    parts = alike and all(PART.fullmatch(name) for name in inside)
    if not alike or not (named or parts):
        return
    listed, common = sorted(inside), sorted(set.union(*inside.values()))
    quoted = ", ".join(str(folder / name) for name in listed[:5])
    split = next((name for name in named if _role(name) == "train"), listed[0])
    raise DataError(
        "these folders are parts of the data, not classes" if parts else "these folders could be splits or classes",
        where=str(folder),
        received=f"{_some(listed)}, each with folders {_some(common)}",
        expected=ONE_A_CLASS,
        next_step=f"list them: data.train: [{quoted}]"
        if parts
        else f"if they are splits, data.train: {folder / split}, and data.test for another; if they are classes, move "
        "the images out of the inner folders, or give a csv of paths and labels",
    )


def _split_folders(folder: Path, tree: _Folder, roles: Mapping[str, Role]) -> SplitFolders:
    places: dict[Role, list[Path]] = {}
    loose = []
    for name, role in sorted(roles.items()):
        below, path = _unwrapped(tree.folders[name])
        places.setdefault(role, []).append(folder.joinpath(name, *path))
        if not below.folders:
            loose.append(name)
    with_classes = {
        role: [place for place in found if _top(folder, place) not in loose] for role, found in places.items()
    }
    said = [f"{name} ({role})" for name, role in sorted(roles.items())]
    classes = sorted(set.union(*(_inside(tree)[name] for name in roles)))
    received = ", ".join(said) + (f", with folders {_some(classes)}" if classes else "")
    if loose:
        received += f"; no folders of classes in {_some(loose)}"
    step = "give a csv of paths and labels: these images lie in no folder of a class"
    if _crossed({name: found for name in roles if (found := read_name(name))}):
        step = f"split and class are in one name: move the images into {folder}/train/CLASS and {folder}/test/CLASS"
    elif any(name not in loose for name in roles):
        step = "in the recipe, under data: " + ", ".join(
            f"{role}: {inner[0] if len(inner) == 1 else '[' + ', '.join(map(str, inner)) + ']'}"
            for role in ("train", "valid", "test")
            if (inner := with_classes.get(role))
        )
    error = SplitFolders(
        "these folders are splits, not classes",
        where=str(folder),
        received=received,
        expected=ONE_A_CLASS,
        next_step=step,
    )
    error.folders = {role: found for role, found in with_classes.items() if found}
    return error


def _top(folder: Path, place: Path) -> str:
    return place.relative_to(folder).parts[0]


def _inner_splits(folder: Path, tree: _Folder, inner: Mapping[str, Mapping[str, Role]]) -> SplitFolders:
    """What is wrong where splits lie a folder deeper: beside other files, or within the folders of classes."""
    name, roles = next(iter(sorted(inner.items())))
    if len(tree.folders) == 1:
        return _split_folders(folder / name, tree.folders[name], roles)
    classes = any(_unwrapped(tree.folders[name].folders[split])[0].folders for split in roles)
    places = ", ".join(f"{name}/{split}" for split in sorted(roles))
    return SplitFolders(
        "each of these folders holds splits" if classes else "the splits lie within the folders of the classes",
        where=str(folder),
        received=f"{places}" + (f", and in {_some(sorted(set(inner) - {name}))} likewise" if len(inner) > 1 else ""),
        expected=ONE_A_CLASS + " for each split",
        next_step=f"name one of them: {folder / name / sorted(roles)[-1]}"
        if classes
        else f"move them: {folder}/train/{name} and {folder}/test/{name}, say; or give each split a csv of paths and "
        "labels",
    )
