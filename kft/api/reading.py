"""What every command begins with: the recipe, its data, and how progress is shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kft import assets, strategy
from kft.answer.apart import require_begun_apart
from kft.audit.all_checks import require_known_checks
from kft.calls import PATH, are_tables
from kft.curate.likely_task import are_words, tagging, task_of_tables
from kft.data.documents import holds_documents
from kft.data.examples import NamedColumns
from kft.data.tables import Rows
from kft.errors import RecipeError, UsageError
from kft.metrics.overlap import require_overlap
from kft.model import backbones
from kft.model.limits import known_limit
from kft.recipe.explain import recipe_error
from kft.recipe.load import Recipe
from kft.recipe.schema import ModelSpec
from kft.recipe.sources import DATAFRAME
from kft.split.assign import SPLITS, UNLABELLED
from kft.split.data_split import DataSplit, load_split
from kft.suites.suite import suite_of
from kft.suites.suite_fit import require_fit
from kft.tasks.recipes import find_misfits, load_recipe
from kft.tasks.registry import TASKS, first_task

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from kft.train.progress import Progress


def load(
    recipe: Any, overrides: Sequence[str], data: Any, devices: str = "auto", *, skip: bool = False
) -> tuple[Recipe, DataSplit]:
    """Reads recipe and data, and refuses unknown names: all that can be wrong before TensorFlow loads.

    Args:
        recipe: From ``load_recipe``, or what that takes; or DataFrames, which a recipe is drafted for.
        overrides: Dotted settings.
        data: DataFrames instead of files.
        devices: For ``data.keep_together: similar``, which needs the backbone.
        skip: Leaves unusable rows out, whatever the recipe says of them.
    """
    loaded, frames = as_recipe(recipe, overrides, data)
    require_known_checks(loaded)
    require_overlap(loaded.spec.evaluate.gates)
    suite = suite_of(loaded)
    if skip:
        loaded = loaded.with_values("data", {"unusable_rows": "skip"})
    loaded = loaded.with_values("data", dict.fromkeys(frames or (), DATAFRAME))
    if UNLABELLED in (frames or ()) and (misfits := find_misfits(loaded.spec)):
        raise recipe_error(misfits, None, "data=")
    backbone = backbones.resolve_backbone(loaded.spec.model.backbone, loaded.base)
    loaded = loaded.with_values("model", {"backbone": backbone})
    require_room(loaded, known_limit(backbone))
    split = split_of(loaded, frames, devices)
    split = replace(split, notes=(*split.notes, *require_begun_apart(loaded, split)))
    if suite is not None:
        require_fit(suite, TASKS.get(loaded.spec.task), split.answers)
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
    if asked == ModelSpec.model_fields["max_tokens"].default:  # a run's own recipe writes defaults out
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
    found = load_split(
        recipe.spec.data, task=task, base=recipe.base, locate=assets.locate, frames=frames, similar=similar
    )
    if not recipe.spec.data.grounded:
        return found
    from kft.api.grounding import grounded  # it brings what searches

    return grounded(found, recipe)


def vectors_of(recipe: Recipe, inputs: Sequence[Any]) -> np.ndarray:
    """Returns ``float32[n, width]`` by the recipe's pretrained backbone, from the store that training and audit share.

    Pretrained even where ``model.weights`` says random: what is similar does not hang on that.
    """
    from kft.features.vectors import pooled_vectors
    from kft.model.encode import beside, make_reader

    spec = recipe.spec
    backbone = backbones.load_backbone(spec.model.backbone, dropout=spec.model.dropout)
    task = TASKS.get(spec.task)
    source = make_reader(task, backbone, spec.model).read(inputs, keep=True).source
    return beside(pooled_vectors(backbone, {"all": source}, spec.model, spec.features)["all"], task)


def as_recipe(recipe: Any, overrides: Sequence[str], data: Any) -> tuple[Recipe, Mapping[str, pd.DataFrame] | None]:
    """Returns a recipe that is loaded, and the DataFrames by split that stand for its files.

    Args:
        recipe: A loaded one, what ``load_recipe`` takes, DataFrames that one is drafted for, or None.
        overrides: Dotted settings, for a recipe that is not loaded yet.
        data: DataFrames, or a path where no recipe is given.

    Raises:
        UsageError: Neither recipe nor data are given, or they do not go together.
    """
    if data is None and are_tables(recipe):
        recipe, data = None, recipe
    if recipe is None:
        return _draft(data, overrides), None if isinstance(data, PATH) else frames_of(data)
    if isinstance(data, PATH):
        raise UsageError(
            "a recipe names its own files",
            where="data=",
            received=str(data),
            expected="DataFrames, or no recipe",
            next_step=f'overrides=["data.train={data}"]',
        )
    frames = frames_of(data)
    if isinstance(recipe, Recipe):
        if overrides:
            raise UsageError(
                "overrides come too late for a loaded recipe",
                expected="kft.load_recipe(path, overrides=[...])",
            )
        return recipe, frames
    if frames is not None:
        overrides = (*overrides, f"data.train={DATAFRAME}")
    return load_recipe(recipe, overrides), frames


def _draft(data: Any, overrides: Sequence[str]) -> Recipe:
    """Returns the plainest recipe for data that come without one; what it guesses is told when they are read."""
    if data is None:
        raise UsageError(
            "there is nothing to learn from",
            received="neither a recipe nor data",
            expected="a recipe, or data that one is drafted for",
            next_step='kft.train("recipe.yaml"), or kft.train(frame, text="review", label="rating")',
        )
    frames = None if isinstance(data, PATH) else frames_of(data)
    if frames is not None:
        likely = task_of_tables([Rows("dataframe", frames["train"], Path.cwd())], NamedColumns())
    else:
        likely = (
            tagging()
            if are_words(Path(data))
            else first_task(files=Path(data).is_dir() and not holds_documents(Path(data)))
        )
    named = {setting.partition("=")[0] for setting in overrides}
    task = {} if "task" in named else {"task": likely.name}
    return load_recipe({**task, "data": {"train": str(data) if frames is None else DATAFRAME}}, overrides)


def frames_of(data: Any) -> Mapping[str, pd.DataFrame] | None:
    """Returns DataFrames by split; one alone is that of train.

    Raises:
        UsageError: There is none of train, or one of no split.
    """
    if data is None:
        return None
    frames = data if isinstance(data, Mapping) else {"train": data}
    unknown = sorted(set(frames) - {*SPLITS, UNLABELLED})
    if unknown or "train" not in frames:
        raise UsageError(
            f"{', '.join(map(repr, unknown))} is not a split" if unknown else "there is no DataFrame to train on",
            where="data=",
            received=", ".join(map(repr, frames)) or "an empty mapping",
            expected="'train', and perhaps 'valid', 'test' and 'unlabelled'",
        )
    return frames


def show_data(progress: Progress, recipe: Recipe, split: DataSplit) -> None:
    """Says what was read: columns that were guessed, rows in each split, rows left out."""
    progress.note(f"recipe     {recipe.path or recipe.name}")
    found = {"text_pair": split.columns.pair, "label": split.columns.label}
    guessed = [f"{name} column {found.get(name, split.columns.text)!r}" for name in split.columns.guessed]
    if guessed:
        progress.note(f"guessed    {', '.join(guessed)}; name them in the recipe to be sure")
    sizes = f"{len(split.train):,} train, {len(split.valid):,} valid, {len(split.test):,} test"
    sizes += "" if split.unlabelled is None else f", {len(split.unlabelled):,} unlabelled"
    progress.note(f"data       {sizes}; {_described(split)}; {split.how}")
    for note in split.notes:
        progress.note(f"read       {note}")
    if split.rejected:
        progress.note(f"left out   {len(split.rejected):,} rows that cannot be used, listed in findings.json")


def say_unheeded(progress: Progress, recipe: Recipe, does: str) -> None:
    """Says that a command looks at labelled rows alone, where the recipe names other things to learn from.

    Args:
        progress: Told so.
        recipe: What was asked for.
        does: What the command does with labelled rows, such as ``compares``.
    """
    keys = {"data.unlabelled": recipe.spec.data.unlabelled, "train.teacher": recipe.spec.train.teacher}
    named = [key for key, value in keys.items() if value is not None]
    if named:
        progress.note(f"note       {does} labelled rows alone: {' and '.join(named)} are for kft train")


def _described(split: DataSplit) -> str:
    if split.corpus is not None:
        return f"{len(split.corpus):,} documents"
    if split.kind.writes:
        return "prompts with a response each"
    if split.kind.masks:
        return "texts of which tokens are hidden"
    if not split.labels:
        if split.kind.embeds:
            low, reach = split.space.mean, split.space.std
            return f"scores from {low:.3g} to {low + reach:.3g} in train"
        return f"numbers, {split.space.mean:.3g} on average, standard deviation {split.space.std:.3g}"
    return f"{len(split.labels)} {'classes' if split.kind.one_class else 'labels'}"


def progress_for(quiet: bool) -> Progress:
    """Returns what shows progress on standard error, or nothing."""
    from kft.train.progress import Progress

    return Progress(quiet=quiet)
