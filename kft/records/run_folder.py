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


@dataclass(frozen=True)
class RunFolder:
    """The files of one run."""

    path: Path

    @property
    def recipe(self) -> Path:
        """The resolved recipe, with the origin of each value."""
        return self.path / "recipe.yaml"

    @property
    def receipt(self) -> Path:
        """Seed, versions, hashes."""
        return self.path / "receipt.json"

    @property
    def splits(self) -> Path:
        """Example id, split, hash."""
        return self.path / "splits.parquet"

    @property
    def findings(self) -> Path:
        """What was found in the data; the form is that of ``kft check``."""
        return self.path / "findings.json"

    @property
    def history(self) -> Path:
        """One event a line, as it happens."""
        return self.path / "history.jsonl"

    @property
    def checkpoints(self) -> Path:
        """Best and last weights."""
        return self.path / "checkpoints"

    @property
    def calibration(self) -> Path:
        """What was fitted on valid after training: temperature, abstention threshold, out-of-scope score."""
        return self.path / "calibration.json"

    @property
    def forgetting(self) -> Path:
        """What the tuned backbone keeps of what it could do before."""
        return self.path / "forgetting.json"

    @property
    def tensorboard(self) -> Path:
        """The history's epochs as event files, one folder a phase."""
        return self.path / "tensorboard"

    @property
    def scope(self) -> Path:
        """The training examples' vectors, which inputs that are out of scope lie far from."""
        return self.path / "scope.safetensors"

    @property
    def metrics(self) -> Path:
        """Test metrics with intervals."""
        return self.path / "metrics.json"

    @property
    def predictions(self) -> Path:
        """The test split's predictions."""
        return self.path / "predictions.csv"

    @property
    def edge_cases(self) -> Path:
        """How the last suite of edge cases went, case by case."""
        return self.path / "edge_cases.json"

    @property
    def per_class(self) -> Path:
        """Precision, recall and F1 of each class."""
        return self.path / "per_class.csv"

    @property
    def confusion(self) -> Path:
        """The confusion matrix: targets down, predictions across."""
        return self.path / "confusion.csv"

    @property
    def mistakes(self) -> Path:
        """The most confident wrong answers, with their nearest training examples."""
        return self.path / "mistakes.json"

    @property
    def report(self) -> Path:
        """The page for people."""
        return self.path / "report.html"

    @property
    def card(self) -> Path:
        """The model card."""
        return self.path / "card.md"

    def append_history(self, event: Mapping[str, Any]) -> None:
        """Adds one event as a line."""
        with storage_errors(self.history), self.history.open("a", encoding="utf-8") as file:
            file.write(json.dumps(event, ensure_ascii=False) + "\n")

    def rewrite_history(self, events: Sequence[Mapping[str, Any]]) -> None:
        """Puts the history back to these events."""
        write_file(self.history, "".join(json.dumps(event, ensure_ascii=False) + "\n" for event in events))


def refuse_taken(folder: Path | None) -> None:
    """Refuses a run folder that is there already and not empty, before any compute is spent.

    Raises:
        RunError: It is taken.
    """
    if folder is not None and (folder.is_file() or (folder.is_dir() and any(map(_counts, folder.iterdir())))):
        is_run = (folder / "recipe.yaml").is_file()
        raise RunError(
            "the run folder is there already; a run is never overwritten",
            where=str(folder),
            expected="a folder that does not exist yet",
            next_step=("--resume goes on where that run stopped; else " if is_run else "")
            + "choose another --run DIR, or leave it out for runs/<recipe name>-<n>",
        )


def _counts(path: Path) -> bool:
    # What a process that was killed in the middle of write_file leaves is nobody's work.
    return not (path.name.startswith(".") and path.name.endswith(".tmp"))


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
        next_step="kft train RECIPE",
    )
