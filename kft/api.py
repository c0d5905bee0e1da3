"""One function per command: what the command line, a notebook and a cloud job all call."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kft import assets, replicas, runtime, strategy
from kft.data.inputs import as_inputs, load_labelled, read_inputs
from kft.data.split import DataSplit, load_split
from kft.data.tables import image_folder
from kft.errors import DataError, RunError, UsageError
from kft.evaluate.evaluate import EvaluateResult, write_csv
from kft.evaluate.predictor import load_predictor
from kft.evaluate.scoring import score_run, score_test
from kft.model import backbones
from kft.recipe.load import Recipe, load_recipe
from kft.recipe.schema import DATAFRAME
from kft.rundir import RUN_NOTE, RunFolder, create_run, latest_run, open_run, refuse_taken, write_file
from kft.tasks.registry import TASKS

if TYPE_CHECKING:
    import keras
    import pandas as pd

    from kft.features.boundary import SplitModel
    from kft.model.backbones import Backbone
    from kft.model.freeze import FreezeTable
    from kft.recipe.schema import AugmentSpec, FreezeRule, LoraSpec, PhaseSpec
    from kft.tasks.task import Answer, Task
    from kft.train.job import PhaseResult, TrainData
    from kft.train.plan import PhasePlan
    from kft.train.progress import Progress
    from kft.train.tpu import TpuCheck


@dataclass(frozen=True)
class TrainResult:
    """What a training run reached.

    Attributes:
        run: The run folder.
        phases: One result a phase, on the validation split.
        best_phase: The phase whose best epoch was kept.
        evaluation: The sealed test split, scored once.
        seconds: Wall time, from reading the recipe to the last file.
    """

    run: Path
    phases: tuple[PhaseResult, ...]
    best_phase: str
    evaluation: EvaluateResult
    seconds: float

    def as_dict(self) -> dict[str, Any]:
        """Returns what ``kft train --json`` prints."""
        return {
            "run": str(self.run),
            "seconds": round(self.seconds, 1),
            "best_phase": self.best_phase,
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
            **self.evaluation.as_dict(),
        }

    def _repr_html_(self) -> str:
        return f"<p>{self.run}, {self.seconds:.0f} s, kept: {self.best_phase}</p>" + self.evaluation._repr_html_()


@dataclass(frozen=True)
class PlanResult:
    """What a recipe would do.

    Attributes:
        backbone: Its name.
        train: Examples to train on.
        valid: Examples to validate on.
        phases: One plan a phase.
    """

    backbone: str
    train: int
    valid: int
    phases: tuple[PhasePlan, ...]

    def as_dict(self) -> dict[str, Any]:
        """Returns what ``kft plan --json`` prints."""
        phases = [phase.as_dict() for phase in self.phases]
        return {"backbone": self.backbone, "train": self.train, "valid": self.valid, "phases": phases}


def load_backbone(
    name: str,
    *,
    dropout: float = 0.1,
    report: Callable[[str], None] | None = None,
    allow: Sequence[str] = (),
    weights: str = "pretrained",
    seed: int = 0,
) -> Backbone:
    """Loads a pretrained backbone and its tokenizer; see ``kft.model.backbones.load_backbone``."""
    runtime.start()
    from kft.model import backbones

    return backbones.load_backbone(name, dropout=dropout, report=report, allow=allow, weights=weights, seed=seed)


def build_model(
    backbone: Backbone,
    *,
    head: str = "classification",
    classes: int,
    dropout: float = 0.1,
    pooling: str = "auto",
    image_size: int | None = None,
    lora: LoraSpec | None = None,
    augment: AugmentSpec | None = None,
    seed: int = 0,
) -> keras.Model:
    """Attaches a head to a backbone: a plain keras.Model; see ``kft.model.build.build_model``."""
    runtime.start()
    from kft.model import build

    return build.build_model(
        backbone,
        head=head,
        classes=classes,
        dropout=dropout,
        pooling=pooling,
        image_size=image_size,
        lora=lora,
        augment=augment,
        seed=seed,
    )


def freeze(model: keras.Model, rule: str | Mapping[str, Any] | FreezeRule, *, norm: str = "frozen") -> FreezeTable:
    """Sets what trains and returns the table; see ``kft.model.freeze.freeze``."""
    runtime.start()
    from kft.model import freeze as room

    return room.freeze(model, rule, norm=norm)


def merge_lora(model: keras.Model) -> int:
    """Adds adapters to their kernels and takes them away; see ``kft.model.lora.merge_lora``."""
    runtime.start()
    from kft.model import lora

    return lora.merge_lora(model)


def split_at_boundary(model: keras.Model) -> SplitModel:
    """Cuts a model where training begins; see ``kft.features.boundary.split_at_boundary``."""
    runtime.start()
    from kft.features import boundary

    return boundary.split_at_boundary(model)


def train(
    recipe: Recipe | str | Path | Mapping[str, Any],
    *,
    data: pd.DataFrame | Mapping[str, pd.DataFrame] | None = None,
    run: str | Path | None = None,
    overrides: Sequence[str] = (),
    devices: str = "auto",
    resume: bool = False,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    quiet: bool = False,
) -> TrainResult:
    """Trains a recipe, scores the test split and writes the run folder.

    Args:
        recipe: From ``load_recipe``, or what that takes.
        data: A DataFrame instead of ``data.train``, or a mapping with ``train`` and perhaps ``valid``, ``test``.
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
    """
    started = time.perf_counter()
    early = strategy.choose_early(devices)
    chief = early is None or early.is_chief
    folder = Path(run) if run is not None else None
    strategy.require_shared_folder(early, folder)
    if not resume and chief:
        refuse_taken(folder)
    recipe, split = _load(recipe, overrides, data)
    if resume:
        folder = folder or latest_run(recipe.name)
        if folder is not None:
            from kft.train.resume import require_same_run

            require_same_run(RunFolder(folder), recipe, split)
    with strategy.start(devices).scope():
        progress = _progress(quiet or not chief)
        return _train(
            recipe, split, folder, resume=resume, chief=chief, callbacks=callbacks, progress=progress, started=started
        )


def _train(
    recipe: Recipe,
    split: DataSplit,
    folder: Path | None,
    *,
    resume: bool,
    chief: bool,
    callbacks: Sequence[keras.callbacks.Callback],
    progress: Progress,
    started: float,
) -> TrainResult:
    from kft.model.build import build_for
    from kft.train import resume as resuming
    from kft.train.prepare import plan_phases
    from kft.train.receipt import write_start
    from kft.train.run import Files, fit

    spec = recipe.spec
    _show_data(progress, recipe, split)
    runtime.seed_everything(spec.seed)
    backbone = backbones.load_for(spec, progress.note)
    start = ", random weights" if spec.model.weights == "random" else ""
    progress.note(f"backbone   {backbone.name}, {backbone.model.count_params():,} parameters{start}")
    progress.note(f"devices    {replicas.describe()}")
    model = build_for(spec, TASKS.get(spec.task), split.space, backbone)
    phases = plan_phases(spec, split, backbone, model)
    identity = resuming.run_identity(recipe, split, backbone.weights_hash)
    run = RunFolder(folder) if folder is not None and (resume or not chief) else create_run(recipe.name, folder)
    last = resuming.last_folder(recipe, run)
    found = None
    if resume:
        found = resuming.load_last(last, identity, progress.note)
        resuming.require_agreement(found, last)
        if found is None:
            resuming.refuse_beginning_anew(run, last)
            progress.note("resumed    nothing to go on from: the run begins")
    if found is None and last != str(run.checkpoints) and chief:
        resuming.refuse_taken_storage(last)
    if chief and not (resume and resuming.has_begun(run)):
        write_start(run, recipe, split, backbone, phases)
    if chief and found is not None:
        resuming.note_resumed(run, found.state["steps_done"], replicas.describe(), runtime.versions())
    progress.note(f"run        {run.path}")
    files = Files(
        folder=run.path,
        last=last,
        writes=chief,
        identity=identity,
        record=run.append_history if chief else lambda event: None,
        rewrite=run.rewrite_history if chief else lambda events: None,
    )
    if resume and found is None:
        files.rewrite([])  # what a run that was killed before its first checkpoint had written
    try:
        fitted = fit(
            spec, split, backbone, model, phases, files=files, callbacks=callbacks, progress=progress, resume=found
        )
        replicas.any_process(False)  # the others read the best weights once the first has written them
        evaluation = score_test(run, split.test, progress, writes=chief)
    except BaseException as stop:
        stop.add_note(f"{RUN_NOTE}{run.path}")  # whoever reports it can say where the weights are
        raise
    return TrainResult(
        run=run.path,
        phases=fitted.phases,
        best_phase=fitted.best_phase,
        evaluation=evaluation,
        seconds=time.perf_counter() - started,
    )


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
    recipe, split = _load(recipe, overrides, data)
    spec = recipe.spec
    runtime.start()
    from kft.train.plan import plan_phase

    progress = _progress(quiet)
    backbone, model, data, planned = _prepare(recipe, split, progress)
    phases = tuple(
        plan_phase(model, phase, data.train.source, data.valid.source, spec.features, spec.train) for phase in planned
    )
    return PlanResult(backbone.name, len(split.train), len(split.valid), phases)


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
    recipe, split = _load(recipe, overrides, data)
    spec = recipe.spec
    runtime.start()
    from kft.train.tpu import check_tpu as check

    progress = _progress(quiet)
    _, model, data, phases = _prepare(recipe, split, progress)
    return check(model, phases, data, spec.features, spec.train, cores, progress)


def _prepare(
    recipe: Recipe, split: DataSplit, progress: Progress
) -> tuple[Backbone, keras.Model, TrainData, tuple[PhaseSpec, ...]]:
    """Does all that comes before training, and says so."""
    from kft.model.build import build_for
    from kft.train.prepare import plan_phases, read_data

    spec = recipe.spec
    _show_data(progress, recipe, split)
    backbone = backbones.load_for(spec, progress.note)
    model = build_for(spec, TASKS.get(spec.task), split.space, backbone)
    phases = plan_phases(spec, split, backbone, model)
    return backbone, model, read_data(spec, split, backbone, progress), phases


def evaluate(
    run: str | Path,
    *,
    data: str | Path | pd.DataFrame | Mapping[str, pd.DataFrame] | None = None,
    devices: str = "auto",
    quiet: bool = False,
) -> EvaluateResult:
    """Scores a run's best checkpoint.

    Args:
        run: The run folder.
        data: Another labelled file or DataFrame; default: the run's own sealed test split, whose hash must
            still be that of the receipt. A run that was trained on DataFrames takes the same again.
        devices: As for ``train``.
        quiet: Prints no progress.

    Raises:
        RunError: The folder is no run, or its data have changed since.
        DataError: The file cannot be used, or holds labels the model does not know.

    Example:
        >>> import kft
        >>> result = kft.evaluate("runs/product_reviews-1")  # doctest: +SKIP
        >>> result.metrics["accuracy"].value  # doctest: +SKIP
    """
    folder = open_run(Path(run))
    early = strategy.choose_early(devices)
    chief = early is None or early.is_chief
    recipe, receipt = load_recipe(folder.recipe), folder.read_json(folder.receipt)
    frames = _frames(data) if recipe.spec.data.train == DATAFRAME and not isinstance(data, (str, Path)) else None
    if data is None or (frames is not None and _are_of_the_run(frames, recipe, receipt)):
        split = _split(recipe, frames)
        _require_same_data(folder, receipt, split)
        with strategy.start(devices).scope():
            return score_test(folder, split.test, _progress(quiet or not chief), writes=chief)
    if isinstance(data, Mapping):
        raise UsageError(
            "these DataFrames are not those the run was trained on",
            where="data=",
            received=", ".join(data),
            expected="the same ones, or one DataFrame of other labelled rows",
        )
    source = assets.locate(str(data), Path.cwd()) if isinstance(data, (str, Path)) else data
    examples, name, notes = load_labelled(
        source,
        recipe.spec.data,
        TASKS.get(recipe.spec.task),
        text=receipt["text_column"],
        label=receipt["label_column"],
        pair=receipt["pair_column"],
        labels=receipt["labels"],
    )
    with strategy.start(devices).scope():
        progress = _progress(quiet or not chief)
        for note in notes:
            progress.note(note)
        return score_run(folder, examples, name, progress)[0]


def _are_of_the_run(frames: Mapping[str, pd.DataFrame], recipe: Recipe, receipt: Mapping[str, Any]) -> bool:
    """Whether DataFrames hold the rows that a run was trained on: then its own test split is meant."""
    try:
        split = _split(recipe, frames)
    except DataError:  # another table, which need not be fit for training
        return False
    return split.data_hash == receipt["data_hash"]


def _progress(quiet: bool) -> Progress:
    from kft.train.progress import Progress

    return Progress(quiet=quiet)


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
    folder = open_run(Path(run))
    task, columns = _task_and_columns(folder)
    given = read_inputs(inputs, task, **columns) if hasattr(inputs, "columns") else as_inputs(inputs, task)
    return _predict(folder, given, devices)


def predict_file(run: str | Path, path: Path, *, devices: str = "auto") -> list[dict[str, Any]]:
    """Answers for every row of a csv, tsv, jsonl or txt file, or every image of a folder, in order; see ``predict``.

    The file needs the columns the run was trained with; a .txt file holds one text a line.

    Returns:
        The documented form of each answer; for images, with the path of the image, as the file or folder has it.

    Raises:
        DataError: The file cannot be read, or an input cannot be used.
    """
    folder = open_run(Path(run))
    task, columns = _task_and_columns(folder)
    inputs = read_inputs(path, task, **columns)
    answers = [answer.as_dict() for answer in _predict(folder, inputs, devices)]
    if task.modality != "image":
        return answers
    base = image_folder(path, Path.cwd())
    return [{"image": os.path.relpath(str(given), base), **row} for given, row in zip(inputs, answers, strict=True)]


def _task_and_columns(folder: RunFolder) -> tuple[Task, dict[str, Any]]:
    receipt = folder.read_json(folder.receipt)
    task = TASKS.get(load_recipe(folder.recipe).spec.task)
    return task, {"column": receipt["text_column"], "pair": receipt["pair_column"]}


def _predict(folder: RunFolder, inputs: Sequence[Any], devices: str) -> list[Answer]:
    with strategy.start(devices).scope():
        from kft.train.checkpoint import load_checkpoint

        best = load_checkpoint(folder.checkpoints, "best")
        return load_predictor(folder).with_weights(best.weights).predict(inputs)


def write_predictions(path: Path, answers: Sequence[Mapping[str, Any]]) -> None:
    """Writes predictions as JSON lines, or as CSV where the name ends in .csv."""
    if path.suffix.lower() != ".csv":
        write_file(path, "".join(json.dumps(answer, ensure_ascii=False) + "\n" for answer in answers))
        return
    names = tuple(answers[0]) if answers else ("label", "confidence", "abstain", "probabilities")
    write_csv(path, names, [tuple(_cell(answer[name]) for name in names) for answer in answers])


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.6f}"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _load(recipe: Any, overrides: Sequence[str], data: Any) -> tuple[Recipe, DataSplit]:
    """Reads recipe and data, and refuses an unknown backbone: all that can be wrong before TensorFlow loads."""
    loaded = _as_recipe(recipe, overrides, data)
    frames = _frames(data)
    loaded = loaded.with_values("data", dict.fromkeys(frames or (), DATAFRAME))
    backbone = backbones.resolve_backbone(loaded.spec.model.backbone, loaded.base)
    loaded = loaded.with_values("model", {"backbone": backbone})
    return loaded, _split(loaded, frames)


def _split(recipe: Recipe, frames: Mapping[str, pd.DataFrame] | None) -> DataSplit:
    task = TASKS.get(recipe.spec.task)
    return load_split(recipe.spec.data, task=task, base=recipe.base, locate=assets.locate, frames=frames)


def _as_recipe(recipe: Any, overrides: Sequence[str], data: Any) -> Recipe:
    if isinstance(recipe, Recipe):
        if overrides:
            raise UsageError(
                "overrides come too late for a loaded recipe",
                expected="kft.load_recipe(path, overrides=[...])",
            )
        return recipe
    if data is not None:
        overrides = (*overrides, f"data.train={DATAFRAME}")
    return load_recipe(recipe, overrides)


def _frames(data: Any) -> Mapping[str, pd.DataFrame] | None:
    if data is None or isinstance(data, Mapping):
        return data
    return {"train": data}


def _show_data(progress: Progress, recipe: Recipe, split: DataSplit) -> None:
    progress.note(f"recipe     {recipe.path or recipe.name}")
    found = {"text_pair": split.columns.pair, "label": split.columns.label}
    guessed = [f"{name} column {found.get(name, split.columns.text)!r}" for name in split.columns.guessed]
    if guessed:
        progress.note(f"guessed    {', '.join(guessed)}; name them in the recipe to be sure")
    sizes = f"{len(split.train):,} train, {len(split.valid):,} valid, {len(split.test):,} test"
    progress.note(f"data       {sizes}; {_described(split)}; {split.how}")
    if split.rejected:
        progress.note(f"left out   {len(split.rejected):,} rows that cannot be used, listed in findings.json")


def _described(split: DataSplit) -> str:
    if not split.labels:
        return f"numbers, {split.space.mean:.3g} on average, standard deviation {split.space.std:.3g}"
    return f"{len(split.labels)} {'classes' if split.kind.name == 'classes' else 'labels'}"


def _require_same_data(run: RunFolder, receipt: Mapping[str, Any], split: DataSplit) -> None:
    for name, found in (("split_hash", split.split_hash), ("data_hash", split.data_hash)):
        if receipt[name] != found:
            raise RunError(
                "the data have changed since this run was trained, so its test split is no longer sealed",
                where=f"{run.receipt}, {name}",
                received=found[:16],
                expected=str(receipt[name])[:16],
                next_step=f"restore the data, or score other data with kft evaluate {run.path} --data FILE",
            )
