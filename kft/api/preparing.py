"""`kft data build`: what is done with data before any training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kft.api.reading import load, progress_for, show_data
from kft.curate.prepared import FORMATS, RECIPE, prepared_recipe, refuse_existing, write_prepared
from kft.errors import UsageError
from kft.split.assign import SPLITS
from kft.tasks.registry import TASKS
from kft.tasks.task import require_command

if TYPE_CHECKING:
    import pandas as pd

    from kft.recipe.load import Recipe


@dataclass(frozen=True)
class BuildResult:
    """What ``kft data build`` wrote.

    Attributes:
        folder: A folder of tensorflow-datasets.
        recipe: The recipe in it, which trains on it.
        examples: How many, by split.
        features: The kind of each feature.
        converted: Images that were written anew as PNG, because not every decoder knows their format.
        split_hash: Of the split, and of what trains on the folder.
        data_hash: Of ids, content and labels.
    """

    folder: Path
    recipe: Path
    examples: Mapping[str, int]
    features: Mapping[str, str]
    converted: int
    split_hash: str
    data_hash: str


def build_data(
    recipe: Recipe | str | Path | Mapping[str, Any],
    dest: str | Path,
    *,
    data: pd.DataFrame | Mapping[str, pd.DataFrame] | None = None,
    overrides: Sequence[str] = (),
    file_format: str = "tfrecord",
    quiet: bool = False,
) -> BuildResult:
    """Writes a recipe's prepared, split data as a folder of tensorflow-datasets, and a recipe that trains on it.

    Args:
        recipe: From ``load_recipe``, or what that takes.
        dest: The folder; it must not exist.
        data: As for ``train``.
        overrides: As for ``train``.
        file_format: ``tfrecord``, which ``as_dataset`` reads, or ``array_record``, which ``as_data_source`` reads.
        quiet: Prints no progress.

    Raises:
        UsageError: The folder is there already, or the format is unknown.
        KftError: One of its kinds, for a recipe, data or a disk that does not fit. Nothing half-written stays.

    Example:
        >>> import kft
        >>> built = kft.build_data("recipe.yaml", "prepared")  # doctest: +SKIP
        >>> import tensorflow_datasets as tfds  # doctest: +SKIP
        >>> tfds.builder_from_directory("prepared").as_dataset(split="train")  # doctest: +SKIP
    """
    folder = Path(dest).expanduser()
    refuse_existing(folder)
    if file_format not in FORMATS:
        raise UsageError("unknown format of files", received=file_format, expected=" or ".join(FORMATS))
    loaded, split = load(recipe, overrides, data)
    _refuse_unlabelled(loaded)
    progress = progress_for(quiet)
    show_data(progress, loaded, split)
    task = TASKS.get(loaded.spec.task)
    require_command(task, "data build")
    features, converted = write_prepared(
        split,
        folder,
        name=loaded.name,
        task=task,
        file_format=file_format,
        recipe=prepared_recipe(loaded, split, task),
    )
    if converted:
        progress.note(f"converted  {converted:,} images to PNG, which every decoder knows; their pixels are the same")
    return BuildResult(
        folder=folder,
        recipe=folder / RECIPE,
        examples={key: len(split.part(key)) for key in SPLITS},
        features=features,
        converted=converted,
        split_hash=split.split_hash,
        data_hash=split.data_hash,
    )


def _refuse_unlabelled(recipe: Recipe) -> None:
    """Refuses rows without labels: prepared data hold three splits, all of them labelled."""
    if recipe.spec.data.unlabelled is not None:
        raise UsageError(
            "prepared data hold no rows without labels",
            where="data.unlabelled",
            received=str(recipe.spec.data.unlabelled),
            expected="labelled splits",
            next_step="leave it out here, and name it again in the recipe beside the prepared data",
        )
