"""What every approach is given: one recipe, one split, the frozen backbone's vectors, computed once for all."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from kft.compare.solution import as_answers
from kft.data.examples import Examples
from kft.errors import RecipeError
from kft.features.folds import FOLDS, whole_in_folds
from kft.features.views.blend import Folding
from kft.features.views.view import Goal, Lesson, ViewInput
from kft.forgetting.meter import Meter
from kft.forgetting.retain import RetainSet, find_retain
from kft.forgetting.retention import pretrained_vectors, retain_vectors
from kft.metrics.metric import Metric
from kft.recipe.schema import FeaturesSpec, RecipeSpec
from kft.records.estimate import Estimate
from kft.split.data_split import Selection, labels_of
from kft.split.labels import learned_targets
from kft.tasks.label_names import describe_label, why_no_names
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


def refuse_soft_loss(spec: RecipeSpec, split: Selection) -> None:
    """Refuses to weigh approaches by the loss where labels are soft: they are weighed by metrics of one class alone.

    Raises:
        RecipeError: It is asked for.
    """
    soft = any(part.shares is not None for part in (split.train, split.valid))
    if soft and spec.train.best == "valid_loss":
        raise RecipeError(
            "soft labels are not compared by the loss: approaches are weighed by metrics of one class",
            where="train.best",
            received="valid_loss, which compares with the shares of soft labels",
            expected="a metric of the class with the largest share; all approaches learn the shares all the same",
            next_step="--set train.best=valid_accuracy",
        )


@dataclass(frozen=True)
class Setting:
    """The data of a comparison and what is computed once for all approaches.

    Attributes:
        spec: The recipe; its phases play no part.
        split: Its data; the test split is not among them.
        progress: Told what is done.
        test_rows: How many inputs will be answered at the end: for what that costs, and nothing else of them.
    """

    spec: RecipeSpec
    split: Selection
    progress: Progress = field(repr=False)
    test_rows: int = 0
    _seen: dict[int, ViewInput] = field(default_factory=dict, repr=False)
    _clock: dict[str, float] = field(default_factory=dict, repr=False)

    @property
    def task(self) -> Task:
        return TASKS.get(self.spec.task)

    @property
    def goal(self) -> Goal:
        """What is answered, as it is learned."""
        learning = self.task.kind.learning
        return Goal(learning.solver, learning.units(self.split.space))

    @property
    def per_token(self) -> bool:
        """Whether the words of a text are answered one by one."""
        return self.task.kind.learning.per_token

    @property
    def rows_per_class(self) -> float:
        """Training rows a class or label; of numbers, all of them."""
        return len(self.split.train) / max(1, len(self.split.labels))

    @property
    def metric(self) -> Metric:
        return deciding_metric(self.spec)

    @property
    def lower_is_better(self) -> bool:
        return not self.metric.higher_is_better

    def truth(self, examples: Examples) -> Any:
        """Returns what the metrics compare answers to a part of the split with."""
        return self.task.kind.judging.truth(list(labels_of(examples)), self.split.space)

    def targets(self, examples: Examples) -> np.ndarray:
        """Returns ``int[n]`` of classes, or their shares; else ``float32[n, units]``: as a head learns them."""
        return learned_targets(examples, self.task.kind, self.split.space)

    def answers_of(self, outputs: np.ndarray) -> np.ndarray:
        """Returns what the metrics judge: probabilities, or numbers in the labels' units.

        Args:
            outputs: ``float[n, units]``: logits or standardised numbers.
        """
        return as_answers(self.task.kind.judging.answers(outputs, self.split.space, None))

    @cached_property
    def known(self) -> Examples:
        """All that may be learned from and chosen by: train, then valid."""
        return Examples.concatenate([self.split.train, self.split.valid])

    @cached_property
    def learned(self) -> tuple[np.ndarray, np.ndarray]:
        """Targets of ``known``, and ``float32[n]``, how much each counts: its class as in train."""
        from kft.train.weights import class_weights, weigh

        of_class = class_weights(self.spec.train, self.targets(self.split.train), len(self.split.labels))
        return weigh(self.targets(self.known), of_class)

    @cached_property
    def judged(self) -> OutOfFoldRows:
        """Which of ``known`` are answered out of fold, and by which folds.

        Raises:
            DataError: All of them hang together.
        """
        known = self.known
        # Words are judged by text: what looks alike as a whole plays no part, in training either.
        alike = self.spec.data.keep_together == "similar" and not self.per_token
        strata = self.task.kind.labels.strata(list(labels_of(known)))
        groups, said = whole_in_folds(known, strata, alike, lambda inputs: self.lesson.seen.vectors)
        is_valid = np.arange(len(known)) >= len(self.split.train)
        folding = Folding(np.unique(strata, return_inverse=True)[1], groups, self.spec.seed, is_valid)
        rows = folding.rows()
        self.progress.note(f"folds      {len(rows):,} examples of train and valid in {FOLDS}, groups whole{said}")
        return OutOfFoldRows(rows, folding.deal(rows), np.flatnonzero(is_valid[rows]), folding)

    @cached_property
    def judged_examples(self) -> Examples:
        """Those of ``known`` that are answered out of fold."""
        return self.known.take(self.judged.rows)

    @cached_property
    def judged_truth(self) -> Any:
        """What the metrics compare their answers with."""
        return self.truth(self.judged_examples)

    @cached_property
    def lesson(self) -> Lesson:
        """``known`` as views learn it, from the frozen backbone; without the labels' names."""
        targets, counts = self.learned
        seen = self.seen_of(self.split.train).with_more(self.seen_of(self.split.valid))
        return Lesson(seen, targets, self.goal, weights=None if (counts == 1).all() else counts)

    @cached_property
    def names(self) -> ViewInput | None:
        """The labels' names as the frozen backbone reads them; None where they say nothing."""
        labels = self.split.labels
        if not labels or why_no_names(self.task, labels):
            return None
        return ViewInput(self.embed([describe_label(label) for label in labels]))

    @cached_property
    def train_sample(self) -> Examples:
        """At most 1,000 training examples, drawn by the recipe's seed."""
        rows = len(self.split.train)
        drawn = np.random.default_rng(self.spec.seed).permutation(rows)[:SAMPLE_ROWS]
        return self.split.train.take(np.sort(drawn))

    @cached_property
    def backbone(self) -> Backbone:
        """Pretrained and frozen, whatever ``model.weights`` says; approaches that tune load their own."""
        from kft.train.start import load_for

        model = self.spec.model.model_copy(update={"weights": "pretrained"})
        return load_for(self.spec.model_copy(update={"model": model}), self.progress.note)

    @cached_property
    def language_model(self) -> Backbone | None:
        """What is prompted: the decoder that ``compare.language_model`` names, or the backbone itself where it is one.

        Raises:
            ModelError: What is named is no decoder, or cannot be loaded.
        """
        from kft.compare.language_model import load_language_model

        return load_language_model(self)

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

    @property
    def frozen_seconds(self) -> float:
        """Wall seconds that the vectors of train and valid took; 0 where nobody has asked for them."""
        return self._clock.get("frozen", 0.0)

    def prepare(self) -> None:
        """Computes what all approaches on the pretrained backbone read: from the store that training shares.

        Raises:
            ModelError: A text has more tokens than the backbone has positions.
            DataError: An image cannot be decoded.
            StorageError: The disk is full or cannot be written.
        """
        parts = {"train": self.split.train, "valid": self.split.valid}
        if self.per_token:  # every approach trains, and finds the features of single tokens in the store
            return
        if all(id(part) in self._seen for part in parts.values()):
            return
        started = time.perf_counter()
        read = {name: self._read(part.inputs) for name, part in parts.items()}
        found = self._pooled(read, self.spec.features)
        for name, part in parts.items():
            self.remember(part, ViewInput(found[name], read[name].source.texts))
        self._clock["frozen"] = time.perf_counter() - started
        rows = sum(len(part) for part in parts.values())
        self.progress.note(
            f"frozen     {rows:,} examples through the frozen backbone, or from the store: "
            f"{self.frozen_seconds:,.1f} s, once for all approaches"
        )

    def remember(self, examples: Examples, seen: ViewInput) -> None:
        """Takes what the frozen backbone makes of a part of the split, computed elsewhere.

        Args:
            examples: The part itself, which lives as long as the setting.
            seen: What the backbone makes of it, in the same order.
        """
        self._seen[id(examples)] = seen

    def seen_of(self, examples: Examples) -> ViewInput:
        """Returns what the frozen backbone makes of a part of the split, computed once."""
        if id(examples) in (id(self.split.train), id(self.split.valid)):
            self.prepare()
        if id(examples) not in self._seen:
            read = self._read(examples.inputs)
            vectors = self._pooled({"these": read}, self.spec.features)["these"]
            self.remember(examples, ViewInput(vectors, read.source.texts))
        return self._seen[id(examples)]

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        """Returns ``float32[n, width]`` of texts that are no data, kept nowhere."""
        return self._pooled({"these": self._read(texts)}, FeaturesSpec(store="off"))["these"]

    def _read(self, inputs: Sequence[Any]) -> Encoded:
        from kft.train.lengths import require_positions

        found = self.reader.read(inputs, keep=True)
        if not self.task.reads.files:
            require_positions(found.source.pieces, self.backbone)
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
        meter = Meter(pretrained_vectors(self.backbone, retain, self.spec), retain.topics)
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
        return 4 * int(self.backbone.model.count_params())

    def estimated_minutes(self, *, epochs: int, passes: int) -> float:
        """Returns roughly how long training all blocks takes, by size alone; no clock plays a part.

        Args:
            epochs: Over the training split.
            passes: 3 where all weights train (forwards; backwards to inputs, and to weights), 2 where few do.
        """
        from kft.model.work import estimated_minutes, multiply_adds

        tokens = 1
        if not self.task.reads.files:
            sample = self.reader.read(self.train_sample.inputs).source
            tokens = int(np.mean(sample.lengths)) + 1
        return estimated_minutes(multiply_adds(self.model, tokens) * len(self.split.train) * epochs, passes)


@dataclass(frozen=True, eq=False)
class OutOfFoldRows:
    """What is answered out of fold.

    Attributes:
        rows: ``int[m]``: which of ``Setting.known``: all of them, or of very many a draw with all of valid.
        fold_of: ``int[m]``: the fold of each.
        valid: ``int[valid]``: the places in ``rows`` where valid's stand, in its own order.
        folding: How the folds were dealt.
    """

    rows: np.ndarray
    fold_of: np.ndarray
    valid: np.ndarray
    folding: Folding


def seconds_of(work: Any) -> float:
    """Returns the wall seconds of doing something for the second time, when all is traced and loaded."""
    work()
    started = time.perf_counter()
    work()
    return max(time.perf_counter() - started, 1e-9)
