"""Whether a run folder, or a checkpoint, belongs to the recipe and the data that want to go on from it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from shlex import quote
from typing import Any

from kft.errors import ModelError, RunError, UsageError
from kft.feed.batches import PLAN
from kft.model.files import BackboneFiles
from kft.recipe.load import Recipe
from kft.records.cleaned import Cleaned
from kft.records.document import document_text, read_document
from kft.records.files import utc_now
from kft.records.history import EpochDone, PhaseStarted, read_history
from kft.records.manifest import START, replace_sealed, require_intact
from kft.records.receipt import Receipt, Resumption
from kft.records.run_folder import RunFolder, refuse_taken
from kft.replicas import processes_agree
from kft.split.data_split import DataSplit
from kft.tasks.recipes import load_recipe
from kft.train.checkpoint import ARRAYS, MANIFEST, TEMPORARY, Checkpoint, load_newest, storage_of


def has_begun(run: RunFolder) -> bool:
    """Whether everything that is written before training is there; the manifest comes last."""
    if run.manifest.is_file():
        return True
    there = run.splits.is_file() and run.receipt.is_file()
    return there and (not read_document(Receipt, run.receipt).manifest or _has_trained(run))


def require_same_run(run: RunFolder, recipe: Recipe, split: DataSplit) -> None:
    """Refuses to go on in the folder of another recipe, or with other data.

    Raises:
        RunError: It is another run's; the message says in what they differ.
    """
    if (
        run.path.is_dir()
        and not run.recipe.is_file()
        and {path.name for path in run.path.iterdir()} - {"findings.json"}
    ):
        refuse_taken(run.path)  # findings.json alone: a start that was killed
    if not run.recipe.is_file():
        return
    if has_begun(run):
        require_intact(run, START)
    differences = recipe.differences(load_recipe(run.recipe))
    if differences:
        raise RunError(
            "the run folder is of another recipe",
            where=str(run.recipe),
            received="; ".join(differences[:5])
            + (f"; and {len(differences) - 5} more" if len(differences) > 5 else ""),
            expected="the recipe that the run was begun with",
            next_step=f"kft train {run.recipe} --run {run.path} --resume takes that one; else choose another --run DIR",
        )
    if has_begun(run):
        receipt = read_document(Receipt, run.receipt)
        changed = [name for name in ("data_hash", "split_hash") if getattr(receipt, name) != getattr(split, name)]
        if changed:
            raise RunError(
                "the data have changed since the run was begun",
                where=str(run.path),
                received=", ".join(f"{name} {getattr(split, name)[:12]}" for name in changed),
                expected=", ".join(f"{name} {getattr(receipt, name)[:12]}" for name in changed),
                next_step="restore the data, or train again with another --run DIR",
            )


def require_same_backbone(files: BackboneFiles, receipt: Receipt, where: str) -> None:
    """Refuses a backbone that is not the one a run was begun with: weights, vocabulary, settings or config.json.

    Args:
        files: What the backbone is read from now.
        receipt: The run's; those of earlier kft know the weights alone.
        where: The backbone's name.

    Raises:
        ModelError: Names the files.
    """
    known = receipt.backbone_files
    differences = [] if known is None else files.differences(known)
    if differences or files.weights_hash != receipt.weights_hash:
        weights = f"weights of sha256 {files.weights_hash}"
        raise ModelError(
            "the backbone's files are not those the run was trained from"
            if differences
            else "the backbone's weights are not those the run was trained from",
            where=where,
            received="; ".join(differences[:5]) + (f"; and {len(differences) - 5} more" if differences[5:] else "")
            or weights,
            expected="each file as receipt.json has its sha256"
            if differences
            else f"weights of sha256 {receipt.weights_hash}",
            next_step="restore the backbone's folder, or train again",
        )


def last_folder(recipe: Recipe, run: RunFolder) -> str:
    """Returns where the run's ``last`` checkpoints lie; the run folder's own in one spelling, however it is named."""
    named = recipe.checkpoints_folder
    own = run.checkpoints
    return str(own) if named is None or named == str(own.resolve()) else named


def run_identity(recipe: Recipe, split: DataSplit, weights_hash: str) -> dict[str, str]:
    """Returns what tells one run from another: hashes, and how batches are put together."""
    values = json.dumps(recipe.comparable(), sort_keys=True)
    return {
        "recipe": hashlib.sha256(values.encode()).hexdigest(),
        "data": split.data_hash,
        "split": split.split_hash,
        "weights": weights_hash,
        "plan": PLAN,
    }


def load_last(folder: str, identity: Mapping[str, str], report: Callable[[str], None]) -> Checkpoint | None:
    """Reads the newest whole checkpoint to go on from; None when there is none.

    Raises:
        RunError: It is another run's, or all of them are damaged.
    """
    found = load_newest(folder, "last", report)
    if found is None:
        return None
    other = [name for name, value in identity.items() if found.state["identity"].get(name) != value]
    if other:
        hashes = [name for name in other if name != "plan"]
        raise RunError(
            "the checkpoint belongs to another run",
            where=folder,
            received="another hash of " + ", ".join(hashes) if hashes else "batches planned by an earlier kft",
            expected="the recipe, the data, the pretrained weights and the version of kft that the run was begun with",
            next_step="restore them, or choose another train.checkpoints.folder and --run DIR",
        )
    return found


def refuse_taken_storage(folder: str) -> None:
    """Refuses a folder for checkpoints, outside the run folder, that holds anything but what a killed start left.

    Raises:
        RunError: It is taken.
        StorageError: It cannot be read.
    """
    taken = [name for name in storage_of(folder).names() if not (ARRAYS.fullmatch(name) or TEMPORARY.fullmatch(name))]
    if taken:
        ours = any(MANIFEST.fullmatch(name) for name in taken)
        raise RunError(
            f"the folder for checkpoints holds {'those of another run' if ours else 'something else'}",
            where=folder,
            received=", ".join(taken[:3]) + (f" and {len(taken) - 3} more" if len(taken) > 3 else ""),
            expected="an empty one",
            next_step="choose another train.checkpoints.folder" + (", or --resume that run" if ours else ""),
        )


def require_agreement(found: Checkpoint | None, folder: str) -> None:
    """Refuses workers that do not go on from one and the same checkpoint; all of them have to call it together.

    Raises:
        UsageError: One of them sees another folder than the others; it is raised on all of them.
    """
    if not processes_agree("" if found is None else json.dumps(found.state, sort_keys=True)):
        raise UsageError(
            "the workers do not see the same checkpoint folder",
            where=folder,
            received="no checkpoint here"
            if found is None
            else f"a checkpoint after {found.state['steps_done']:,} steps here, and another, or none, elsewhere",
            expected="a folder that all of them reach, such as one on a network disk or in an object store",
            next_step="--run DIR on a shared disk, or --set train.checkpoints.folder=gs://BUCKET/FOLDER",
        )


def refuse_beginning_anew(run: RunFolder, folder: str) -> None:
    """Refuses to begin in the folder of a run that has trained, when its checkpoints are not found.

    The first checkpoint is on the disk before the first step, so a run that took one has had one.

    Raises:
        RunError: It has trained.
    """
    if not (run.metrics.is_file() or _has_trained(run)):
        return
    if run.cleaned.is_file():
        raise RunError(
            "the run has ended, and kft clean has removed what it would go on from",
            where=str(run.path),
            received=f"cleaned {read_document(Cleaned, run.cleaned).at}",
            expected="a run that was not cleaned; nothing was left to train in this one",
            next_step=f"kft evaluate {quote(str(run.path))} scores it again; to train again, another --run DIR",
        )
    recorded = last_folder(load_recipe(run.recipe), run) if run.recipe.is_file() else folder
    if recorded == folder:
        next_step = "restore that folder, or train again with another --run DIR"
    elif recorded == str(run.checkpoints):
        next_step = "leave train.checkpoints.folder out, as when the run was begun"
    else:
        next_step = f"--set train.checkpoints.folder={recorded}"
    raise RunError(
        "the run has trained, but the checkpoint to go on from is not there",
        where=folder,
        received="no last.json",
        expected=f"the checkpoints of this run, which was begun with them in {recorded}",
        next_step=next_step,
    )


def _has_trained(run: RunFolder) -> bool:
    """Whether the history tells of what a first checkpoint comes before: an epoch's steps, or a second phase."""
    events = read_history(run.history)
    phases = sum(isinstance(event, PhaseStarted) for event in events)
    return phases > 1 or any(isinstance(event, EpochDone) and event.epoch > 0 for event in events)


def note_resumed(run: RunFolder, steps_done: int, devices: str, versions: Mapping[str, Any]) -> None:
    """Adds to the receipt that the run went on, where and with what."""
    receipt = read_document(Receipt, run.receipt)
    changed = {name: version for name, version in versions.items() if receipt.versions.get(name) != version}
    entry = Resumption(utc_now(), steps_done, devices, changed or None)
    replace_sealed(run, run.receipt.name, document_text(replace(receipt, resumed=(*receipt.resumed, entry))))
