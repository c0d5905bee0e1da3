"""The run folder: where each file lies."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kft.errors import RunError, StorageError
from kft.records.files import storage_errors, write_file
from kft.registry import nearest

RUN_NOTE = "run folder: "
"""Opens the note on an exception that ended a training, so that it can be said where the weights are."""


LOCK = ".lock"
"""Held by the process that writes into the folder; see ``kft.records.lock``."""


class _File:
    """A file or folder in each run folder, by its name there."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __get__(self, run: RunFolder, kind: type[RunFolder]) -> Path:
        return run.path / self.name


@dataclass(frozen=True)
class RunFolder:
    """The files of one run."""

    path: Path

    recipe = _File("recipe.yaml")  # the resolved recipe, with the origin of each value
    receipt = _File("receipt.json")  # seed, versions, hashes
    splits = _File("splits.parquet")  # example id, split, hash
    findings = _File("findings.json")  # what was found in the data; the form is that of ``kft check``
    history = _File("history.jsonl")  # one event a line, as it happens
    checkpoints = _File("checkpoints")  # best and last weights
    calibration = _File("calibration.json")  # fitted on valid: temperature, abstention threshold, out-of-scope score
    forgetting = _File("forgetting.json")  # what the tuned backbone keeps of what it could do before
    rounding = _File("rounding.json")  # what frozen blocks in int8 cost beside float32
    tensorboard = _File("tensorboard")  # the history's epochs as event files, one folder a phase
    scope = _File("scope.safetensors")  # the training examples' vectors; inputs out of scope lie far from them
    metrics = _File("metrics.json")  # test metrics with intervals
    predictions = _File("predictions.csv")  # the test split's predictions
    edge_cases = _File("edge_cases.json")  # how the last suite of edge cases went, case by case
    per_class = _File("per_class.csv")  # precision, recall and F1 of each class
    confusion = _File("confusion.csv")  # the confusion matrix: targets down, predictions across
    mistakes = _File("mistakes.json")  # the most confident wrong answers, with their nearest training examples
    manifest = _File("manifest.json")  # sha256 of each file that decides an answer or a figure
    evaluations = _File("evaluations")  # one dated document for each evaluation on other data
    report = _File("report.html")  # the page for people
    exported = _File("exported.json")  # where it was exported to
    retrained = _File("retrain.json")  # of a challenger: how it did against the champion
    card = _File("card.md")  # the model card
    cleaned = _File("cleaned.json")  # that `kft clean` has removed what --resume would go on from

    def append_history(self, event: Mapping[str, Any]) -> None:
        with storage_errors(self.history), self.history.open("a", encoding="utf-8") as file:
            file.write(json.dumps(event, ensure_ascii=False) + "\n")

    def rewrite_history(self, events: Sequence[Mapping[str, Any]]) -> None:
        write_file(self.history, "".join(json.dumps(event, ensure_ascii=False) + "\n" for event in events))


def refuse_taken(folder: Path | None) -> None:
    """Refuses a run folder that is there already and not empty, before any compute is spent.

    Raises:
        RunError: It is taken.
    """
    if folder is not None and (folder.is_file() or (folder.is_dir() and any(map(_counts, folder.iterdir())))):
        is_run = (folder / "recipe.yaml").is_file()
        raise RunError(
            "the run folder already exists; a run is never overwritten",
            where=str(folder),
            expected="a folder that does not exist yet",
            next_step=("--resume goes on where that run stopped; or " if is_run else "")
            + "choose another --run DIR, or leave it out for runs/<recipe name>-<n>",
        )


def _counts(path: Path) -> bool:
    # What a process that was killed in the middle of write_file leaves is nobody's work.
    return not (path.name == LOCK or (path.name.startswith(".") and path.name.endswith(".tmp")))


def latest_run(name: str) -> Path | None:
    """Returns the ``runs/<name>-<n>`` with the highest number, or None."""
    numbered = [(path.name.removeprefix(f"{name}-"), path) for path in Path("runs").glob(f"{name}-*")]
    found = [(int(number), path) for number, path in numbered if number.isdecimal()]
    return max(found)[1] if found else None


def create_run(name: str, folder: Path | None) -> RunFolder:
    """Makes a new run folder: the one that was asked for, or ``runs/<name>-<n>``.

    Raises:
        RunError: The folder is there already and not empty.
        StorageError: It cannot be made.
    """
    if folder is not None:
        refuse_taken(folder)
        with storage_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
        return RunFolder(folder)
    number = 1
    while True:
        candidate = Path("runs") / f"{name}-{number}"
        try:
            with storage_errors(candidate):
                candidate.parent.mkdir(exist_ok=True)
                candidate.mkdir()
            return RunFolder(candidate)
        except StorageError as error:
            if not isinstance(error.__cause__, FileExistsError) or not candidate.is_dir():
                raise
            number += 1


def open_run(folder: Path) -> RunFolder:
    """Opens an existing run folder.

    Raises:
        RunError: There is none at this path.
    """
    run = RunFolder(folder)
    if run.recipe.is_file():
        return run
    siblings = [str(path) for path in folder.parent.iterdir()] if folder.parent.is_dir() else []
    hint = nearest(str(folder), siblings)
    raise RunError(
        f"no run at {folder}" + (f"; did you mean {hint}?" if hint and not folder.exists() else ""),
        where=str(folder),
        received="no recipe.yaml in it" if folder.is_dir() else "no such folder",
        expected="a folder that kft train wrote",
        next_step="kft train RECIPE" + (f"; kft runs {folder.parent} lists those that are there" if siblings else ""),
    )
