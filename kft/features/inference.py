"""Runs a model over examples, each once, in batches of like length, and returns the outputs in order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import keras
import numpy as np
import tensorflow as tf

from kft.data.batches import Ragged, sequential_plan
from kft.data.source import Source, batches
from kft.features.boundary import Forward

Tick = Callable[[int], None]


def signature(tensors: Sequence[keras.KerasTensor], batch_size: int) -> tuple[tf.TensorSpec, ...]:
    """Returns the one input signature of a traced function: fixed batch, free token axis, so one trace serves."""
    return tuple(tf.TensorSpec((batch_size, *tensor.shape[1:]), tensor.dtype) for tensor in tensors)


def has_token_axis(tensor: keras.KerasTensor) -> bool:
    """Whether the second axis of a model's tensor is as long as the example."""
    return len(tensor.shape) > 1 and tensor.shape[1] is None


@dataclass(frozen=True)
class Inference:
    """A model traced for inference, once: use it for every pass over the data.

    Attributes:
        function: From a tuple of tensors to a list of outputs.
        batch_size: Rows of a batch.
        per_token: For each output, whether its second axis is the token axis.
    """

    function: Callable[[tuple[np.ndarray, ...]], list[tf.Tensor]]
    batch_size: int
    per_token: tuple[bool, ...]


def make_inference(model: Forward, batch_size: int) -> Inference:
    """Prepares a model, or two halves that act as one, for ``run_in_batches``."""

    @tf.function(input_signature=(signature(model.inputs, batch_size),), autograph=False)
    def infer(tensors: tuple[tf.Tensor, ...]) -> list[tf.Tensor]:
        return keras.tree.flatten(model(list(tensors), training=False))

    return Inference(infer, batch_size, tuple(has_token_axis(tensor) for tensor in model.outputs))


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
    plan = sequential_plan(lengths, batch_size=inference.batch_size)
    for places, (_, tensors) in zip(plan, batches(source, np.where(plan >= 0, wanted[plan], -1)), strict=True):
        outputs = [output.numpy() for output in inference.function(tensors)]
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
