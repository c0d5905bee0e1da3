"""`kft clean`: frees what runs that have ended no longer need; everything else works on as before.

What a run needs to be gone on with (the optimizer's state, the best weights of each phase, answers for valid) is the
larger part of its folder. Once training has ended and the test split is scored, only ``--resume`` would read it, and
finds nothing left to do.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from kft.api.listing import folder_of_runs
from kft.deploy.place import BUILT
from kft.errors import KftError, RunError, StorageError
from kft.recipe.load import Recipe
from kft.records.cleaned import Cleaned
from kft.records.document import read_document, write_document
from kft.records.files import storage_errors, utc_now
from kft.records.lock import hold, seems_held
from kft.records.manifest import ALL, require_intact
from kft.records.receipt import Receipt
from kft.records.run_folder import RunFolder
from kft.records.storage import Storage
from kft.tasks.recipes import load_recipe

RESUME = "what --resume goes on from"
EXPORT = "an export that was killed"


@dataclass(frozen=True)
class Spare:
    """What can go of one folder.

    Attributes:
        path: The run folder, or the folder that goes whole.
        what: What it is, for people.
        bytes: How many are freed.
    """

    path: str
    what: str
    bytes: int


@dataclass(frozen=True)
class Leftovers:
    """What can go, and what has to stay.

    Attributes:
        spare: What can go.
        kept: Run folders that hold something of the kind which is still needed, and why.
    """

    spare: tuple[Spare, ...]
    kept: Mapping[str, str]

    @property
    def bytes(self) -> int:
        """How many are freed in all."""
        return sum(each.bytes for each in self.spare)


def find_leftovers(folder: str | Path = "runs") -> Leftovers:
    """Returns what ended runs no longer need; changes nothing.

    Args:
        folder: A run, or a folder of runs.

    Raises:
        RunError: There is no such folder.

    Example:
        >>> import kft
        >>> kft.find_leftovers("runs").bytes  # doctest: +SKIP
        481296384
    """
    spare, kept = [], {}
    for run in _runs(folder):
        try:
            recipe = load_recipe(run.recipe)
            where, files = _spare_files(run, recipe)
            why = why_needed(run, recipe) if files else ""
            if why:
                kept[str(run.path)] = why
            elif files:
                spare.append(Spare(str(run.path), RESUME, sum(map(where.size, files))))
        except KftError as error:
            kept[str(run.path)] = f"cannot be read: {str(error).splitlines()[0]}"
    for litter in _litter(Path(folder)):
        found = [path for path in litter.rglob("*") if path.is_file() and not path.is_symlink()]
        spare.append(Spare(str(litter), EXPORT, sum(path.stat().st_size for path in found)))
    return Leftovers(tuple(spare), kept)


def clean(folder: str | Path = "runs") -> Leftovers:
    """Removes what ended runs no longer need, without asking; see ``find_leftovers``.

    A run that is being trained, or was interrupted, is left as it is. Of the others everything works on with equal
    figures but ``train(resume=True)``, which has nothing left to do and says so.

    Args:
        folder: A run, or a folder of runs.

    Returns:
        What went, and what stayed.

    Raises:
        RunError: There is no such folder.
        StorageError: A folder cannot be written.

    Example:
        >>> import kft
        >>> [each.path for each in kft.clean("runs").spare]  # doctest: +SKIP
        ['runs/product_reviews-1']
    """
    found = find_leftovers(folder)
    gone, kept = [], dict(found.kept)
    for each in found.spare:
        try:
            _remove_litter(Path(each.path)) if each.what == EXPORT else _remove_spare(RunFolder(Path(each.path)))
        except RunError as error:  # another process has come meanwhile, or what would be left is damaged
            kept[each.path] = str(error).splitlines()[0]
        else:
            gone.append(each)
    return Leftovers(tuple(gone), kept)


def why_needed(run: RunFolder, recipe: Recipe) -> str:
    """Says why a run still needs what it would go on from; empty where training is over and the test split scored."""
    from kft.train.checkpoint import load_facts
    from kft.train.resume import last_folder

    if seems_held(run):
        return "a process is at work in it"
    state, _ = load_facts(last_folder(recipe, run), "last")
    receipt = read_document(Receipt, run.receipt)
    best, _ = load_facts(run.checkpoints, "best")
    over = state["phase"] >= len(receipt.phases) and state["fit"] is None
    if not over or (recipe.spec.train.refit and "refit" not in best):
        return "training has not ended: --resume goes on with it"
    if not run.metrics.is_file():
        return "the test split is not scored yet: --resume or kft evaluate does"
    require_intact(run, ALL)
    return ""


def _runs(folder: str | Path) -> Iterator[RunFolder]:
    """Yields a run, or those of a folder, candidates of retrainings among them."""
    root = folder_of_runs(folder)
    found = (path.parent for way in ("", "*/", "*/*/") for path in root.glob(f"{way}recipe.yaml"))
    yield from map(RunFolder, _once(found))


def _litter(root: Path) -> Iterator[Path]:
    """Yields the folders of exports that no process builds any more: in the folder, and in the runs that lie there."""
    for path in _once(path for way in ("", "*/") for path in root.glob(way + BUILT.format(name="*"))):
        if path.is_dir() and not path.is_symlink() and (handle := _lock(path)):
            os.close(handle)
            yield path


def _once(paths: Iterable[Path]) -> list[Path]:
    """Returns each place once, however many links lead to it, in order."""
    return sorted({path.resolve(): path for path in sorted(paths, reverse=True)}.values())


def _lock(path: Path) -> int | None:
    """Takes the lock that an export holds on the folder it builds; None where one does."""
    handle = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(handle)
        return None
    return handle


def _remove_litter(path: Path) -> None:
    handle = _lock(path)
    if handle is None:
        raise RunError("an export is at work in it", where=str(path))
    try:
        with storage_errors(path):
            shutil.rmtree(path)
    finally:
        os.close(handle)


def _spare_files(run: RunFolder, recipe: Recipe) -> tuple[Storage, tuple[str, ...]]:
    from kft.train.checkpoint import spare_files, storage_of
    from kft.train.resume import last_folder

    where = storage_of(last_folder(recipe, run))
    return where, spare_files(where, "last")


def _remove_spare(run: RunFolder) -> None:
    """Removes what a run would go on from, once the best weights are proved whole; what stays is whole all the time."""
    from kft.train.checkpoint import load_checkpoint

    with hold(run):
        load_checkpoint(run.checkpoints, "best")
        recipe = load_recipe(run.recipe)
        where, files = _spare_files(run, recipe)
        write_document(run.cleaned, Cleaned(utc_now()))
        for name in files:
            where.remove(name)
        if left := _spare_files(run, recipe)[1]:
            raise StorageError(
                "a file of an ended run cannot be removed", where=where.where(left[0]), next_step="make it writable"
            )
