"""A phase that learns from rows without labels as well: those that the run itself is sure enough of.

What has been kept until then labels them (Lee, 2013), and only where its confidence reaches a limit. The limit is the
lowest at which rows that it has not learned from, of known labels, are right as often as the phase asks. So the labels
come from what has not learned from valid: a blend, which has, is fitted again on train alone. Else valid, by which the
phase is judged, would have had a part in what it learns.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import keras
import numpy as np

from kft.features.boundary import fast_forward_of, split_at_boundary
from kft.features.inference import make_inference, run_in_batches
from kft.feed.batches import Ragged
from kft.feed.source import ChosenColumn, Column, JoinedColumn, Source
from kft.model.freeze import as_if, what_trains
from kft.recipe.training import PhaseSpec
from kft.records.history import RowsLabelled
from kft.tasks.decode import softmax
from kft.train.answers import OUTPUTS
from kft.train.blending import blend_of_train
from kft.train.checkpoint import restore
from kft.train.events import Events
from kft.train.job import Job, Labelled, LoopState, TrainData
from kft.train.phases import is_tuned


@dataclass(frozen=True, eq=False)
class PseudoLabelTrial:
    """Answers to rows of known labels that were not learned from.

    Attributes:
        outputs: ``float[n, classes]``: logits, or logarithms of probabilities.
        targets: ``int[n]``.
    """

    outputs: np.ndarray
    targets: np.ndarray


@dataclass(frozen=True)
class Limit:
    """Which answers are trusted.

    Attributes:
        confidence: The lowest confidence; above 1 where none is enough.
        wrong: The share of wrong ones that was found at it.
        rows: Rows of known labels it was found on: those that reach it.
    """

    confidence: float
    wrong: float
    rows: int


NOBODY = Limit(np.inf, 0.0, 0)


def find_limit(confidence: np.ndarray, right: np.ndarray, error: float) -> Limit:
    """Returns the lowest confidence at which no more than a share of answers is wrong.

    One wrong answer more than there were, of two more rows, is reckoned with (Laplace): of a few rows that all happen
    to be right, nothing follows.

    Args:
        confidence: ``float[n]``: the largest probability of each answer.
        right: ``bool[n]``: whether it was right.
        error: The share.

    Example:
        >>> limit = find_limit(np.linspace(0.99, 0.5, 50), np.arange(50) < 40, 0.1)
        >>> round(limit.confidence, 2), limit.rows, round(limit.wrong, 3)
        (0.57, 43, 0.089)
        >>> find_limit(np.array([0.9, 0.8]), np.array([True, True]), 0.1).confidence
        inf
    """
    order = np.argsort(-confidence, kind="stable")
    sure, wrong = confidence[order], np.cumsum(~right[order])
    rows = np.arange(1, len(order) + 1)
    expected = (wrong + 1) / (rows + 2)
    last = np.append(sure[1:] < sure[:-1], True)  # rows of one confidence are trusted together or not at all
    able = np.flatnonzero(last & (expected <= error))
    if not len(able):
        return NOBODY
    place = int(able[-1])
    return Limit(float(sure[place]), float(expected[place]), int(rows[place]))


def with_confident(job: Job, state: LoopState, phase: PhaseSpec) -> Events[TrainData]:
    """Returns the data of a phase, with the rows among train that what is kept is sure enough of.

    The model's weights may be any others afterwards.

    Args:
        job: What is trained, with rows without labels.
        state: What is kept: of a phase that is resumed, what labelled its rows before.
        phase: Says how many of the labels may be wrong.
    """
    data, asked, unlabelled = job.data, phase.unlabelled, job.data.unlabelled
    assert asked is not None and unlabelled is not None  # else the recipe is refused
    name = state.labelled_by.setdefault(phase.name, state.best_phase)
    trial, outputs = yield from _answers_by(job, state, _labelling(job.phases, name), unlabelled)
    known = softmax(trial.outputs)
    limit = find_limit(known.max(axis=1), known.argmax(axis=1) == trial.targets, asked.error)
    probabilities = softmax(outputs)
    rows = np.flatnonzero(probabilities.max(axis=1) >= limit.confidence)
    if state.fit is None:
        reached = limit.confidence if limit.rows else None
        yield RowsLabelled(phase.name, name, len(rows), len(unlabelled), reached, limit.wrong, limit.rows)
    return _with_rows(data, unlabelled, rows, probabilities[rows].argmax(axis=1), 1 - limit.wrong)


def _labelling(phases: Sequence[PhaseSpec], kept: str) -> PhaseSpec:
    """Returns the phase whose answers label: under a blend on a tuned backbone, which learned from valid, the tuned."""
    by_name = {phase.name: phase for phase in phases}
    phase = by_name[kept]
    while phase.solver == "blend" and is_tuned(phases, phase.name):
        assert phase.start is not None  # a backbone was tuned before
        phase = by_name[phase.start]
    return phase


def _answers_by(
    job: Job, state: LoopState, by: PhaseSpec, unlabelled: Source
) -> Events[tuple[PseudoLabelTrial, np.ndarray]]:
    """Returns what was answered to rows that were not learned from, and the outputs for those without labels."""
    data, model = job.data, job.model
    weights = state.phase_weights[by.name]
    restore(state.moving, {variable.path: weights[variable.path] for variable in state.moving})
    with as_if(model, what_trains(model, "none")):
        split = split_at_boundary(model)
    if by.solver == "blend":
        found = yield from blend_of_train(job, by, split, unlabelled)
        outputs = np.concatenate([found.train, found.valid])
        targets = np.concatenate([np.asarray(data.train.targets)[found.rows], data.valid.targets])
        return PseudoLabelTrial(outputs, targets), found.unlabelled
    forward = fast_forward_of(split, stored=False)
    inference = make_inference(forward, job.train.batch_size)
    with job.watch.task("rows without labels", len(unlabelled)) as tick:
        (answered,) = run_in_batches(inference, unlabelled.select(_names(split.front)), tick)
    return PseudoLabelTrial(state.phase_answers[by.name][OUTPUTS], data.valid.targets), np.asarray(answered)


def _names(model: keras.Model) -> tuple[str, ...]:
    return tuple(tensor.name for tensor in model.inputs)


def _with_rows(data: TrainData, unlabelled: Source, rows: np.ndarray, targets: np.ndarray, weight: float) -> TrainData:
    """Returns the data with these rows behind those of train, each counting as often as its label is right."""
    train, n = data.train, len(data.train.targets)
    shares = None
    if train.shares is not None:
        shares = np.concatenate([train.shares, np.eye(train.shares.shape[1], dtype=np.float32)[targets]])
    of_class = np.ones(len(data.space.labels)) if data.class_weights is None else data.class_weights
    together = data.together
    if together is not None:
        alone = together.max(initial=0) + 1 + np.arange(len(rows))
        together = np.concatenate([together[:n], alone, together[n:]])
    learned = Labelled(
        with_more(train.source, unlabelled, rows),
        np.concatenate([train.targets, targets.astype(train.targets.dtype)]),
        np.concatenate([train.truth, targets.astype(train.truth.dtype)]),
        shares=shares,
    )
    weights = np.concatenate([data.weights, (weight * of_class[targets]).astype(np.float32)])
    return replace(data, train=learned, weights=weights, together=together)


def with_more(source: Source, other: Source, rows: np.ndarray) -> Source:
    """Returns some rows of another source of the same columns behind those of the first; tokens stay in one piece."""

    def joined(first: Column, second: Column) -> Column:
        if isinstance(first, Ragged) and isinstance(second, Ragged):
            more = [second.row(int(row)) for row in rows]
            return Ragged.from_rows([*(first.row(row) for row in range(len(source))), *more])
        return JoinedColumn(first, ChosenColumn(second, rows), len(source))

    columns = {name: joined(column, other.columns[name]) for name, column in source.columns.items()}
    lengths = np.concatenate([source.lengths, other.lengths[rows]])
    more = (other.longest,) if source.edges and lengths.max(initial=1) > source.longest else ()
    return Source(columns, lengths, (*source.edges, *more), source.window)
