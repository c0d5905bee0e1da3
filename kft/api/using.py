"""`kft evaluate` and `kft predict`: what is done with a run."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kft import assets, strategy
from kft.answer.artifact import count_withheld
from kft.answer.load import Run, load_answering, load_artifact, read_run
from kft.api.reading import frames_of, progress_for, split_of
from kft.api.scoring import score_run, score_test
from kft.data.examples import Columns, Examples
from kft.data.inputs import as_inputs, find_unusable, in_words, load_labelled, read_inputs
from kft.data.parts import Part, open_source
from kft.data.tables import image_folder
from kft.errors import DataError, RunError, UsageError
from kft.evaluate.evaluate import write_csv
from kft.evaluate.paired import compare_runs, require_comparable
from kft.recipe.load import Recipe
from kft.recipe.schema import DataSpec
from kft.recipe.sources import DATAFRAME
from kft.records.document import as_document
from kft.records.files import write_file
from kft.records.metrics import EvaluateResult
from kft.records.receipt import Receipt
from kft.records.run_folder import RunFolder, open_run
from kft.split.data_split import DataSplit, content_hash

if TYPE_CHECKING:
    import pandas as pd

    from kft.tasks.task import Answer, Task


def evaluate(
    run: str | Path,
    *,
    data: str | Path | pd.DataFrame | Mapping[str, pd.DataFrame] | None = None,
    against: str | Path | None = None,
    devices: str = "auto",
    quiet: bool = False,
) -> EvaluateResult:
    """Scores a run's best checkpoint.

    Args:
        run: The run folder.
        data: Another labelled file or DataFrame; default: the run's own sealed test split, whose hash must
            still be that of the receipt. A run that was trained on DataFrames takes the same again.
        against: Another run on the same split, whose predictions.csv this one's is compared with, pair by pair.
        devices: As for ``train``.
        quiet: Prints no progress.

    Raises:
        RunError: The folder is no run, or its data have changed since; or the other run has another test split.
        DataError: The file cannot be used, or holds labels the model does not know.

    Example:
        >>> import kft
        >>> result = kft.evaluate("runs/product_reviews-1")  # doctest: +SKIP
        >>> result.metrics["accuracy"].value  # doctest: +SKIP
    """
    folder = open_run(Path(run))
    other = None if against is None else open_run(Path(against))
    known = read_run(folder)
    recipe, receipt = known.recipe, known.receipt
    if other is not None:
        require_comparable(folder, other, known.task)
    early = strategy.choose_early(devices)
    chief = early is None or early.is_chief
    frames = frames_of(data) if recipe.spec.data.train == DATAFRAME and not isinstance(data, (str, Path)) else None
    if data is None or (frames is not None and _are_of_the_run(frames, recipe, receipt, devices)):
        split = split_of(recipe, frames, devices)
        require_same_data(folder, receipt, split)
        with strategy.start(devices).scope():
            result = score_test(load_answering(known), split, progress_for(quiet or not chief), writes=chief)
        return result if other is None else _compare(result, folder, other, split)
    if other is not None:
        raise UsageError(
            "two runs are compared on their own test split, not on other data",
            where="--against",
            received="--data as well",
            expected="one of the two",
            next_step=f"kft evaluate {folder.path} --against {other.path}",
        )
    if isinstance(data, Mapping):
        raise UsageError(
            "these DataFrames are not those the run was trained on",
            where="data=",
            received=", ".join(data),
            expected="the same ones, or one DataFrame of other labelled rows",
        )
    if isinstance(data, (str, Path)):
        parts = open_source(str(data), Path.cwd(), assets.locate)
    else:
        parts = (Part(Path("dataframe"), data),)
    examples, name, notes = load_labelled(
        parts,
        recipe.spec.data,
        known.task,
        columns=Columns(receipt.text_column, receipt.label_column, pair=receipt.pair_column),
        labels=receipt.labels,
    )
    with strategy.start(devices).scope():
        progress = progress_for(quiet or not chief)
        for note in notes:
            progress.note(note)
        seen = _count_seen(folder, examples)
        if seen:
            rows = f"{seen:,} of {len(examples):,} rows of {name}"
            progress.note(f"warning    {rows} were in train or valid of this run: the figures flatter")
        return replace(score_run(known, examples, name, progress), seen_in_training=seen)


def _count_seen(run: RunFolder, examples: Examples) -> int:
    """Returns how many examples a run was trained on or chose by, whatever they are called."""
    import pandas as pd

    if not run.splits.is_file():
        return 0
    splits = pd.read_parquet(run.splits)
    known = set(splits.loc[splits["split"] != "test", "hash"])
    return sum(content_hash(given) in known for given in examples.inputs)


def _compare(result: EvaluateResult, run: RunFolder, other: RunFolder, split: DataSplit) -> EvaluateResult:
    groups = None if split.test.groups is None else dict(zip(split.test.ids, split.test.groups, strict=True))
    return replace(result, against=compare_runs(run, other, groups))


def _are_of_the_run(frames: Mapping[str, pd.DataFrame], recipe: Recipe, receipt: Receipt, devices: str) -> bool:
    """Whether DataFrames hold the rows that a run was trained on: then its own test split is meant."""
    try:
        split = split_of(recipe, frames, devices)
    except DataError:  # another table, which need not be fit for training
        return False
    return split.data_hash == receipt.data_hash


def require_same_data(run: RunFolder, receipt: Receipt, split: DataSplit) -> None:
    """Refuses data that are not those a run was trained on.

    Raises:
        RunError: The hash of the data, or of their split, is another: what was train may be test by now.
    """
    for name in ("split_hash", "data_hash"):
        found, known = getattr(split, name), getattr(receipt, name)
        if found != known:
            raise RunError(
                "the data have changed since this run was trained, so its test split is no longer sealed",
                where=f"{run.receipt}, {name}",
                received=found[:16],
                expected=known[:16],
                next_step=f"restore the data, or score other data with kft evaluate {run.path} --data FILE",
            )


def predict(run: str | Path, inputs: Any, *, devices: str = "auto") -> list[Answer]:
    """Answers with a run's best checkpoint.

    Args:
        run: The run folder.
        inputs: One text, several (a list, a Series), or a DataFrame with the columns of the recipe. For text-pairs, one
            pair or several; for images, paths.
        devices: As for ``train``.

    Returns:
        One prediction an input, in order; its fields depend on the task.

    Raises:
        RunError: The folder is no run.
        DataError: An input cannot be used.

    Example:
        >>> import kft
        >>> kft.predict("runs/product_reviews-1", "The battery died after two days.")[0].label  # doctest: +SKIP
        'negative'
    """
    known = read_run(open_run(Path(run)))
    task, spec, columns = _task_and_columns(known)
    table = hasattr(inputs, "columns")
    given = read_inputs(inputs, task, spec, **columns) if table else as_inputs(inputs, task, spec)
    return _predict(known, given, devices)


def predict_file(
    run: str | Path,
    path: Path,
    *,
    skip_unusable: bool = False,
    devices: str = "auto",
    note: Callable[[str], None] = lambda line: None,
) -> list[dict[str, Any] | None]:
    """Answers for every row of a table, every line of a txt file or every image of a folder, in order; see ``predict``.

    The file needs the columns the run was trained with; a .txt file holds one text a line.

    Args:
        run: The run folder.
        path: The file or folder.
        skip_unusable: Answers the other rows where some cannot be used; else these are an error.
        devices: As for ``train``.
        note: Told which rows were skipped, how many answers are withheld, and why.

    Returns:
        The documented form of each answer; for images, with the path of the image, as the file or folder has it. None
        for a row that was skipped, so that the others keep their places.

    Raises:
        DataError: The file cannot be read, or an input cannot be used.
    """
    known = read_run(open_run(Path(run)))
    task, spec, columns = _task_and_columns(known)
    inputs = read_inputs(path, task, spec, unusable="keep" if skip_unusable else "error", **columns)
    skipped = find_unusable(inputs, task) if skip_unusable else {}
    usable = [place for place in range(len(inputs)) if place + 1 not in skipped]
    found = _predict(known, [inputs[place] for place in usable], devices)
    note(count_withheld(found))
    if skipped:
        note(f"{len(skipped):,} of {len(inputs):,} rows cannot be used and have no answer: row {in_words(skipped)}")
    base = image_folder(path, Path.cwd())
    answers: list[dict[str, Any] | None] = [None] * len(inputs)
    for place, answer in zip(usable, found, strict=True):
        named = {task.reads.columns[0]: os.path.relpath(str(inputs[place]), base)} if task.reads.files else {}
        answers[place] = named | as_document(answer)
    return answers


def _task_and_columns(run: Run) -> tuple[Task, DataSpec, dict[str, Any]]:
    columns = {"column": run.receipt.text_column, "pair": run.receipt.pair_column}
    return run.task, run.recipe.spec.data, columns


def _predict(run: Run, inputs: Sequence[Any], devices: str) -> list[Answer]:
    with strategy.start(devices).scope():
        return load_artifact(run).predict(inputs)


def write_predictions(path: Path, answers: Sequence[Mapping[str, Any] | None]) -> None:
    """Writes predictions as JSON lines, or as CSV where the name ends in .csv; None as ``null``, or as empty cells."""
    if path.suffix.lower() != ".csv":
        write_file(path, "".join(json.dumps(answer, ensure_ascii=False) + "\n" for answer in answers))
        return
    first = next(filter(None, answers), None)
    names = tuple(first or ("label", "confidence", "abstain", "probabilities"))
    rows = [tuple(_cell(answer[name]) if answer else "" for name in names) for answer in answers]
    write_csv(path, names, rows)


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.6f}"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
