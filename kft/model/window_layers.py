"""A text in windows inside the graph: each window is a row of its own for the backbone, and then one of a document.

All windows of a text come behind one another, ``[batch, windows * size]``, so that an example stays one row of what is
stored, dealt out and padded. A window of padding alone has mask 0, and nothing comes of it.
"""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf
from keras import ops

from kft.model.graph import call_again, nodes_in_order

PREFIX = "windows_"
"""Of the layers that cut, by the name of the input."""
VECTORS = "head_windows"
"""The layer whose outputs are the vectors of a document's windows, and which of them are real."""
OF_WINDOW = "head_window_pool"
"""The layer that makes one vector of the tokens of a window."""


@keras.saving.register_keras_serializable(package="kft")
class IntoWindows(keras.layers.Layer):
    """``[batch, windows * size, ...]`` to ``[batch * windows, size, ...]``."""

    def __init__(self, size: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.size = size

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "size": self.size}

    def compute_output_shape(self, x_shape: tuple) -> tuple:
        return (None, self.size, *x_shape[2:])

    def call(self, x: Any) -> Any:
        return ops.reshape(x, (-1, self.size, *x.shape[2:]))


@keras.saving.register_keras_serializable(package="kft")
class OutOfWindows(keras.layers.Layer):
    """``[batch * windows, size, ...]`` back to ``[batch, windows * size, ...]``, as an input of the model has it."""

    def compute_output_shape(self, x_shape: tuple, like_shape: tuple) -> tuple:
        return (like_shape[0], like_shape[1], *x_shape[2:])

    def call(self, x: Any, like: Any) -> Any:
        shape = ops.shape(like)
        return ops.reshape(x, (shape[0], shape[1], *x.shape[2:]))


@keras.saving.register_keras_serializable(package="kft")
class WindowVectors(keras.layers.Layer):
    """The vectors of each document's windows, filled up with zeros to as many as a document may have.

    Call arguments:
        vectors: ``float[batch * windows, width]``.
        padding_mask: ``int[batch, windows * size]``.

    Returns:
        ``float[batch, most, width]``, and ``int32[batch, most]``: 1 for a real window.
    """

    def __init__(self, size: int, most: int, sides: tuple[int, int], overlap: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.size, self.most, self.sides, self.overlap = size, most, tuple(sides), overlap

    def get_config(self) -> dict[str, Any]:
        own = {"size": self.size, "most": self.most, "sides": self.sides, "overlap": self.overlap}
        return {**super().get_config(), **own}

    def compute_output_shape(self, vectors_shape: tuple, padding_mask_shape: tuple) -> Any:
        batch = padding_mask_shape[0]
        return (batch, self.most, vectors_shape[-1]), (batch, self.most)

    def call(self, vectors: Any, padding_mask: Any) -> Any:
        batch, width = ops.shape(padding_mask)[0], vectors.shape[-1]
        real = ops.cast(ops.max(ops.reshape(padding_mask, (batch, -1, self.size)), axis=-1), "int32")
        rows = ops.reshape(vectors, (batch, -1, width))
        return self._filled(rows, (batch, self.most, width)), self._filled(real, (batch, self.most))

    def _filled(self, x: Any, shape: tuple) -> Any:
        return ops.concatenate([x, tf.zeros(tf.stack(shape), x.dtype)], axis=1)[:, : self.most]


def in_windows(model: keras.Model, features: Any, size: int) -> tuple[Any, Any]:
    """Calls a backbone again, on windows.

    Args:
        model: The backbone, from ``token_ids``, ``padding_mask`` and the like, ``int32[batch, tokens]``.
        features: Its features.
        size: Tokens of a window.

    Returns:
        The features ``float[batch * windows, size, width]``, and the windows' padding mask.
    """
    cut = {name: IntoWindows(size, name=PREFIX + name, dtype=x.dtype)(x) for name, x in model.input.items()}
    known = {id(tensor): cut[name] for name, tensor in model.input.items()}
    return call_again(nodes_in_order(model), known, features), cut["padding_mask"]
