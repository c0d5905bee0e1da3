"""Tuned approaches where responses are written: trained as `kft train` does, or a run that was trained before."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from kft.answer.artifact import Artifact
from kft.recipe.schema import RecipeSpec
from kft.recipe.training import ADAPTED, PhaseSpec
from kft.split.data_split import Selection
from kft.split.labels import read_with_labels
from kft.tasks.registry import TASKS

if TYPE_CHECKING:
    from kft.model.backbones import Backbone
    from kft.train.progress import Progress

DEFAULTS: dict[str, tuple[PhaseSpec, ...]] = {
    "lora": ADAPTED,
    "top": (PhaseSpec.model_validate({"name": "top", "unfreeze": "top-2", "epochs": 2, "lr": 1e-4}),),
    "full": (PhaseSpec.model_validate({"name": "full", "unfreeze": "all", "epochs": 2, "lr": 5e-5}),),
}
"""What an approach does where the recipe's own phases are of another kind."""
SAMPLE = 200
"""Rows whose tokens say how long training takes."""


@dataclass(frozen=True)
class TunedWriter:
    """A tuned model.

    Attributes:
        artifact: Which writes.
        trained: Parameters that were trained.
        bytes: Of all its weights.
        chosen: How it was trained.
    """

    artifact: Artifact = field(repr=False)
    trained: int
    bytes: int
    chosen: Mapping[str, Any]


def kind_of(phases: tuple[PhaseSpec, ...] | None) -> str:
    """Returns which approach phases are: ``lora`` where nothing but adapters trains, ``full`` where all blocks do.

    Example:
        >>> kind_of(DEFAULTS["top"]), kind_of(None)
        ('top', 'lora')
    """
    rules = [phase.unfreeze for phase in phases or ADAPTED]
    if all(rule.lora is not None for rule in rules):
        return "lora"
    return "full" if any(rule.name == "all" for rule in rules) else "top"


def phases_for(spec: RecipeSpec, name: str) -> tuple[PhaseSpec, ...]:
    """Returns the recipe's phases where they are of the approach's kind, else its defaults."""
    own = spec.train.phases
    return own if own and kind_of(own) == name else DEFAULTS[name]


def too_long(spec: RecipeSpec, split: Selection, backbone: Backbone, name: str) -> float:
    """Returns roughly how many minutes training takes, by sizes alone."""
    from kft.model.encode import make_reader
    from kft.model.work import estimated_minutes, multiply_adds

    train = split.train.take(np.arange(min(SAMPLE, len(split.train))))
    reader = make_reader(TASKS.get(spec.task), backbone, spec.model)
    tokens = float(reader.read(read_with_labels(train, split.kind)).source.lengths.mean())
    epochs = sum(phase.epochs or 0 for phase in phases_for(spec, name))
    adds = multiply_adds(backbone.model, 1) * tokens * len(split.train) * epochs
    return estimated_minutes(adds, 3 if name == "full" else 2)


def tune(spec: RecipeSpec, split: Selection, name: str, progress: Progress, run: Artifact | None) -> TunedWriter:
    """Trains a fresh model as `kft train` does, in memory, and keeps its best epoch on valid.

    Args:
        spec: The recipe.
        split: Train and valid.
        name: ``lora``, ``top`` or ``full``.
        progress: Told what goes on.
        run: One that was trained before, which takes the place of training.
    """
    from kft import runtime
    from kft.model.encode import make_reader
    from kft.train.prepare import prepare
    from kft.train.recorder import Files
    from kft.train.run import fit
    from kft.train.start import load_for

    if run is not None:
        moved = [variable for variable in run.graph.weights if variable.trainable]
        own = sum(int(np.prod(each.shape)) for each in moved if each.path in run.weights) or _adapters(run)
        phases = [each.model_dump(mode="json", exclude_defaults=True) for each in phases_for(run.spec, name)]
        return TunedWriter(run, own, 4 * run.graph.count_params(), {"checkpoint": run.checkpoint, "phases": phases})
    train = spec.train.model_copy(
        update={"phases": phases_for(spec, name), "prefer": "best", "callbacks": (), "refit": False}
    )
    spec = spec.model_copy(update={"train": train})
    runtime.seed_everything(spec.seed)
    backbone, task = load_for(spec), TASKS.get(spec.task)
    prepared = prepare(spec, split, backbone, progress)
    fitted = fit(prepared, Files())
    last = fitted.phases[-1]
    artifact = Artifact(fitted.model, make_reader(task, backbone, spec.model), task.kind, split.space, spec, backbone)
    phases = [each.model_dump(mode="json", exclude_defaults=True) for each in prepared.phases]
    kept = next(each for each in fitted.phases if each.name == fitted.best_phase)
    return TunedWriter(artifact, last.trainable, 4 * last.parameters, {"phases": phases, "epoch": kept.best_epoch})


def _adapters(run: Artifact) -> int:
    """Counts the weights that adapters have."""
    from kft.model.freeze import ADAPTERS

    return sum(int(np.prod(each.shape)) for each in run.graph.weights if each.path.rsplit("/", 1)[-1] in ADAPTERS)
