"""From what a recipe asks for to the phases that run, each with its set of trainable blocks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from kft.recipe.durations import duration_in_steps
from kft.recipe.training import PhaseSpec, TrainSpec

HEAD_STEPS = PhaseSpec(name="probe", unfreeze="none", epochs=10, lr=1e-3)
"""Stands for the probe where a head has weights beside its last layer."""


def resolve_phases(
    spec: TrainSpec, defaults: tuple[PhaseSpec, ...], *, learning_rate: float, solvable: bool = True
) -> tuple[PhaseSpec, ...]:
    """Returns the phases in order, with rates and starting points filled in.

    Args:
        spec: The recipe's train part.
        defaults: What it does without phases of its own.
        learning_rate: The rate that the backbone's entry advises.
        solvable: Whether the head is one Dense layer alone, which L-BFGS solves.
    """
    phases = spec.phases or defaults
    if not solvable and spec.phases is None:
        phases = tuple(HEAD_STEPS if phase.solver == "lbfgs" else phase for phase in phases)
    resolved: list[PhaseSpec] = []
    for phase in phases:
        changes: dict[str, object] = {}
        if not phase.solved and phase.lr is None:
            changes["lr"] = learning_rate
        if phase.start is None and resolved:
            changes["start"] = resolved[-1].name
        resolved.append(phase.model_copy(update=changes))
    return tuple(resolved)


def describe(phases: Sequence[PhaseSpec]) -> str:
    """Returns the phases as one line, such as ``probe (head, lbfgs) -> top-2 (4 epochs at 5e-05)``."""
    parts = []
    for phase in phases:
        how = {"lbfgs": "lbfgs to convergence", "blend": "weighed out of fold"}.get(phase.solver)
        how = how or f"{phase.epochs} epochs at {phase.lr:g}"
        what = f"head and {phase.unfreeze}" if phase.moves_backbone else "head alone"
        what = what if phase.trains_head else f"{phase.unfreeze}, {phase.objective}"
        what = "views of frozen features" if phase.solver == "blend" else what
        parts.append(f"{phase.name} ({what}, {how}" + (f", from {phase.start})" if phase.start else ")"))
    return ", then ".join(parts)


STEP_KEYS = ("augment", "clip_norm", "label_smoothing", "optimizer", "schedule", "warmup", "weight_decay")
"""Of ``train``: what gradient steps alone heed."""
BLOCK_KEYS = ("layer_decay", "norm")
"""Of a phase: what is of blocks that move."""


def unheeded(spec: TrainSpec, phases: Sequence[PhaseSpec]) -> str:
    """Names keys that somebody set and no phase heeds; empty where there are none.

    They are not refused: other phases for once (``--set train.phases=...``) make them idle, and no recipe wrong.

    Args:
        spec: The recipe's train part.
        phases: Those that run.

    Example:
        >>> probe = PhaseSpec(name="probe", unfreeze="none", solver="lbfgs", norm="adapt")
        >>> unheeded(TrainSpec(phases=[probe], warmup="5 steps"), [probe])
        'train.warmup: no phase makes gradient steps; norm of probe: it moves no block'
    """
    said = []
    if all(phase.solved for phase in phases) and (keys := _changed(spec, STEP_KEYS)):
        said.append(f"{', '.join(f'train.{key}' for key in keys)}: no phase makes gradient steps")
    for phase in phases:
        if not phase.moves_backbone and (keys := _changed(phase, BLOCK_KEYS)):
            said.append(f"{' and '.join(keys)} of {phase.name}: it moves no block")
    return "; ".join(said)


def _changed(spec: TrainSpec | PhaseSpec, keys: Sequence[str]) -> list[str]:
    known = type(spec).model_fields
    return [key for key in keys if getattr(spec, key) != known[key].get_default(call_default_factory=True)]


def no_fall(warmup: str, *, epochs: int, steps_per_epoch: int) -> str:
    """Says that a phase ends before its rate falls; empty where that is not so.

    Args:
        warmup: As ``train.warmup`` has it.
        epochs: Of the phase.
        steps_per_epoch: Its updates.

    Example:
        >>> no_fall("500 steps", epochs=2, steps_per_epoch=20)
        'the warm-up (500 steps) takes all 40 updates: the rate rises to its peak, and never falls'
        >>> no_fall("10%", epochs=2, steps_per_epoch=20)
        ''
    """
    total = epochs * steps_per_epoch
    if duration_in_steps(warmup, total_steps=total, steps_per_epoch=steps_per_epoch) < total:
        return ""
    return f"the warm-up ({warmup}) takes all {total:,} updates: the rate rises to its peak, and never falls"


def starts_of(phases: Sequence[PhaseSpec], name: str) -> Iterator[PhaseSpec]:
    """Yields a phase and those that its weights went through before it, the last first."""
    by_name = {phase.name: phase for phase in phases}
    start: str | None = name
    while start is not None:
        yield by_name[start]
        start = by_name[start].start


def is_tuned(phases: Sequence[PhaseSpec], name: str) -> bool:
    """Whether a phase's weights are on a backbone that training moved.

    Example:
        >>> top = PhaseSpec(name="top", unfreeze="top-2", epochs=1)
        >>> blend = PhaseSpec(name="blend", unfreeze="none", solver="blend", start="top")
        >>> is_tuned((top, blend), "blend")
        True
    """
    return any(phase.moves_backbone for phase in starts_of(phases, name))
