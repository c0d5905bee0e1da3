"""What comparisons of vectors have in common: the backbone untuned, and what is trained on train in memory."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from kft.answer.artifact import Artifact
from kft.features.vectors import Pooled, pool
from kft.feed.source import Source
from kft.metrics.neighbours import unit_rows
from kft.model.encode import Reader, make_reader
from kft.model.work import estimated_minutes, multiply_adds
from kft.recipe.schema import RecipeSpec
from kft.recipe.training import PhaseSpec
from kft.split.data_split import DataSplit
from kft.tasks.registry import TASKS
from kft.tasks.task import Task
from kft.train import start as starting
from kft.train.progress import Progress

PHASES: dict[str, dict[str, Any]] = {
    "head": {"unfreeze": "none", "solver": "lbfgs"},
    "lora": {"unfreeze": {"lora": {}}, "epochs": 3, "lr": 5e-4},
    "top": {"unfreeze": "top-2", "epochs": 3, "lr": 1e-4},
    "full": {"unfreeze": "all", "epochs": 3, "lr": 5e-5},
}
LOOKS = 3
"""How often the speed of an approach is looked at."""
SAMPLE = 1000
"""Examples whose tokens say how long training takes."""


@dataclass(frozen=True)
class VectorSetting:
    """What the approaches are given.

    Attributes:
        spec: The recipe.
        split: Its data; what is right of test is read when all is chosen.
        progress: Told what goes on.
    """

    spec: RecipeSpec
    split: DataSplit
    progress: Progress

    @property
    def task(self) -> Task:
        return TASKS.get(self.spec.task)

    @property
    def reader(self) -> Reader:
        return make_reader(self.task, starting.load_for(self.spec), self.spec.model)

    def pooled(self, source: Source) -> Pooled:
        """Returns the frozen backbone's own vectors, from the store or into it."""
        return pool(starting.load_for(self.spec), {"all": source}, self.spec.model, self.spec.features)


@dataclass(frozen=True)
class TunedEncoder:
    """What was trained.

    Attributes:
        artifact: Answers with it.
        finish: From the frozen backbone's own vectors to those of the artifact; None where more than the head is tuned.
        trained: Parameters.
        parameters: Of the whole model.
        chosen: Phases and the epoch that was kept.
    """

    artifact: Artifact
    finish: Callable[[np.ndarray], np.ndarray] | None
    trained: int
    parameters: int
    chosen: Mapping[str, Any]


def untuned(given: VectorSetting) -> tuple[Artifact, int]:
    """Returns what answers with the backbone as it is, and its parameters."""
    from kft.model.build import build_for  # it brings TensorFlow, which is started quietly by now

    spec = given.spec.model_copy(update={"model": given.spec.model.without_learned_pooling})
    backbone, space = starting.load_for(spec), given.split.space
    graph = build_for(spec, given.task, space, backbone)
    artifact = Artifact(graph, make_reader(given.task, backbone, spec.model), given.task.kind, space, spec, backbone)
    return artifact, backbone.model.count_params()


def tune(given: VectorSetting, name: str) -> TunedEncoder:
    """Trains a fresh model as `kft train` does, in memory, and keeps its best epoch on valid."""
    from kft import runtime
    from kft.model.heads import LOGITS
    from kft.train.prepare import prepare
    from kft.train.recorder import Files
    from kft.train.run import fit

    phase = PhaseSpec.model_validate({"name": name, **PHASES[name]})
    train = given.spec.train.model_copy(update={"phases": (phase,), "prefer": "best", "callbacks": ()})
    spec = given.spec.model_copy(update={"train": train})
    runtime.seed_everything(spec.seed)
    backbone, selection = starting.load_for(spec), given.split.without_test()
    fitted = fit(prepare(spec, selection, backbone, given.progress), Files())
    reader = make_reader(given.task, backbone, spec.model)
    artifact = Artifact(fitted.model, reader, given.task.kind, selection.space, spec, backbone)
    (reached,) = fitted.phases
    finish = None
    if phase.solved:  # what lies below the head is frozen
        kernel, bias = (variable.numpy() for variable in fitted.model.get_layer(LOGITS).weights)

        def finish(vectors: np.ndarray) -> np.ndarray:
            return unit_rows(vectors @ kernel + bias)

    chosen = {"phases": [phase.model_dump(mode="json", exclude_defaults=True)], "epoch": reached.best_epoch}
    return TunedEncoder(artifact, finish, reached.trainable, reached.parameters, chosen)


def too_long(given: VectorSetting, budget: float, tokens: float, examples: int) -> dict[str, str]:
    """Returns why approaches are not tried, by name: what takes more minutes than the budget by its size.

    Args:
        given: The comparison.
        budget: Minutes that one approach may take.
        tokens: Of an example on average, all of its texts.
        examples: That an epoch learns from.
    """
    from kft.model.build import build_for  # it brings TensorFlow, which is started quietly by now

    model = build_for(given.spec, given.task, given.split.space, starting.load_for(given.spec))
    skipped = {}
    for name in ("lora", "full"):  # the top blocks are a small part of all, and never left out
        work = multiply_adds(model, tokens) * examples * PHASES[name]["epochs"]
        minutes = estimated_minutes(work, 2 if name == "lora" else 3)
        if minutes > budget:
            skipped[name] = f"about {minutes:,.0f} minutes by its size, more than --budget {budget:g}"
            given.progress.note(f"{name:<10} skipped: {skipped[name]}")
    return skipped


def speed(answer: Callable[[], Any], examples: int) -> float:
    """Returns examples a second: the best of several looks, since others who use the machine make none faster."""
    took = []
    for _ in range(1 + LOOKS):  # the first one traces the graph
        started = time.perf_counter()
        answer()
        took.append(time.perf_counter() - started)
    return examples / max(1e-9, min(took[1:]))
