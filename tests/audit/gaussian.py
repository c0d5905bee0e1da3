"""Audit views of synthetic features: one Gaussian cloud a class."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from kft.audit.view import AuditView
from kft.data.examples import Columns, Examples
from kft.features.folds import out_of_fold
from kft.recipe.schema import RecipeSpec
from kft.split.assign import SPLITS
from kft.split.data_split import DataSplit
from kft.tasks.registry import TASKS

SIZES = {"train": 600, "valid": 120, "test": 200}


def clouds(rows, *, classes=4, width=16, apart=2.0, seed=0):
    """Returns features ``float32[rows, width]`` and targets ``int[rows]``; the centres are always the same."""
    centres = np.random.default_rng(99).normal(0, 1, (classes, width))
    rng = np.random.default_rng(seed)
    targets = rng.integers(0, classes, rows)
    features = apart * centres[targets] + rng.normal(0, 1, (rows, width))
    return (features + 3).astype(np.float32), targets  # all in one cone, as those of a backbone


def make_view(parts=None, *, classes=4, groups=None, task="text-classification"):
    """Returns a view of (features, targets) by split, out-of-fold answers included."""
    parts = parts or {name: clouds(SIZES[name], seed=place) for place, name in enumerate(SPLITS)}
    examples = {
        name: Examples(
            ids=np.array([f"{name}:{row}" for row in range(len(targets))]),
            inputs=[f"text {row}" for row in range(len(targets))],
            labels=np.array([f"class {target}" for target in targets], dtype=object),
            groups=None if groups is None else groups[name],
        )
        for name, (_, targets) in parts.items()
    }
    chosen = TASKS.get(task)
    split = DataSplit(
        **examples,
        kind=chosen.kind,
        space=chosen.kind.labels.space([f"class {number}" for number in range(classes)]),
        rejected=(),
        columns=Columns("text", "label"),
        split_hash="",
        data_hash="",
        how="",
    )
    spec = RecipeSpec.model_validate({"task": task, "data": {"train": "table.csv"}})
    view = AuditView(split, chosen, spec, {}, {name: features for name, (features, _) in parts.items()})
    found = out_of_fold(view.known_features, view.targets, classes, view.known.groups)
    return replace(view, out_of_fold=found.probabilities, strength=found.strength)
