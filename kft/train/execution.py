"""How the updates of a phase run on the device: how many in one call, and whether XLA compiles them.

Neither changes which updates are made, nor their order. ``auto`` goes by devices and sizes, never by clocks.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from kft.errors import RecipeError
from kft.model.freeze import moving_variables
from kft.recipe.training import PhaseSpec, TrainSpec
from kft.replicas import needs_static_shapes, on_accelerator, replica_count
from kft.tasks.task import AnswerKind
from kft.train.objectives import objective_of

WORTH = 1000
"""Updates of one padded length below which ``auto`` does not compile. Compiling takes some 20 seconds a length, as seen
on a CPU; what an update gains on a GPU was not measured."""
UPDATES = 8
"""What ``auto`` puts into one call of an accelerator."""
BLOCK_BYTES = 64 * 2**20
"""What their batches may take there; two such blocks are in memory at a time."""


def is_compiled(
    spec: TrainSpec, model: keras.Model, phase: PhaseSpec, updates: int, lengths: int, *, kind: AnswerKind
) -> bool:
    """Whether ``train.compile`` has XLA compile the updates of a phase, with what trains set; a TPU does it by itself.

    Args:
        spec: The recipe's part on training.
        model: What is trained.
        phase: Which phase.
        updates: Of all its epochs.
        lengths: Padded lengths of its batches.
        kind: What is answered.
    """
    if needs_static_shapes(tf.distribute.get_strategy()) or spec.compile == "off":
        return False
    if spec.compile == "on":
        return True
    return on_accelerator() and not _why_not(model, phase, kind) and updates >= WORTH * lengths


def require_compilable(spec: TrainSpec, model: keras.Model, phase: PhaseSpec, kind: AnswerKind) -> None:
    """Refuses what ``train.compile`` cannot have here, with what trains set.

    Raises:
        RecipeError: A TPU is to do without XLA, or several replicas are to compile what goes between them.
    """
    tpu = needs_static_shapes(tf.distribute.get_strategy())
    if why := refusal(spec.compile, tpu=tpu, crossing=_why_not(model, phase, kind)):
        raise RecipeError(
            f"train.compile: {spec.compile} is not possible here",
            where=f"phase {phase.name}",
            received=why,
            expected="auto, which compiles where that is possible and pays",
            next_step="--set train.compile=auto",
        )


def refusal(asked: str, *, tpu: bool, crossing: str) -> str:
    """Says why ``train.compile`` cannot be had; empty where it can.

    Args:
        asked: Its value.
        tpu: Whether the device is a TPU.
        crossing: What would go from replica to replica in the midst of compiled code.

    Example:
        >>> refusal("off", tpu=True, crossing=""), refusal("off", tpu=False, crossing="")
        ('a TPU, which runs what XLA has compiled and nothing else', '')
    """
    if tpu:
        return "a TPU, which runs what XLA has compiled and nothing else" if asked == "off" else ""
    return f"{replica_count()} replicas, and {crossing}" if asked == "on" and crossing else ""


def _why_not(model: keras.Model, phase: PhaseSpec, kind: AnswerKind) -> str:
    """Says what would go from replica to replica in the midst of compiled code; empty where nothing does."""
    if replica_count() == 1:
        return ""
    if objective_of(phase, kind).across_rows:
        return f"objective {phase.objective.name}, which compares the rows of all of them"
    adapting = _adapting(model)
    return f"a BatchNorm that adapts to the rows of all of them: {adapting[0]}" if adapting else ""


def _adapting(model: keras.Model) -> list[str]:
    return [variable.path for variable in moving_variables(model) if not variable.trainable]


def statistics_in_parts(spec: TrainSpec, model: keras.Model) -> str:
    """Says that updates are not those of whole batches, with what trains set: their parts have statistics of their own.

    Empty where ``train.gradient_accumulation`` changes no result.
    """
    parts, adapting = spec.gradient_accumulation, _adapting(model)
    if parts == 1 or not adapting:
        return ""
    return (
        f"each of the {parts} parts of a batch is normalised by itself, and moves {adapting[0]}: the result is not "
        "that of gradient_accumulation 1 (norm: frozen would leave it the same)"
    )


def updates_a_call(spec: TrainSpec, inputs: Sequence[Any], longest: int, *, several: bool) -> int:
    """Returns how many updates a call of the device makes.

    Args:
        spec: The recipe's part on training.
        inputs: What a batch holds, as symbolic tensors.
        longest: The longest padded length.
        several: Whether ``auto`` may put several into one.
    """
    if spec.steps_per_call != "auto":
        return spec.steps_per_call
    if not several:
        return 1
    shapes = ((longest if size is None else size for size in tensor.shape[1:]) for tensor in inputs)
    row = sum(math.prod(shape) * tf.as_dtype(tensor.dtype).size for shape, tensor in zip(shapes, inputs, strict=True))
    return max(1, min(UPDATES, BLOCK_BYTES // max(1, row * spec.batch_size)))
