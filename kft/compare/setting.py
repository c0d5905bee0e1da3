"""What every approach is given: one recipe, one split, the frozen backbone's vectors, computed once for all."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from kft.data.examples import Examples
from kft.forgetting.meter import Meter
from kft.forgetting.retain import RetainSet, find_retain
from kft.forgetting.retention import retain_vectors
from kft.metrics.metric import Metric
from kft.recipe.schema import FeaturesSpec, RecipeSpec
from kft.records.estimate import Estimate
from kft.split.data_split import Selection, labels_of
from kft.tasks.registry import TASKS
from kft.tasks.task import Task

if TYPE_CHECKING:
    import keras

    from kft.answer.artifact import Artifact
    from kft.model.backbones import Backbone
    from kft.model.encode import Encoded, Reader
    from kft.train.progress import Progress

SAMPLE_ROWS = 1000
"""Training rows that the overfitting gap is measured on: enough for a gap of a few points, and soon done."""
SPEED_ROWS = 256
"""Valid rows that the speed of answering is measured on."""


def deciding_metric(spec: RecipeSpec) -> Metric:
    """Returns what a comparison is decided by: what the recipe's runs are chosen by, ``train.best``."""
    assert spec.train.best is not None  # loading a recipe fills it in
    name = spec.train.best.removeprefix("valid_")
    return TASKS.get(spec.task).kind.judging.metrics["log_loss" if name == "loss" else name]


