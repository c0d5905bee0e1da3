"""Whether a run may teach another: it is finished, answers the same question, and has not learned what is held out."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from kft.answer.load import Run, read_run
from kft.data.examples import Examples
from kft.errors import DataError, KftError, RunError
from kft.recipe.load import Recipe
from kft.records.manifest import SCORES
from kft.records.run_folder import RunFolder, open_run
from kft.split.assign import SPLITS, UNLABELLED
from kft.split.data_split import DataSplit, content_hash
from kft.tasks.registry import TASKS

WHERE = "train.teacher"
MOST_TEACHERS = 20
"""How far a chain of teachers' teachers is followed; nobody has a longer one."""


@dataclass(frozen=True)
class Teacher:
    """A run that may teach another.

    Attributes:
        run: The run.
        named: As the recipe names it.
    """

    run: Run
    named: str

    @property
    def labels(self) -> tuple[str, ...]:
        return self.run.receipt.labels

    @property
    def weights(self) -> str:
        """sha256 of what the answers before calibration hang on: the checkpoint with its arrays' hashes, the recipe."""
        checkpoint = (self.run.folder.checkpoints / "best.json").read_bytes()
        digest = hashlib.sha256(checkpoint)
        digest.update(self.run.receipt.recipe_hash.encode())
        return digest.hexdigest()

    @property
    def identity(self) -> str:
        """sha256 of all that its answers hang on, its temperature included."""
        digest = hashlib.sha256(self.weights.encode())
        if self.run.folder.calibration.is_file():
            digest.update(self.run.folder.calibration.read_bytes())
        return digest.hexdigest()


def find_teacher(recipe: Recipe, split: DataSplit) -> Teacher | None:
    """Opens the run that a recipe names as its teacher; None where it names none. Loads no TensorFlow.

    Raises:
        RunError: There is no such run, it is not finished or damaged, or it answers another question.
        DataError: It, or one it has learned from itself, has learned from rows that are held out here.
    """
    if recipe.teacher is None or recipe.spec.train.teacher is None:
        return None
    named = recipe.spec.train.teacher.run
    run = _open(recipe.teacher)
    if not run.folder.metrics.is_file():
        raise RunError(
            "the teacher is not finished",
            where=f"{WHERE}: {named}",
            received="no metrics.json, which training ends with",
            expected="a run that has ended",
            next_step=f"kft train {run.folder.recipe} --run {run.folder.path} --resume",
        )
    _require_same_question(run, recipe, split, named)
    for each in _with_its_teachers(run):
        _require_apart(each, split)
    return Teacher(run, named)


def _open(folder: Path) -> Run:
    try:
        return read_run(open_run(folder), SCORES)
    except KftError as error:
        error.where = f"{WHERE}: {error.where or folder}"
        raise


def _require_same_question(run: Run, recipe: Recipe, split: DataSplit, named: str) -> None:
    task = TASKS.get(recipe.spec.task)
    reads, own = (f"{each.reads.name}, {each.kind.labels.form}" for each in (run.task, task))
    if reads != own:
        raise RunError(
            "the teacher reads or answers something else",
            where=f"{WHERE}: {named}",
            received=f"{run.task.name}",
            expected=f"{task.name}, as this recipe",
            next_step="name a run of that task, or leave train.teacher out",
        )
    theirs, ours = set(run.receipt.labels), set(split.labels)
    if theirs != ours:
        lacks, more = sorted(ours - theirs), sorted(theirs - ours)
        said = [f"it lacks {_some(lacks)}"] if lacks else []
        said += [f"it knows {_some(more)} besides"] if more else []
        raise RunError(
            "the teacher knows other labels",
            where=f"{WHERE}: {named}",
            received="; ".join(said),
            expected=f"the {len(ours)} labels of this recipe's train, by the same names and in any order",
            next_step="train the teacher on the same labels, or mend their names",
        )


def _some(names: Sequence[str]) -> str:
    return ", ".join(map(repr, names[:5])) + (f" and {len(names) - 5} more" if names[5:] else "")


def _with_its_teachers(run: Run) -> Iterator[Run]:
    """Yields a run, the one it has learned from, and so on.

    Raises:
        RunError: One of them is gone: then nobody can tell what it has learned.
    """
    for _ in range(MOST_TEACHERS):
        yield run
        folder = run.recipe.teacher
        if folder is None:
            return
        run = _open(folder)


def _require_apart(run: Run, split: DataSplit) -> None:
    """Refuses a teacher that has learned what this run is tested on, or trained on what it chooses by.

    A teacher of the same split has the same valid: it chose by it, as this run does, and that is no leak of test.
    What stands in this run's own train as well is a leak of the data, which ``kft check`` names, and not the teacher's.
    """
    learned, own = _hashes(run.folder), {name: set(map(content_hash, split.part(name).inputs)) for name in SPLITS}
    looked_at = {"test": ("train", "valid", UNLABELLED), "valid": ("train", UNLABELLED)}
    seen = {"test": own["train"] | own["valid"], "valid": own["train"]}
    for name, parts in looked_at.items():
        known = {each: part for part in parts for each in learned.get(part, set()) - seen[name]}
        rows = _known_rows(split.part(name), known)
        if rows:
            first, part = rows[0]
            raise DataError(
                f"the teacher has learned from rows of this run's {name} split",
                where=f"{WHERE}: {run.folder.path}",
                received=f"{len(rows):,} of {len(split.part(name)):,} rows of {name}, such as {first}, which is in its "
                + part,
                expected=f"a teacher that has not seen them: else {name} measures what it remembers",
                next_step="give both runs one test file and one valid file, or the same data and data.split_seed",
            )


def _known_rows(examples: Examples, known: dict[str, str]) -> list[tuple[str, str]]:
    hashes = (
        (str(identifier), content_hash(given)) for identifier, given in zip(examples.ids, examples.inputs, strict=True)
    )
    return [(identifier, known[found]) for identifier, found in hashes if found in known]


def _hashes(run: RunFolder) -> dict[str, set[str]]:
    """Returns the hashes of a run's rows by the split that they are in."""
    splits = pd.read_parquet(run.splits)
    return {str(name): set(rows) for name, rows in splits.groupby("split")["hash"]}
