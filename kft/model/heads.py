"""Task heads: what turns a backbone's output into the answer a task wants."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras

from kft.registry import Registry

HEADS: Registry[Callable[..., Any]] = Registry("head")


@keras.saving.register_keras_serializable(package="kft")
class MaskedMean(keras.layers.Layer):
    """Mean of the real tokens' vectors, as sentence encoders pool them (Reimers and Gurevych, 2019).

    Call arguments:
        x: ``float[batch, tokens, width]``.
        padding_mask: ``int[batch, tokens]``, 1 for a real token, 0 for padding.

    Returns:
        ``float[batch, width]``; zeros for a row without any real token.
    """

    def call(self, x: Any, padding_mask: Any) -> Any:
        """Pools; the padding mask is no Keras mask but an input, so that it can pass a boundary."""
        mask = keras.ops.cast(padding_mask, x.dtype)[..., None]
        total = keras.ops.sum(x * mask, axis=1)
        return total / keras.ops.maximum(keras.ops.sum(mask, axis=1), 1)

    def compute_output_shape(self, x_shape: tuple, padding_mask_shape: tuple) -> tuple:
        """Drops the token axis."""
        return (x_shape[0], x_shape[2])


def classification(sequence: Any, padding_mask: Any, *, classes: int, dropout: float) -> Any:
    """Mean pooling, dropout and one Dense layer: logits ``float[batch, classes]``."""
    pooled = MaskedMean(name="head_pool")(sequence, padding_mask=padding_mask)
    dropped = keras.layers.Dropout(dropout, name="head_dropout")(pooled)
    return keras.layers.Dense(classes, name="head_logits", dtype="float32")(dropped)


HEADS.register("classification", classification)
