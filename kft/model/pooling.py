"""One vector from many: how a head reads a sequence of tokens or a grid of image features."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from kft.registry import Registry


class _Pooling(keras.layers.Layer):
    """Base: brings a grid ``[batch, height, width, channels]`` into a sequence.

    Call arguments:
        x: ``float[batch, tokens, width]``, or ``float[batch, height, width, channels]``.
        padding_mask: ``int[batch, tokens]``, 1 for a real token; None where all are real.

    Returns:
        ``float[batch, width]``; zeros for a row without any real token.
    """

    def compute_output_shape(self, x_shape: tuple, padding_mask_shape: tuple | None = None) -> tuple:
        return (x_shape[0], x_shape[-1])


def _sequence(x: Any) -> Any:
    return x if len(x.shape) == 3 else ops.reshape(x, (ops.shape(x)[0], -1, x.shape[-1]))


@keras.saving.register_keras_serializable(package="kft")
class MaskedMean(_Pooling):
    """Mean of the real tokens' vectors, as sentence encoders pool them (Reimers and Gurevych, 2019)."""

    def call(self, x: Any, padding_mask: Any = None) -> Any:
        """Pools; the padding mask is no Keras mask but an input, so that it can pass a boundary."""
        x = _sequence(x)
        if padding_mask is None:
            return ops.mean(x, axis=1)
        mask = ops.expand_dims(ops.cast(padding_mask, x.dtype), -1)
        return ops.sum(x * mask, axis=1) / ops.maximum(ops.sum(mask, axis=1), 1)

    def shares(self, x: Any, padding_mask: Any) -> Any:
        """Returns ``float[batch, tokens]``: how much of what is pooled comes of each; they sum to 1."""
        mask = ops.cast(padding_mask, x.dtype)
        return mask / ops.maximum(ops.sum(mask, axis=1, keepdims=True), 1)


@keras.saving.register_keras_serializable(package="kft")
class MaskedMax(_Pooling):
    """The largest value of each channel among the real tokens."""

    def call(self, x: Any, padding_mask: Any = None) -> Any:
        x = _sequence(x)
        if padding_mask is None:
            return ops.max(x, axis=1)
        mask = ops.expand_dims(ops.cast(padding_mask, "bool"), -1)
        found = ops.max(ops.where(mask, x, ops.full_like(x, -1e9)), axis=1)
        return ops.where(ops.any(mask, axis=1), found, ops.zeros_like(found))

    def shares(self, x: Any, padding_mask: Any) -> Any:
        """Returns the share of channels whose largest value each has; see ``MaskedMean``."""
        mask = ops.expand_dims(ops.cast(padding_mask, x.dtype), -1)
        masked = x * mask - 1e9 * (1 - mask)
        first = ops.cast(masked >= ops.max(masked, axis=1, keepdims=True), x.dtype) * mask
        return ops.mean(first / ops.maximum(ops.sum(first, axis=1, keepdims=True), 1), axis=-1)


@keras.saving.register_keras_serializable(package="kft")
class FirstToken(_Pooling):
    """The first token's vector: [CLS] of BERT and ViT (Devlin et al., 2019)."""

    def call(self, x: Any, padding_mask: Any = None) -> Any:
        return _sequence(x)[:, 0]


@keras.saving.register_keras_serializable(package="kft")
class LastToken(_Pooling):
    """The last real token's vector: the one that has seen all others in a causal decoder (Radford et al., 2018)."""

    def call(self, x: Any, padding_mask: Any = None) -> Any:
        x = _sequence(x)
        if padding_mask is None:
            return x[:, -1]
        mask = ops.cast(padding_mask, "int32")
        last = ops.argmax(mask * (1 + ops.arange(ops.shape(mask)[1], dtype="int32")), axis=1)
        chosen = ops.cast(ops.one_hot(last, ops.shape(mask)[1]), x.dtype) * ops.cast(mask, x.dtype)
        return ops.sum(x * ops.expand_dims(chosen, -1), axis=1)


@keras.saving.register_keras_serializable(package="kft")
class AttentionPooling(_Pooling):
    """A mean weighted by a learned score of each token (Lin et al., 2017, with one hop and no hidden layer)."""

    def build(self, x_shape: tuple, padding_mask_shape: tuple | None = None) -> None:
        """Makes the scoring vector; zeros, so that it starts as the plain mean."""
        self.score = self.add_weight(name="score", shape=(x_shape[-1],), initializer="zeros")

    def call(self, x: Any, padding_mask: Any = None) -> Any:
        x = _sequence(x)
        return ops.sum(x * ops.expand_dims(self.shares(x, padding_mask), -1), axis=1)

    def shares(self, x: Any, padding_mask: Any) -> Any:
        """Returns the weights; see ``MaskedMean``."""
        scores = ops.sum(x * ops.cast(self.score, x.dtype), axis=-1)
        if padding_mask is not None:
            scores = ops.where(ops.cast(padding_mask, "bool"), scores, ops.full_like(scores, -1e9))
        weights = ops.softmax(scores, axis=-1)
        return weights if padding_mask is None else weights * ops.cast(padding_mask, weights.dtype)


POOLINGS: Registry[type[keras.layers.Layer]] = Registry("pooling")
for _name, _layer in (
    ("mean", MaskedMean),
    ("cls", FirstToken),
    ("max", MaskedMax),
    ("attention", AttentionPooling),
    ("last", LastToken),
):
    POOLINGS.register(_name, _layer)
