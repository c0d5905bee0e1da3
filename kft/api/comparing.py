"""`kft compare`."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from kft import runtime, strategy
from kft.api.reading import load, progress_for, say_unheeded, show_data
from kft.compare.approaches import APPROACHES
from kft.compare.compare import BUDGET_MINUTES, ApproachRequest, run_approaches, without_frills
from kft.compare.halving import require_trained
from kft.compare.language_model import asked_identity, wanted_language_model
from kft.compare.saved import FittedApproach, Saved, drop_saved, read_saved
from kft.compare.setting import Setting, refuse_soft_loss
from kft.compare.table import as_markdown, header, rows_of, say_more_labels
from kft.errors import UsageError
from kft.notebook import Line, Piece, ShownTable, shows
from kft.records.compare import ApproachResult, Comparison, Verdict
from kft.records.document import write_document
from kft.records.files import write_file
from kft.records.run_folder import RUN_NOTE, RunFolder, create_run, latest_run, open_run, refuse_taken
from kft.tasks.registry import TASKS
from kft.tasks.task import require_command
from kft.train import start as starting

if TYPE_CHECKING:
    import pandas as pd

    from kft.answer.artifact import Artifact
    from kft.model.backbones import Backbone
    from kft.recipe.load import Recipe
    from kft.split.data_split import DataSplit
    from kft.train.progress import Progress

RUNS = Path("runs")


@shows
@dataclass(frozen=True)
class CompareResult:
    """What the approaches came to on one split.

    Attributes:
        run: The folder with compare.json, compare.md, recipe.yaml, receipt.json and splits.parquet.
        approaches: One result each, cheapest first.
        verdict: What is recommended, by train and valid.
        metric: What it was decided by.
        split_hash: Of the split.
        n: Examples of the test split, which ``metrics`` are measured on.
        seconds: Wall time of all.
    """

    KEYS: ClassVar = ("split_hash", "n", "approaches", "verdict")

    run: Path
    approaches: tuple[ApproachResult, ...]
    verdict: Verdict
    metric: str
    split_hash: str
    n: int
    seconds: float

    def shown(self) -> Iterator[Piece]:
        rows = [row.cells for row in rows_of(self.approaches, self.verdict, self.metric)]
        yield Line(f"{self.verdict.approach}: {self.verdict.why}")
        yield ShownTable(header(self.metric), rows)
        if more := say_more_labels(self.approaches, self.metric):
            yield Line("labels", more)
        yield Line(self.run, f"{self.n:,} test examples")


@dataclass(frozen=True)
class _Asked:
    """A comparison that was asked for."""

    recipe: Recipe
    split: DataSplit
    folder: Path | None
    quiet: bool
    devices: str
    budget: float
    resume: bool
    started: float


def compare(
    recipe: Recipe | str | Path | Mapping[str, Any],
    *,
    data: pd.DataFrame | Mapping[str, pd.DataFrame] | None = None,
    approaches: Sequence[str] | None = None,
    run: str | Path | None = None,
    overrides: Sequence[str] = (),
    devices: str = "auto",
    budget: float = BUDGET_MINUTES,
    quiet: bool = False,
    resume: bool = False,
    curve: Literal["cheap", "tuned"] = "cheap",
    tuned: Sequence[str | Path] = (),
) -> CompareResult:
    """Measures whether to train from scratch, to fine-tune or only to prompt, on one split, and recommends one.

    What is cheap answers train and valid out of fold, is chosen by that and then learns from both; what is trained
    learns from train and is judged by valid. The test split is opened once, when all is chosen. The recipe's own
    phases play no part.

    Args:
        recipe: From ``load_recipe``, or what that takes.
        data: As for ``train``.
        approaches: Names out of ``majority linear names retrieval probe blend prompting lora top full scratch``;
            default: all but those that are hopeless by rule, see ``run_approaches``. Of text-embedding: out of ``bm25
            frozen hybrid head lora top full``, and the last four with ``+words``. Of text-similarity: out of ``constant
            words frozen head lora top full``. Of causal-lm: see ``kft.compare.written_names.NAMES``.
        run: A new folder; default ``runs/<recipe name>-compare-<n>``.
        overrides: As for ``train``.
        devices: As for ``train``, but for several workers.
        budget: Minutes that one approach may take, by its size.
        quiet: Prints no progress.
        curve: ``tuned`` also trains the best that is trained once more, on half of the training rows, and says what the
            second half brought; ``cheap`` leaves that cost out.
        tuned: Runs of causal-lm on the same split: each takes the place of training the approach that it is.
        resume: Goes on with a comparison that was cut short, in ``run`` or the latest: what is done is not done again.

    Raises:
        RunError: There is none to go on with, or it was begun with another recipe, other data or other versions.
        UsageError: An approach is unknown, none can be used on these data, or nothing that is trained was named where
            its curve is asked for.
        KftError: One of its kinds, for a recipe, data, weights or a disk that does not fit.

    Example:
        >>> import kft
        >>> result = kft.compare("recipes/sentiment/product_reviews.yaml")  # doctest: +SKIP
        >>> result.verdict.approach  # doctest: +SKIP
        'top'
    """
    started = time.perf_counter()
    if curve == "tuned":
        require_trained(None if approaches is None else list(approaches))
    strategy.require_one_process(devices, "a comparison", "kft compare RECIPE --devices one")
    folder = Path(run) if run is not None else None
    if not resume:
        refuse_taken(folder)
    loaded, split = load(recipe, overrides, data, devices)
    require_command(TASKS.get(loaded.spec.task), "compare")
    asked = _Asked(loaded, split, folder, quiet, devices, budget, resume, started)
    if split.kind.writes:
        return _compare_written(asked, approaches, tuned, curve=curve)
    if tuned:
        raise UsageError(
            "runs take the place of training where responses are written",
            where="--tuned",
            received=loaded.spec.task,
            expected="a recipe of causal-lm",
            next_step="leave --tuned out: each approach is trained anew",
        )
    if split.kind.embeds:
        return _compare_vectors(asked, approaches, curve=curve)
    return _compare_answers(asked, approaches, curve=curve)


def _compare_answers(
    asked: _Asked, approaches: Sequence[str] | None, *, curve: Literal["cheap", "tuned"]
) -> CompareResult:
    """Compares what answers with labels, numbers or spans; see ``kft.compare.compare``."""
    for name in approaches or ():
        APPROACHES.get(name)
    loaded, split = asked.recipe, asked.split
    refuse_soft_loss(loaded.spec, split.without_test())
    from kft.train.resume import run_identity

    with strategy.start(asked.devices).scope():
        progress = progress_for(asked.quiet)
        show_data(progress, loaded, split)
        say_unheeded(progress, loaded, "kft compare learns from")
        if loaded.spec.train.phases:
            progress.note("phases     those of the recipe play no part: each approach has its own")
        setting = Setting(without_frills(loaded.spec), split.without_test(), progress, len(split.test))
        backbone = setting.backbone  # now, so that weights which cannot be had are told before anything is spent
        progress.note(f"backbone   {backbone.name}, {backbone.model.count_params():,} parameters")
        setting.retain  # noqa: B018 - likewise, for one that cannot be used
        asked_model = wanted_language_model(setting, approaches)  # likewise
        if asked_model is not None:
            progress.note(f"language   {asked_model.name}, which approach prompting asks")
        identity = {
            **run_identity(loaded, split, backbone.files.hash),
            "versions": runtime.versions(),
            **asked_identity(setting, asked_model),
        }
        with _resumable(asked, backbone, identity, progress) as (place, saved):
            wanted = ApproachRequest(approaches, asked.budget, curve == "tuned")
            outcomes, verdict = run_approaches(setting, split.test, wanted, saved)
    found = Comparison(split.split_hash, len(split.test), outcomes, verdict, setting.metric.name)
    return _told(asked, place, found)


@contextmanager
def _resumable(
    asked: _Asked, backbone: Backbone, identity: Mapping[str, Any], progress: Progress
) -> Iterator[tuple[_Place, Saved]]:
    """Gives where a comparison is written, and what keeps its approaches and has those of an earlier call.

    Args:
        asked: What was asked for.
        backbone: Of the recipe.
        identity: What an earlier call has to agree in.
        progress: Told what was done before.

    Raises:
        RunError: There is none to go on with, or it was begun with something else.
    """
    name = f"{asked.recipe.name}-compare"
    place, done = _Place(asked.recipe, asked.split, backbone, asked.folder), dict[str, FittedApproach]()
    if asked.resume:
        place.found = asked.folder or latest_run(name) or RUNS / f"{name}-1"
        done = read_saved(place.found, identity)
        progress.note(f"resumed    {place.found}: {', '.join(done) or 'nothing'} done before")
    try:
        yield place, Saved(place.make, identity, done)
    except BaseException as stop:
        if place.found is not None:
            stop.add_note(f"{RUN_NOTE}{place.found}")  # whoever reports it can say where the finished ones are
        raise


def _told(asked: _Asked, place: _Place, found: Comparison) -> CompareResult:
    """Writes a comparison that is done, and drops what was kept of single approaches."""
    own = place.make()
    write_file(own / "compare.md", as_markdown(found))
    write_document(own / "compare.json", found)
    drop_saved(own)
    return CompareResult(run=own, **vars(found), seconds=time.perf_counter() - asked.started)


def _compare_vectors(
    asked: _Asked, approaches: Sequence[str] | None, *, curve: Literal["cheap", "tuned"]
) -> CompareResult:
    """Compares searches, or scores of pairs; see ``kft.search.comparing`` and ``kft.compare.graded``.

    Raises:
        UsageError: What only other tasks have was asked for.
    """
    loaded, split = asked.recipe, asked.split
    if curve == "tuned":
        raise UsageError(
            f"what more labels would bring is not measured for {loaded.spec.task}",
            where="--curve",
            received="tuned",
            expected="a comparison without it",
            next_step="leave it out",
        )
    with strategy.start(asked.devices).scope():
        from kft.compare.graded import GRADED, compare_graded  # they bring TensorFlow, which is started quietly by now
        from kft.compare.vectors import VectorSetting
        from kft.search.comparing import SEARCHES, compare_search
        from kft.train.resume import run_identity

        (SEARCHES if split.kind.searches else GRADED).asked(approaches)
        progress = progress_for(asked.quiet)
        show_data(progress, loaded, split)
        backbone = starting.load_for(loaded.spec, progress.note)
        identity = {**run_identity(loaded, split, backbone.files.hash), "versions": runtime.versions()}
        with _resumable(asked, backbone, identity, progress) as (place, saved):
            compare = compare_search if split.kind.searches else compare_graded
            found = compare(VectorSetting(loaded.spec, split, progress), approaches, asked.budget, saved)
    return _told(asked, place, found)


def _compare_written(
    asked: _Asked,
    approaches: Sequence[str] | None,
    tuned: Sequence[str | Path],
    *,
    curve: Literal["cheap", "tuned"],
) -> CompareResult:
    """Compares what writes responses; see ``kft.compare.written``.

    Raises:
        UsageError: What only other tasks have was asked for.
        RunError: A tuned run is of other data.
    """
    loaded, split = asked.recipe, asked.split
    if curve == "tuned":
        raise UsageError(
            "what more labels would bring is not measured where responses are written",
            where="--curve",
            received="tuned",
            expected="a comparison without it",
            next_step="leave it out",
        )
    from kft.compare import written_names

    names = written_names.names_of(approaches, grounded=split.train.passages is not None)
    written_names.refuse_unheeded(loaded.spec)
    with strategy.start(asked.devices).scope():
        from kft.compare.written import WritingSetting, compare_written
        from kft.train.resume import run_identity

        progress = progress_for(asked.quiet)
        show_data(progress, loaded, split)
        runs = _tuned_runs(tuned, split)
        test = replace(split.test, labels=None)  # each approach writes to test; nobody sees whether it is right
        spec = without_frills(loaded.spec)
        backbone = starting.load_for(spec, progress.note)
        progress.note(f"backbone   {backbone.name}, {backbone.model.count_params():,} parameters")
        identity = {
            **run_identity(loaded, split, backbone.files.hash),
            "versions": runtime.versions(),
            "way of prompting": loaded.spec.compare.model_dump_json(),
            "tuned run": " ".join(f"{name} {run.checkpoint}" for name, run in runs.items()),
        }
        with _resumable(asked, backbone, identity, progress) as (place, saved):
            given = WritingSetting(spec, split.without_test(), test, progress, asked.budget, backbone, saved, runs)
            found = compare_written(given, split, names, named=approaches is not None)
    return _told(asked, place, found)


def _tuned_runs(folders: Sequence[str | Path], split: DataSplit) -> dict[str, Artifact]:
    """Loads runs that take the place of training, by the approach that each is.

    Raises:
        RunError: One is of other data or of another split.
        UsageError: It writes nothing, or another one is the same approach.
    """
    from kft.answer.load import load_artifact, read_run
    from kft.api.evaluating import require_same_data
    from kft.compare.verdict import WITH_PASSAGES
    from kft.compare.written_tuning import kind_of

    found: dict[str, Artifact] = {}
    for folder in folders:
        run = read_run(open_run(Path(folder)))
        spec = run.recipe.spec
        name = kind_of(spec.train.phases) + (WITH_PASSAGES if spec.data.grounded else "")
        if not run.task.kind.writes or name in found:
            raise UsageError(
                "this run takes no approach's place",
                where=f"--tuned {folder}",
                received=f"another run of {name}" if name in found else run.task.name,
                expected="one run of causal-lm for each of lora, top and full",
                next_step="leave it out",
            )
        require_same_data(run.folder, run.receipt, split)
        found[name] = load_artifact(run)
    return found


@dataclass
class _Place:
    """Where a comparison is written: a folder that is made when the first approach is done."""

    recipe: Recipe
    split: DataSplit
    backbone: Backbone
    asked: Path | None
    found: Path | None = None

    def make(self) -> Path:
        from kft.train.receipt import write_start

        if self.found is None:
            self.found = create_run(f"{self.recipe.name}-compare", self.asked).path
        made = RunFolder(self.found)
        if not made.manifest.is_file():  # it comes last: an earlier call may have been killed before
            write_start(made, self.recipe, self.split, self.backbone, ())
        return self.found
