"""Where a retraining is kept: a folder with what was asked for, the new rows as they were, and the runs.

DIR/retraining.json   what was asked for; written last of what comes before training
DIR/added/1-FILE ...  the new rows as they were read, and those of earlier rounds: a file that is labelled further
                      changes no run that was trained on it
DIR/backbone, warm    a run each
DIR/artifact          the challenger as it was promoted
"""

from __future__ import annotations

import hashlib
import re
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from kft.errors import DataError, RunError
from kft.records.document import read_document, write_document
from kft.records.files import sha256_of, storage_errors
from kft.records.retrained import RetrainingRequest
from kft.records.run_folder import create_run, refuse_taken

STATE, ADDED, ARTIFACT = "retraining.json", "added", "artifact"


def find_place(asked: RetrainingRequest, folder: Path | None, name: str) -> Path | None:
    """Returns the folder where the same was asked for before; None where it was not.

    Args:
        asked: What is asked for now.
        folder: The one that is to be used; default: any ``runs/<name>-retrain-<n>``, the latest first.
        name: Of the recipe.

    Raises:
        RunError: The folder that is to be used is there, and something else was asked for in it.
    """
    if folder is None:
        found = [path for path in Path("runs").glob(f"{name}-retrain-*") if (path / STATE).is_file()]
        found.sort(key=lambda path: int(path.name.rpartition("-")[2]) if path.name[-1].isdecimal() else 0)
        return next((path for path in reversed(found) if _same(read_asked(path), asked)), None)
    if not (folder / STATE).is_file():
        if not (folder.is_dir() and {path.name for path in folder.iterdir()} <= {ADDED}):  # a start that was killed
            refuse_taken(folder)
        return None
    known = read_asked(folder)
    if _same(known, asked):
        return folder
    differ = [
        key for key in vars(asked) if key not in ("rounds", "file") and getattr(known, key) != getattr(asked, key)
    ]
    raise RunError(
        "this folder is of another retraining",
        where=str(folder / STATE),
        received=", ".join(f"{key} {str(getattr(asked, key))[:60]}" for key in differ),
        expected=", ".join(f"{key} {str(getattr(known, key))[:60]}" for key in differ),
        next_step="choose another --run DIR, or leave it out",
    )


def make_place(asked: RetrainingRequest, folder: Path | None, name: str, sources: Sequence[str], copied: bool) -> Path:
    """Makes the folder of a retraining, with copies of its new rows, and writes what was asked for.

    Args:
        asked: What is asked for.
        folder: Where; default a new ``runs/<name>-retrain-<n>``.
        name: Of the recipe.
        sources: The rows of earlier rounds and then the new ones, as absolute sources.
        copied: Whether files are copied; tables of images name these by paths that start at the table.

    Raises:
        StorageError: The disk is full or the folder cannot be written.
        DataError: The new rows were changed meanwhile.
    """
    if folder is None:
        folder = create_run(f"{name}-retrain", None).path
    with storage_errors(folder):
        (folder / ADDED).mkdir(parents=True, exist_ok=True)
        rounds = [
            _copy(source, number, folder / ADDED) if copied else source for number, source in enumerate(sources, 1)
        ]
    if hash_source(rounds[-1]) != asked.file_hash:
        raise DataError(
            "the file was changed while it was read",
            where=asked.file,
            expected="a file that nobody writes to",
            next_step="run the command again",
        )
    write_document(folder / STATE, replace(asked, rounds=tuple(rounds)))
    return folder


def read_asked(folder: Path) -> RetrainingRequest:
    """Returns what was asked for in a folder.

    Raises:
        RunError: What says so is damaged.
    """
    return read_document(RetrainingRequest, folder / STATE)


def require_rounds(folder: Path) -> RetrainingRequest:
    """Returns what was asked for in a folder whose new rows are as they were copied.

    Raises:
        RunError: They are not.
    """
    asked = read_asked(folder)
    last = asked.rounds[-1]
    if hash_source(last) != asked.file_hash:
        raise RunError(
            "the new rows are not as they were when this retraining began",
            where=last,
            expected=f"a file of sha256 {asked.file_hash[:16]}",
            next_step="restore it, or begin anew with another --run DIR",
        )
    return asked


def hash_source(source: str) -> str:
    """Returns the sha256 of a file, or over the names and contents of a folder's files; of other sources of their name.

    Example:
        >>> hash_source("tfds:imdb_reviews")[:8]
        'f93c5d94'
    """
    path, digest = Path(source), hashlib.sha256()
    if path.is_file():
        return sha256_of(path)
    for each in sorted(path.rglob("*")) if path.is_dir() else ():
        if each.is_file():
            digest.update(f"{each.relative_to(path).as_posix()} {sha256_of(each)}\n".encode())
    digest.update(b"" if path.is_dir() else source.encode())
    return digest.hexdigest()


def _copy(source: str, number: int, folder: Path) -> str:
    """Copies a file; a folder, and what lies elsewhere, stays where it is."""
    path = Path(source)
    if not path.is_file():
        return source
    own = re.sub(r"^\d+-", "", path.name) if path.parent.name == ADDED else path.name
    copy = folder / f"{number}-{own}"
    shutil.copyfile(path, copy)
    return str(copy.resolve())


def _same(known: RetrainingRequest, asked: RetrainingRequest) -> bool:
    return replace(known, rounds=(), file="") == replace(asked, rounds=(), file="")
