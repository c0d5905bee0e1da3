"""Task heads: what turns a backbone's features into the answer a task wants."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras

from kft.errors import ModelError
from kft.model.graph import nodes_in_order
from kft.model.pooling import POOLINGS
from kft.registry import Registry

HEADS: Registry[Callable[..., Any]] = Registry("head")
"""By name: (features, padding_mask or None, units, dropout, pooling) to outputs. Each of their layers is named
``head_...``, and the last one, ``head_logits``, is the Dense layer that the linear probe solves."""

LOGITS, DROPOUT, POOL = "head_logits", "head_dropout", "head_pool"
"""Layers that others have to find: the one the probe solves, the dropout below it, and the pooling below that."""
MASK = "padding_mask"
"""The input that says which tokens are real."""
BLEND_PREFIX = "head_blend_"
"""Of all layers of a blend (kft/model/blend.py): they belong to the head."""
BLENDED = (f"{BLEND_PREFIX}linear", f"{BLEND_PREFIX}head")
"""Layers of a blend that read what was pooled; it has at least one of them."""


def pooled(features: Any, padding_mask: Any, *, units: int, dropout: float, pooling: str) -> Any:
    """One vector an example, dropout and one Dense layer: ``float[batch, units]``."""
    pool = POOLINGS.get(pooling)(name=POOL, dtype="float32")
    vector = pool(features) if padding_mask is None else pool(features, padding_mask=padding_mask)
    return _dense(vector, units, dropout)


def per_token(features: Any, padding_mask: Any, *, units: int, dropout: float, pooling: str) -> Any:
    """Dropout and one Dense layer for every token: ``float[batch, tokens, units]``."""
    return _dense(features, units, dropout)


def embedding(features: Any, padding_mask: Any, *, units: int, dropout: float, pooling: str) -> Any:
    """One vector an example, dropout and a square Dense layer that begins as the identity, then length one.

    Before anything is learned the outputs are the backbone's own vectors, each by its length: ``float[batch, width]``.
    """
    pool = POOLINGS.get(pooling)(name=POOL, dtype="float32")
    vector = pool(features) if padding_mask is None else pool(features, padding_mask=padding_mask)
    dropped = keras.layers.Dropout(dropout, name=DROPOUT, dtype="float32")(vector)
    turned = keras.layers.Dense(units or vector.shape[-1], kernel_initializer="identity", name=LOGITS, dtype="float32")(
        dropped
    )
    return UnitLength(name="head_unit", dtype="float32")(turned)


@keras.saving.register_keras_serializable(package="kft")
class UnitLength(keras.layers.Layer):
    """Each row by its length; a row of zeros stays one."""

    def call(self, x: Any) -> Any:
        """Takes ``float[batch, width]``."""
        squares = keras.ops.sum(keras.ops.square(x), axis=-1, keepdims=True)
        return x * keras.ops.rsqrt(keras.ops.maximum(squares, 1e-12))

    def compute_output_shape(self, x_shape: tuple) -> tuple:
        return x_shape


def _dense(vectors: Any, units: int, dropout: float) -> Any:
    dropped = keras.layers.Dropout(dropout, name=DROPOUT, dtype="float32")(vectors)
    return keras.layers.Dense(units, name=LOGITS, dtype="float32")(dropped)


def with_vectors(model: keras.Model) -> keras.Model:
    """Returns the same graph with a second output: what the head's last layer reads, whatever pooled it.

    Where it reads tokens one by one, that is their mean in each text.

    Args:
        model: From ``build_model``, or the upper part of one with a head that pools, which was split.

    Raises:
        ModelError: It has no such layer, or nothing says which tokens are real.
    """
    return keras.Model(model.inputs, [model.outputs[0], _read_by_head(model)], name="with_vectors")


def vectors_alone(model: keras.Model) -> keras.Model:
    """Returns the graph up to what the head's last layer reads; see ``with_vectors``."""
    return keras.Model(model.inputs, _read_by_head(model), name="vectors")


def _read_by_head(model: keras.Model) -> Any:
    """Returns ``float[batch, width]``."""
    nodes = nodes_in_order(model)
    read = [node.input_tensors[0] for node in nodes if node.operation.name == LOGITS]
    # A blend has no such layer: its views read what was pooled, the first of them directly.
    read = read or [node.input_tensors[0] for node in nodes if node.operation.name in BLENDED]
    if not read:
        raise ModelError("the model has no layer to take vectors from", expected=f"a layer named {LOGITS}")
    if len(read[0].shape) < 3:
        return read[0]
    masks = [tensor for tensor in model.inputs if tensor.name == MASK]
    if not masks:
        raise ModelError("nothing says which tokens are real", expected=f"an input named {MASK}, as a whole model has")
    return POOLINGS.get("mean")(name="head_mean", dtype="float32")(read[0], padding_mask=masks[0])


HEADS.register("classification", pooled)
HEADS.register("multi-label", pooled)
HEADS.register("regression", pooled)
HEADS.register("tagging", per_token)
HEADS.register("embedding", embedding)

FEWEST = {"classification": 2, "embedding": 0}
"""How wide a head has to be at least; others 1. 0 stands for as wide as what it reads."""
