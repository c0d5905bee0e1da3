"""`kft evaluate`: a run's best checkpoint, scored."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from kft import assets, runtime, strategy
from kft.answer.load import Answering, Run, load_answering, read_run
from kft.api.reading import frames_of, progress_for, split_of
from kft.api.scoring import score_run, score_test
from kft.data.corpus import Corpus
from kft.data.examples import Columns, Examples
from kft.data.inputs import load_labelled
from kft.data.parts import SourceTable, open_source
from kft.data.passages import with_passages_hashed
from kft.errors import DataError, RunError, UsageError
from kft.evaluate.paired import compare_runs, other_inputs, require_comparable
from kft.metrics.overlap import require_overlap
from kft.recipe.load import Recipe
from kft.recipe.sources import DATAFRAME
from kft.records.evaluations import DatedEvaluation, keep_evaluation
from kft.records.files import utc_now
from kft.records.lock import hold
from kft.records.manifest import FITTED, SCORES, START, TRAINED, require_intact
from kft.records.metrics import EvaluateResult
from kft.records.receipt import Receipt
from kft.records.run_folder import RunFolder, open_run
from kft.split.data_split import DataSplit, content_hash, data_hash
from kft.split.queries import answer_others

if TYPE_CHECKING:
    import pandas as pd

    from kft.train.progress import Progress


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
    known = read_run(folder, SCORES if isinstance(data, (str, Path)) else _needed(folder))
    recipe, receipt = known.recipe, known.receipt
    require_overlap(recipe.spec.evaluate.gates)
    if other is not None:
        require_intact(other, (*START, "metrics.json", "predictions.csv"))
        require_comparable(folder, other, known.task)
    early = strategy.choose_early(devices)
    chief = early is None or early.is_chief
    frames = frames_of(data) if recipe.spec.data.train == DATAFRAME and not isinstance(data, (str, Path)) else None
    if data is None or (frames is not None and _are_of_the_run(frames, recipe, receipt, devices)):
        split = split_of(recipe, frames, devices)
        require_same_data(folder, receipt, split)
        with strategy.start(devices).scope():
            progress = progress_for(quiet or not chief)
            _say(known, progress)
            if other is not None and (said := other_inputs(folder, other)):
                progress.note(f"warning    {said}")
            with hold(folder, progress.note) if chief else nullcontext():
                result = score_test(load_answering(known), split, progress, writes=chief)
        return result if other is None else _compare(result, folder, other, split)
    if other is not None:
        raise UsageError(
            "two runs are compared on their own test split, not on other data",
            where="--against",
            received="--data as well",
            expected="one of the two",
            next_step=f"kft evaluate {folder.path} --against {other.path}",
        )
    return _score_other(known, data, devices=devices, quiet=quiet or not chief, keeps=chief)


def _score_other(
    known: Run,
    data: str | Path | pd.DataFrame | Mapping[str, pd.DataFrame],
    *,
    devices: str,
    quiet: bool,
    keeps: bool,
) -> EvaluateResult:
    """Scores labelled examples that are not the run's own test split; see ``evaluate``.

    Args:
        known: The run.
        data: A file or a DataFrame.
        devices: As for ``train``.
        quiet: Prints no progress.
        keeps: Whether the run's folder keeps what was found.
    """
    folder, recipe, receipt = known.folder, known.recipe, known.receipt
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
        parts = (SourceTable(Path("dataframe"), data),)
    examples, name, notes = load_labelled(
        parts,
        recipe.spec.data,
        known.task,
        columns=Columns(
            receipt.text_column,
            receipt.label_column,
            pair=receipt.pair_column,
            holds=receipt.label_columns_hold,
        ),
        labels=receipt.labels,
    )
    with strategy.start(devices).scope():
        progress = progress_for(quiet)
        _say(known, progress)
        for note in notes:
            progress.note(note)
        seen = _count_seen(folder, examples)
        if seen:
            rows = f"{seen:,} of {len(examples):,} rows of {name}"
            progress.note(f"warning    {rows} were in train or valid of this run: the figures are too good")
        answering = load_answering(known)
        if recipe.spec.data.grounded:
            from kft.api.grounding import with_passages  # it brings what searches

            examples = with_passages(examples, recipe)
        corpus = None
        if known.task.kind.searches:
            examples, corpus = answer_others(examples, name, recipe.spec.data, known.task, recipe.base, assets.locate)
        result = replace(score_run(answering, examples, name, progress, corpus), seen_in_training=seen)
        if keeps:
            with hold(folder, progress.note):
                kept = keep_evaluation(folder, _dated(result, examples, corpus, answering))
            progress.note(f"kept       {kept}")
        return result


def _dated(result: EvaluateResult, examples: Examples, corpus: Corpus | None, answering: Answering) -> DatedEvaluation:
    judged = [examples] if corpus is None else [examples, corpus.as_examples()]
    found = data_hash(judged, answering.best.kind.labels.written)
    return DatedEvaluation(
        at=utc_now(),
        data=result.split,
        data_hash=found if examples.passages is None else with_passages_hashed(found, [examples]),
        n=result.n,
        seen_in_training=result.seen_in_training,
        checkpoint=answering.best.checkpoint,
        metrics=result.metrics,
        gates=result.gates,
        versions=runtime.versions(),
    )


def _needed(folder: RunFolder) -> tuple[str, ...]:
    """Returns the files that the run's own figures hang on; what is fitted and not there is fitted anew."""
    return (*START, *TRAINED, *(name for name in FITTED if (folder.path / name).is_file()))


def _say(run: Run, progress: Progress) -> None:
    if run.note:
        progress.note(run.note)


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
    return replace(result, against=compare_runs(run, other, groups, written=split.kind.writes))


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
