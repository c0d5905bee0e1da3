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


def run_in_batches(
    model: Forward, source: Source, batch_size: int, tick: Tick | None = None
) -> list[Ragged | np.ndarray]:
    """Runs a model over every example once, in inference mode, and returns its outputs in the examples' order.

    Args:
        model: Takes the tensors of ``source.names``.
        source: The examples.
        batch_size: How many rows go through at once.
        tick: Called with the number of examples finished after each batch.

    Returns:
        For each output an array ``[examples, ...]``, or a Ragged when its second axis is the token axis.
    """
    inputs = [tensor for tensor in model.inputs]

    @tf.function(input_signature=(signature(inputs, batch_size),), autograph=False)
    def infer(tensors: tuple[tf.Tensor, ...]) -> list[tf.Tensor]:
        outputs = model(list(tensors), training=False)
        return outputs if isinstance(outputs, list) else [outputs]

    per_token = [len(tensor.shape) > 2 and tensor.shape[1] is None for tensor in model.outputs]
    found: list[list] = [[None] * len(source) for _ in per_token]
    for rows in sequential_plan(source.tokens.lengths, batch_size=batch_size):
        outputs = [output.numpy() for output in infer(source.batch(rows))]
        for output, ragged, kept in zip(outputs, per_token, found, strict=True):
            for position, row in enumerate(rows):
                if row >= 0:
                    vector = output[position]
                    # A copy: a view would keep the whole padded batch alive.
                    kept[row] = vector[: source.tokens.lengths[row]].copy() if ragged else vector
        if tick:
            tick(int((rows >= 0).sum()))
    return [Ragged.from_rows(kept) if ragged else np.stack(kept) for kept, ragged in zip(found, per_token, strict=True)]


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


def store_features(
    split: SplitModel, tokens: Ragged, edges: tuple[int, ...], batch_size: int, tick: Tick | None = None
) -> Source:
    """Runs ``front`` once over the examples and returns a source of boundary tensors for ``back``."""
    inputs = split.front.inputs
    raw = Source(tokens, edges, tuple(tensor.name for tensor in inputs))
    wanted = stored_tensors(split)
    computed = [name for name, tensor in zip(split.names, split.front.outputs, strict=True) if _among(tensor, wanted)]
    features: dict[str, Ragged | np.ndarray] = {}
    if wanted:
        front = keras.Model(inputs, wanted, name="front_computed")
        features = dict(zip(computed, run_in_batches(front, raw, batch_size, tick), strict=True))
    return Source(tokens, edges, split.names, features)


def _among(tensor: keras.KerasTensor, tensors: list[keras.KerasTensor]) -> bool:
    return any(tensor is other for other in tensors)
