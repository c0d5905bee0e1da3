"""Objective ``graded``: the cosines of pairs follow their scores, over the pairs of a batch, wherever they are.

A batch holds the first texts of its pairs and then their second texts. The loss is CoSENT (Su, 2022, as
sentence-transformers' CoSENTLoss has it) or the squared error of cosines; see kft/features/graded_head.py.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import tensorflow as tf

from kft.features.boundary import Forward
from kft.features.graded_head import mean_loss, solve_graded
from kft.features.inference import make_inference, run_in_batches
from kft.features.pair_head import STRENGTHS
from kft.features.vectors import as_array
from kft.feed.batches import plan
from kft.feed.source import Source
from kft.metrics.neighbours import unit_rows
from kft.recipe.pairs import GradedSpec
from kft.recipe.schema import RecipeSpec
from kft.recipe.training import PhaseSpec
from kft.records.history import ProbeSolved
from kft.replicas import across_replicas
from kft.tasks.similarity import cosines
from kft.tasks.task import AnswerSpace
from kft.train.best import Validated
from kft.train.contrast import FAR
from kft.train.events import Events
from kft.train.frozen import column_of, set_head
from kft.train.job import Job, TrainData
from kft.train.judging import judge as judge_outputs


@dataclass(frozen=True)
class Graded:
    """The loss over the pairs of a batch, on one replica or on many.

    Attributes:
        spec: Which loss.
        pairs: Of a batch: so many first texts, then as many second ones.
        space: The range of the scores.
    """

    spec: GradedSpec
    pairs: int
    space: AnswerSpace
    target_shape: tuple[int | None, ...] = (1,)
    target_dtype: str = "float32"

    def sums(self, targets: Any, outputs: Any, mask: Any, weights: Any) -> tuple[Any, Any, Any]:
        """Sums the loss of the global batch; each replica gives an equal share of it.

        Args:
            targets: ``float32[rows, 1]``: scores between 0 and 1.
            outputs: ``float32[rows, width]``, of length one.
            mask: ``float32[rows]``: 0 is padding.
            weights: Of rows; all the same here.

        Returns:
            The loss times the pairs, absolute errors in the scores' own units, and pairs.
        """
        every, real = across_replicas(tf.cast(outputs, tf.float32)), across_replicas(mask) > 0
        scores, there = across_replicas(targets)[: self.pairs, 0], real[: self.pairs]
        first, second = every[: self.pairs], every[self.pairs : 2 * self.pairs]
        alike = tf.where(there, tf.reduce_sum(first * second, axis=1), 0.0)
        counted = tf.cast(there, tf.float32)
        apart, count = tf.where(there, alike - scores, 0.0), tf.reduce_sum(counted)
        if self.spec.loss == "squared":
            loss = tf.reduce_sum(tf.square(apart))
        else:
            scaled = self.spec.scale * alike
            lower = (scores[:, tf.newaxis] < scores[tf.newaxis]) & there[:, tf.newaxis] & there[tf.newaxis]
            wrong = tf.where(lower, scaled[:, tf.newaxis] - scaled[tf.newaxis], FAR)
            loss = count * tf.reduce_logsumexp(tf.concat([[0.0], tf.reshape(wrong, [-1])], axis=0))
        replicas = tf.distribute.get_replica_context().num_replicas_in_sync
        return loss / replicas, tf.reduce_sum(tf.abs(apart)) * self.space.std / replicas, count / replicas


def deal(data: TrainData, phase: PhaseSpec, spec: RecipeSpec) -> Callable[[int], np.ndarray]:
    """Returns what gives the rows of an epoch: each pair once, its texts in one batch."""
    lengths, size = data.train.source.lengths, spec.train.batch_size
    pairs = len(lengths) // 2
    together = lengths[:pairs] + lengths[pairs:]

    def of_epoch(epoch: int) -> np.ndarray:
        firsts = plan(spec.seed, epoch, together, batch_size=size // 2)
        found = np.concatenate([firsts, np.where(firsts >= 0, firsts + pairs, -1)], axis=1)
        return np.pad(found, ((0, 0), (0, size - found.shape[1])), constant_values=-1)

    return of_epoch


def judge(
    job: Job, phase: PhaseSpec, forward: Forward, sources: tuple[Source, Source], compiled: bool
) -> Callable[[], Events[Validated]]:
    """Returns what compares the cosines of valid's pairs with their scores."""
    inference = make_inference(forward, job.train.batch_size, compiled=compiled)

    def judge_now() -> Events[Validated]:
        yield from ()
        (vectors,) = run_in_batches(inference, sources[1])
        return validated(np.asarray(vectors), job)

    return judge_now


def validated(vectors: np.ndarray, job: Job) -> Validated:
    """Returns what vectors of valid's texts come to; what is kept of them is the cosines."""
    alike = cosines(vectors)
    found = judge_outputs(alike, job.data)
    loss = mean_loss(alike[:, 0].astype(np.float64), _scores(job.data.valid.targets), job.train.graded)
    return replace(found, metrics={**found.metrics, "valid_loss": loss})


def solve(job: Job, phase: PhaseSpec, train: Source, valid: Source) -> Events[float]:
    """Solves the head on stored vectors, sets it, and returns the strength that valid chose; 0 is the identity."""
    known, asked = (as_array(column_of(source), len(source)) for source in (train, valid))
    first, second = np.split(known, 2)
    scores = _scores(job.data.train.targets)[: len(first)]
    chosen_by = job.train.best or "valid_loss"
    sign = job.data.kind.judging.sign(chosen_by)

    def score(kernel: np.ndarray, bias: np.ndarray) -> float:
        return sign * validated(unit_rows(asked @ kernel + bias), job).metrics[chosen_by]

    with job.watch.task("head, L-BFGS", len(STRENGTHS)) as tick:
        head = solve_graded(first, second, scores, job.train.graded, score, tick)
    set_head(job, head.kernel, head.bias)
    yield ProbeSolved(phase.name, head.strength, head.tried)
    return head.strength


def _scores(targets: np.ndarray) -> np.ndarray:
    return np.asarray(targets, np.float64)[:, 0]
