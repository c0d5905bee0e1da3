"""Runs a model over examples, each once, on all replicas, in batches of like length; the outputs come in order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from kft.features.boundary import Forward
from kft.features.norms import folded_norms
from kft.feed.batches import EVEN, Ragged, choose_edges, even_edges, plan_by_edge, sequential_plan
from kft.feed.source import Source, ahead
from kft.replicas import (
    gather,
    in_any_thread,
    needs_static_shapes,
    process_count,
    replica_count,
    replica_specs,
    rows_per_replica,
    to_replicas,
)
from kft.tasks.windows import MOST_TOKENS

Tick = Callable[[int], None]


def signature(tensors: Sequence[keras.KerasTensor], batch_size: int | None) -> tuple[tf.TensorSpec, ...]:
    """Returns the one input signature of a traced function: free token axis, so one trace serves; see ``Inference``."""
    return tuple(tf.TensorSpec((batch_size, *tensor.shape[1:]), tensor.dtype) for tensor in tensors)


def has_token_axis(tensor: keras.KerasTensor) -> bool:
    """Whether the second axis of a model's tensor is as long as the example."""
    return len(tensor.shape) > 1 and tensor.shape[1] is None


@dataclass(frozen=True)
class Inference:
    """A model traced for inference, once: use it for every pass over the data, however long its rows, or few.

    Attributes:
        function: From a tuple of tensors to a list of outputs.
        batch_size: Rows of a full batch, over all replicas.
        per_token: For each output, whether its second axis is the token axis.
        dealt: Whether a batch is dealt out to the replicas.
        static: Whether each shape is compiled by itself: then all batches are full, and of a few lengths.
        positions: Tokens that the model has positions for; None where it knows no end.
        fewest: Rows of a batch at least.
    """

    function: Callable[[tuple[Any, ...]], Sequence[Any]]
    batch_size: int
    per_token: tuple[bool, ...]
    dealt: bool
    static: bool
    positions: int | None = None
    fewest: int = 1

    def __call__(self, tensors: tuple[np.ndarray, ...]) -> list[np.ndarray]:
        """Returns the outputs for a global batch, in its order."""
        return self.outputs(self.placed(tensors))

    def placed(self, tensors: tuple[np.ndarray, ...]) -> tuple[Any, ...]:
        """Returns a global batch where it is computed on."""
        return to_replicas(tensors) if self.dealt else tensors

    def outputs(self, placed: tuple[Any, ...]) -> list[np.ndarray]:
        """Returns the outputs for a batch that is there already."""
        return [np.asarray(output) for output in self.function(placed)]

    def rows(self, examples: int) -> int:
        """Returns how many rows a batch of so many examples has: as many on each replica."""
        if self.static:
            return self.batch_size
        share = replica_count() if self.dealt else 1
        return -(-max(examples, self.fewest) // share) * share

    def plan(
        self, lengths: np.ndarray, edges: tuple[int, ...] = (), window: int = 0
    ) -> tuple[tuple[int, ...], list[np.ndarray]]:
        """Returns the lengths that batches are padded to, and the places of each batch's examples; -1 is padding.

        An example's own length decides what it is padded to, so that its numbers are the same in every batch, to the
        bit; a compiler of static shapes gets few lengths, and full batches of any examples.

        Args:
            lengths: ``int[n]``.
            edges: For static shapes, where they are known; default: those that suit these examples.
            window: Tokens of a window where texts are in windows: a batch of them ends with its tokens, or memory would
                grow with the longest text.
        """
        if self.static:
            edges = edges or choose_edges(lengths, multiple=window or EVEN // 2)
            return edges, list(sequential_plan(lengths, self.batch_size))
        if window:
            edges = tuple(range(window, max(int(lengths.max(initial=0)), window) + 1, window))
            plan = plan_by_edge(lengths, self.batch_size, edges, MOST_TOKENS)
        else:
            edges = even_edges(int(lengths.max(initial=1)), self.positions)
            plan = plan_by_edge(lengths, self.batch_size, edges)
        return edges, [np.pad(rows, (0, self.rows(len(rows)) - len(rows)), constant_values=-1) for rows in plan]


def make_inference(model: Forward, batch_size: int, *, together: bool = True, compiled: bool = False) -> Inference:
    """Prepares a model, or two halves that act as one, for ``run_in_batches``.

    Args:
        model: What to run.
        batch_size: The global batch; each replica gets its share, padded where it does not divide.
        together: Whether several processes share the work, and so have to call it together. Else each of them does
            all of it, on its first device.
        compiled: Whether XLA compiles it, each padded length by itself.
    """
    strategy = tf.distribute.get_strategy()
    dealt = together or process_count() == 1
    rows = rows_per_replica(batch_size) if dealt else batch_size
    static = needs_static_shapes(strategy)

    def forward(tensors: tuple[tf.Tensor, ...]) -> list[tf.Tensor]:
        return keras.tree.flatten(model(list(tensors), training=False))

    replica = tf.function(forward, autograph=False, jit_compile=True) if compiled and not static else forward

    def infer(tensors: tuple[Any, ...]) -> list[tf.Tensor]:
        with folded_norms():
            return gather(strategy.run(replica, args=(tensors,))) if dealt else replica(tensors)

    if static:
        function = tf.function(infer, autograph=False)
    else:
        specs = signature(model.inputs, None)
        function = tf.function(infer, input_signature=(replica_specs(specs) if dealt else specs,), autograph=False)
    total = rows * (strategy.num_replicas_in_sync if dealt else 1)
    per_token = tuple(has_token_axis(tensor) for tensor in model.outputs)
    return Inference(function, total, per_token, dealt, static or compiled, positions_in(model))


def positions_in(model: Forward) -> int | None:
    """Returns how many tokens the layers have positions for; they name it as keras-hub's do."""
    found = [getattr(layer, "sequence_length", None) for layer in model.layers]
    return min((length for length in found if isinstance(length, int)), default=None)


def run_in_batches(
    inference: Inference, source: Source, tick: Tick | None = None, *, rows: np.ndarray | None = None
) -> list[Ragged | np.ndarray]:
    """Runs a model over every example once and returns its outputs in the examples' order.

    Args:
        inference: Takes the tensors of ``source.columns``.
        source: The examples.
        tick: Called with the number of examples finished after each batch.
        rows: Which examples, and in which order they come back; default: all.

    Returns:
        For each output an array ``[examples, ...]``, or a Ragged when its second axis is the token axis.
    """
    wanted = np.arange(len(source)) if rows is None else rows
    lengths = source.lengths[wanted]
    found: list[list] = [[None] * len(wanted) for _ in inference.per_token]
    edges, plan = inference.plan(lengths, source.edges, source.window)
    given = [np.where(places >= 0, wanted[places], -1) for places in plan]
    padded = replace(source, edges=edges)
    make = in_any_thread(lambda rows: inference.placed(padded.batch(rows)))
    for places, placed in zip(plan, ahead(make, given), strict=True):
        outputs = inference.outputs(placed)
        for output, ragged, kept in zip(outputs, inference.per_token, found, strict=True):
            for position, place in enumerate(places):
                if place >= 0:
                    vector = output[position]
                    # A copy: a view would keep the whole padded batch alive.
                    kept[place] = vector[: lengths[place]].copy() if ragged else vector
        if tick:
            tick(int((places >= 0).sum()))
    return [
        Ragged.from_rows(kept) if ragged else np.stack(kept)
        for kept, ragged in zip(found, inference.per_token, strict=True)
    ]
