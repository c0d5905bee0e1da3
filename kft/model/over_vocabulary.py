"""How likely the right token is, and how a hidden state would have to change, without the logits of all positions.

The logits of 512 positions over a vocabulary of 262,144 take 0.5 GB, and their gradients as much again, twice. Here
the vocabulary passes in parts, as keys and values do in attention (Milakov and Gimelshein, 2018; Dao et al., 2022):
what is kept is a running maximum, the sum below it, and the mean of the matrix's rows by their chances, which is the
gradient but for the right row. The same two products are made, a part at a time.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import tensorflow as tf

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
    """

    rows: Callable[[Any, Any], Any]
    tokens: int
    cap: float | None
    dtype: str
    whole: bool


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
        part = matrix[start:stop] if layer.tie_weights else tf.transpose(matrix[:, start:stop])
        part = tf.cast(part, dtype)
        return part if scale is None else part / tf.cast(scale[start:stop, None], dtype)

    return OutputMatrix(rows, layer.input_dim, layer.logit_soft_cap, dtype, scale is None)


def logits_of(matrix: OutputMatrix, hidden: Any) -> Any:
    """Returns ``float32[n, vocabulary]``, capped, for ``float[n, width]``."""
    size = matrix.tokens if matrix.whole else PART
    given = tf.cast(hidden, matrix.dtype)
    parts = [
        tf.matmul(given, matrix.rows(start, min(start + size, matrix.tokens)), transpose_b=True)
        for start in range(0, matrix.tokens, size)
    ]
    logits = tf.cast(parts[0] if len(parts) == 1 else tf.concat(parts, axis=1), tf.float32)
    return logits if matrix.cap is None else matrix.cap * tf.tanh(logits / matrix.cap)


def weigh(matrix: OutputMatrix, hidden: Any, right: Any, *, slopes: bool) -> tuple[Any, Any]:
    """Returns the loss of each hidden state in nats, and whether no token was likelier than the right one.

    Args:
        matrix: It does not train: it gets no gradient.
        hidden: ``float[n, width]``.
        right: ``int32[n]``: the token that follows.
        slopes: Whether gradients are computed on the way; else they are where they are asked for, by another pass.

    Returns:
        ``float32[n]`` twice.
    """

    @tf.custom_gradient
    def of(hidden: Any) -> Any:
        losses, hits, slope = _pass(matrix, hidden, right, slopes)

        def gradient(of_losses: Any, of_hits: Any) -> Any:
            found = slope if slopes else _pass(matrix, hidden, right, True)[2]
            return tf.cast(found * of_losses[:, None], hidden.dtype)

        return (losses, hits), gradient

    found: tuple[Any, Any] = of(hidden)
    return found


def _pass(matrix: OutputMatrix, hidden: Any, right: Any, slopes: bool) -> tuple[Any, Any, Any]:
    """Returns losses, hits and, where they are wanted, the gradients of the losses: ``float32[n, width]``."""
    count, width = tf.shape(hidden)[0], hidden.shape[-1] if slopes else 0
    given = tf.cast(hidden, matrix.dtype)

    def part(start: Any, peak: Any, total: Any, of_right: Any, mean: Any, aim: Any) -> tuple[Any, ...]:
        stop = tf.minimum(start + PART, matrix.tokens)
        rows = matrix.rows(start, stop)
        logits = tf.cast(tf.matmul(given, rows, transpose_b=True), tf.float32)
        if matrix.cap is not None:
            logits = matrix.cap * tf.tanh(logits / matrix.cap)
        higher = tf.maximum(peak, tf.reduce_max(logits, axis=-1))
        chances, before = tf.exp(logits - higher[:, None]), tf.exp(peak - higher)
        total = total * before + tf.reduce_sum(chances, axis=-1)
        inside = (right >= start) & (right < stop)
        place = tf.where(inside, right - start, 0)
        own = tf.gather(logits, place, batch_dims=1)
        of_right = tf.where(inside, own, of_right)
        if slopes:
            towards = tf.cast(tf.gather(rows, place), tf.float32)
            if matrix.cap is not None:
                chances *= 1 - tf.square(logits / matrix.cap)
                towards *= 1 - tf.square(own / matrix.cap)[:, None]
            mean = mean * before[:, None] + tf.cast(tf.matmul(tf.cast(chances, matrix.dtype), rows), tf.float32)
            aim = tf.where(inside[:, None], towards, aim)
        return stop, higher, total, of_right, mean, aim

    none, wide = tf.zeros([count]), tf.zeros([count, width])
    first = (0, tf.fill([count], tf.float32.min), none, none, wide, wide)
    _, peak, total, of_right, mean, aim = tf.while_loop(
        lambda start, *_: start < matrix.tokens, part, first, parallel_iterations=1
    )
    losses, hits = peak + tf.math.log(total) - of_right, tf.cast(of_right >= peak, tf.float32)
    return losses, hits, mean / total[:, None] - aim if slopes else None
