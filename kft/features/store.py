"""What the boundary's tensors hold for each example: computed once by ``front``, kept, served batch by batch.

This version keeps the features in memory and recomputes where they would not fit; the rule is a size, never
a clock.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import keras
import numpy as np
import tensorflow as tf

from kft.data.batches import Ragged, edge_for, sequential_plan
from kft.features.boundary import Forward, SplitModel
from kft.model.backbones import feed

MEMORY_LIMIT_BYTES = 4 * 2**30
"""Features above this size are recomputed instead of kept."""

Tick = Callable[[int], None]


@dataclass(frozen=True)
class Source:
    """Examples as a model wants them: token ids, and stored features where there are any.

    Attributes:
        tokens: One row of ids an example.
        edges: The padded lengths that batches may have.
        names: Which tensors a batch holds, in order: model inputs or boundary tensors.
        features: Stored boundary tensors; a Ragged for one vector a token, an array for one an example.
    """

    tokens: Ragged
    edges: tuple[int, ...]
    names: tuple[str, ...]
    features: Mapping[str, Ragged | np.ndarray] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.tokens)

    def batch(self, rows: np.ndarray) -> tuple[np.ndarray, ...]:
        """Returns the tensors for the given rows; -1 is padding and comes out as zeros."""
        real = rows[rows >= 0]
        edge = edge_for(int(self.tokens.lengths[real].max(initial=1)), self.edges)
        ids, mask = self.tokens.pad(rows, edge)
        inputs = feed(ids, mask)
        return tuple(inputs[name] if name in inputs else self._stored(name, rows, edge) for name in self.names)

    def _stored(self, name: str, rows: np.ndarray, edge: int) -> np.ndarray:
        stored = self.features[name]
        if isinstance(stored, Ragged):
            return stored.pad(rows, edge)[0]
        values = stored[np.maximum(rows, 0)]
        values[rows < 0] = 0
        return values


def signature(tensors: Sequence[keras.KerasTensor], batch_size: int) -> tuple[tf.TensorSpec, ...]:
    """Returns the one input signature of a traced function: fixed batch, free token axis, so one trace serves."""
    return tuple(tf.TensorSpec((batch_size, *tensor.shape[1:]), tensor.dtype) for tensor in tensors)


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
        outputs = model(list(tensors), training=False)
        return outputs if isinstance(outputs, list) else [outputs]

    per_token = tuple(len(tensor.shape) > 2 and tensor.shape[1] is None for tensor in model.outputs)
    return Inference(infer, batch_size, per_token)


def run_in_batches(inference: Inference, source: Source, tick: Tick | None = None) -> list[Ragged | np.ndarray]:
    """Runs a model over every example once and returns its outputs in the examples' order.

    Args:
        inference: Takes the tensors of ``source.names``.
        source: The examples.
        tick: Called with the number of examples finished after each batch.

    Returns:
        For each output an array ``[examples, ...]``, or a Ragged when its second axis is the token axis.
    """
    found: list[list] = [[None] * len(source) for _ in inference.per_token]
    for rows in sequential_plan(source.tokens.lengths, batch_size=inference.batch_size):
        outputs = [output.numpy() for output in inference.function(source.batch(rows))]
        for output, ragged, kept in zip(outputs, inference.per_token, found, strict=True):
            for position, row in enumerate(rows):
                if row >= 0:
                    vector = output[position]
                    # A copy: a view would keep the whole padded batch alive.
                    kept[row] = vector[: source.tokens.lengths[row]].copy() if ragged else vector
        if tick:
            tick(int((rows >= 0).sum()))
    return [
        Ragged.from_rows(kept) if ragged else np.stack(kept)
        for kept, ragged in zip(found, inference.per_token, strict=True)
    ]


def feature_bytes(split: SplitModel, tokens: Ragged) -> int:
    """Returns how many bytes the boundary tensors of these examples take."""
    total = 0
    for tensor in stored_tensors(split):
        width = int(np.prod([size for size in tensor.shape[1:] if size is not None]))
        rows = int(tokens.lengths.sum()) if None in tensor.shape[1:] else len(tokens)
        total += rows * width * np.dtype(tensor.dtype).itemsize
    return total


def stored_tensors(split: SplitModel) -> list[keras.KerasTensor]:
    """Returns the boundary tensors that are computed, not merely passed on from the input."""
    given = {id(tensor) for tensor in split.front.inputs}
    return [tensor for tensor in split.front.outputs if id(tensor) not in given]


def make_front(split: SplitModel, batch_size: int) -> tuple[Inference, tuple[str, ...]]:
    """Prepares the part of ``front`` that computes something; returns the names of its outputs as well."""
    wanted = stored_tensors(split)
    known = {id(tensor) for tensor in wanted}
    pairs = zip(split.names, split.front.outputs, strict=True)
    names = tuple(name for name, tensor in pairs if id(tensor) in known)
    return make_inference(keras.Model(split.front.inputs, wanted, name="front_computed"), batch_size), names


def store_features(
    front: tuple[Inference, tuple[str, ...]], raw: Source, names: tuple[str, ...], tick: Tick | None = None
) -> Source:
    """Runs ``front`` once over the examples and returns a source of boundary tensors for ``back``.

    Args:
        front: From ``make_front``.
        raw: The examples, as the model's own inputs.
        names: The boundary's names, ``split.names``.
        tick: Called with the number of examples finished.
    """
    inference, computed = front
    features = dict(zip(computed, run_in_batches(inference, raw, tick), strict=True))
    return Source(raw.tokens, raw.edges, names, features)
