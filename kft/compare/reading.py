"""A comparison that was made before, read back from its folder."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from kft.compare.language_model import PROMPTING
from kft.compare.setting import deciding_metric
from kft.compare.verdict import Reached, leaders_of
from kft.errors import RunError
from kft.metrics.language import decided_by
from kft.recipe.yaml_file import as_plain, read_yaml
from kft.records.compare import Comparison
from kft.records.document import read_document
from kft.tasks.recipes import load_recipe
from kft.tasks.registry import TASKS

PRINTS_ITS_FOLDER = "kft compare RECIPE prints its folder"


def read_comparison(folder: Path) -> Comparison:
    """Reads the folder of a ``kft compare``.

    Raises:
        RunError: There is none, or its compare.json is damaged.
    """
    document = folder / "compare.json"
    try:
        document.stat()
        spec = load_recipe(folder / "recipe.yaml").spec
    except OSError as error:
        raise RunError(
            "this is not the folder of a comparison",
            where=str(folder),
            received=f"{type(error).__name__}: {error}",
            expected="compare.json and recipe.yaml, as kft compare writes them",
            next_step=PRINTS_ITS_FOLDER,
        ) from error
    old = "compare" not in as_plain(read_yaml(folder / "recipe.yaml"))
    found = _named_as_now(read_document(Comparison, document, next_step=PRINTS_ITS_FOLDER), old)
    written = next((each.valid for each in found.approaches if each.valid is not None), {})
    writes = TASKS.get(spec.task).kind.writes
    metric = decided_by(written) if writes else deciding_metric(spec)
    sign = 1 if metric.higher_is_better else -1
    reached = {
        each.name: Reached(
            each.valid[metric.name].value, None if each.out_of_fold is None else each.out_of_fold[metric.name].value
        )
        for each in found.approaches
        if each.valid is not None
    }
    best = leaders_of(reached, sign)[0] if reached else ""
    return replace(found, verdict=replace(found.verdict, best=best), metric=metric.name)


def _named_as_now(found: Comparison, old: bool) -> Comparison:
    """Returns a comparison with ``names`` called so: it was ``prompting`` before a language model was asked.

    Args:
        found: The comparison.
        old: Whether its recipe is of that time: it says nothing of how to prompt.
    """
    asked = next((each for each in found.approaches if each.name == PROMPTING), None)
    if asked is None or "language_model" in (asked.chosen or {}) or (asked.metrics is None and not old):
        return found
    verdict = found.verdict
    return replace(
        found,
        approaches=tuple(replace(each, name="names") if each is asked else each for each in found.approaches),
        verdict=replace(verdict, approach="names") if verdict.approach == PROMPTING else verdict,
    )
