"""Proof that an artifact is what was exported: every file against the sha256 in artifact.json, and its signature."""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from kft.deploy.signing import SIGNATURE, check_signature
from kft.errors import RunError
from kft.records.document import read_document
from kft.records.fields import absent, unwritten
from kft.records.files import reading_errors

ARTIFACT = "artifact.json"
EXPORT = "kft export RUN DEST writes one"
UNSIGNED, UNCHECKED = "no", "yes, by whom was not asked: --public-key FILE"
SIGNED, NOT_AS_ASKED = "yes, by this key", "not all of it by this key"
SHOWN = 5


@dataclass(frozen=True)
class Proof:
    """What was found.

    Attributes:
        artifact: The folder.
        digest: sha256 of artifact.json, which holds those of all other files.
        about: What it is, in words.
        n: How many files artifact.json names.
        problems: Everything that is not as it should be; empty where the artifact is what was exported.
        signed: Whether it is signed, and what of that was checked.
        forced: What the gates had against it when it was exported.
        receipt: What it was made of.
        files: sha256 of each file that is there, by its path.
    """

    artifact: Path
    digest: str
    about: str
    n: int
    problems: tuple[str, ...]
    signed: str
    forced: tuple[str, ...] = absent(())
    receipt: Mapping[str, Any] = field(default_factory=dict)
    files: Mapping[str, str] = unwritten()

    def receipt_lines(self) -> list[str]:
        """What the artifact was made of, for people."""
        known = self.receipt
        shown = ("created", "backbone", "recipe_hash", "split_hash", "data_hash", "weights_hash", "seed")
        return [f"{key} {known[key]}" for key in shown if key in known]


@dataclass(frozen=True)
class _Claimed:
    """What of artifact.json the proof needs."""

    name: str
    version: str
    task: str
    format: str
    files: Mapping[str, str]
    forced: tuple[str, ...] = absent(())
    receipt: Mapping[str, Any] = absent()
    digest: str = absent("")


def prove(folder: Path, public_key: Path | None = None) -> Proof:
    """Holds every file of an artifact against artifact.json, and the signature against a key; changes nothing.

    Args:
        folder: The artifact's.
        public_key: That of the key that it should be signed with; None does not ask for a signature.

    Raises:
        RunError: The folder is no artifact, or artifact.json is damaged or by a newer kft.
        UsageError: The key cannot be used.
        StorageError: A file cannot be read.
    """
    claimed = read_claimed(folder)
    there, odd = _found(folder)
    hashes = {name: _sha256(path) for name, path in there.items()}
    problems = [] if claimed.digest == _own_digest(folder) else [f"{ARTIFACT} was changed after it was exported"]
    problems += [*odd, *_differences(claimed.files, hashes)]
    signed = UNCHECKED if (folder / SIGNATURE).is_file() else UNSIGNED
    if public_key is not None:
        wrong = check_signature(folder, public_key, hashes)
        problems += wrong
        signed = NOT_AS_ASKED if wrong else SIGNED
    return Proof(
        folder,
        hashes.get(ARTIFACT, ""),
        f"{claimed.name} version {claimed.version}: {claimed.task}, {claimed.format}",
        len(claimed.files),
        tuple(problems),
        signed,
        tuple(claimed.forced),
        claimed.receipt or {},
        hashes,
    )


def require_whole(folder: Path) -> Proof:
    """Proves an artifact, and refuses one that is not what was exported.

    Raises:
        RunError: A file was changed, is missing or was put there; the message names them.
    """
    proof = prove(folder)
    if proof.problems:
        raise RunError(
            "the artifact is not as it was exported: " + in_words(proof.problems),
            where=str(folder),
            received=proof.problems[0],
            expected=f"the files whose sha256 {ARTIFACT} holds",
            next_step="export it again, or take a copy that kft verify finds nothing wrong with",
        )
    return proof


def read_claimed(folder: Path) -> Any:
    """Reads what artifact.json says.

    Raises:
        RunError: The folder is no artifact, or artifact.json is damaged or by a newer kft.
    """
    if not (folder / ARTIFACT).is_file():
        raise RunError(
            "this is no artifact",
            where=str(folder),
            received=f"a folder without {ARTIFACT}" if folder.is_dir() else "no such folder",
            expected="a folder that kft export wrote",
            next_step=EXPORT,
        )
    return read_document(_Claimed, folder / ARTIFACT, next_step="export the run again")


def _own_digest(folder: Path) -> str:
    """Returns what artifact.json says of itself where it was not changed: the sha256 of it without that key."""
    values = {key: value for key, value in json.loads((folder / ARTIFACT).read_bytes()).items() if key != "digest"}
    return hashlib.sha256((json.dumps(values, indent=2, ensure_ascii=False) + "\n").encode()).hexdigest()


def in_words(problems: tuple[str, ...]) -> str:
    """Returns the first few problems, and how many more there are.

    Example:
        >>> in_words(tuple("abcdefg"))
        'a, b, c, d, e and 2 more'
    """
    more = len(problems) - SHOWN
    return ", ".join(problems[:SHOWN]) + (f" and {more} more" if more > 0 else "")


def _differences(claimed: Mapping[str, str], hashes: Mapping[str, str]) -> Iterator[str]:
    for name, digest in sorted(claimed.items()):
        parts = PurePosixPath(name).parts
        if name in (ARTIFACT, SIGNATURE) or not parts or ".." in parts or PurePosixPath(name).is_absolute():
            yield f"{ARTIFACT} names {name}, which is no file of an artifact"
        elif name not in hashes:
            yield f"{name} is missing"
        elif hashes[name] != digest:
            yield f"{name} was changed after it was exported"
    for name in sorted(hashes.keys() - claimed.keys() - {ARTIFACT, SIGNATURE}):
        yield f"{name} was not exported with it"


def _found(folder: Path) -> tuple[dict[str, Path], list[str]]:
    """Returns the files of a folder by their paths with ``/``, and what there is that is no file: links are none."""
    files, odd = {}, []
    with reading_errors(folder):
        for place, folders, names in os.walk(folder, onerror=_raise):
            for each in sorted((*folders, *names)):
                path = Path(place) / each
                mode, name = path.lstat().st_mode, path.relative_to(folder).as_posix()
                if stat.S_ISREG(mode):
                    files[name] = path
                elif not stat.S_ISDIR(mode):
                    odd.append(f"{name} is a {'link' if stat.S_ISLNK(mode) else 'device or pipe'}, not a file")
    return files, odd


def _raise(error: OSError) -> None:
    raise error


def _sha256(path: Path) -> str:
    with reading_errors(path), path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
