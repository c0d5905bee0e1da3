"""`kft retrain`: the next run of a model, on old and new labelled rows, compared with the one before."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from kft import strategy
from kft.answer.load import Run, read_run
from kft.api.exporting import export
from kft.api.reading import load, progress_for
from kft.api.training import train
from kft.data.parts import is_pattern
from kft.data.reading import require_different
from kft.errors import DataError, RunError, UsageError
from kft.notebook import Line, Piece, ShownTable, shows
from kft.recipe.sources import absolute_source
from kft.records.document import read_document, write_document
from kft.records.manifest import ALL, require_intact
from kft.records.metrics import EvaluateResult
from kft.records.remote import is_url
from kft.records.retrained import STARTS, ChallengerCandidate, Retraining, RetrainingRequest, Start
from kft.records.run_folder import RUN_NOTE, RunFolder, open_run
from kft.records.shelf import Move
from kft.records.shipped import read_about
from kft.registry import nearest
from kft.retrain.duel import edge_duel, failed_of, fight, forgot, rule
from kft.retrain.next_run import (
    Beginnings,
    beginnings,
    candidate,
    choose,
    new_rows,
    next_recipe,
    require_sealed,
    without_leak,
)
from kft.retrain.place import ARTIFACT, find_place, hash_source, make_place, require_rounds
from kft.retrain.promotion import Throne, find_throne, require_throne, take_throne
from kft.split.data_split import DataSplit
from kft.tasks.task import require_command
from kft.terminal import echo

if TYPE_CHECKING:
    import pandas as pd

    from kft.train.progress import Progress

NAME = "retrain.json"
TOLERANCE = 0.01
"""By how much a challenger may be worse on old rows, where nobody says."""


@shows
@dataclass(frozen=True)
class RetrainResult:
    """What a retraining came to.

    Attributes:
        found: As retrain.json has it.
        folder: With the runs, the new rows, and the artifact that was promoted.
        shelf: Where the champion stands; empty where nothing was to be promoted.
        move: That of the alias; None where it was not moved.
        seconds: Wall time of this call.
    """

    found: Retraining
    folder: Path
    shelf: str
    move: Move | None
    seconds: float

    @property
    def refused(self) -> bool:
        """Whether the challenger was to be promoted, and was not."""
        return bool(self.shelf) and not self.found.ruling.passes

    def shown(self) -> Iterator[Piece]:
        yield Line(self.found.challenger, f"{self.seconds:.0f} s", f"began from: {self.found.start}")
        yield ShownTable(HEADER, duel_rows(self.found))
        yield Line("may be promoted" if self.found.ruling.passes else "not better", self.found.ruling.why)
        if self.move is not None:
            yield Line(f"{self.move.alias} is version {self.move.version} of {self.shelf}")


HEADER = ("test rows", "n", "champion", "challenger", "difference", "fixed", "broken")


def duel_rows(found: Retraining) -> list[tuple[str, ...]]:
    """Returns the cells of a table under ``HEADER``."""
    rows = []
    for duel in (found.old, found.new):
        counts = [f"{len(each):,}" for each in (duel.fixed, duel.broke)]
        title = f"{duel.part}, {duel.metric}"
        difference = f"{duel.difference.value:+.3f} [{duel.difference.low:+.3f}, {duel.difference.high:+.3f}]"
        rows.append((title, f"{duel.n:,}", str(duel.champion), str(duel.challenger), difference, *counts))
    if found.edge_cases is not None:
        edge = found.edge_cases
        counts = [f"{len(each):,}" for each in (edge.fixed, edge.broke)]
        rows.append(("edge cases", f"{edge.n:,}", f"{edge.champion:,} pass", f"{edge.challenger:,} pass", "", *counts))
    if found.forgetting is not None:
        kept = [str(each or "not measured") for each in (found.forgetting.champion, found.forgetting.challenger)]
        rows.append(("retained of pretraining", "", *kept, "", "", ""))
    return rows


def retrain(
    champion: str | Path,
    rows: str | Path | pd.DataFrame,
    *,
    run: str | Path | None = None,
    start: Literal["auto", "warm", "backbone"] = "auto",
    promote: str | None = None,
    tolerance: float = TOLERANCE,
    new_labels: bool = False,
    data: Mapping[str, pd.DataFrame] | pd.DataFrame | None = None,
    devices: str = "auto",
    quiet: bool = False,
) -> RetrainResult:
    """Trains the next run of a model from its own recipe, on old and new rows, and compares the two.

    The champion's test split stays as it is. New rows are cleaned and shared out to train, valid and test; copies of
    older rows are left out. Called again after it was killed, it goes on.

    Args:
        champion: The run folder of the model that answers now.
        rows: New labelled rows: a file in any form that training reads; rows without a label are left out.
        run: A folder for this retraining; default ``runs/<recipe name>-retrain-<n>``.
        start: Where weights begin: ``backbone``, ``warm`` (the champion's), or ``auto``: both, and valid chooses.
        promote: ``SHELF/NAME``: where the champion stands; the challenger takes its place if it may.
        tolerance: By how much it may be worse on old rows, by the limit of the 95 % interval.
        new_labels: Learns labels that the champion does not know, where they have enough rows.
        data: The DataFrames that the champion was trained on, where it was.
        devices: As for ``train``.
        quiet: Prints no progress.

    Raises:
        DataError: There are too few new rows, or labels that the champion does not know.
        RunError: The champion's data have changed since, or the champion on the shelf is another.
        UsageError: The start is unknown, or the champion's weights cannot be begun with.
        KftError: One of its kinds, as for ``train`` and ``export``.

    Example:
        >>> import kft
        >>> result = kft.retrain("runs/tickets-1", "labelled.csv", promote="shelf/tickets")  # doctest: +SKIP
        >>> result.found.ruling.why  # doctest: +SKIP
    """
    began = time.perf_counter()
    _require_usable(start, tolerance, devices)
    known = read_run(open_run(Path(champion)), ALL)
    require_command(known.task, "retrain")
    _require_evaluated(known)
    progress = progress_for(quiet)
    with tempfile.TemporaryDirectory(prefix="kft-rows-") as folder:
        source = _as_source(rows, known, Path(folder))
        asked = RetrainingRequest(
            champion=str(known.folder.path.resolve()),
            checkpoint=_checkpoint(known.folder),
            file=str(rows) if isinstance(rows, (str, Path)) else "a DataFrame",
            file_hash=hash_source(source),
            start=start,
            new_labels=new_labels,
        )
        place = find_place(asked, None if run is None else Path(run), known.recipe.name)
        throne = None if promote is None else find_throne(promote)
        if throne is not None and not _was_promoted(place, throne):
            require_throne(throne, asked.checkpoint, known.folder.path)
        starts = beginnings(known, start)
        if place is None:
            sources = (*known.recipe.spec.data.added, source)
            # All that can be wrong with the new rows is told while there is no folder.
            _split(known, sources, asked, data, devices)
            copied = not (known.task.reads.files or known.recipe.spec.data.document)
            place = make_place(asked, None if run is None else Path(run), known.recipe.name, sources, copied)
        else:
            progress.note(f"resumed    {place}")
    asked = require_rounds(place)
    work = _Work(known, asked, starts, data, devices, quiet, progress)
    try:
        found = _found_before(place, asked, tolerance) or _compare(work, place, tolerance)
        move = None
        if throne is not None and found.ruling.passes:
            move = _promote(work, throne, found, place)
    except BaseException as stop:
        stop.add_note(f"{RUN_NOTE}{place}")
        raise
    return RetrainResult(found, place, promote or "", move, time.perf_counter() - began)


@dataclass(frozen=True)
class _Work:
    """What a retraining works with."""

    champion: Run
    asked: RetrainingRequest
    starts: Beginnings
    data: Any
    devices: str
    quiet: bool
    progress: Progress


def _require_usable(start: str, tolerance: float, devices: str) -> None:
    known = ("auto", "warm", *STARTS[:1])
    if start not in known:
        hint = nearest(start, known)
        raise UsageError(
            f"unknown start {start!r}" + (f"; did you mean {hint!r}?" if hint else ""),
            received=start,
            expected=f"one of {', '.join(known)}",
        )
    if not 0 <= tolerance < float("inf"):
        raise UsageError("a tolerance is 0 or more", where="--tolerance", received=f"{tolerance:g}", expected="0.01")
    strategy.require_one_process(devices, "a retraining", "kft retrain RUN --with FILE --devices one")


def _require_evaluated(known: Run) -> None:
    if not known.folder.metrics.is_file():
        raise RunError(
            "the run was never evaluated: there is nothing to compare with",
            where=str(known.folder.path),
            received="no metrics.json",
            expected="a run that was trained to its end",
            next_step=f"kft evaluate {known.folder.path}",
        )


def _as_source(rows: str | Path | pd.DataFrame, known: Run, folder: Path) -> str:
    """Returns the new rows as an absolute source; a DataFrame is written to a file first."""
    if isinstance(rows, (str, Path)):
        if is_url(str(rows)) or is_pattern(str(rows), Path.cwd()):
            raise UsageError(
                "new rows come as one file or folder, which is kept as it was",
                where="--with",
                received=str(rows),
                expected="a file or a folder here: what a pattern or a URL stands for may change",
                next_step="put the rows into one file, or copy it here first",
            )
        return absolute_source(str(rows), Path.cwd())
    if known.task.reads.files:
        raise UsageError(
            "new images come as a file or a folder, whose paths stay what they are",
            received="a DataFrame",
            expected="the path of a table, or of a folder of images by class",
        )
    require_different([str(name) for name in rows.columns], "the DataFrame")
    path = folder / "rows.jsonl"
    rows.to_json(path, orient="records", lines=True, force_ascii=False, double_precision=15)
    return str(path)


def _checkpoint(run: RunFolder) -> str:
    from kft.train.checkpoint import load_facts

    return load_facts(run.checkpoints, "best")[1]


def _was_promoted(place: Path | None, throne: Throne) -> bool:
    """Whether the champion on the shelf is what an earlier call put there."""
    if place is None:
        return False
    found = [read_document(Retraining, path) for path in place.glob(f"*/{NAME}")]
    return any(each.challenger_checkpoint == throne.about.checkpoint for each in found)


def _split(known: Run, rounds: tuple[str, ...], asked: RetrainingRequest, data: Any, devices: str) -> DataSplit:
    _, split = load(next_recipe(known, rounds, new_labels=asked.new_labels, start="backbone"), (), data, devices)
    require_sealed(known, split)
    return split


def _found_before(place: Path, asked: RetrainingRequest, tolerance: float) -> Retraining | None:
    """Returns what an earlier call found, ruled by the tolerance of this one; None where it found nothing."""
    for path in place.glob(f"*/{NAME}"):
        found = read_document(Retraining, path)
        require_intact(RunFolder(path.parent), ALL)
        if (found.champion_checkpoint, found.challenger_checkpoint) != (
            asked.checkpoint,
            _checkpoint(RunFolder(path.parent)),
        ):
            continue
        if found.ruling.tolerance != tolerance:
            found = replace(found, ruling=rule(found.old, found.new, found.failed_gates, tolerance))
            write_document(path, found)
        return found
    return None


def _compare(work: _Work, place: Path, tolerance: float) -> Retraining:
    """Trains what is to be trained, has valid choose, and compares the challenger with the champion."""
    known, asked, progress = work.champion, work.asked, work.progress
    split = _split(known, asked.rounds, asked, work.data, work.devices)
    progress.note(f"new rows   {split.added[-1]}")
    warm = next_recipe(known, asked.rounds, new_labels=asked.new_labels, start="warm")
    starts = without_leak(work.starts, warm, split)
    candidates = tuple(_train(work, start, place / start) for start in starts.starts)
    monitor = known.recipe.spec.train.best
    assert monitor is not None  # loading a recipe fills it in
    best, why = choose(candidates, monitor, known.task.kind.judging)
    why = f"{starts.why}; {why}" if starts.why else why
    challenger = read_run(open_run(Path(best.run)), ALL)
    with strategy.start(work.devices).scope():
        old, new = fight(known, challenger, split, progress.note)
    before, after = (read_document(EvaluateResult, run.folder.metrics) for run in (known, challenger))
    failed = failed_of(before, after)
    found = Retraining(
        champion=asked.champion,
        champion_checkpoint=asked.checkpoint,
        challenger=best.run,
        challenger_checkpoint=_checkpoint(challenger.folder),
        rows=new_rows(split.added[-1], asked.file),
        start=best.start,
        start_why=why,
        candidates=candidates,
        old=old,
        new=new,
        failed_gates=failed,
        ruling=rule(old, new, failed, tolerance),
        edge_cases=edge_duel(known, challenger),
        forgetting=forgot(before, after),
    )
    write_document(challenger.folder.path / NAME, found)
    return found


def _train(work: _Work, start: Start, folder: Path) -> ChallengerCandidate:
    """Trains one candidate, or goes on with it; one that is done is taken as it is."""
    if (folder / "metrics.json").is_file():
        require_intact(RunFolder(folder), ALL)
        return candidate(start, folder)
    work.progress.note(f"\nstart      {start}")
    recipe = next_recipe(work.champion, work.asked.rounds, new_labels=work.asked.new_labels, start=start)
    train(recipe, data=work.data, run=folder, devices=work.devices, resume=True, quiet=work.quiet)
    return candidate(start, folder)


def _promote(work: _Work, throne: Throne, found: Retraining, place: Path) -> Move | None:
    """Exports the challenger as the champion was, unless an earlier call has, and moves the alias."""
    if throne.about.checkpoint == found.challenger_checkpoint:
        work.progress.note(f"promoted   {throne.at} is this challenger already")
        return None
    artifact = place / ARTIFACT
    there = read_about(artifact) if artifact.exists() else None
    made = there and (there.checkpoint, there.format, there.quantized.how if there.quantized else "")
    if made not in (None, (found.challenger_checkpoint, throne.about.format, throne.quantize)):
        raise DataError(
            "another artifact is in the way",
            where=str(artifact),
            expected="the challenger's, in the format of the champion on the shelf; or nothing",
            next_step="move it away, then run the command again",
        )
    if not artifact.exists():
        about = throne.about
        export(
            found.challenger,
            artifact,
            format=about.format,
            quantize=throne.quantize,
            data=work.data,
            quiet=work.quiet,
        )
    return take_throne(throne, artifact, found, _say_waiting).move


def _say_waiting() -> None:
    echo("waiting    another process moves the aliases of this name", err=True)
