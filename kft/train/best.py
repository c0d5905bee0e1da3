"""Which epoch is kept of a phase, and which phase of a run."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from kft.feed.batches import Ragged
from kft.metrics.intervals import paired_difference
from kft.metrics.metric import Metric
from kft.recipe.training import PhaseSpec
from kft.records.estimate import Estimate
from kft.train.answers import outputs_from
from kft.train.checkpoint import Arrays, snapshot
from kft.train.job import Job, LoopState
from kft.train.phases import is_tuned


@dataclass(frozen=True)
class Validated:
    """What a model reached on the validation split.

    Attributes:
        metrics: By name, with ``valid_`` before it.
        answers: Its outputs, as a checkpoint holds them.
        views: The arrays of a blend, which are no weights of the model that is trained; empty elsewhere.
    """

    metrics: dict[str, float]
    answers: Arrays
    views: Arrays = field(default_factory=dict)


def score(job: Job, metrics: dict[str, float]) -> tuple[float, ...]:
    """Orders results by the chosen metric, higher is better; ties go to the lower validation loss."""
    best = job.train.best
    assert best is not None  # loading a recipe fills it in
    return job.data.kind.judging.sign(best) * metrics[best], -metrics["valid_loss"]


def nothing_left(job: Job, state: LoopState) -> bool:
    """Whether a phase is perfect by the metric that chooses: none that trains could be preferred for it.

    A blend on the pretrained backbone still runs: it costs next to nothing, and learns from valid as well.
    """
    phase = job.phases[state.phase]
    if phase.solver == "blend" and not is_tuned(job.phases, phase.name):
        return False
    assert job.train.best is not None  # loading a recipe fills it in
    name = job.train.best.removeprefix("valid_")
    if name == "loss" or not state.best_facts or job.train.early_stopping is None:
        return False
    metric = job.data.kind.judging.metrics[name]
    return any(metrics[job.train.best] == metric.perfect for metrics in state.phase_metrics.values())


def answers_from(job: Job, arrays: Arrays) -> Any:
    """Returns the answers to valid, as the metrics take them."""
    return job.data.kind.judging.answers(_rows(arrays), job.data.space, job.data.valid.offsets)


def _rows(arrays: Arrays) -> Any:
    """Returns the outputs for valid, one an example."""
    rows = outputs_from(arrays)
    return [rows.row(place) for place in range(len(rows))] if isinstance(rows, Ragged) else rows


def is_best_of_phase(job: Job, state: LoopState, phase: PhaseSpec, validated: Validated) -> bool:
    """Whether an epoch is better than all of its phase before it; then its weights are kept.

    Args:
        job: What is trained.
        state: What is kept of it.
        phase: The phase.
        validated: What its epoch reached on valid.
    """
    known = state.phase_metrics.get(phase.name)
    if known is not None and score(job, validated.metrics) <= score(job, known):
        return False
    state.phase_metrics[phase.name] = validated.metrics
    state.phase_weights[phase.name] = snapshot(state.moving) | validated.views
    state.phase_answers[phase.name] = validated.answers
    return True


def is_best_of_run(job: Job, state: LoopState, phase: PhaseSpec, epoch: int, metrics: dict[str, float]) -> bool:
    """Whether the best of its phase is the best of the run as well; then the state says so."""
    # Epoch 0 of training that starts from another phase has that phase's weights, so nothing is better.
    if epoch == 0 and phase.start is not None and not phase.solved:
        return False
    if state.best is not None and not _better(job, state, phase, metrics):
        return False
    state.best = score(job, metrics)
    state.best_facts = {"phase": phase.name, "epoch": epoch, "step": state.steps_done, "metrics": metrics}
    return True


def _better(job: Job, state: LoopState, phase: PhaseSpec, metrics: dict[str, float]) -> bool:
    """Whether what a phase has reached is to be kept in place of what is."""
    kept = state.best_facts["phase"]
    assert state.best is not None
    higher = score(job, metrics) > tuple(state.best)
    if job.train.prefer == "best" or phase.name == kept:
        return higher
    if phase.solver == "blend" and not is_tuned(job.phases, phase.name):
        # Out of fold, over train and valid, it is no worse than its views, the probe's like among them; and it has
        # learned from all labels. A few rows of valid alone would decide by luck: they have to be sure of the contrary.
        return not any(gain.low > 0 for gain in gains(job, state, kept, phase.name).values())
    if phase.solver == "blend" and phase.start == kept:  # it costs no more than what it is made of
        return metrics["valid_loss"] < state.best_facts["metrics"]["valid_loss"]
    found = gains(job, state, phase.name, kept)
    if not found:  # by the loss of what are no probabilities: there is one figure, and no interval
        return higher
    first = next(iter(found.values()))
    return first.low > 0 or (first.value >= 0 and any(gain.low > 0 for gain in found.values()))


def gains(job: Job, state: LoopState, phase: str, kept: str) -> dict[str, Estimate]:
    """Returns what a phase gains over another on valid, above 0 where it is better: paired, with 95 % intervals.

    In the metric that chooses and, where outputs are probabilities, in the log loss, which sees more in the same rows:
    of tagged texts in that of their words.
    Each interval stands for itself: to keep a dearer phase by luck once too often costs time alone, and to miss one
    that is better costs right answers.

    Args:
        job: What is trained.
        state: Has the answers of both.
        phase: One phase.
        kept: The other.
    """
    judging = job.data.kind.judging
    assert job.train.best is not None  # loading a recipe fills it in
    name = job.train.best.removeprefix("valid_")
    valid = job.data.valid
    looks: dict[str, tuple[Metric, Any]] = {}
    if name != "loss":
        looks[name] = judging.metrics[name], valid.truth
    if by_loss := judging.by_loss(valid.truth, valid.shares):
        looks[by_loss[0].name] = by_loss
    first, second = (answers_from(job, state.phase_answers[each]) for each in (phase, kept))
    found = {}
    for each, (metric, truth) in looks.items():
        difference = paired_difference(metric, truth, first, second, valid.groups)
        found[each] = difference if metric.higher_is_better else -difference
    look = job.data.kind.learning.look
    if look is not None:
        words = look.truth(valid.targets)
        first, second = (look.answers(valid.targets, _rows(state.phase_answers[each])) for each in (phase, kept))
        found[look.metric.name] = -paired_difference(look.metric, words, first, second, valid.groups)
    return found


def not_preferred(job: Job, state: LoopState, phase: PhaseSpec) -> str:
    """Returns what a finished phase gains over the kept one, in words, where that was not enough; else empty."""
    kept = state.best_facts["phase"]
    reached = state.phase_metrics[phase.name]
    if phase.name == kept or job.train.prefer == "best" or score(job, reached) <= tuple(state.best or ()):
        return ""
    name, gain = next(iter(gains(job, state, phase.name, kept).items()), ("", None))
    return "" if gain is None else f"{gain} {name}"
