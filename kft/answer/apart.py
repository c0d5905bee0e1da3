"""Whether what other runs have learned is apart from what a run is chosen and tested by.

A run may begin with another one's weights, or learn from its answers. Where that one has learned from rows that are
held out here, valid and test measure what it remembers. Rows are told by the hash of what is read.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Set
from pathlib import Path

import pandas as pd

from kft.answer.load import Run, read_run
from kft.data.examples import Examples
from kft.errors import DataError
from kft.recipe.load import Recipe
from kft.records.run_folder import RunFolder, open_run
from kft.split.assign import SPLITS, UNLABELLED
from kft.split.data_split import DataSplit, content_hash
from kft.tasks.registry import TASKS

LOOKED_AT = {"test": ("train", "valid", UNLABELLED), "valid": ("train", UNLABELLED)}
"""What is held out here, and the parts of another run that it may not be among."""
RELIED = ("recipe.yaml", "receipt.json", "splits.parquet")
Who = tuple[str, str]
"""The key that names another run, and what that run is called."""


def begun_with(recipe: Recipe) -> Iterator[tuple[str, Run]]:
    """Yields the runs whose weights a recipe begins with, the ones that these began with, and so on, each with its key.

    One that is gone is passed over: ``model.start_from`` refuses it when it loads the weights; of a warm start's own
    beginnings nothing is left but the weights.
    """
    spec = recipe.spec
    for key, named in (("model.start_from", spec.model.start_from), ("train.warm_start", spec.train.warm_start)):
        if named is None or not RunFolder(Path(named)).splits.is_file():
            continue
        run = read_run(open_run(Path(named)), RELIED)
        yield key, run
        yield from ((key, each) for _, each in begun_with(run.recipe))


def require_begun_apart(recipe: Recipe, split: DataSplit) -> list[str]:
    """Refuses to begin with what has learned the labels of rows that are held out; says where it has read them alone.

    Args:
        recipe: Says what training begins with.
        split: Its data.

    Returns:
        A sentence for each run that has read such rows while it learned something else of them.

    Raises:
        DataError: A run that answers in the same form has learned from them.
        RunError: A run is damaged.
    """
    form, found = TASKS.get(recipe.spec.task).kind.labels.form, []
    own: dict[str, set[str]] = {}
    for key, run in begun_with(recipe):
        own = own or own_hashes(split)
        for name, part, rows in _not_apart(run, split, own):
            if run.task.kind.labels.form == form:
                raise not_apart((key, "the run to begin with"), run, split, rows, name=name, where=f"its {part}")
            found.append(
                f"{run.folder.path}, which {key} begins with, has read {len(rows):,} of {len(split.part(name)):,} "
                f"rows of {name} (as {run.task.name}, in its {part}): {name} is not new to these weights"
            )
    return found


def own_hashes(split: DataSplit) -> dict[str, set[str]]:
    """Returns the hashes of a run's rows by split."""
    return {name: set(map(content_hash, split.part(name).inputs)) for name in SPLITS}


def require_apart(run: Run, split: DataSplit, own: Mapping[str, set[str]], who: Who) -> None:
    """Refuses a run that has learned what this one is tested on, or trained on what it chooses by.

    What stands in this run's own train as well is a leak of the data, which ``kft check`` names, and not the other's.

    Args:
        run: The other run.
        split: This one's data.
        own: Hashes of its rows by split.
        who: How messages name the other run.

    Raises:
        DataError: It has.
    """
    for name, part, rows in _not_apart(run, split, own):
        raise not_apart(who, run, split, rows, name=name, where=f"its {part}")


def _not_apart(run: Run, split: DataSplit, own: Mapping[str, set[str]]) -> Iterator[tuple[str, str, list[str]]]:
    learned = hashes_of(run.folder)
    known_here = {"test": own["train"] | own["valid"], "valid": own["train"]}
    for name, parts in LOOKED_AT.items():
        for part in parts:
            rows = known_rows(split.part(name), learned.get(part, set()) - known_here[name])
            if rows:
                yield name, part, rows


def not_apart(who: Who, run: Run, split: DataSplit, rows: Sequence[str], *, name: str, where: str) -> DataError:
    """Returns the error that says which rows another run has learned from.

    Args:
        who: How messages name the other run.
        run: The other run.
        split: This one's data.
        rows: Ids of the rows.
        name: The split of this run that they are in.
        where: Where they are in the other run.
    """
    key, noun = who
    return DataError(
        f"{noun} has learned from rows of this run's {name} split",
        where=f"{key}: {run.folder.path}",
        received=f"{len(rows):,} of {len(split.part(name)):,} rows of {name}, such as {rows[0]}, which is in {where}",
        expected=f"a run that has not learned from them: else {name} measures what it remembers",
        next_step="give both runs one test file and one valid file, or the same data and data.split_seed"
        if not where.startswith("its valid,")
        else "train the teacher without refit and a blend at the end, or give this run another data.valid",
    )


def known_rows(examples: Examples, known: Set[str]) -> list[str]:
    """Returns the ids of the examples whose hashes are known."""
    hashes = map(content_hash, examples.inputs)
    return [str(row) for row, found in zip(examples.ids, hashes, strict=True) if found in known]


def hashes_of(run: RunFolder) -> dict[str, set[str]]:
    """Returns the hashes of a run's rows by the split that they are in."""
    splits = pd.read_parquet(run.splits)
    return {str(name): set(rows) for name, rows in splits.groupby("split")["hash"]}
