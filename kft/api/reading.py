"""What every command begins with: the recipe, its data, and how progress is shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from kft import assets, strategy
from kft.audit.all_checks import require_known_checks
from kft.errors import RecipeError, UsageError
from kft.model import backbones
from kft.model.limits import known_limit
from kft.recipe.load import Recipe
from kft.recipe.sources import DATAFRAME
from kft.split.data_split import DataSplit, load_split
from kft.suites.suite import suite_of
from kft.suites.suite_fit import require_fit
from kft.tasks.recipes import load_recipe
from kft.tasks.registry import TASKS

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from kft.train.progress import Progress


def load(
    recipe: Any, overrides: Sequence[str], data: Any, devices: str = "auto", *, skip: bool = False
) -> tuple[Recipe, DataSplit]:
    """Reads recipe and data, and refuses unknown names: all that can be wrong before TensorFlow loads.

    Args:
        recipe: From ``load_recipe``, or what that takes.
        overrides: Dotted settings.
        data: DataFrames instead of files.
        devices: For ``data.keep_together: similar``, which needs the backbone.
        skip: Leaves unusable rows out, whatever the recipe says of them.
    """
    loaded = as_recipe(recipe, overrides, data)
    require_known_checks(loaded)
    suite = suite_of(loaded)
    if skip:
        loaded = loaded.with_values("data", {"unusable_rows": "skip"})
    frames = frames_of(data)
    loaded = loaded.with_values("data", dict.fromkeys(frames or (), DATAFRAME))
    backbone = backbones.resolve_backbone(loaded.spec.model.backbone, loaded.base)
    loaded = loaded.with_values("model", {"backbone": backbone})
    require_room(loaded, known_limit(backbone))
    split = split_of(loaded, frames, devices)
    if suite is not None:
        require_fit(suite, TASKS.get(loaded.spec.task), split.labels)
    return loaded, split


def require_room(recipe: Recipe, limit: int | None) -> None:
    """Refuses a recipe that asks for longer texts than its backbone takes, as soon as that is known.

    Args:
        recipe: Whose ``model.max_tokens`` a person has set; the default cuts no more than it must.
        limit: How many tokens the backbone takes; None where that is not known yet.

    Raises:
        RecipeError: It asks for more.
    """
    asked = recipe.spec.model.max_tokens
    if not limit or TASKS.get(recipe.spec.task).reads.files or asked <= limit:
        return
    if recipe.origins.get("model.max_tokens", "default") == "default":
        return
    raise RecipeError(
        "the backbone cannot take texts that long",
        where=f"{recipe.path or 'recipe'}, model.max_tokens",
        received=f"{asked:,} tokens",
        expected=f"at most {limit:,}, the positions that {recipe.spec.model.backbone} knows",
        next_step=f"--set model.max_tokens={limit} cuts longer texts, and says how many; kft models lists others",
    )


def split_of(recipe: Recipe, frames: Mapping[str, pd.DataFrame] | None, devices: str = "auto") -> DataSplit:
    """Reads and splits a recipe's data, or the DataFrames that stand for them.

    With ``data.keep_together: similar`` that starts TensorFlow on the given devices, for the backbone's features.
    """

    def similar(inputs: Sequence[Any]) -> np.ndarray:
        with strategy.start(devices).scope():
            return vectors_of(recipe, inputs)

    task = TASKS.get(recipe.spec.task)
    return load_split(
        recipe.spec.data, task=task, base=recipe.base, locate=assets.locate, frames=frames, similar=similar
    )


def vectors_of(recipe: Recipe, inputs: Sequence[Any]) -> np.ndarray:
    """Returns ``float32[n, width]`` by the recipe's pretrained backbone, from the store that training and audit share.

    Pretrained even where ``model.weights`` says random: what is similar does not hang on that.
    """
    from kft.features.vectors import pooled_vectors
    from kft.model.encode import make_reader

    spec = recipe.spec
    backbone = backbones.load_backbone(spec.model.backbone, dropout=spec.model.dropout)
    source = make_reader(TASKS.get(spec.task), backbone, spec.model).read(inputs, keep=True).source
    return pooled_vectors(backbone, {"all": source}, spec.model, spec.features)["all"]


def as_recipe(recipe: Any, overrides: Sequence[str], data: Any) -> Recipe:
    """Returns a recipe that is loaded, from one, or from what ``load_recipe`` takes."""
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


def frames_of(data: Any) -> Mapping[str, pd.DataFrame] | None:
    """Returns DataFrames by split; one alone is that of train."""
    if data is None or isinstance(data, Mapping):
        return data
    return {"train": data}


def show_data(progress: Progress, recipe: Recipe, split: DataSplit) -> None:
    """Says what was read: columns that were guessed, rows in each split, rows left out."""
    progress.note(f"recipe     {recipe.path or recipe.name}")
    found = {"text_pair": split.columns.pair, "label": split.columns.label}
    guessed = [f"{name} column {found.get(name, split.columns.text)!r}" for name in split.columns.guessed]
    if guessed:
        progress.note(f"guessed    {', '.join(guessed)}; name them in the recipe to be sure")
    sizes = f"{len(split.train):,} train, {len(split.valid):,} valid, {len(split.test):,} test"
    progress.note(f"data       {sizes}; {_described(split)}; {split.how}")
    for note in split.notes:
        progress.note(f"read       {note}")
    if split.rejected:
        progress.note(f"left out   {len(split.rejected):,} rows that cannot be used, listed in findings.json")


def _described(split: DataSplit) -> str:
    if not split.labels:
        return f"numbers, {split.space.mean:.3g} on average, standard deviation {split.space.std:.3g}"
    return f"{len(split.labels)} {'classes' if split.kind.one_class else 'labels'}"


def progress_for(quiet: bool) -> Progress:
    """Returns what shows progress on standard error, or nothing."""
    from kft.train.progress import Progress

    return Progress(quiet=quiet)
