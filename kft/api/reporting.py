"""`kft report`: a run as a page for people and as a model card."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kft import strategy
from kft.api.evaluating import require_same_data
from kft.api.reading import frames_of, progress_for, split_of, vectors_of
from kft.errors import AssetError, DataError, ModelError, RunError
from kft.evaluate.mistakes import find_mistakes, predictions_hash
from kft.evaluate.samples import find_samples
from kft.notebook import FileLink, Line, Piece, ShownTable, shows
from kft.recipe.evaluation import SAME
from kft.records.document import read_document, write_document
from kft.records.files import require_writable, write_file
from kft.records.manifest import ALL, is_intact, require_intact, sealing
from kft.records.mistakes import Mistakes
from kft.records.receipt import Receipt
from kft.records.run_folder import RunFolder, open_run

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from kft.records.compare import Comparison
    from kft.records.monitored import MonitorResult
    from kft.report.record import RunRecord
    from kft.train.progress import Progress

CANNOT_BE_SHOWN = (DataError, RunError, ModelError, AssetError)
"""Data that are gone or have changed, weights that cannot be had: the rest of a report does not hang on them."""

ELSEWHERE = "copy the run folder to a disk that has room, and report on the copy"
"""What to do where a run folder cannot be written to."""


@shows
@dataclass(frozen=True)
class ReportResult:
    """What was written.

    Attributes:
        run: The run folder.
        verdict: The page's first sentence.
        answers: Each of the four questions with its answer.
        files: Name to path: ``report``, ``card`` and, where the data could be read, ``mistakes``.
        missing: Why the mistakes are not shown; empty where they are.
        seconds: Wall time.
    """

    run: Path
    verdict: str
    answers: tuple[tuple[str, str], ...]
    files: Mapping[str, Path]
    missing: str
    seconds: float

    @property
    def page(self) -> Path:
        return self.files["report"]

    def as_dict(self) -> dict[str, Any]:
        return {
            "run": str(self.run),
            "verdict": self.verdict,
            "answers": dict(self.answers),
            "files": {name: {"path": str(path), "bytes": path.stat().st_size} for name, path in self.files.items()},
            "missing": self.missing or None,
            "seconds": round(self.seconds, 1),
        }

    def shown(self) -> Iterator[Piece]:
        yield Line(self.verdict)
        yield ShownTable((), self.answers)
        yield FileLink(self.page)


def report(
    run: str | Path,
    *,
    data: pd.DataFrame | Mapping[str, pd.DataFrame] | None = None,
    compare: str | Path | None = None,
    monitor: str | Path | None = None,
    quiet: bool = False,
) -> ReportResult:
    """Writes RUN/report.html, RUN/card.md and RUN/mistakes.json from what is in a run folder.

    Args:
        run: An evaluated run.
        data: The DataFrames that the run was trained on, where it was; without them the mistakes are not shown.
        compare: The folder of a ``kft.compare`` on the same split, whose table and verdict the page then has.
        monitor: The folder that ``kft.monitor`` wrote of an artifact of this run: what it said last is told.
        quiet: Prints no progress.

    Raises:
        RunError: The folder is no run, or it was not evaluated; or the comparison is on another split, or the monitor
            of another run's artifact.
        StorageError: The disk is full or the folder cannot be written.

    Example:
        >>> import kft
        >>> kft.report("runs/product_reviews-1").page  # doctest: +SKIP
        PosixPath('runs/product_reviews-1/report.html')
    """
    from kft.report.card import render_card
    from kft.report.questions import four_questions, headline
    from kft.report.record import read_record
    from kft.report.run_page import render_run

    started = time.perf_counter()
    folder = open_run(Path(run))
    require_writable(folder.path)
    note = require_intact(folder, set(ALL) - {"mistakes.json"})
    record = read_record(folder)
    if monitor is not None:
        record = replace(record, monitored=_monitored(Path(monitor), record))
    _require_weights(folder)
    _require_backbone(record)
    comparison = None if compare is None else _comparison(Path(compare), record)
    progress = progress_for(quiet)
    if note:
        progress.note(note)
    record, missing = _with_mistakes(record, frames_of(data), progress)
    write_file(folder.report, render_run(record, comparison=comparison, missing=missing), elsewhere=ELSEWHERE)
    write_file(folder.card, render_card(record), elsewhere=ELSEWHERE)
    files = {"report": folder.report, "card": folder.card}
    return ReportResult(
        run=folder.path,
        verdict=headline(record),
        answers=tuple((each.title, each.answer) for each in four_questions(record, comparison)),
        files=files if missing else files | {"mistakes": folder.mistakes},
        missing=missing,
        seconds=time.perf_counter() - started,
    )


def _comparison(folder: Path, record: RunRecord) -> Comparison:
    from kft.compare.reading import read_comparison

    found, theirs = read_comparison(folder), read_document(Receipt, RunFolder(folder).receipt)
    # Ids may be row numbers, so that the same split says nothing of what stands in the rows.
    hashes = (
        ("split_hash", found.split_hash, "another split"),
        ("data_hash", theirs.data_hash, "other data of the same ids"),
    )
    for name, received, what in hashes:
        expected = getattr(record.receipt, name)
        if received != expected:
            raise RunError(
                f"the comparison was made on {what}, so its figures cannot be shown beside this run's",
                where=f"{folder}, {name}",
                received=received[:16],
                expected=f"{expected[:16]}, as in {record.run.receipt}",
                next_step=f"kft compare {record.run.recipe}",
            )
    return found


def _monitored(folder: Path, record: RunRecord) -> MonitorResult:
    from kft.records.monitored import NAME, MonitorResult

    found = read_document(MonitorResult, folder / NAME, next_step=f"kft monitor ARTIFACT DATA -o {folder}")
    versions = [each.version for each in record.exports]
    if found.version not in versions:
        raise RunError(
            "this monitor watches an artifact of another run, so it says nothing of this one",
            where=str(folder / NAME),
            received=f"{found.name}, version {found.version}",
            expected=f"one of {', '.join(versions)}" if versions else "an artifact of this run, which has none",
            next_step=f"kft export {record.run.path} DEST, then kft monitor DEST DATA -o {folder}",
        )
    return found


def _require_weights(run: RunFolder) -> None:
    """Refuses a run whose best weights are damaged: the page would vouch for a model that cannot answer.

    Raises:
        RunError: A file of the checkpoint is missing, or not what was written.
    """
    from kft.train.checkpoint import load_checkpoint

    if (run.path / "checkpoints" / "best.json").is_file():  # else they are in another place, by the recipe
        load_checkpoint(run.path / "checkpoints", "best")


def _require_backbone(record: RunRecord) -> None:
    """Refuses a run whose backbone's files have changed; where they are not on this disk, nobody can say."""
    from kft.model.files import backbone_files
    from kft.model.sources import fetch_backbone, on_disk, source_of
    from kft.train.resume import require_same_backbone
    from kft.train.start import files_for

    name = record.recipe.spec.model.backbone
    try:
        there = on_disk(source_of(name))
    except (ModelError, AssetError):
        return
    if there:
        files = files_for(backbone_files(fetch_backbone(name)), record.recipe.spec.model)
        require_same_backbone(files, record.receipt, name)


