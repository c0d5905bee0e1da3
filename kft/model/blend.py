"""The blend in the graph: each view as a layer on what the head reads, token ids or word features.

So what answers, and ships, is one model.

What the views are, and how they are fitted, stands in ``kft.features.views``; tests/model/test_blend.py holds both to
the same numbers.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
from keras import ops

from kft.errors import ModelError
from kft.model.graph import nodes_in_order
from kft.model.heads import BLEND_PREFIX as PREFIX
from kft.model.heads import DROPOUT, LOGITS
from kft.model.window_layers import VECTORS, WindowVectors
from kft.tasks.word_shapes import FEATURES, WORD_FEATURES

SMALLEST = 1e-12
FLOOR, ODDS_FLOOR = 1e-6, 1e-3
DIGIT = 256
"""What the numbers of columns are written to the base of, where they are counted."""
BUCKETS, FACTOR = 2**18, 1_000_003
"""As in ``kft.features.views``."""


class _View(keras.layers.Layer):
    """Base: holds named arrays as weights that no phase trains, and its share of the blend."""

    def __init__(self, arrays: Mapping[str, np.ndarray], solver: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._solver = solver
        for name, array in arrays.items():
            weight = self.add_weight(
                name=name,
                shape=array.shape,
                dtype=str(array.dtype),
                trainable=name == "share",  # something of a head has to train, or there is no boundary below it
                initializer="zeros",
            )
            weight.assign(array)
            setattr(self, name, weight)

    def _finished(self, outputs: Any) -> Any:
        """Returns log-probabilities where classes exclude each other, times the view's share."""
        if self._solver == "softmax":
            outputs = ops.log_softmax(outputs, axis=-1)
        return outputs * self.share

    def _from_shares(self, shares: Any) -> Any:
        if self._solver == "softmax":
            return ops.log(shares + FLOOR) * self.share
        if self._solver == "sigmoid":
            inside = ops.clip(shares, ODDS_FLOOR, 1 - ODDS_FLOOR)
            return (ops.log(inside) - ops.log(1 - inside)) * self.share
        return shares * self.share


def _unit(vectors: Any) -> Any:
    """Returns vectors at length one; zeros stay zeros. No layer of its own, which would lie below the boundary."""
    lengths = ops.sqrt(ops.sum(ops.square(vectors), axis=-1, keepdims=True))
    return vectors / ops.maximum(lengths, SMALLEST)


class Head(_View):
    """The head that training left, on vectors as they are."""

    def call(self, vectors: Any) -> Any:
        return self._finished(ops.matmul(vectors, self.kernel) + self.bias)


class Linear(_View):
    """A solved head on unit vectors."""

    def call(self, vectors: Any) -> Any:
        return self._finished(ops.matmul(_unit(vectors), self.kernel) + self.bias)


class Names(_View):
    """The classes' names against unit vectors."""

    def call(self, vectors: Any) -> Any:
        return self._finished(ops.matmul(_unit(vectors), ops.transpose(self.known)) / self.width)


class Neighbours(_View):
    """All labelled examples, each counting by its nearness."""

    def call(self, vectors: Any) -> Any:
        scores = ops.matmul(_unit(vectors), ops.transpose(self.known)) / self.width + self.weight
        return self._from_shares(ops.matmul(ops.softmax(scores, axis=-1), self.speaks))


