"""Whether a run folder, or a checkpoint, belongs to the recipe and the data that want to go on from it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from kft.data.split import DataSplit
from kft.errors import RunError
from kft.recipe.load import Recipe, load_recipe
from kft.rundir import RunFolder, refuse_taken, write_json
from kft.train.checkpoint import Checkpoint, load_newest
from kft.train.storage import Storage


def has_begun(run: RunFolder) -> bool:
    """Whether everything that is written before training is there."""
    return run.splits.is_file() and run.receipt.is_file()


def require_same_run(run: RunFolder, recipe: Recipe, split: DataSplit) -> None:
    """Refuses to go on in the folder of another recipe, or with other data.

    Raises:
        RunError: It is another run's; the message says in what they differ.
    """
    if run.path.is_dir() and not run.recipe.is_file():
        refuse_taken(run.path)
    if not run.recipe.is_file():
        return
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
        receipt = run.read_json(run.receipt)
        changed = [name for name in ("data_hash", "split_hash") if receipt[name] != getattr(split, name)]
        if changed:
            raise RunError(
                "the data have changed since the run was begun",
                where=str(run.path),
                received=", ".join(f"{name} {getattr(split, name)[:12]}" for name in changed),
                expected=", ".join(f"{name} {receipt[name][:12]}" for name in changed),
                next_step="restore the data, or train anew with another --run DIR",
            )


def last_folder(recipe: Recipe, run: RunFolder) -> str:
    """Returns where the run's ``last`` checkpoints lie."""
    named = recipe.spec.train.checkpoints.folder
    if named is None:
        return str(run.checkpoints)
    return named if "://" in named else str((recipe.base / Path(named).expanduser()).resolve())


def run_identity(recipe: Recipe, split: DataSplit, weights_hash: str) -> dict[str, str]:
    """Returns the hashes that tell one run from another."""
    values = json.dumps(recipe.comparable(), sort_keys=True)
    return {
        "recipe": hashlib.sha256(values.encode()).hexdigest(),
        "data": split.data_hash,
        "split": split.split_hash,
        "weights": weights_hash,
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
        raise RunError(
            "the checkpoint belongs to another run",
            where=folder,
            received="another hash of " + ", ".join(other),
            expected="the recipe, the data and the pretrained weights that the run was begun with",
            next_step="restore them, or choose another train.checkpoints.folder and --run DIR",
        )
    return found


def refuse_taken_storage(folder: str) -> None:
    """Refuses a folder for checkpoints, outside the run folder, that another run has written to.

    Raises:
        RunError: It is taken.
    """
    if Storage(folder).read("last.json") is not None:
        raise RunError(
            "the folder for checkpoints holds those of another run",
            where=folder,
            expected="an empty one",
            next_step="choose another train.checkpoints.folder, or --resume that run",
        )


def note_resumed(run: RunFolder, steps_done: int, devices: str, versions: Mapping[str, Any]) -> None:
    """Adds to the receipt that the run went on, where and with what."""
    receipt = run.read_json(run.receipt)
    at = datetime.now(UTC).isoformat(timespec="seconds")
    entry = {"at": at, "steps_done": steps_done, "devices": devices}
    changed = {name: version for name, version in versions.items() if receipt["versions"].get(name) != version}
    entry |= {"versions": changed} if changed else {}
    write_json(run.receipt, {**receipt, "resumed": [*receipt.get("resumed", []), entry]})
