"""The next run's recipe, where its weights may begin, and the proof that the champion's test split stays sealed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from kft.answer.apart import require_begun_apart
from kft.answer.load import Run
from kft.errors import DataError, RunError, UsageError
from kft.recipe.load import Recipe
from kft.recipe.training import PhaseSpec
from kft.records.retrained import STARTS, ChallengerCandidate, NewRows, Start
from kft.split.added import AddedRound
from kft.split.assign import SPLITS, UNLABELLED
from kft.split.data_split import DataSplit, data_hash
from kft.split.data_split import split_hash as hash_of_split
from kft.tasks.task import Judging
from kft.train.checkpoint import load_facts
from kft.train.phases import is_tuned


@dataclass(frozen=True)
class Beginnings:
    """Where the challenger's weights may begin.

    Attributes:
        starts: What is trained, in order.
        why: Why nothing else is; empty where both are.
    """

    starts: tuple[Start, ...]
    why: str = ""


def beginnings(champion: Run, wanted: str) -> Beginnings:
    """Returns where the challenger's weights begin.

    Args:
        champion: The run that is retrained.
        wanted: ``backbone``, ``warm`` or ``auto``.

    Raises:
        UsageError: A warm start is wanted, and the champion's weights do not allow it.
    """
    if wanted == "backbone":
        return Beginnings(("backbone",), "asked for")
    phases = tuple(PhaseSpec.model_validate(phase) for phase in champion.receipt.phases)
    facts, _ = load_facts(champion.folder.checkpoints, "best")
    why = ""
    if not is_tuned(phases, facts["phase"]):
        why = f"the champion ({facts['phase']}) left the backbone as it is: there are no weights to begin with"
    elif "refit" in facts:
        why = "the champion has learned from the rows of valid, by train.refit, which could not judge what comes of it"
    if why and wanted == "warm":
        raise UsageError(
            "these weights cannot be begun with",
            where="--start warm",
            received=why,
            expected="a champion that was fine-tuned, without train.refit",
            next_step="--start backbone",
        )
    if why:
        return Beginnings(("backbone",), why)
    return Beginnings(("warm",), "asked for") if wanted == "warm" else Beginnings(STARTS)


def without_leak(starts: Beginnings, warm: Recipe, split: DataSplit) -> Beginnings:
    """Leaves the warm start out where the champion has learned from new rows of valid or test, as rows without labels.

    Args:
        starts: What was found before the new rows were dealt out; one that was asked for stays, and is refused.
        warm: The recipe of the warm start.
        split: Its data.
    """
    if len(starts.starts) == 1:
        return starts
    try:
        require_begun_apart(warm, split)
    except DataError as leak:
        return Beginnings(("backbone",), f"{leak.problem}: {leak.received}")
    return starts


def next_recipe(champion: Run, rounds: Sequence[str], *, new_labels: bool, start: Start | None = None) -> Recipe:
    """Returns the champion's recipe with the new rows, and where the weights begin.

    Args:
        champion: The run that is retrained.
        rounds: The files of all rounds.
        new_labels: Whether labels may come that the champion does not know.
        start: Where the weights begin; None: as the recipe has it.
    """
    recipe = champion.recipe
    new_labels = new_labels or recipe.spec.data.new_labels
    made = recipe.with_values("data", {"added": tuple(rounds), "new_labels": new_labels})
    changed = {"data.added": "override", "data.new_labels": "override"}
    if start is not None:
        values: dict[str, Any] = {"warm_start": None}
        if start == "warm":
            # As they were resolved: with more rows others could be chosen, which need not move all that was moved.
            phases = tuple(PhaseSpec.model_validate(phase) for phase in champion.receipt.phases)
            values = {"warm_start": str(champion.folder.path.resolve()), "phases": phases}
        made = made.with_values("train", values)
        changed |= {f"train.{key}": "override" for key in values}
    return replace(made, origins={**recipe.origins, **changed}, path=None)


def require_sealed(champion: Run, split: DataSplit) -> None:
    """Refuses rows of which those that the champion knows are not where they were.

    Args:
        champion: The run that is retrained.
        split: Of the next run, with the new rows.

    Raises:
        RunError: An old row has moved, has changed or is gone, or a new one has the content of an old test row.
    """
    added = split.added[-1]
    new = {identifier for ids in added.places.values() for identifier in ids}
    old = split.frame()
    old = old[(old["split"] != UNLABELLED) & ~old["id"].astype(str).isin(new)]
    known = pd.read_parquet(champion.folder.splits)
    known = known[known["split"] != UNLABELLED]
    assignments = dict(zip(old["id"].astype(str), old["split"].astype(str), strict=True))
    same = hash_of_split(assignments) == champion.receipt.split_hash and _rows(old) == _rows(known)
    if same and split.unlabelled is None and champion.recipe.spec.data.unlabelled is None:
        parts = [split.part(key) for key in SPLITS]
        kept = [part.take(np.flatnonzero([str(each) not in new for each in part.ids])) for part in parts]
        same = data_hash(kept, split.kind.labels.written) == champion.receipt.data_hash
    if not same:
        moved = sorted({row[0] for row in _rows(old) ^ _rows(known)})
        raise RunError(
            "the data have changed since the champion was trained, so its test split is no longer sealed",
            where=str(champion.folder.receipt),
            received=f"{len(moved):,} rows that differ, such as {moved[0]}" if moved else "other labels",
            expected="the rows that it was trained and tested on, as they were",
            next_step=f"restore the data; or kft train {champion.folder.recipe} --run DIR, then kft evaluate",
        )
    sealed = set(known.loc[known["split"] == "test", "hash"])
    frame = split.frame()
    torn = frame[(frame["split"] != "test") & frame["hash"].isin(sealed) & frame["id"].astype(str).isin(new)]
    if len(torn):  # copies are left out before: this would be a fault of ours
        raise RunError("a new row copies a test row", where=str(torn["id"].iloc[0]), expected="copies left out")


def _rows(frame: pd.DataFrame) -> set[tuple[str, str, str]]:
    columns = (frame[name].astype(str) for name in ("id", "split", "hash"))
    return set(zip(*columns, strict=True))


def new_rows(added: AddedRound, file: str) -> NewRows:
    """Returns what became of the new rows, as the document has it."""
    train, valid, test = (len(added.places[key]) for key in SPLITS)
    return NewRows(
        name=added.name,
        file=file,
        rows=added.rows,
        train=train,
        valid=valid,
        test=test,
        unlabelled=added.unlabelled,
        copies=added.copies,
        relabelled=added.relabelled,
        contradictory=added.contradictory,
        of_test=added.of_test,
        beside=added.beside,
        new_labels=added.new_labels,
    )


def candidate(start: Start, run: Path) -> ChallengerCandidate:
    """Returns what a trained run reached on valid.

    Raises:
        RunError: It has no best checkpoint.
    """
    facts, _ = load_facts(run / "checkpoints", "best")
    metrics: Mapping[str, float] = facts["metrics"]
    return ChallengerCandidate(start, str(run), str(facts["phase"]), dict(metrics))


def choose(
    candidates: Sequence[ChallengerCandidate], monitor: str, judging: Judging
) -> tuple[ChallengerCandidate, str]:
    """Returns the candidate that valid prefers, and why in words; of equals the first.

    Args:
        candidates: What was trained; at least one.
        monitor: As ``train.best`` names it.
        judging: Of the task.
    """
    sign = judging.sign(monitor)
    best = max(candidates, key=lambda each: (sign * each.valid[monitor], -each.valid["valid_loss"]))
    said = ", ".join(f"{each.start} {each.valid[monitor]:.4f}" for each in candidates)
    return best, f"{monitor}: {said}"