class Tokens(_View):
    """A linear model on TF-IDF of token ids and of pairs of neighbours."""

    def call(self, token_ids: Any, padding_mask: Any) -> Any:
        real = ops.cast(padding_mask, "int32")
        size = self.column_of_token.shape[0]
        singles = ops.take(self.column_of_token, ops.minimum(token_ids, size - 1))
        singles = singles * ops.cast(token_ids < size, "int32") * real
        pairs = ops.take(self.column_of_pair, _pair_buckets(token_ids)) * real[:, 1:]
        columns = ops.concatenate([singles, pairs], axis=1)
        same = ops.cast(ops.expand_dims(columns, 2) == ops.expand_dims(columns, 1), "float32")
        count = ops.sum(same, axis=-1)
        rarity = ops.take(self.rarity, columns)
        value = (1 + ops.log(count)) * rarity
        # Each place of a column carries an equal part of it, so that no column has to be told apart.
        length = ops.sqrt(ops.sum(ops.square(value) / count, axis=-1, keepdims=True))
        part = value / count / ops.maximum(length, SMALLEST)
        rows = ops.take(self.kernel, columns, axis=0)
        return self._finished(ops.sum(rows * ops.expand_dims(part, -1), axis=1) + self.bias)


def _pair_buckets(ids: Any) -> Any:
    """Returns ``int32[batch, tokens - 1]``: ``(first * FACTOR + second) % BUCKETS``, without a number above 2**24.

    In parts of six bits: OpenVINO computes whole numbers in float32, and would give another bucket.
    """
    rest, hashes = ids[:, :-1], ids[:, 1:]
    for place in range(4):
        part = ops.mod(rest, 64) * (FACTOR * 64**place % BUCKETS)
        hashes, rest = ops.mod(hashes + ops.mod(part, BUCKETS), BUCKETS), ops.floor_divide(rest, 64)
    return hashes


