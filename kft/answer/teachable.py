"""Whether a run may teach another: it is finished, answers the same question, and has not learned what is held out."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kft.answer.apart import begun_with, hashes_of, known_rows, not_apart, own_hashes, require_apart
from kft.answer.load import Run, read_run
from kft.errors import DataError, KftError, RunError
from kft.recipe.load import Recipe
from kft.recipe.training import PhaseSpec
from kft.records.manifest import SCORES
from kft.records.run_folder import open_run
from kft.split.data_split import DataSplit
from kft.split.holdout import set_aside
from kft.tasks.registry import TASKS

WHERE = "train.teacher"
WHO = (WHERE, "the teacher")
MOST_TEACHERS = 20
"""How far a chain of teachers' teachers is followed; nobody has a longer one."""


@dataclass(frozen=True)
class Teacher:
    """A run that may teach another.

    Attributes:
        run: The run.
        named: As the recipe names it.
        seen: How many rows of this run's valid its blend has learned from. Where there are some, its head alone
            answers, which has learned from none of them.
    """

    run: Run
    named: str
    seen: int = 0

    @property
    def labels(self) -> tuple[str, ...]:
        return self.run.receipt.labels

    @property
    def weights(self) -> str:
        """sha256 of what the answers before calibration hang on: the checkpoint with its arrays' hashes, the recipe."""
        checkpoint = (self.run.folder.checkpoints / "best.json").read_bytes()
        digest = hashlib.sha256(checkpoint)
        digest.update(self.run.receipt.recipe_hash.encode())
        digest.update(b"head alone" if self.seen else b"")
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
    own = own_hashes(split)
    for each in (run, *_its_teachers(run)):
        begun = [one for _, one in begun_with(each.recipe) if one.task.kind.labels.form == run.task.kind.labels.form]
        for learned in (each, *begun):
            require_apart(learned, split, own, WHO)
    learner = run
    for each in _its_teachers(run):
        if seen := _rows_of_valid(each, split, own, besides=hashes_of(learner.folder).get("valid", set())):
            raise not_apart(WHO, each, split, seen, name="valid", where=_learned_valid(each))
        learner = each
    _require_unseen_aside(run, recipe, split)
    seen = _rows_of_valid(run, split, own)
    if seen and not _has_head(run):
        raise not_apart(WHO, run, split, seen, name="valid", where=_learned_valid(run))
    return Teacher(run, named, len(seen))


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


def _its_teachers(run: Run) -> Iterator[Run]:
    """Yields the run that this one has learned from, the one that taught that, and so on.

    Raises:
        RunError: One of them is gone: then nobody can tell what it has learned.
    """
    for _ in range(MOST_TEACHERS):
        folder = run.recipe.teacher
        if folder is None:
            return
        run = _open(folder)
        yield run


def _require_unseen_aside(run: Run, recipe: Recipe, split: DataSplit) -> None:
    """Refuses a teacher that chose by rows which are set aside here: the promise on abstention is not for such.

    One of the same split that sets rows aside as well has set aside the very same.
    """
    theirs, aside = run.recipe.spec.evaluate.abstain_at, set_aside(recipe.spec, split)
    if not aside.any() or (theirs is not None and run.receipt.split_hash == split.split_hash):
        return
    rows = known_rows(split.valid.take(np.flatnonzero(aside)), hashes_of(run.folder).get("valid", set()))
    if rows:
        raise DataError(
            "the teacher chose by rows that are set aside here, for the promise on abstention",
            where=f"{WHERE}: {run.folder.path}",
            received=f"{len(rows):,} of {int(aside.sum()):,} rows, such as {rows[0]}",
            expected="rows that had a part in no choice, the teacher's among them",
            next_step="train the teacher with evaluate.abstain_at on the same split: it sets the same rows aside",
        )


def _rows_of_valid(
    run: Run, split: DataSplit, own: Mapping[str, set[str]], besides: Set[str] = frozenset()
) -> list[str]:
    """Returns this run's rows of valid that another run's blend, or refit, has learned from.

    What that run says of other rows follows the labels of these: a student of it would score better on them than on any
    it has not seen, choose its epoch by that, and be calibrated by it (docs/log.md).

    Args:
        run: The other run.
        split: This run's data.
        own: Hashes of its rows by split.
        besides: Hashes of rows that do not count.
    """
    if not _learned_valid(run):
        return []
    return known_rows(split.valid, hashes_of(run.folder).get("valid", set()) - own["train"] - besides)


def _learned_valid(run: Run) -> str:
    """Says how a run has learned from its rows of valid; empty where it has not."""
    if "refit" in _facts(run):
        return "its valid, on which it was trained again"
    return "its valid, from which its blend has learned" if _kept_phase(run).solver == "blend" else ""


def _facts(run: Run) -> dict[str, Any]:
    from kft.train.checkpoint import load_facts

    return load_facts(run.folder.checkpoints, "best")[0]


def _kept_phase(run: Run) -> PhaseSpec:
    name = _facts(run)["phase"]
    return next(phase for phase in _phases(run) if phase.name == name)


def _phases(run: Run) -> list[PhaseSpec]:
    return [PhaseSpec.model_validate(phase) for phase in run.receipt.phases]


def _has_head(run: Run) -> bool:
    """Whether a head was learned before the blend that a run has kept, and not from valid."""
    from kft.train.phases import starts_of

    if "refit" in _facts(run):
        return False
    return any(phase.solver != "blend" for phase in starts_of(_phases(run), _kept_phase(run).name))
