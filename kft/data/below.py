"""Files of one kind below a folder of which no subfolder is a class, and what to say of the files beside them."""

from __future__ import annotations

from pathlib import Path

from kft.data.class_folders import FileKind, files_in


def files_below(folder: Path, kind: FileKind) -> tuple[list[Path], tuple[str, ...]]:
    """Returns the files of a kind, whatever subfolder they lie in, and a note of other files that are there.

    Hidden files, and what a system leaves behind, are neither; see ``files_in``.

    Args:
        folder: Which.
        kind: What is read.

    Returns:
        Paths in order, and one sentence or none.

    Example:
        >>> files_below(Path("inbox"), IMAGES)[1]  # doctest: +SKIP
        ('2 files are passed over, such as IMG_1.heic: images end in .jpg, .png ...',)
    """
    found = files_in(folder)
    others = [name for name in found if name not in kind]
    notes: tuple[str, ...] = ()
    if others:
        are = "file is" if len(others) == 1 else "files are"
        endings = ", ".join(kind.suffixes)
        notes = (f"{len(others):,} {are} passed over, such as {others[0]}: {kind.many} end in {endings}",)
    return [folder / name for name in found if name in kind], notes