class DocumentTokens(Tokens):
    """The same of texts in windows: each token counts once, and so does each pair, whatever windows it stands in.

    A column is counted by adding up, not by comparing every token with every other: documents are long.
    """

    def __init__(self, arrays: Mapping[str, np.ndarray], solver: str, cut: WindowVectors, **kwargs: Any) -> None:
        super().__init__(arrays, solver, **kwargs)
        self._size, self._first, self._behind = cut.size, cut.sides[0] + cut.overlap, cut.sides[1]

    def call(self, token_ids: Any, padding_mask: Any) -> Any:
        counts = self._counts(token_ids, self._once(padding_mask))
        value = ops.where(counts > 0, (1 + ops.log(ops.maximum(counts, 1))) * self.rarity, 0)
        length = ops.sqrt(ops.sum(ops.square(value), axis=-1, keepdims=True))
        return self._finished(ops.matmul(value / ops.maximum(length, SMALLEST), self.kernel) + self.bias)

    def _once(self, padding_mask: Any) -> Any:
        """Returns ``int32[batch, tokens]``: 1 for a token that no window before has, 0 for the special ones between."""
        batch = ops.shape(padding_mask)[0]
        real = ops.reshape(ops.cast(padding_mask, "int32"), (batch, -1, self._size))
        place = ops.arange(self._size)
        new = ops.concatenate([ops.ones_like(real[:, :1]), ops.zeros_like(real[:, 1:])], axis=1)
        new = ops.maximum(new, ops.cast(place >= self._first, "int32"))
        last = 1 - ops.concatenate([real[:, 1:, :1], ops.zeros_like(real[:, :1, :1])], axis=1)
        last = ops.maximum(last, ops.cast(place < self._size - self._behind, "int32"))
        return ops.reshape(real * new * last, (batch, -1))

    def _counts(self, ids: Any, once: Any) -> Any:
        """Returns ``float32[batch, columns + 1]``: how often each column stands in a document; column 0 is none.

        A column's number in two digits, and the product of what marks the first with what marks the second: exact, and
        every format computes it (ONNX keeps one of several values that are scattered to a place).
        """
        size, columns = self.column_of_token.shape[0], self.rarity.shape[0]
        singles = ops.take(self.column_of_token, ops.minimum(ids, size - 1)) * ops.cast(ids < size, "int32") * once
        pairs = ops.take(self.column_of_pair, _pair_buckets(ids)) * once[:, 1:]
        places = ops.concatenate([singles, pairs], axis=1)
        high = ops.floor_divide(places, DIGIT)
        lines = -(-columns // DIGIT)
        first = ops.cast(ops.expand_dims(high, 1) == ops.arange(lines)[:, None], "float32")
        second = ops.cast(ops.expand_dims(places - high * DIGIT, 2) == ops.arange(DIGIT), "float32")
        found = ops.reshape(ops.matmul(first, second), (ops.shape(ids)[0], lines * DIGIT))
        return found[:, :columns]


class Words(_View):
    """A linear model on hashed features of words: the sum of their rows."""

    def call(self, places: Any) -> Any:
        rows = ops.take(self.table, ops.take(self.row_of_place, places, axis=0), axis=0)
        return self._finished(ops.sum(rows, axis=-2) + self.bias)


LAYERS: dict[str, tuple[type[_View], str]] = {
    "head": (Head, "vectors"),
    "linear": (Linear, "vectors"),
    "names": (Names, "vectors"),
    "neighbours": (Neighbours, "vectors"),
    "tokens": (Tokens, "tokens"),
    "words": (Words, "shapes"),
}
"""By the name of the view: its layer, and what it reads."""


def is_blend(arrays: Mapping[str, Any]) -> bool:
    """Whether weights by their paths are those of a model with a blend.

    Example:
        >>> is_blend({"head_blend_linear/kernel": 1}), is_blend({"head_logits/kernel": 1})
        (True, False)
    """
    return any(path.startswith(PREFIX) for path in arrays)


def blend_weights(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Returns a blend's arrays, ``VIEW/ARRAY``, by the paths of the variables that hold them.

    Example:
        >>> list(blend_weights({"linear/share": np.array(1.0)}))
        ['head_blend_linear/share']
    """
    return {PREFIX + name: array for name, array in arrays.items()}


def with_blend(model: keras.Model, weights: Mapping[str, np.ndarray], solver: str) -> keras.Model:
    """Returns a model on the same layers whose output is the blend's.

    Args:
        model: From ``build_model``.
        weights: By the paths of the variables, from ``blend_weights``; other paths play no part.
        solver: ``softmax``, ``sigmoid`` or ``squared``.

    Returns:
        From the inputs of ``model``, and the features of words where a view reads them, to ``float32[batch, units]``,
        or ``[batch, tokens, units]``: the weighted sum of the views' outputs.

    Raises:
        ModelError: A view is unknown, as in a run of a later kft.
    """
    by_view: dict[str, dict[str, np.ndarray]] = {}
    for path, array in weights.items():
        if path.startswith(PREFIX):
            view, name = path.removeprefix(PREFIX).split("/", 1)
            by_view.setdefault(view, {})[name] = array
    unknown = sorted(set(by_view) - set(LAYERS))
    if unknown:
        raise ModelError(
            "the run blends views that this version does not know",
            received=", ".join(unknown),
            expected="some of " + ", ".join(LAYERS),
            next_step="use the version of kft that receipt.json names",
        )
    inputs = {tensor.name: tensor for tensor in model.inputs}
    nodes = {node.operation.name: node for node in nodes_in_order(model)}
    known = {
        "vectors": nodes.get(DROPOUT, nodes[LOGITS]).input_tensors[:1],
        "tokens": [inputs.get("token_ids"), inputs.get("padding_mask")],
    }
    given = list(model.inputs)
    if any(LAYERS[name][1] == "shapes" for name in by_view):
        given.append(keras.Input((None, FEATURES), dtype="int32", name=WORD_FEATURES))
        known["shapes"] = given[-1:]
    parts = []
    for name, arrays in by_view.items():
        kind, reads = LAYERS[name]
        settings: dict[str, Any] = {"name": PREFIX + name, "dtype": "float32"}
        if kind is Tokens and VECTORS in nodes:
            kind, settings = DocumentTokens, {**settings, "cut": nodes[VECTORS].operation}
        parts.append(kind(arrays, solver, **settings)(*known[reads]))
    output = parts[0] if len(parts) == 1 else keras.layers.Add(name=f"{PREFIX}sum", dtype="float32")(parts)
    return keras.Model(given, output, name="kft_model")
