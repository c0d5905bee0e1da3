"""Objective ``pairs``: a query's vector draws near to its document's, and away from those of all others in the batch.

InfoNCE with in-batch negatives (van den Oord et al., 2018; Henderson et al., 2017), over the rows of all replicas. A
batch holds the queries of its pairs, then their documents, then documents that do not answer them; it says nothing of
a document that answers the query too, and a document that stands there twice counts once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from kft.features.boundary import Forward
from kft.features.inference import make_inference, run_in_batches
from kft.features.pair_head import STRENGTHS, PairVectors, solve_pairs
from kft.features.vectors import as_array
from kft.feed.batches import plan
from kft.feed.source import Source
from kft.metrics.neighbours import unit_rows
from kft.recipe.schema import RecipeSpec
from kft.recipe.training import PhaseSpec
from kft.records.history import ProbeSolved
from kft.replicas import across_replicas
from kft.train.answers import OUTPUTS
from kft.train.best import Validated
from kft.train.contrast import FAR
from kft.train.events import Events
from kft.train.frozen import column_of, set_head
from kft.train.job import Job, TrainData
from kft.train.paired_rows import ANSWERS, KEY, SIDE, PairedRows, judge_valid


@dataclass(frozen=True)
class InBatch:
    """The loss over the rows of a batch, wherever they are: on one replica or on many.

    Attributes:
        temperature: What cosines are divided by.
        widths: Vectors cut to their first so many numbers, of which the loss is the mean; none: whole vectors.
        columns: Of a row's target.
    """

    temperature: float
    widths: tuple[int, ...]
    columns: int
    target_dtype: str = "int32"

    @property
    def target_shape(self) -> tuple[int | None, ...]:
        """Side, document, and all that answer a query; see ``kft.train.paired_rows``."""
        return (self.columns,)

    def sums(self, targets: Any, outputs: Any, mask: Any, weights: Any) -> tuple[Any, Any, Any]:
        """Sums the losses of a replica's own queries against the documents of all replicas.

        Args:
            targets: ``int32[rows, columns]``.
            outputs: ``float32[rows, width]``.
            mask: ``float32[rows]``: 0 is padding.
            weights: ``float32[rows]``: of each row's loss.

        Returns:
            Loss, queries whose own document is the nearest of the batch, and queries.
        """
        own = tf.cast(outputs, tf.float32)
        everyone, real = across_replicas(own), across_replicas(mask) > 0
        keys = tf.cast(across_replicas(tf.cast(targets[:, : KEY + 1], tf.float32)), targets.dtype)
        document = real & (keys[:, SIDE] == 1)
        twice = (keys[:, KEY][:, tf.newaxis] == keys[:, KEY][tf.newaxis]) & document[:, tf.newaxis]
        before = tf.linalg.band_part(tf.ones_like(twice, tf.int32), 0, -1) - tf.eye(tf.shape(keys)[0], dtype=tf.int32)
        counts = document & ~tf.reduce_any(twice & (before > 0), axis=0)
        mine = counts[tf.newaxis] & (targets[:, KEY, tf.newaxis] == keys[:, KEY][tf.newaxis])
        answers = tf.reduce_any(targets[:, ANSWERS:, tf.newaxis] == keys[:, KEY][tf.newaxis, tf.newaxis], axis=1)
        held = mine | (counts[tf.newaxis] & ~answers)
        has = mask * tf.cast(targets[:, SIDE] == 0, tf.float32)
        losses = tf.zeros_like(has)
        similar = tf.zeros_like(held, tf.float32)
        for width in self.widths or (own.shape[-1],):
            near, far = own[:, :width], everyone[:, :width]
            if self.widths:  # the whole is of length one already
                near, far = (tf.math.l2_normalize(part, axis=1) for part in (near, far))
            similar = tf.where(held, tf.matmul(near, far, transpose_b=True) / self.temperature, FAR)
            right = tf.reduce_sum(tf.where(mine, similar, 0.0), axis=1)
            losses += tf.reduce_logsumexp(similar, axis=1) - right
        losses /= max(1, len(self.widths))
        first = tf.gather(keys[:, KEY], tf.argmax(similar, axis=1)) == targets[:, KEY]
        hits = tf.cast(first, tf.float32) * has
        # A row that is no query has a loss of its own that nobody wants: it is left out, not multiplied by 0.
        losses = tf.where(has > 0, losses, 0.0)
        return tf.reduce_sum(losses * weights), tf.reduce_sum(hits), tf.reduce_sum(has)


def minimised(data: TrainData) -> InBatch:
    """Returns what the steps minimise."""
    rows = rows_of(data)
    return InBatch(rows.spec.temperature, rows.spec.widths, rows.targets.shape[1])


def rows_of(data: TrainData) -> PairedRows:
    """Returns which rows are queries and which are documents."""
    assert data.pairs is not None  # what reads the data has paired them
    return data.pairs


def deal(data: TrainData, phase: PhaseSpec, spec: RecipeSpec) -> Callable[[int], np.ndarray]:
    """Returns what gives the rows of an epoch: each pair once, with documents that do not answer it."""
    rows, size = rows_of(data), spec.train.batch_size
    fitting, count = size // rows.texts_a_pair, len(rows.documents)
    lengths = data.train.source.lengths
    together = lengths[:count] + lengths[rows.documents]

    def of_epoch(epoch: int) -> np.ndarray:
        pairs = plan(spec.seed, epoch, together, batch_size=fitting)
        real, place = pairs >= 0, np.maximum(pairs, 0)
        apart = np.moveaxis(rows.negatives[place], -1, 0)
        parts = [np.where(real, part, -1) for part in (pairs, rows.documents[place], *apart)]
        found = np.concatenate(parts, axis=1)
        return np.pad(found, ((0, 0), (0, size - found.shape[1])), constant_values=-1)

    return of_epoch


def judge(
    job: Job, phase: PhaseSpec, forward: Forward, sources: tuple[Source, Source], compiled: bool
) -> Callable[[], Events[Validated]]:
    """Returns what ranks candidates for the queries of valid."""
    inference = make_inference(forward, job.train.batch_size, compiled=compiled)

    def judge_now() -> Events[Validated]:
        yield from ()
        (vectors,) = run_in_batches(inference, sources[1])
        return validated(np.asarray(vectors), job.data)

    return judge_now


def validated(vectors: np.ndarray, data: TrainData) -> Validated:
    """Returns what vectors of valid's queries and candidates come to; what is kept of them is the ranks."""
    counts, found, loss = judge_valid(vectors, rows_of(data))
    metrics = {f"valid_{name}": metric.value(counts, found) for name, metric in data.kind.judging.metrics.items()}
    return Validated({"valid_loss": loss, **metrics}, {OUTPUTS: found})


def solve(job: Job, phase: PhaseSpec, train: Source, valid: Source) -> Events[float]:
    """Solves the head on stored vectors, sets it, and returns the strength that valid chose; 0 is the identity."""
    data, rows = job.data, rows_of(job.data)
    known, asked = (as_array(column_of(source), len(source)) for source in (train, valid))
    count = len(rows.documents)
    keys = rows.targets[count:, KEY]
    answers = [np.searchsorted(keys, np.intersect1d(each[each >= 0], keys)) for each in rows.targets[:count, ANSWERS:]]
    vectors = PairVectors(known[:count], known[count:], rows.documents - count, answers)
    chosen_by, sign = job.train.best or "valid_loss", data.kind.judging.sign(job.train.best or "valid_loss")

    def score(kernel: np.ndarray, bias: np.ndarray) -> float:
        return sign * validated(unit_rows(asked @ kernel + bias), data).metrics[chosen_by]

    with job.watch.task("head, L-BFGS", len(STRENGTHS)) as tick:
        head = solve_pairs(vectors, rows.spec.temperature, rows.spec.widths, score, tick)
    set_head(job, head.kernel, head.bias)
    yield ProbeSolved(phase.name, head.strength, head.tried)
    return head.strength
