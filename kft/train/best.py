"""Which epoch is kept, and when a phase has waited long enough for a better one."""

from __future__ import annotations

from kft.recipe.training import PhaseSpec
from kft.train.checkpoint import snapshot
from kft.train.job import Job, LoopState


def score(job: Job, metrics: dict[str, float]) -> tuple[float, ...]:
    """Orders results by the chosen metric, higher is better; ties go to the lower validation loss."""
    best = job.train.best
    assert best is not None  # loading a recipe fills it in
    return job.data.kind.judging.sign(best) * metrics[best], -metrics["valid_loss"]


def nothing_left(job: Job, state: LoopState) -> bool:
    """Whether the best epoch so far is perfect by the metric that chooses: no later phase could be preferred for it."""
    assert job.train.best is not None  # loading a recipe fills it in
    name = job.train.best.removeprefix("valid_")
    if name == "loss" or not state.best_facts or job.train.early_stopping is None:
        return False
    metric = job.data.kind.judging.metrics[name]
    return bool(state.best_facts["metrics"][job.train.best] == metric.perfect)


def is_best_of_phase(job: Job, state: LoopState, phase: PhaseSpec, metrics: dict[str, float]) -> bool:
    """Whether an epoch is better than all of its phase before it; then its weights are kept."""
    known = state.phase_metrics.get(phase.name)
    if known is not None and score(job, metrics) <= score(job, known):
        return False
    state.phase_metrics[phase.name] = metrics
    state.phase_weights[phase.name] = snapshot(state.moving)
    return True


def is_best_of_run(job: Job, state: LoopState, phase: PhaseSpec, epoch: int, metrics: dict[str, float]) -> bool:
    """Whether the best of its phase is the best of the run as well; then the state says so."""
    # Epoch 0 of training that starts from another phase has that phase's weights, so nothing is better.
    starts_from_another = epoch == 0 and phase.start is not None and phase.solver != "lbfgs"
    if state.best is not None and (score(job, metrics) <= state.best or starts_from_another):
        return False
    state.best = score(job, metrics)
    state.best_facts = {"phase": phase.name, "epoch": epoch, "step": state.steps_done, "metrics": metrics}
    return True
