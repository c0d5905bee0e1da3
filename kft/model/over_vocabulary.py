"""How likely the right token is, and how a hidden state would have to change, without the logits of all positions.

The logits of 512 positions over a vocabulary of 262,144 take 0.5 GB, and their gradients as much again, twice. Here
the vocabulary passes in parts, as keys and values do in attention (Milakov and Gimelshein, 2018; Dao et al., 2022):
what is kept is a running maximum, the sum below it, and the mean of the matrix's rows by their chances, which is the
gradient but for the right row. The same two products are made, a part at a time.

Rows of the matrix meet hidden states, not the other way round: TensorFlow's product with a transposed matrix of 262,144
rows takes seconds for two hidden states as for sixty, in which it is only laid out anew (docs/log.md).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import tensorflow as tf

from kft.errors import ModelError

PART = 2**14
"""Tokens of the vocabulary that pass at once."""


@dataclass(frozen=True)
class OutputMatrix:
    """What makes logits of hidden states.

    Attributes:
        rows: From the first token and the one behind the last to ``float[tokens, width]``.
        tokens: Of the vocabulary.
        cap: Logits are ``cap * tanh(x / cap)``; None: they are not capped.
        dtype: That products are made in.
        whole: Whether it is held as products take it, so that taking all of it costs nothing.
        trains: Whether it does; what passes in parts gives it no gradient.
    """

    rows: Callable[[Any, Any], Any]
    tokens: int
    cap: float | None
    dtype: str
    whole: bool
    trains: bool = False


def output_matrix(layer: Any) -> OutputMatrix:
    """Returns the matrix of a ``ReversibleEmbedding``, its own or that of the embeddings; in int8, a part is float.

    Args:
        layer: From ``kft.model.language.output_embedding``.
    """
    held = layer._embeddings if layer.tie_weights else layer.reverse_embeddings
    dtype = layer.reverse_dtype or layer.compute_dtype
    matrix = tf.convert_to_tensor(held.value)
    scale = None
    if layer.quantization_mode is not None:
        scale = layer.embeddings_scale if layer.tie_weights else layer.reverse_embeddings_scale
        scale = tf.convert_to_tensor(scale.value)

    def rows(start: Any, stop: Any) -> Any:
        if layer.tie_weights:
            whole = isinstance(stop, int) and stop - start == layer.input_dim
            part = matrix if whole else matrix[start:stop]  # the gradient of a slice is as large as all of it
        else:
            part = tf.transpose(matrix[:, start:stop])
        part = tf.cast(part, dtype)
        return part if scale is None else part / tf.cast(scale[start:stop, None], dtype)

    return OutputMatrix(rows, layer.input_dim, layer.logit_soft_cap, dtype, scale is None, bool(held.trainable))


def logits_of(matrix: OutputMatrix, hidden: Any) -> Any:
    """Returns ``float32[n, vocabulary]``, capped, for ``float[n, width]``."""
    size = matrix.tokens if matrix.whole else PART
    given = tf.cast(hidden, matrix.dtype)
    parts = [
        tf.matmul(matrix.rows(start, min(start + size, matrix.tokens)), given, transpose_b=True)
        for start in range(0, matrix.tokens, size)
    ]
    logits = tf.cast(tf.transpose(parts[0] if len(parts) == 1 else tf.concat(parts, axis=0)), tf.float32)
    return logits if matrix.cap is None else matrix.cap * tf.tanh(logits / matrix.cap)


def weigh(matrix: OutputMatrix, hidden: Any, right: Any, *, slopes: bool) -> tuple[Any, Any]:
    """Returns the loss of each hidden state in nats, and whether the right token is what would be written.

    Args:
        matrix: It gets no gradient.
        hidden: ``float[n, width]``.
        right: ``int32[n]``: the token that follows.
        slopes: Whether gradients are computed on the way; else they are where they are asked for, by another pass.

    Returns:
        ``float32[n]`` twice.

    Raises:
        ModelError: Where a gradient is asked for and the matrix trains: it would be that of hidden states alone.
    """

    @tf.custom_gradient
    def of(hidden: Any) -> Any:
        losses, hits, slope = _pass(matrix, hidden, right, slopes)

        def gradient(of_losses: Any, of_hits: Any) -> Any:
            if matrix.trains:
                raise ModelError(
                    "the loss of a vocabulary in parts gives the output matrix no gradient, and the matrix trains",
                    where="a gradient through a language head that was called with training=False",
                    expected="a matrix that is frozen, or a call with training=True",
                    next_step="call the model with training=True",
                )
            found = slope if slopes else _pass(matrix, hidden, right, True)[2]
            return tf.cast(found * of_losses[:, None], hidden.dtype)

        return (losses, hits), gradient

    found: tuple[Any, Any] = of(hidden)
    return found


def _pass(matrix: OutputMatrix, hidden: Any, right: Any, slopes: bool) -> tuple[Any, Any, Any]:
    """Returns losses, hits and, where they are wanted, the gradients of the losses: ``float32[n, width]``."""
    count, width = tf.shape(hidden)[0], hidden.shape[-1] if slopes else 0
    given = tf.cast(hidden, matrix.dtype)
    coarse = matrix.dtype != "float32"  # logits tie often, and the first of several is written

    def part(start: Any, peak: Any, best: Any, total: Any, of_right: Any, mean: Any, aim: Any) -> tuple[Any, ...]:
        stop = tf.minimum(start + PART, matrix.tokens)
        rows = matrix.rows(start, stop)
        logits = tf.cast(tf.matmul(rows, given, transpose_b=True), tf.float32)  # [tokens, n]
        if matrix.cap is not None:
            logits = matrix.cap * tf.tanh(logits / matrix.cap)
        highest = tf.reduce_max(logits, axis=0)
        higher = tf.maximum(peak, highest)
        if coarse:
            best = tf.where(highest > peak, start + tf.argmax(logits, axis=0, output_type=tf.int32), best)
        chances, before = tf.exp(logits - higher), tf.exp(peak - higher)
        total = total * before + tf.reduce_sum(chances, axis=0)
        inside = (right >= start) & (right < stop)
        place = tf.where(inside, right - start, 0)
        own = tf.gather_nd(logits, tf.stack([place, tf.range(count)], axis=1))
        of_right = tf.where(inside, own, of_right)
        if slopes:
            towards = tf.cast(tf.gather(rows, place), tf.float32)
            if matrix.cap is not None:
                chances *= 1 - tf.square(logits / matrix.cap)
                towards *= 1 - tf.square(own / matrix.cap)[:, None]
            more = tf.matmul(tf.cast(chances, matrix.dtype), rows, transpose_a=True)
            mean = mean * before[:, None] + tf.cast(more, tf.float32)
            aim = tf.where(inside[:, None], towards, aim)
        return stop, higher, best, total, of_right, mean, aim

    none, wide = tf.zeros([count]), tf.zeros([count, width])
    first = (0, tf.fill([count], tf.float32.min), tf.zeros([count], tf.int32), none, none, wide, wide)
    _, peak, best, total, of_right, mean, aim = tf.while_loop(
        lambda start, *_: start < matrix.tokens, part, first, parallel_iterations=1
    )
    losses = peak + tf.math.log(total) - of_right
    hits = tf.cast(best == right if coarse else of_right >= peak, tf.float32)
    return losses, hits, mean / total[:, None] - aim if slopes else None
