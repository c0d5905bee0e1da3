"""`kft predict`: what a run's best checkpoint answers."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kft import strategy
from kft.answer.artifact import count_withheld
from kft.answer.load import Run, load_artifact, read_run
from kft.data.inputs import as_inputs, find_unusable, in_words, read_inputs
from kft.data.tables import image_folder
from kft.evaluate.evaluate import write_csv
from kft.recipe.schema import DataSpec
from kft.records.document import as_document
from kft.records.files import write_file
from kft.records.run_folder import open_run

if TYPE_CHECKING:
    from kft.tasks.task import Answer, Task


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
