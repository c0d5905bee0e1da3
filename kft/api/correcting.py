"""`kft data apply`: corrections that a person has decided on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kft.curate import correcting as room
from kft.curate.correcting import CorrectionsResult
from kft.curate.corrections import accepted, read_corrections
from kft.errors import DataError, UsageError
from kft.recipe.load import Recipe
from kft.tasks.recipes import load_recipe
from kft.tasks.registry import TASKS

if TYPE_CHECKING:
    import pandas as pd


def apply_corrections(
    recipe: Any,
    corrections: str | Path | pd.DataFrame,
    output: str | Path,
    *,
    overrides: Sequence[str] = (),
    accept: Sequence[str] = (),
) -> CorrectionsResult:
    """Writes corrected copies of a recipe's data; see ``kft check``, which proposes the corrections.

    Args:
        recipe: A recipe file, a mapping, or what ``kft.load_recipe`` returned.
        corrections: A table with the columns ``id``, ``action`` (``drop``, ``relabel``, ``keep``) and ``label``.
        output: A new file of the source's kind; a folder where several files change.
        overrides: Dotted settings such as ``"data.id=key"``.
        accept: Checks whose suggestions are all taken, such as ``("label-noise",)``: rows that are undecided and have
            a label there are relabelled.

    Raises:
        DataError: Ids, actions or labels of the table that are none; all of them at once.
        UsageError: The output exists, or is of another kind than the source.

    Example:
        >>> import kft
        >>> kft.apply_corrections("recipe.yaml", "corrections.csv", "mended.csv").dropped  # doctest: +SKIP
        12
    """
    if isinstance(recipe, Recipe) and overrides:
        raise UsageError(
            "overrides come too late for a loaded recipe", expected="kft.load_recipe(path, overrides=[...])"
        )
    loaded = recipe if isinstance(recipe, Recipe) else load_recipe(recipe, overrides)
    table = Path(corrections) if isinstance(corrections, str) else corrections
    if isinstance(table, Path) and not table.is_file():
        raise DataError(
            "there is no such table of corrections",
            where=str(table),
            expected="a csv with the columns id, action and label",
            next_step="kft check RECIPE writes one, corrections.csv, into its folder",
        )
    return room.apply_corrections(
        loaded.spec.data,
        accepted(read_corrections(table), accept),
        Path(output),
        task=TASKS.get(loaded.spec.task),
        base=loaded.base,
        title=str(table) if isinstance(table, Path) else "the DataFrame",
    )
