"""What a recipe would do, phase by phase, without training: what trains, what is stored, what it takes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import keras
import tensorflow as tf

from kft.features.boundary import Forward, forward_of, frozen_blocks, split_at_boundary
from kft.features.policy import StorePlan, decide
from kft.model.blocks import find_blocks
from kft.model.freeze import FreezeTable, as_if, what_trains_in
from kft.recipe.training import PhaseSpec
from kft.train.objectives import objective_of
from kft.train.prepare import Prepared
from kft.train.rates import block_factors

STATE_COPIES = {"adamw": 3, "lbfgs": 0, "blend": 0}
"""Of each trainable weight: the gradient and AdamW's two moments."""


@dataclass(frozen=True)
class MemoryPlan:
    """What training needs at once, in bytes.

    Attributes:
        weights: Of the whole model.
        optimizer: Gradients and moments of what trains.
        activations: Every tensor of the forward pass at the longest padded length: an upper bound of what is kept
            for the backward pass.
        tokens: That length; 1 where there is no token axis.
        batch_size: Rows of a batch.
    """

    weights: int
    optimizer: int
    activations: int
    tokens: int
    batch_size: int

    @property
    def total(self) -> int:
        """All of it; TensorFlow itself takes about 1 GB more."""
        return self.weights + self.optimizer + self.activations


@dataclass(frozen=True)
class BlockPlan:
    """One block in one phase.

    Attributes:
        block: Its name.
        parameters: How many it has.
        trainable: How many train.
        rate: Peak learning rate; None where nothing trains or a solver needs none.
        work: ``stored`` (computed once an example), ``recomputed`` (frozen, yet run for every batch), ``trained``.
    """

    block: str
    parameters: int
    trainable: int
    rate: float | None
    work: str


@dataclass(frozen=True)
class PhasePlan:
    """One phase."""

    phase: PhaseSpec
    blocks: tuple[BlockPlan, ...]
    store: StorePlan
    memory: MemoryPlan
    steps: int

    @property
    def parameters(self) -> int:
        return sum(row.parameters for row in self.blocks)

    @property
    def trainable(self) -> int:
        return sum(row.trainable for row in self.blocks)

    def as_dict(self) -> dict[str, Any]:
        """Returns what ``kft plan --json`` prints of the phase."""
        return {
            "name": self.phase.name,
            "solver": self.phase.solver,
            "objective": str(self.phase.objective),
            "epochs": self.phase.epochs,
            "steps": self.steps,
            "start": self.phase.start,
            "parameters": self.parameters,
            "trainable": self.trainable,
            "blocks": [
                {
                    "name": row.block,
                    "parameters": row.parameters,
                    "trainable": row.trainable,
                    "lr": row.rate,
                    "work": row.work,
                }
                for row in self.blocks
            ],
            "features": {
                "stored": self.store.store,
                "bytes": self.store.bytes,
                "examples": self.store.examples,
                "present": self.store.present,
                "why": self.store.why,
                "precision": self.store.precision,
            },
            "memory": {
                "weights": self.memory.weights,
                "optimizer": self.memory.optimizer,
                "activations": self.memory.activations,
                "batch_size": self.memory.batch_size,
                "tokens": self.memory.tokens,
            },
        }


def plan_phase(prepared: Prepared, phase: PhaseSpec) -> PhasePlan:
    """Says what a phase would do; trains nothing, and leaves the model as it is."""
    model, spec, objective = prepared.model, prepared.spec.train, objective_of(phase, prepared.split.kind)
    data = objective.data(prepared.data, phase)
    part = -(-spec.batch_size // spec.gradient_accumulation)  # what is in memory at a time
    plan, edge = what_trains_in(model, phase), data.train.source.longest
    with as_if(model, plan):
        split = objective.outputs(split_at_boundary(model))
        store, _ = decide(model, split, [data.train.source, data.valid.source], prepared.spec.features)
        below = frozen_blocks(model, split)
        activations = _forward_bytes(forward_of(split, stored=store.store), part, edge)
    return PhasePlan(
        phase=phase,
        blocks=_blocks(model, phase, plan.table, frozenset(below) if store.store else frozenset()),
        store=store,
        memory=MemoryPlan(
            weights=sum(_bytes(variable.shape, variable.dtype) for variable in model.weights),
            optimizer=4 * STATE_COPIES[phase.solver] * plan.table.trainable,
            activations=activations,
            tokens=edge,
            batch_size=part,
        ),
        steps=len(objective.deal(data, phase, prepared.spec)(0)) * phase.epochs if phase.epochs else 0,
    )


def _blocks(model: keras.Model, phase: PhaseSpec, table: FreezeTable, stored: frozenset[str]) -> tuple[BlockPlan, ...]:
    factors = block_factors(find_blocks(model), phase.layer_decay)
    stored = stored | {"stem"} if stored else stored
    rows = []
    for row in table.rows:
        work = "trained" if row.trainable else "stored" if row.block in stored else "recomputed"
        rate = phase.lr * factors[row.block] if row.trainable and phase.lr is not None else None
        rows.append(BlockPlan(row.block, row.parameters, row.trainable, rate, work))
    return tuple(rows)


def _forward_bytes(forward: Forward, batch_size: int, edge: int) -> int:
    shapes = [
        tf.TensorSpec((batch_size, *(edge if size is None else size for size in tensor.shape[1:])), tensor.dtype)
        for tensor in forward.inputs
    ]
    traced = tf.function(lambda *tensors: forward(list(tensors), training=True), autograph=False)
    graph = traced.get_concrete_function(*shapes).graph
    made = (tensor for operation in graph.get_operations() for tensor in operation.outputs)
    return sum(_bytes(t.shape, t.dtype.name) for t in made if t.shape.is_fully_defined() and t.dtype.is_floating)


def _bytes(shape: Any, dtype: str) -> int:
    return math.prod(shape) * tf.as_dtype(dtype).size
