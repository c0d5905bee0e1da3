"""manifest.json: the sha256 of every file of a run that decides an answer or a figure.

Whoever writes such a file says so here, and whoever relies on one asks here first whether it is what was written. It
tells damage and edits by hand, not an attacker: who can write the folder can write the manifest too.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from kft.errors import RunError
from kft.records.document import read_document, write_document
from kft.records.fields import absent
from kft.records.files import sha256_of, write_file
from kft.records.receipt import Receipt
from kft.records.run_folder import RunFolder

START = ("recipe.yaml", "receipt.json", "splits.parquet", "findings.json")
"""Written before training."""
TRAINED = ("history.jsonl", "checkpoints/best.json", "checkpoints/probe.json")
"""Written while training goes on, and vouched for once it is over; a checkpoint holds the hashes of its arrays."""
FITTED = ("calibration.json", "scope.safetensors", "forgetting.json", "rounding.json")
"""Found after training; ``kft evaluate`` finds what is missing anew."""
FIGURES = ("metrics.json", "predictions.csv", "per_class.csv", "confusion.csv", "edge_cases.json", "mistakes.json")
"""What was measured; ``kft evaluate`` measures anew."""

ANSWERS = ("recipe.yaml", "receipt.json", "checkpoints/best.json", "calibration.json", "scope.safetensors")
"""What decides an answer."""
SCORES = (*START, *TRAINED, *FITTED)
"""What decides a figure, besides the data."""
ALL = (*START, *TRAINED, *FITTED, *FIGURES)


@dataclass(frozen=True)
class Manifest:
    """What a run's files were when they were written.

    Attributes:
        files: sha256 by name, as in the run folder.
        becoming: sha256 of what a file is being replaced by: until that is over, either is right.
    """

    files: Mapping[str, str] = field(default_factory=dict)
    becoming: Mapping[str, str] | None = absent()


def begin(run: RunFolder) -> None:
    """Writes the manifest of a run whose start files are all there.

    Raises:
        StorageError: The disk is full or the folder cannot be written.
    """
    _write(run, _digests(run, START))


def seal(run: RunFolder, names: Iterable[str]) -> None:
    """Vouches for files as they are now; a name without a file is vouched for no more.

    A run of an earlier kft has no manifest, and gets none: it would vouch for what nobody knows.

    Raises:
        StorageError: The disk is full or the folder cannot be written.
    """
    if run.manifest.is_file():
        names = set(names)
        known = {name: digest for name, digest in _read(run).files.items() if name not in names}
        _write(run, {**known, **_digests(run, names)})


@contextmanager
def sealing(run: RunFolder, names: Sequence[str]) -> Iterator[None]:
    """Vouches for those of some files that the body writes; for none of them while it is at work, or when it fails.

    A file that the body leaves alone is vouched for as before: nobody else's change is.
    """
    known, before = _read(run).files, {name: _mark(run.path / name) for name in names}
    _take_back(run, names)
    yield
    if run.manifest.is_file():
        same = {name for name in names if before[name] is not None and _mark(run.path / name) == before[name]}
        found = {name: known[name] for name in same if name in known} | _digests(run, set(names) - same)
        _write(run, {**_read(run).files, **found})


def replace_sealed(run: RunFolder, name: str, content: str) -> None:
    """Replaces one file such that it is vouched for at any moment, before and after.

    Raises:
        StorageError: The disk is full or the folder cannot be written.
    """
    known, digest = _read(run).files, hashlib.sha256(content.encode()).hexdigest()
    if known:
        write_document(run.manifest, Manifest(known, {name: digest}))
    write_file(run.path / name, content)
    if known:
        _write(run, {**known, name: digest})


def forget_results(run: RunFolder) -> None:
    """Takes back all that was found after training: it goes on, and what was fitted for less is of no use to more.

    Raises:
        StorageError: The folder cannot be written.
    """
    _take_back(run, set(ALL) - set(START))
    for name in (*FITTED, *FIGURES, "report.html", "card.md"):
        (run.path / name).unlink(missing_ok=True)


def require_intact(run: RunFolder, names: Iterable[str]) -> str:
    """Refuses files of a run that are not what was written.

    Args:
        run: The run.
        names: What somebody is about to rely on; a file that never was there is no fault.

    Returns:
        What to tell a person of a run of an earlier kft, which nothing vouches for; empty elsewhere.

    Raises:
        RunError: One of them was changed, is missing, or was put there by somebody else; names all of them.
    """
    if not run.manifest.is_file():
        if read_document(Receipt, run.receipt).manifest:
            raise _refusal(run, ["manifest.json is missing"], "train again: nothing says what the other files were")
        return f"note       {run.path} has no manifest.json: nothing says whether its files are as they were written"
    known = read_document(Manifest, run.manifest)
    wrong = {name: problem for name in names if (problem := _problem(run, name, known))}
    if wrong:
        raise _refusal(run, list(wrong.values()), _mend(run, wrong))
    return ""


def is_intact(run: RunFolder, name: str) -> bool:
    """Whether one file is what was written; always where nothing vouches for the run."""
    return not (run.manifest.is_file() and _problem(run, name, read_document(Manifest, run.manifest)))


def _problem(run: RunFolder, name: str, known: Manifest) -> str:
    path, digest = run.path / name, known.files.get(name)
    if not path.is_file():
        return f"{name} is missing" if digest else ""
    if digest is None:
        # Of what is not over yet nobody vouches: a checkpoint has its own checksum.
        return "" if name in TRAINED else f"{name} was not written by this run, or not completely"
    return (
        ""
        if sha256_of(path) in (digest, (known.becoming or {}).get(name))
        else f"{name} was changed after it was written"
    )


def _mend(run: RunFolder, wrong: Iterable[str]) -> str:
    lost = [name for name in wrong if name not in (*FITTED, *FIGURES)]
    if lost:
        return f"restore {lost[0]} from a copy of the run, or train again with another --run DIR"
    anew = dict.fromkeys(wrong) | ({"calibration.json": None} if "scope.safetensors" in wrong else {})  # one fit
    found = [str(run.path / name) for name in anew if name in FITTED and (run.path / name).is_file()]
    delete = f"delete {' and '.join(found)}; " if found else ""
    return f"{delete}kft evaluate {run.path} writes it again"


def _refusal(run: RunFolder, problems: Sequence[str], next_step: str) -> RunError:
    return RunError(
        "the run folder is not as it was written: " + ", ".join(problems),
        where=str(run.path),
        received=problems[0],
        expected="the files whose sha256 manifest.json holds",
        next_step=next_step,
    )


def _read(run: RunFolder) -> Manifest:
    return read_document(Manifest, run.manifest) if run.manifest.is_file() else Manifest()


def _take_back(run: RunFolder, names: Iterable[str]) -> None:
    known = _read(run).files
    if known.keys() & set(names):
        _write(run, {name: digest for name, digest in known.items() if name not in names})


def _write(run: RunFolder, files: Mapping[str, str]) -> None:
    write_document(run.manifest, Manifest(dict(sorted(files.items()))))


def _mark(path: Path) -> tuple[int, int] | None:
    """What is another once a file has been written anew: that is always a rename."""
    if not path.is_file():
        return None
    found = path.stat()
    return found.st_ino, found.st_mtime_ns


def _digests(run: RunFolder, names: Iterable[str]) -> dict[str, str]:
    return {name: sha256_of(run.path / name) for name in names if (run.path / name).is_file()}