@dataclass(frozen=True)
class Setting:
    """The data of a comparison and what is computed once for all approaches.

    Attributes:
        spec: The recipe; its phases play no part.
        split: Its data; the test split is not among them.
        progress: Told what is done.
    """

    spec: RecipeSpec
    split: Selection
    progress: Progress = field(repr=False)
    _known: dict[int, np.ndarray] = field(default_factory=dict, repr=False)
    _clock: dict[str, float] = field(default_factory=dict, repr=False)

    @property
    def task(self) -> Task:
        return TASKS.get(self.spec.task)

    @property
    def classes(self) -> int:
        return len(self.split.labels)

    @property
    def rows_per_class(self) -> float:
        return len(self.split.train) / self.classes

    @property
    def metric(self) -> Metric:
        return deciding_metric(self.spec)

    @property
    def lower_is_better(self) -> bool:
        return not self.metric.higher_is_better

    def targets(self, examples: Examples) -> np.ndarray:
        """Returns ``int[n]``: the class of each example."""
        return np.asarray(self.task.kind.judging.truth(list(labels_of(examples)), self.split.space))

    @cached_property
    def train_sample(self) -> Examples:
        """At most 1,000 training examples, drawn by the recipe's seed."""
        rows = len(self.split.train)
        drawn = np.random.default_rng(self.spec.seed).permutation(rows)[:SAMPLE_ROWS]
        return self.split.train.take(np.sort(drawn))

    @cached_property
    def backbone(self) -> Backbone:
        """Pretrained and frozen, whatever ``model.weights`` says; approaches that tune load their own."""
        from kft.model.backbones import load_for

        model = self.spec.model.model_copy(update={"weights": "pretrained"})
        return load_for(self.spec.model_copy(update={"model": model}), self.progress.note)

    @cached_property
    def reader(self) -> Reader:
        from kft.model.encode import make_reader

        return make_reader(self.task, self.backbone, self.spec.model)

    @cached_property
    def model(self) -> keras.Model:
        """The backbone with a new head: for counting and timing, never trained."""
        from kft.model.build import build_for

        spec = self.spec.model_copy(update={"train": self.spec.train.model_copy(update={"phases": None})})
        return build_for(spec, self.task, self.split.space, self.backbone)

    @cached_property
    def vectors(self) -> dict[str, np.ndarray]:
        """``float32[n, width]`` of train and of valid: pooled, from the store that training shares."""
        started = time.perf_counter()
        parts = {"train": self.split.train, "valid": self.split.valid}
        read = {name: self._read(part.inputs) for name, part in parts.items()}
        found = self._pooled(read, self.spec.features)
        self._clock["frozen"] = time.perf_counter() - started
        rows = sum(len(part) for part in parts.values())
        self.progress.note(
            f"frozen     {rows:,} examples through the frozen backbone, or from the store: "
            f"{self.frozen_seconds:,.1f} s, once for all approaches"
        )
        return found

    @property
    def frozen_seconds(self) -> float:
        """Wall seconds that the vectors of train and valid took; 0 where nobody has asked for them."""
        return self._clock.get("frozen", 0.0)

    def prepare(self) -> None:
        """Computes what all approaches on the pretrained backbone read.

        Raises:
            ModelError: A text has more tokens than the backbone has positions.
            DataError: An image cannot be decoded.
            StorageError: The disk is full or cannot be written.
        """
        self.vectors  # noqa: B018

    def vectors_of(self, examples: Examples) -> np.ndarray:
        """Returns ``float32[n, width]`` of a part of the split, computed once."""
        if id(examples) not in self._known:  # a part of the split lives as long as the setting
            known = {id(self.split.train): "train", id(self.split.valid): "valid"}.get(id(examples))
            self._known[id(examples)] = (
                self.vectors[known]
                if known
                else self._pooled({"these": self._read(examples.inputs)}, self.spec.features)["these"]
            )
        return self._known[id(examples)]

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        """Returns ``float32[n, width]`` of texts that are no data, kept nowhere."""
        return self._pooled({"these": self._read(texts)}, FeaturesSpec(store="off"))["these"]

    def _read(self, inputs: Sequence[Any]) -> Encoded:
        from kft.train.prepare import require_positions

        found = self.reader.read(inputs, keep=True)
        if not self.task.reads.files:
            require_positions(found.source.lengths, self.backbone)
        return found

    def _pooled(self, read: dict[str, Encoded], features: FeaturesSpec) -> dict[str, np.ndarray]:
        from kft.features.vectors import pooled_vectors

        sources = {name: encoded.source for name, encoded in read.items()}
        with self.progress.task("frozen blocks, once", sum(map(len, sources.values()))) as tick:
            return pooled_vectors(self.backbone, sources, self.spec.model, features, tick=tick)

    @cached_property
    def retain(self) -> tuple[RetainSet | None, str]:
        """What a tuned backbone must not forget, or why there is no such set.

        Raises:
            DataError: The recipe names one that cannot be used.
        """
        return find_retain(self.spec)

    @cached_property
    def meter(self) -> tuple[Meter | None, str]:
        """What measures tuned backbones against the pretrained one, or why nothing can."""
        retain, why = self.retain
        if retain is None:
            return None, why
        meter = Meter(retain_vectors(self.backbone, retain, self.spec), retain.topics)
        return (None, meter.why_not) if meter.why_not else (meter, "")

    def measure_forgetting(self, tuned: Backbone) -> tuple[Estimate | None, str]:
        """Returns the share of the pretrained backbone's ability that a tuned one retains, or why it is not known."""
        (retain, _), (meter, why) = self.retain, self.meter
        if retain is None or meter is None:
            return None, why
        return meter.measure(retain_vectors(tuned, retain, self.spec), "tuned").retained, ""

    def artifact(self, model: keras.Model) -> Artifact:
        from kft.answer.artifact import Artifact

        return Artifact(model, self.reader, self.task.kind, self.split.space, self.spec)

    @property
    def speed_inputs(self) -> list[Any]:
        return self.split.valid.inputs[:SPEED_ROWS]

    @cached_property
    def seconds_per_vector(self) -> float:
        """Wall seconds for one example from raw input to the backbone's vector, in batches, nothing stored."""
        artifact = self.artifact(self.model)
        return seconds_of(lambda: artifact.answers(self.speed_inputs)) / len(self.speed_inputs)

    @cached_property
    def backbone_bytes(self) -> int:
        return sum(int(np.prod(weight.shape)) * 4 for weight in self.backbone.model.weights)

    def estimated_minutes(self, *, epochs: int, passes: int) -> float:
        """Returns roughly how long training all blocks takes, by size alone; no clock plays a part.

        ``passes * 2`` floating-point operations for each multiplication of ``multiply_adds``, row and epoch, at 2e10 a
        second and CPU core or 1e13 on an accelerator.

        Args:
            epochs: Over the training split.
            passes: 3 where all weights train (forwards; backwards to inputs, and to weights), 2 where few do.
        """
        import tensorflow as tf

        from kft.model.work import multiply_adds

        tokens = 1
        if not self.task.reads.files:
            sample = self.reader.read(self.train_sample.inputs).source
            tokens = int(np.mean(sample.lengths)) + 1
        fast = tf.config.list_logical_devices("GPU") + tf.config.list_logical_devices("TPU")
        rate = 1e13 * len(fast) if fast else 2e10 * len(os.sched_getaffinity(0))
        work = multiply_adds(self.model, tokens)
        return 2 * passes * work * len(self.split.train) * epochs / rate / 60


def seconds_of(work: Any) -> float:
    """Returns the wall seconds of doing something for the second time, when all is traced and loaded."""
    work()
    started = time.perf_counter()
    work()
    return max(time.perf_counter() - started, 1e-9)
