"""A comparison that was made before, read back from its folder."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kft.compare.compare import Cost, Outcome, Risk
from kft.compare.setting import deciding_metric
from kft.compare.verdict import Verdict
from kft.errors import RunError
from kft.metrics.intervals import Estimate
from kft.tasks.recipes import load_recipe


@dataclass(frozen=True)
class Comparison:
    """What compare.json holds.

    Attributes:
        folder: Where it lies.
        outcomes: One an approach.
        verdict: What was recommended.
        metric: What it was decided by.
        n: Examples of the test split.
        split_hash: Of the split.
    """

    folder: Path
    outcomes: tuple[Outcome, ...]
    verdict: Verdict
    metric: str
    n: int
    split_hash: str


def read_comparison(folder: Path) -> Comparison:
    """Reads the folder of a ``kft compare``.

    Raises:
        RunError: There is none.
    """
    try:
        document = json.loads((folder / "compare.json").read_text(encoding="utf-8"))
        spec = load_recipe(folder / "recipe.yaml").spec
        outcomes = tuple(_outcome(each) for each in document["approaches"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RunError(
            "this is not the folder of a comparison",
            where=str(folder),
            received=f"{type(error).__name__}: {error}",
            expected="compare.json and recipe.yaml, as kft compare writes them",
            next_step="kft compare RECIPE prints its folder",
        ) from error
    metric = deciding_metric(spec)
    tried = [each for each in outcomes if each.valid is not None]
    sign = 1 if metric.higher_is_better else -1
    # The first of several, as in ``decide``.
    best = max(tried, key=lambda each: sign * (each.valid or {})[metric.name].value).name if tried else ""
    verdict = Verdict(**document["verdict"], best=best)
    return Comparison(folder, outcomes, verdict, metric.name, document["n"], document["split_hash"])


def _outcome(entry: Mapping[str, Any]) -> Outcome:
    return Outcome(
        name=entry["name"],
        skipped=entry["skipped"] or "",
        metrics=_estimates(entry["metrics"]),
        valid=_estimates(entry["valid"]),
        paired=_estimates(entry["paired"]),
        cost=None if entry["cost"] is None else Cost(**entry["cost"]),
        risk=None if entry["risk"] is None else _risk(entry["risk"]),
        chosen=entry["chosen"],
    )


def _estimates(values: Mapping[str, Mapping[str, float]] | None) -> dict[str, Estimate] | None:
    return None if values is None else {name: Estimate(**value) for name, value in values.items()}


def _risk(values: Mapping[str, Any]) -> Risk:
    read: dict[str, Any] = {
        name: Estimate(**found) if isinstance(found, Mapping) else found for name, found in values.items()
    }
    return Risk(**read)
