"""What each window of a document would answer by itself, and how much of the document's vector comes of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from kft.model.blend import LAYERS, PREFIX
from kft.model.graph import nodes_in_order
from kft.model.heads import LOGITS, POOL
from kft.model.window_layers import VECTORS

EVIDENCE = "windows"
"""What ``window_answers`` is called among a graph's outputs."""


class WindowShares(keras.layers.Layer):
    """``float[batch, windows]``: how much of what is pooled comes of each window."""

    def __init__(self, shares: Callable[[Any, Any], Any], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._shares = shares

    def compute_output_shape(self, vectors_shape: tuple, padding_mask_shape: tuple) -> tuple:
        return padding_mask_shape

    def call(self, vectors: Any, padding_mask: Any) -> Any:
        return self._shares(vectors, padding_mask)


def window_answers(model: keras.Model) -> Any:
    """Returns a tensor of a model on windows: ``float[batch, most, 1 + units]``.

    The first figure of a window is its share in the document, 0 for what fills up; the others are what the head answers
    for it alone. Of a blend that is what its views of vectors answer.

    Args:
        model: From ``build_model`` with windows, or ``with_blend`` of it.
    """
    nodes = {node.operation.name: node for node in nodes_in_order(model)}
    vectors, real = nodes[VECTORS].output_tensors
    shares = WindowShares(nodes[POOL].operation.shares, name="windows_shares", dtype="float32")(vectors, real)
    views = [PREFIX + name for name, (_, reads) in LAYERS.items() if reads == "vectors"]
    heads = [nodes[name].operation for name in (LOGITS, *views) if name in nodes]
    outputs = [head(vectors) for head in heads]
    answers = outputs[0] if len(outputs) == 1 else keras.layers.Add(name="windows_answers", dtype="float32")(outputs)
    return ops.concatenate([ops.expand_dims(shares, -1), answers], axis=-1)
