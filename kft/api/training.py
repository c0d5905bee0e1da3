"""`kft train`, `kft plan` and `--check-tpu`."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any

from kft import replicas, runtime, strategy
from kft.answer.load import from_training
from kft.answer.teachable import find_teacher
from kft.api.checking import find_at_once
from kft.api.reading import load, progress_for, require_room, show_data
from kft.api.scoring import score_test
from kft.api.teaching import taught, untaught
from kft.audit.summary import all_findings, in_numbers
from kft.calls import are_tables
from kft.errors import UsageError
from kft.forgetting.retain import find_retain
from kft.notebook import Line, Piece, ShownTable, shows
from kft.recipe.load import Recipe
from kft.recipe.sources import DATAFRAME
from kft.records.document import as_document, read_document, write_document
from kft.records.files import storage_errors
from kft.records.lock import hold
from kft.records.manifest import forget_results
from kft.records.metrics import EvaluateResult
from kft.records.receipt import Receipt
from kft.records.run_folder import RUN_NOTE, RunFolder, create_run, latest_run, refuse_taken
from kft.split.data_split import DataSplit, Selection
from kft.tasks.registry import TASKS
from kft.train import start as starting

if TYPE_CHECKING:
    import keras
    import pandas as pd

    from kft.answer.teacher import Teacher
    from kft.model.backbones import Backbone
    from kft.train.checkpoint import Checkpoint
    from kft.train.job import PhaseResult
    from kft.train.plan import PhasePlan
    from kft.train.prepare import Prepared
    from kft.train.progress import Progress
    from kft.train.recorder import Files
    from kft.train.run import FitResult
    from kft.train.tpu_rules import TpuCheck


@shows
@dataclass(frozen=True)
class TrainResult:
    """What a training run reached.

    Attributes:
        run: The run folder.
        phases: One result a phase, on the validation split.
        best_phase: The phase whose best epoch was kept.
        evaluation: The sealed test split, scored once.
        seconds: Wall time, from reading the recipe to the last file.
        refitted: Whether the weights were then trained again on train and valid: what valid says is from before that.
    """

    run: Path
    phases: tuple[PhaseResult, ...]
    best_phase: str
    evaluation: EvaluateResult
    seconds: float
    refitted: bool = False

    def as_dict(self) -> dict[str, Any]:
        return {
            "run": str(self.run),
            "seconds": round(self.seconds, 1),
            "best_phase": self.best_phase,
            "refitted": self.refitted,
            "phases": [
                {
                    "name": phase.name,
                    "unfreeze": phase.unfreeze,
                    "trainable": phase.trainable,
                    "parameters": phase.parameters,
                    "best_epoch": phase.best_epoch,
                    "epochs": phase.epochs,
                    "stopped": phase.stopped,
                    "seconds": round(phase.seconds, 1),
                    **phase.metrics,
                }
                for phase in self.phases
            ],
            **as_document(self.evaluation),
        }

    def shown(self) -> Iterator[Piece]:
        again = ", trained again on train and valid" if self.refitted else ""
        yield Line(self.run, f"{self.seconds:.0f} s", f"kept: {self.best_phase}{again}")
        yield from self.evaluation.shown()


@shows
@dataclass(frozen=True)
class PlanResult:
    """What a recipe would do.

    Attributes:
        backbone: Its name.
        train: Examples to train on.
        valid: Examples to validate on.
        phases: One plan a phase.
        refit: Whether those that led to the kept weights are then repeated on train and valid.
    """

    backbone: str
    train: int
    valid: int
    phases: tuple[PhasePlan, ...]
    refit: bool = False

    def as_dict(self) -> dict[str, Any]:
        phases = [phase.as_dict() for phase in self.phases]
        rows = {"train": self.train, "valid": self.valid}
        return {"backbone": self.backbone, **rows, "phases": phases, "refit": self.refit}

    def shown(self) -> Iterator[Piece]:
        rows = [
            (
                each.phase.name,
                each.phase.unfreeze,
                f"{each.trainable:,} of {each.parameters:,}",
                each.phase.epochs or "solved",
                f"{each.steps:,}",
            )
            for each in self.phases
        ]
        again = ", then the kept phases again on both" if self.refit else ""
        yield Line(self.backbone, f"{self.train:,} for training, {self.valid:,} for validation{again}")
        yield ShownTable(("phase", "trains", "parameters", "epochs", "steps"), rows)


def train(
    recipe: Recipe | str | Path | Mapping[str, Any] | pd.DataFrame | None = None,
    *,
    data: pd.DataFrame | Mapping[str, pd.DataFrame] | str | Path | None = None,
    text: str | None = None,
    label: str | Sequence[str] | None = None,
    task: str | None = None,
    run: str | Path | None = None,
    overrides: Sequence[str] = (),
    devices: str = "auto",
    resume: bool = False,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    quiet: bool = False,
) -> TrainResult:
    """Trains a recipe, scores the test split and writes the run folder.

    Args:
        recipe: From ``load_recipe``, or what that takes. Left out, or a DataFrame: the plainest recipe for the data.
        data: A DataFrame instead of ``data.train``, or a mapping with ``train`` and perhaps ``valid``, ``test``;
            without a recipe also a file or a folder of images.
        text: The column of texts, or of image paths; guessed when left out. This and the next two for data without a
            recipe; elsewhere they stand in it.
        label: The column of labels, or several that make one (docs/data.md); guessed when left out.
        task: Default: one class an image where there are images, else one class a text.
        run: The run folder; default ``runs/<recipe name>-<n>``. An existing one is refused, unless ``resume``.
        overrides: Settings such as ``"train.batch_size=16"``; only with a recipe that is not loaded yet.
        devices: ``auto``, ``one``, ``cpu:N``, ``multi-gpu``, ``multi-worker`` or ``tpu``; see ``kft doctor``.
        resume: Goes on exactly where the run in the folder stopped; one that has not begun is begun.
        callbacks: Keras callbacks of your own, beside those the recipe names.
        quiet: Prints no progress.

    Raises:
        KftError: One of its kinds, for a recipe, data, weights, devices or a disk that does not fit.

    Example:
        >>> import kft
        >>> result = kft.train("recipes/sentiment/product_reviews.yaml")  # doctest: +SKIP
        >>> print(result.evaluation.metrics["accuracy"])  # doctest: +SKIP
        >>> kft.train(data="tickets.csv", text="message", label="queue")  # doctest: +SKIP
    """
    started = time.perf_counter()
    overrides = (*overrides, *_named(recipe, text, label, task))
    early = strategy.choose_early(devices)
    chief = early is None or early.is_chief
    folder = Path(run) if run is not None else None
    strategy.require_shared_folder(early, folder)
    if not resume and chief:
        refuse_taken(folder)
    recipe, split = load(recipe, overrides, data, devices)
    teacher = find_teacher(recipe, split)
    if resume:
        folder = folder or latest_run(recipe.name)
        if folder is not None:
            from kft.train.resume import require_same_run

            require_same_run(RunFolder(folder), recipe, split)
    with strategy.start(devices).scope():
        asked = _Asked(recipe, split, folder, resume, chief, teacher)
        opened, fitted, evaluation = _train(asked, callbacks, progress_for(quiet or not chief))
    seconds = time.perf_counter() - started
    return TrainResult(opened.path, fitted.phases, fitted.best_phase, evaluation, seconds, fitted.refitted)


def _named(recipe: Any, text: str | None, label: str | Sequence[str] | None, task: str | None) -> list[str]:
    """Returns what was named in Python as settings of a recipe that is still to be drafted."""
    named = {"task": task, "data.text": text, "data.label": label}
    given = {key: value for key, value in named.items() if value is not None}
    if given and not (recipe is None or are_tables(recipe)):
        raise UsageError(
            "text, label and task are for data without a recipe",
            received=", ".join(f"{key}={value!r}" for key, value in given.items()),
            expected="a recipe that names them",
            next_step=f"overrides={[f'{key}={value}' for key, value in given.items()]}",
        )
    if task is not None and text is not None and TASKS.get(task).reads.files:
        given["data.image"] = given.pop("data.text")
    return [f"{key}={json.dumps(value, ensure_ascii=False)}" for key, value in given.items()]


@dataclass(frozen=True)
class _Asked:
    """What ``train`` was asked for, read."""

    recipe: Recipe
    split: DataSplit
    folder: Path | None
    resume: bool
    chief: bool
    teacher: Teacher | None


def _train(
    asked: _Asked, callbacks: Sequence[keras.callbacks.Callback], progress: Progress
) -> tuple[RunFolder, FitResult, EvaluateResult]:
    recipe, split = asked.recipe, asked.split
    show_data(progress, recipe, split)
    # Before the seed is set: whether the teacher answers now, or has answered before, changes no random number.
    selection = taught(recipe, split, asked.teacher, progress)
    runtime.seed_everything(recipe.spec.seed)
    prepared = _prepare(recipe, selection, progress, beginning=True)
    if any(phase.moves_backbone for phase in prepared.phases):
        find_retain(recipe.spec)  # a retain set that cannot be used is told before anything is spent
    prepared.read()  # what the backbone cannot take is told while there is no run folder
    with ExitStack() as held:
        return _fit(asked, prepared, callbacks, progress, held)


def _fit(
    asked: _Asked,
    prepared: Prepared,
    callbacks: Sequence[keras.callbacks.Callback],
    progress: Progress,
    held: ExitStack,
) -> tuple[RunFolder, FitResult, EvaluateResult]:
    from kft.train.run import fit

    run, files, found = _open(asked, prepared, progress, held)
    try:
        fitted = fit(prepared, files, callbacks, found)
        replicas.any_process(False)  # the others read the best weights once the first has written them
        answering = from_training(run, prepared.backbone, fitted, asked.split.space)
        evaluation = score_test(answering, asked.split, progress, writes=asked.chief)
    except BaseException as stop:
        stop.add_note(f"{RUN_NOTE}{run.path}")  # whoever reports it can say where the weights are
        raise
    return run, fitted, evaluation


def _open(
    asked: _Asked, prepared: Prepared, progress: Progress, held: ExitStack
) -> tuple[RunFolder, Files, Checkpoint | None]:
    """Makes the run folder and writes what is known before training, or finds the checkpoint to go on from.

    ``held`` keeps other processes out of the folder until it is closed.
    """
    from kft.train import resume as resuming
    from kft.train.receipt import write_start
    from kft.train.recorder import Files
    from kft.train.warm import warm_digest

    recipe, split, folder, resume, chief = asked.recipe, asked.split, asked.folder, asked.resume, asked.chief
    backbone = prepared.backbone
    identity = resuming.run_identity(recipe, split, backbone.weights_hash)
    identity |= {} if asked.teacher is None else {"teacher": asked.teacher.identity}
    warm = recipe.spec.train.warm_start
    identity |= {} if warm is None else {"warm_start": warm_digest(warm)}
    run = RunFolder(folder) if folder is not None and (resume or not chief) else create_run(recipe.name, folder)
    if chief:
        with storage_errors(run.path):
            run.path.mkdir(parents=True, exist_ok=True)  # one to resume in need not be there
        held.enter_context(hold(run, progress.note))
    last = resuming.last_folder(recipe, run)
    found = None
    if resume:
        if run.receipt.is_file() and resuming.has_begun(run):
            receipt = read_document(Receipt, run.receipt)
            resuming.require_same_backbone(backbone.files, receipt, recipe.spec.model.backbone)
        found = resuming.load_last(last, identity, progress.note)
        resuming.require_agreement(found, last)
        if found is None:
            resuming.refuse_beginning_anew(run, last)
            progress.note("resumed    nothing to go on from: the run begins")
    if found is None and last != str(run.checkpoints) and chief:
        resuming.refuse_taken_storage(last)
    if chief and not (resume and resuming.has_begun(run)):
        _write_findings(run, recipe, split, backbone, progress)
        teacher = None if asked.teacher is None else asked.teacher.identity
        write_start(run, recipe, split, backbone, prepared.phases, teacher)
    if chief and found is not None:
        forget_results(run)
        resuming.note_resumed(run, found.state["steps_done"], replicas.describe(), runtime.versions())
    progress.note(f"run        {run.path}")
    return run, Files(run.path, last, chief, identity), found


def _write_findings(run: RunFolder, recipe: Recipe, split: DataSplit, backbone: Backbone, progress: Progress) -> None:
    """Writes what is wrong with the data, as far as that is seen at once; it stops nobody."""
    findings = find_at_once(recipe, split, backbone, progress)
    write_document(run.findings, all_findings(split, findings))
    if findings:
        frames = ", data=..." if recipe.spec.data.train == DATAFRAME else ""
        how = f"kft check {quote(str(recipe.path))}" if recipe.path else f'kft.check("{run.recipe}"{frames})'
        progress.note(f"audit      quick checks: {in_numbers(findings)}; {how} shows them")


def plan(
    recipe: Recipe | str | Path | Mapping[str, Any],
    *,
    data: pd.DataFrame | Mapping[str, pd.DataFrame] | None = None,
    overrides: Sequence[str] = (),
    quiet: bool = False,
) -> PlanResult:
    """Says what ``train`` would do: what trains in each phase, what is stored, what it takes. Trains nothing.

    Args:
        recipe: From ``load_recipe``, or what that takes.
        data: As for ``train``.
        overrides: As for ``train``.
        quiet: Prints no progress.

    Raises:
        KftError: One of its kinds, for a recipe, data or weights that do not fit.

    Example:
        >>> import kft
        >>> kft.plan("recipes/sentiment/product_reviews.yaml").phases[0].trainable  # doctest: +SKIP
        1155
    """
    recipe, split = load(recipe, overrides, data)
    runtime.start()
    from kft.train.plan import plan_phase

    progress = progress_for(quiet)
    show_data(progress, recipe, split)
    prepared = _prepare(recipe, untaught(recipe, split), progress)
    phases = tuple(plan_phase(prepared, phase) for phase in prepared.phases)
    refit = recipe.spec.train.refit
    return PlanResult(prepared.backbone.name, len(prepared.split.train), len(split.valid), phases, refit)


def check_tpu(
    recipe: Recipe | str | Path | Mapping[str, Any],
    *,
    data: pd.DataFrame | Mapping[str, pd.DataFrame] | None = None,
    overrides: Sequence[str] = (),
    cores: int = 8,
    quiet: bool = False,
) -> list[TpuCheck]:
    """Says, on any hardware, whether a recipe meets what a TPU asks for; see ``kft.train.tpu.check_tpu``.

    Args:
        recipe: From ``load_recipe``, or what that takes.
        data: As for ``train``.
        overrides: As for ``train``.
        cores: Of the TPU slice.
        quiet: Prints no progress.

    Raises:
        KftError: One of its kinds, for a recipe, data or weights that do not fit.
    """
    recipe, split = load(recipe, overrides, data)
    runtime.start()
    from kft.train.tpu import check_tpu as check

    progress = progress_for(quiet)
    show_data(progress, recipe, split)
    return check(_prepare(recipe, untaught(recipe, split), progress), cores)


def _prepare(recipe: Recipe, split: Selection, progress: Progress, *, beginning: bool = False) -> Prepared:
    """Loads the backbone and prepares all that comes before training."""
    from kft.train.prepare import prepare

    spec = recipe.spec
    backbone = starting.load_for(spec, progress.note)
    require_room(recipe, backbone.max_tokens)
    if beginning:
        start = ", random weights" if spec.model.weights == "random" else ""
        part = "" if spec.model.blocks is None else f", its first {spec.model.blocks} blocks alone"
        progress.note(f"backbone   {backbone.name}{part}, {backbone.model.count_params():,} parameters{start}")
        progress.note(f"devices    {replicas.describe()}")
    return prepare(spec, split, backbone, progress)