def _with_mistakes(
    record: RunRecord, frames: Mapping[str, pd.DataFrame] | None, progress: Progress
) -> tuple[RunRecord, str]:
    """Returns the record with its mistakes, and why there are none.

    Those that were found before for the same predictions are taken as they are.
    """
    known = record.mistakes if is_intact(record.run, "mistakes.json") else None
    if known is not None and known.predictions_hash == predictions_hash(record.run):
        return record, ""
    if record.task.kind.masks:
        return replace(record, mistakes=None), "nothing is answered that could be wrong"
    if record.task.kind.writes and not record.recipe.spec.evaluate.write:
        return replace(record, mistakes=None), "nothing was written to the test split (evaluate.write: false)"
    try:
        found = _find_mistakes(record, frames)
    except CANNOT_BE_SHOWN as error:
        progress.note(f"mistakes   not shown: {error}")
        return replace(record, mistakes=None), error.problem
    with sealing(record.run, ("mistakes.json",)):
        write_document(record.run.mistakes, found, elsewhere=ELSEWHERE)
    return replace(record, mistakes=found), ""


def _find_mistakes(record: RunRecord, frames: Mapping[str, pd.DataFrame] | None) -> Mistakes:
    split = split_of(record.recipe, frames)
    require_same_data(record.run, record.receipt, split)
    if record.task.kind.writes:
        asked = record.recipe.spec.evaluate.abstain_at
        right, sure = SAME if asked is None else asked.right, record.metrics.selective is not None
        return find_samples(record.run, split, right, sure=sure)

    def vectorise(inputs: Sequence[Any]) -> np.ndarray:
        with strategy.start("one").scope():
            return vectors_of(record.recipe, inputs)

    def explain(inputs: Sequence[Any]) -> list[tuple[dict[str, Any], ...]]:
        from kft.answer.load import load_artifact, read_run

        with strategy.start("one").scope():
            artifact = load_artifact(read_run(record.run))
            return [getattr(each, "evidence", ()) for each in artifact.predict(inputs)]

    if not record.recipe.spec.model.in_windows:
        return find_mistakes(record.run, split, vectorise)
    return find_mistakes(record.run, split, vectorise, explain)
