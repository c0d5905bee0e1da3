"""Where token embeddings train, only the rows of tokens that occur in train do.

A vocabulary has some 30,000 tokens, and a data set a few thousand of them. The gradient of all other rows is zero, and
so is what AdamW adds to them: they merely decay. So the rows that occur are a variable of their own while a phase
trains, with moments of its own; the others decay in one go when an epoch ends.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import wraps
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from kft.feed.batches import Ragged
from kft.feed.source import Source
from kft.model.graph import nodes_in_order
from kft.model.language import NextToken
from kft.recipe.training import TrainSpec
from kft.train.optimizer import ADAMW

TOKENS = "token_ids"
WORTH = 0.5
"""A larger share of the vocabulary is not worth a second copy."""


@dataclass(frozen=True, eq=False)
class TokenTable:
    """The embeddings of the tokens that occur in train.

    Attributes:
        layer: The embedding whose table it is.
        ids: ``int[m]``: the tokens.
        rows: ``float32[m + 1, width]``: their embeddings. The last row begins as ones; nothing reads it, so it decays
            as the rows of all other tokens do.
        place_of: ``int32[vocabulary]``: of each token in ``rows``.
    """

    layer: Any
    ids: np.ndarray
    rows: keras.Variable
    place_of: np.ndarray

    @property
    def whole(self) -> keras.Variable:
        """The embeddings of all tokens."""
        return self.layer.embeddings

    def instead(self, variables: Sequence[keras.Variable]) -> list[keras.Variable]:
        """Returns the variables that train, the rows in place of the whole table."""
        return [self.rows if variable is self.whole else variable for variable in variables]

    def read(self) -> None:
        """Takes the rows from the whole table."""
        whole = self.whole.numpy()
        self.rows.assign(np.concatenate([whole[self.ids], np.ones_like(whole[:1])]))

    def write(self) -> None:
        """Puts the rows back, and lets all others decay by as much as they would have."""
        rows, whole = self.rows.numpy(), self.whole.numpy()
        trained = whole * rows[-1]
        trained[self.ids] = rows[:-1]
        self.whole.assign(trained)
        self.read()

    def during(self, step: Callable[..., Any]) -> Callable[..., Any]:
        """Returns a traced step that looks tokens up in the rows, wherever the layer is called."""

        @wraps(step)
        def looked_up(*arguments: Any) -> Any:
            with self._in_place():
                return step(*arguments)

        return looked_up

    @contextmanager
    def _in_place(self) -> Iterator[None]:
        object.__setattr__(self.layer, "call", self._look_up)
        try:
            yield
        finally:
            object.__delattr__(self.layer, "call")

    def _look_up(self, tokens: Any) -> Any:
        # From a tensor: a gather on the variable itself copies all of it.
        found = tf.gather(tf.convert_to_tensor(self.rows.value), tf.gather(self.place_of, tokens))
        return tf.cast(found, self.layer.compute_dtype)


def token_table(model: keras.Model, train: Source, spec: TrainSpec) -> TokenTable | None:
    """Returns the table of what trains now; None where no token embedding does, or where it would not pay.

    Args:
        model: What is trained, with what trains set.
        train: What a step reads.
        spec: Its optimizer has to be AdamW, which leaves a row without a gradient to the decay alone.
    """
    tokens = train.columns.get(TOKENS)
    layer = _embedding(model)
    if layer is None or not isinstance(tokens, Ragged) or spec.optimizer.name.lower() != ADAMW:
        return None
    ids = np.union1d(tokens.values, [0])  # 0 stands where batches are padded
    if len(ids) > WORTH * layer.input_dim:
        return None
    place_of = np.zeros(layer.input_dim, np.int32)
    place_of[ids] = np.arange(len(ids))
    shape = (len(ids) + 1, layer.output_dim)
    rows = keras.Variable(np.ones(shape, np.float32), name="token_rows")
    return TokenTable(layer, ids, rows, place_of)


def _embedding(model: keras.Model) -> Any:
    """Returns the one embedding that reads token ids, and trains as Keras has it: without masks and adapters."""
    readers = [
        inner
        for node in nodes_in_order(model)
        if any(tensor.name == TOKENS for tensor in node.input_tensors)
        for inner in node.operation._flatten_layers()
        if isinstance(inner, keras.layers.Embedding)
    ]
    moving = {id(variable) for variable in model.trainable_variables}
    if len(readers) != 1 or id(readers[0].embeddings) not in moving:
        return None
    if any(isinstance(layer, NextToken) for layer in model.layers):  # it makes logits of every row
        return None
    plain = not readers[0].mask_zero and readers[0].embeddings.dtype == "float32" and not readers[0].lora_enabled
    return readers[0] if plain else None
