"""`kft choose`."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

import numpy as np

from kft import runtime, strategy
from kft.api.reading import load, progress_for, say_unheeded, show_data, vectors_of
from kft.compare.choice_table import as_markdown, header, remarks_on, rows_of
from kft.compare.choosing import BLEND, measure_all
from kft.compare.grounds import RANDOM, BackboneCandidate, Grounds, choosable
from kft.compare.recommend import judge
from kft.compare.setting import refuse_soft_loss
from kft.errors import ModelError, UsageError
from kft.features.folds import FOLDS, whole_in_folds
from kft.model.sources import resolve_backbone
from kft.notebook import Line, Piece, ShownTable, shows
from kft.records.choose import BackboneResult, Choice, Recommendation
from kft.records.document import document_text
from kft.records.files import require_writable, write_folder
from kft.records.run_folder import refuse_taken
from kft.tasks.registry import TASKS
from kft.tasks.task import require_command

if TYPE_CHECKING:
    import pandas as pd

    from kft.recipe.load import Recipe
    from kft.recipe.schema import RecipeSpec
    from kft.split.data_split import DataSplit, Selection
    from kft.train.progress import Progress

RUNS = Path("runs")
T = TypeVar("T")
Compute = Callable[[Callable[[], Any]], Any]


@shows
@dataclass(frozen=True)
class ChooseResult:
    """What the backbones came to on one set of data.

    Attributes:
        run: The folder with choose.json, choose.md, recipe.yaml and splits.parquet.
        backbones: The best first; then random weights; then those that could not be measured.
        verdict: What is recommended.
        metric: What it was decided by.
        approach: By whose answers.
        split_hash: Of the split.
        data_hash: Of the data.
        n: Examples of train and valid, which all is measured on.
        of: How many there are; more than ``n`` where a draw is enough.
        seed: Of folds and random weights.
        versions: Of what computed it.
        settings: What a recipe needs to train on the recommended one, as ``--set`` takes it.
        seconds: Wall time of all.
    """

    KEYS: ClassVar = (
        "split_hash", "data_hash", "seed", "versions", "n", "of", "metric", "approach", "backbones", "verdict",
    )  # fmt: skip

    run: Path
    backbones: tuple[BackboneResult, ...]
    verdict: Recommendation
    metric: str
    approach: str
    split_hash: str
    data_hash: str
    n: int
    of: int
    seed: int
    versions: Mapping[str, str]
    settings: tuple[str, ...]
    seconds: float

    @property
    def choice(self) -> Choice:
        """What stands in choose.json."""
        return Choice(**{key: getattr(self, key) for key in self.KEYS})

    def shown(self) -> Iterator[Piece]:
        yield Line(f"{self.verdict.backbone or 'none'}: {self.verdict.why}")
        yield ShownTable(header(self.choice), [row.cells for row in rows_of(self.choice)])
        for word, remark in remarks_on(self.choice):
            yield Line(word, remark)
        yield Line(self.run, f"{self.n:,} examples of train and valid, out of fold")


def choose(
    recipe: Recipe | str | Path | Mapping[str, Any],
    *,
    backbones: Sequence[str],
    data: pd.DataFrame | Mapping[str, pd.DataFrame] | None = None,
    run: str | Path | None = None,
    overrides: Sequence[str] = (),
    devices: str = "auto",
    quiet: bool = False,
) -> ChooseResult:
    """Measures which backbone suits the data, and recommends one; it trains nothing and writes no model.

    Each frozen backbone's features answer every example of train and valid out of fold: by what saw neither it, nor its
    group, nor a copy of it. The test split plays no part. What is computed is stored, and training reuses it.

    Args:
        recipe: From ``load_recipe``, or what that takes; its own backbone and phases play no part.
        backbones: Names from ``kft models``, presets, sources or paths; ``NAME@random`` is the same architecture with
            new weights, a yardstick that is never recommended where there is a pretrained one.
        data: As for ``train``.
        run: A new folder; default ``runs/<recipe name>-choose-<n>``.
        overrides: As for ``train``.
        devices: As for ``train``, but for several workers.
        quiet: Prints no progress.

    Raises:
        ModelError: A name leads nowhere. One that cannot be fetched, loaded or used is listed with the reason.
        UsageError: None can be measured.
        KftError: One of its kinds, for a recipe, data or a disk that does not fit.

    Example:
        >>> import kft
        >>> result = kft.choose("recipe.yaml", backbones=["minilm-l6", "bert-tiny"])  # doctest: +SKIP
        >>> result.verdict.backbone  # doctest: +SKIP
        'minilm-l6'
    """
    started = time.perf_counter()
    candidates = find_candidates(backbones)
    folder = Path(run) if run is not None else None
    refuse_taken(folder)
    require_writable(folder or RUNS)
    strategy.require_one_process(devices, "a choice among backbones", "kft choose RECIPE --backbones A,B --devices one")
    loaded, split = load(recipe, overrides, data, devices)
    require_command(TASKS.get(loaded.spec.task), "choose")
    if loaded.spec.model.start_from is not None:
        raise UsageError(
            "backbones are chosen as they were pretrained",
            where="model.start_from",
            received=loaded.spec.model.start_from,
            expected="a recipe without it",
            next_step="leave it out; kft train RECIPE with and without it says what it is worth",
        )
    selection = choosable(split.without_test(), loaded.spec)
    refuse_soft_loss(loaded.spec, selection)
    progress = progress_for(quiet)
    show_data(progress, loaded, split)
    say_unheeded(progress, loaded, "kft choose measures by")
    progress.note("test       plays no part: all is measured on train and valid, out of fold")

    def compute(work: Callable[[], T]) -> T:
        with strategy.start(devices).scope():
            return work()

    together = _together(loaded, selection, progress, compute)
    grounds = Grounds(loaded.spec, selection, together, progress, compute)
    measured, skipped = measure_all(candidates, grounds)
    results, verdict = judge(measured, grounds, BLEND)
    results += [BackboneResult(each.name, each.weights, skipped=why) for each, why in skipped]
    found = Choice(
        split_hash=split.split_hash,
        data_hash=split.data_hash,
        seed=loaded.spec.seed,
        versions=runtime.versions(),
        n=len(grounds.known),
        of=len(selection.train) + len(selection.valid),
        metric=grounds.metric.name,
        approach=BLEND,
        backbones=tuple(results),
        verdict=verdict,
    )
    made = write_folder(_files(loaded, split, found), folder, numbered=RUNS / f"{loaded.name}-choose")
    settings = _settings(candidates, found, loaded.spec)
    return ChooseResult(run=made, **vars(found), settings=settings, seconds=time.perf_counter() - started)


def find_candidates(names: Sequence[str]) -> list[BackboneCandidate]:
    """Returns what was asked for, each once; nothing is loaded or fetched.

    Raises:
        UsageError: There is none.
        ModelError: Names lead nowhere; says all of them.

    Example:
        >>> [(each.backbone, each.random) for each in find_candidates(["minilm-l6", "minilm-l6@random"])]
        [('minilm-l6', False), ('minilm-l6', True)]
    """
    found: dict[tuple[str, bool], BackboneCandidate] = {}
    unknown: list[ModelError] = []
    for name in (each.strip() for each in names if each.strip()):
        random = name.endswith(RANDOM)
        try:
            backbone = resolve_backbone(name.removesuffix(RANDOM), Path.cwd())
        except ModelError as error:
            unknown.append(error)
            continue
        found.setdefault((backbone, random), BackboneCandidate(name, backbone, random))
    if unknown:
        raise ModelError(
            "; ".join(error.problem for error in unknown),
            where="--backbones",
            received=", ".join(str(error.received) for error in unknown),
            expected=unknown[0].expected,
            next_step="kft models",
        )
    if not found:
        raise UsageError(
            "there is no backbone to choose among",
            where="--backbones",
            received="nothing",
            expected="names from kft models, presets or folders, with commas between them",
            next_step="kft choose RECIPE --backbones minilm-l6,minilm-l6@random",
        )
    return list(found.values())


def _together(recipe: Recipe, selection: Selection, progress: Progress, compute: Compute) -> np.ndarray | None:
    """Returns what no fold may part: groups, copies, and where the recipe says so whatever looks alike."""
    grounds = Grounds(recipe.spec, selection, None, progress)
    known, alike = grounds.known, recipe.spec.data.keep_together == "similar"
    groups, said = whole_in_folds(
        known, grounds.strata, alike, lambda inputs: compute(lambda: vectors_of(recipe, inputs))
    )
    progress.note(f"folds      {FOLDS}, groups whole{said}")
    rows = len(selection.train) + len(selection.valid)
    if len(known) < rows:
        progress.note(f"drawn      {len(known):,} of {rows:,} examples, which is enough to choose by")
    return groups


def _files(recipe: Recipe, split: DataSplit, found: Choice) -> dict[str, bytes | str]:
    import io

    parquet = io.BytesIO()
    split.frame().to_parquet(parquet, index=False)
    return {
        "choose.json": document_text(found),
        "choose.md": as_markdown(found),
        "recipe.yaml": recipe.as_yaml(),
        "splits.parquet": parquet.getvalue(),
    }


def _settings(candidates: Sequence[BackboneCandidate], found: Choice, spec: RecipeSpec) -> tuple[str, ...]:
    """Returns what makes the recipe one of the recommended backbone."""
    if found.verdict.backbone is None:
        return ()
    chosen = next(each for each in candidates if each.name == found.verdict.backbone)
    (result,) = (each for each in found.backbones if each.name == chosen.name)
    settings = [f"model.backbone={chosen.backbone}"]
    if chosen.weights != spec.model.weights:
        settings.append(f"model.weights={chosen.weights}")
    if result.tokens is not None and result.tokens.window != spec.model.max_tokens:
        settings.append(f"model.max_tokens={result.tokens.window}")
    return tuple(settings)
