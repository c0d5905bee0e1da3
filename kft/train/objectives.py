"""What the steps of a phase minimise: which rows share a batch for it, what a step sees, what an epoch is judged by.

The loop asks the phase's entry in ``OBJECTIVES`` and knows nothing else of it. ``train.phases[].objective`` names it,
and a task's answer kind says in ``objectives`` which of them it can learn by.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from kft.features.boundary import Forward, SplitModel
from kft.features.inference import make_inference
from kft.feed.batches import plan
from kft.feed.source import Column, DenseColumn, Source
from kft.model.masking import redrawn
from kft.recipe.schema import RecipeSpec
from kft.recipe.training import PhaseSpec, TrainSpec
from kft.registry import Registry
from kft.tasks.task import AnswerKind, Objective
from kft.train import contrast, graded, pairs
from kft.train.best import Validated
from kft.train.events import Events
from kft.train.frozen import solve_head
from kft.train.job import Job, TrainData
from kft.train.judging import validate
from kft.train.step import Minimised

Sources = tuple[Source, Source]
Deal = Callable[[int], np.ndarray]
"""From the number of an epoch, over all phases, to the rows of its batches."""
Judge = Callable[[], Events[Validated]]
"""Judges the model as it is now by the validation split."""


@dataclass(frozen=True)
class PhaseObjective:
    """How a phase of gradient steps learns.

    Attributes:
        measures: What the training log calls the loss and the hits; None stands for the task's own.
        data: (data, phase) to what it learns from: rows may be added to train.
        outputs: A split model to one whose outputs are what the loss is of.
        minimised: (data, phase, the recipe's part on training) to what the step minimises.
        column: What it compares with, an entry for each row of train.
        deal: (data, phase, recipe) to what gives the rows of an epoch, ``int64[steps, batch_size]``: as many in each,
            and none of padding alone.
        solve: (job, phase, train and valid as vectors) to the strength that the head was solved with.
        judge: (job, phase, forward, train and valid, whether XLA compiles it) to what judges an epoch.
        across_rows: Whether the loss of a row hangs on others of its batch, wherever these are.
        begins: What is said of the data when the phase begins.
        redrawn: (train, the run's seed, epoch) to what the epoch reads: a pure function, for whoever resumes.
    """

    measures: tuple[str, str] | None
    data: Callable[[TrainData, PhaseSpec], TrainData]
    outputs: Callable[[SplitModel], SplitModel]
    minimised: Callable[[TrainData, PhaseSpec, TrainSpec], Minimised]
    column: Callable[[TrainData], Column]
    deal: Callable[[TrainData, PhaseSpec, RecipeSpec], Deal]
    solve: Callable[[Job, PhaseSpec, Source, Source], Events[float]]
    judge: Callable[[Job, PhaseSpec, Forward, Sources, bool], Judge]
    begins: Callable[[TrainData], Events[None]]
    across_rows: bool = False
    redrawn: Callable[[Source, int, int], Source] = lambda train, seed, epoch: train


def objective_of(phase: PhaseSpec, kind: AnswerKind) -> PhaseObjective:
    """Returns the entry that a phase names; ``own`` is what its kind of answer learns by."""
    return OBJECTIVES.get(kind.learns if phase.trains_head else phase.objective.name)


def _deal(data: TrainData, phase: PhaseSpec, spec: RecipeSpec) -> Deal:
    lengths, size = data.train.source.lengths, spec.train.batch_size

    def rows(epoch: int) -> np.ndarray:
        return plan(spec.seed, epoch, lengths, batch_size=size)

    return rows


def _judge(job: Job, phase: PhaseSpec, forward: Forward, sources: Sources, compiled: bool) -> Judge:
    inference = make_inference(forward, job.train.batch_size, compiled=compiled)

    def judge() -> Events[Validated]:
        yield from ()
        return validate(inference, sources[1], job.data)

    return judge


def _says_nothing(data: TrainData) -> Events[None]:
    yield from ()


def own_objective(data: TrainData, spec: TrainSpec) -> Objective:
    """Returns the task's own: against shares where the training labels are soft."""
    learning = data.kind.learning
    if data.train.shares is None:
        return learning.objective(data.space, spec.label_smoothing)
    assert learning.soft is not None  # no other task reads soft labels
    return learning.soft(data.space, spec.label_smoothing)


OBJECTIVES: Registry[PhaseObjective] = Registry("objective")
OBJECTIVES.register(
    "own",
    PhaseObjective(
        measures=None,
        data=lambda data, phase: data,
        outputs=lambda split: split,
        minimised=lambda data, phase, spec: own_objective(data, spec),
        column=lambda data: data.train.column,
        deal=_deal,
        solve=solve_head,
        judge=_judge,
        begins=_says_nothing,
    ),
)
OBJECTIVES.register("masked", replace(OBJECTIVES.get("own"), redrawn=redrawn))
OBJECTIVES.register(
    "contrastive",
    PhaseObjective(
        measures=("contrastive_loss", "nearest_alike"),
        data=contrast.with_names,
        outputs=contrast.vectors_of,
        minimised=lambda data, phase, spec: contrast.Contrast(phase.objective.temperature),
        column=lambda data: DenseColumn(data.train.targets),
        deal=contrast.deal,
        solve=solve_head,
        judge=contrast.solve_and_score,
        begins=contrast.say_alone,
        across_rows=True,
    ),
)
OBJECTIVES.register(
    "pairs",
    PhaseObjective(
        measures=None,
        data=lambda data, phase: data,
        outputs=lambda split: split,
        minimised=lambda data, phase, spec: pairs.minimised(data),
        column=lambda data: DenseColumn(pairs.rows_of(data).targets),
        deal=pairs.deal,
        solve=pairs.solve,
        judge=pairs.judge,
        begins=_says_nothing,
        across_rows=True,
    ),
)
OBJECTIVES.register(
    "graded",
    PhaseObjective(
        measures=None,
        data=lambda data, phase: data,
        outputs=lambda split: split,
        minimised=lambda data, phase, spec: graded.Graded(spec.graded, spec.batch_size // 2, data.space),
        column=lambda data: data.train.column,
        deal=graded.deal,
        solve=graded.solve,
        judge=graded.judge,
        begins=_says_nothing,
        across_rows=True,
    ),
)
