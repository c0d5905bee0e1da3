"""From what a recipe asks for to the phases that run, each with its set of trainable blocks."""

from __future__ import annotations

from collections.abc import Sequence

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
        if phase.solver != "lbfgs" and phase.lr is None:
            changes["lr"] = learning_rate
        if phase.start is None and resolved:
            changes["start"] = resolved[-1].name
        resolved.append(phase.model_copy(update=changes))
    return tuple(resolved)


def describe(phases: Sequence[PhaseSpec]) -> str:
    """Returns the phases as one line, such as ``probe (head, lbfgs) -> top-2 (4 epochs at 5e-05)``."""
    parts = []
    for phase in phases:
        how = "lbfgs to convergence" if phase.solver == "lbfgs" else f"{phase.epochs} epochs at {phase.lr:g}"
        what = f"head and {phase.unfreeze}" if phase.moves_backbone else "head alone"
        what = what if phase.trains_head else f"{phase.unfreeze}, {phase.objective}"
        parts.append(f"{phase.name} ({what}, {how}" + (f", from {phase.start})" if phase.start else ")"))
    return ", then ".join(parts)
