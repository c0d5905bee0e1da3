"""When the state of a run is kept, and where a run goes on from it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from kft.recipe.durations import parse_interval
from kft.recipe.training import TrainSpec
from kft.train import events
from kft.train.feeding import Pause
from kft.train.job import Job, LoopState


def state_due(state: LoopState, variables: Sequence[Any] | None = None) -> events.StateDue:
    """Returns the event that has the state kept, and notes when that was.

    Args:
        state: What is kept.
        variables: The phase's own; None between two phases.
    """
    state.saved_at = time.monotonic(), state.steps_done
    return events.StateDue(None if variables is None else tuple(variables))


def is_due(spec: TrainSpec, state: LoopState) -> bool:
    """Whether ``checkpoints.every`` has passed since the last one."""
    amount, unit = parse_interval(spec.checkpoints.every)
    seconds, steps = state.saved_at
    if unit == "step":
        return state.steps_done - steps >= amount
    return time.monotonic() - seconds >= 60 * amount


def pause_of(spec: TrainSpec, state: LoopState, step: int) -> Pause | None:
    """Returns where calls have to end within an epoch of which so many steps are done: at the checkpoints then due."""
    amount, unit = parse_interval(spec.checkpoints.every)
    if unit != "step":
        return None
    return Pause(step + max(1, state.saved_at[1] + amount - state.steps_done), amount)


def where_it_goes_on(job: Job, state: LoopState) -> events.Resumed:
    """Returns the event that says from where the state of a checkpoint goes on."""
    phase = job.phases[state.phase].name if state.phase < len(job.phases) else None
    if phase is None and job.train.refit and not state.refitted and (state.fit or state.refit_phases):
        phase = f"{state.best_phase}, refit"
    epoch = None if state.fit is None else state.fit.epoch + (not state.fit.stopped)
    step = 0 if state.fit is None else state.fit.step
    return events.Resumed(phase, epoch, step, state.steps_done, tuple(job.callbacks.forgetful))
