"""Objective ``contrastive``: vectors of one class draw together, those of others part, within a batch.

Supervised contrastive learning (Khosla et al., 2020, the loss with the sum outside the logarithm). It says nothing of
answers, so the head is solved on the vectors of all training examples after each epoch, as a probe would be: what the
validation split then judges is the very model that a probe on these vectors gives.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import tensorflow as tf

from kft.errors import RecipeError, TrainingError
from kft.features.boundary import Forward, SplitModel
from kft.features.inference import make_inference, run_in_batches
from kft.feed.batches import stratified_plan
from kft.feed.source import DenseColumn, Source
from kft.model.heads import LOGITS, vectors_alone
from kft.recipe.schema import RecipeSpec
from kft.recipe.training import PhaseSpec
from kft.replicas import across_replicas
from kft.train.best import Validated
from kft.train.events import Events, RowsAlone
from kft.train.frozen import solve_head
from kft.train.job import Job, Labelled, TrainData
from kft.train.judging import judge

FAR = -1e9
"""Stands for the similarity of a row that does not count."""


@dataclass(frozen=True)
class Contrast:
    """The loss over the rows of a batch, wherever they are: on one replica or on many.

    Attributes:
        temperature: What similarities are divided by.
    """

    temperature: float
    target_shape: tuple[int | None, ...] = ()
    target_dtype: str = "int32"

    def sums(self, targets: Any, outputs: Any, mask: Any, weights: Any) -> tuple[Any, Any, Any]:
        """Sums the losses of a replica's own rows against the rows of all replicas.

        Args:
            targets: ``int32[rows]``.
            outputs: ``float32[rows, width]``: vectors of any length.
            mask: ``float32[rows]``: 0 is padding.
            weights: ``float32[rows]``: of each row's loss.

        Returns:
            Loss, rows whose nearest other row is of their class, and rows that have another of their class; one without
            has no loss, but counts as another class's opposite.
        """
        own = tf.math.l2_normalize(tf.cast(outputs, tf.float32), axis=1)
        everyone, real = across_replicas(own), across_replicas(mask) > 0
        classes = tf.cast(across_replicas(tf.cast(targets, tf.float32)), targets.dtype)
        replica = tf.distribute.get_replica_context().replica_id_in_sync_group
        rows = tf.shape(own)[0]
        here = replica * rows + tf.range(rows)
        other = real[tf.newaxis] & (tf.range(tf.shape(everyone)[0])[tf.newaxis] != here[:, tf.newaxis])
        similar = tf.where(other, tf.matmul(own, everyone, transpose_b=True) / self.temperature, FAR)
        alike = tf.cast(other & (classes[tf.newaxis] == targets[:, tf.newaxis]), tf.float32)
        partners = tf.reduce_sum(alike, axis=1)
        has = mask * tf.cast(partners > 0, tf.float32)
        surprise = tf.reduce_logsumexp(similar, axis=1, keepdims=True) - similar
        losses = tf.reduce_sum(alike * surprise, axis=1) / tf.maximum(partners, 1)
        nearest = tf.gather(classes, tf.argmax(similar, axis=1))
        hits = tf.cast(nearest == targets, tf.float32) * has
        return tf.reduce_sum(losses * weights * has), tf.reduce_sum(hits), tf.reduce_sum(has)


def with_names(data: TrainData, phase: PhaseSpec) -> TrainData:
    """Returns the data with each class's name as one more training example, where the phase asks for that.

    Raises:
        RecipeError: The names are no words.
    """
    if not phase.objective.names:
        return data
    train, labels = data.train, data.space.labels
    if data.names is None:
        raise RecipeError(
            "the names of these classes cannot be examples: they are no words",
            where=f"phase {phase.name}, objective.names",
            received=", ".join(labels[:5]),
            expected="names such as card_arrival",
            next_step="objective: contrastive, without names",
        )
    joined = Labelled(
        train.source.joined(data.names),
        np.concatenate([train.targets, data.kind.learning.targets(labels, data.space, None)]),
        np.concatenate([train.truth, data.kind.judging.truth(labels, data.space)]),
        shares=None if train.shares is None else np.concatenate([train.shares, np.eye(len(labels), dtype=np.float32)]),
    )
    weights = np.concatenate([data.weights, np.ones(len(labels), np.float32)])
    return replace(data, train=joined, weights=weights)


def vectors_of(split: SplitModel) -> SplitModel:
    """Returns a split model whose outputs are what the head's last layer reads."""
    return replace(split, back=vectors_alone(split.back))


def deal(data: TrainData, phase: PhaseSpec, spec: RecipeSpec) -> Callable[[int], np.ndarray]:
    """Returns what gives the rows of an epoch: several examples of each class that a batch has.

    Raises:
        TrainingError: No class has two examples, so that nothing can be drawn together.
    """
    asked, classes = phase.objective, len(data.space.labels)
    names = classes if asked.names else 0
    targets = data.train.targets[: len(data.train.targets) - names]
    if not names and np.bincount(targets).max() < 2:
        raise TrainingError(
            "no class has two examples, so that nothing can be drawn together",
            where=f"phase {phase.name}, objective: contrastive",
            received=f"{len(targets):,} examples of {classes:,} classes",
            expected="two examples of a class, or the names of the classes beside them",
            next_step="objective: {name: contrastive, names: true}",
        )
    size = spec.train.batch_size

    def rows(epoch: int) -> np.ndarray:
        how = {"batch_size": size, "per_class": asked.per_class, "names": names}
        return stratified_plan(spec.seed, epoch, targets, **how)

    return rows


def say_alone(data: TrainData) -> Events[None]:
    """Says how many examples have no other of their class."""
    alone = int((np.bincount(data.train.targets) == 1).sum())
    if alone:
        yield RowsAlone(alone, len(data.train.targets))


def solve_and_score(
    job: Job, phase: PhaseSpec, forward: Forward, sources: tuple[Source, Source], compiled: bool
) -> Callable[[], Events[Validated]]:
    """Returns what solves the head on the vectors of now, sets it, and scores the validation split with it."""
    inference = make_inference(forward, job.train.batch_size, compiled=compiled)

    def judge_now() -> Events[Validated]:
        found = [np.asarray(run_in_batches(inference, source)[0]) for source in sources]
        train, valid = (
            source.with_columns({"vectors": DenseColumn(vectors)})
            for source, vectors in zip(sources, found, strict=True)
        )
        yield from solve_head(job, phase, train, valid)
        head: Any = job.model.get_layer(LOGITS)
        return judge(found[1] @ head.kernel.numpy() + head.bias.numpy(), job.data)

    return judge_now
