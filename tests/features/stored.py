"""A frozen model of tokens, its front, and texts to run through it."""

import keras
import numpy as np

from kft.features import store
from kft.features.boundary import split_at_boundary
from kft.feed.batches import Ragged
from kft.feed.source import text_source

VOCABULARY, WIDTH = 50, 8


def token_model(width=WIDTH, seed=0):
    """A frozen block of two tensors below a head: one vector a token, and one an example."""
    keras.utils.set_random_seed(seed)
    ids = keras.Input((None,), dtype="int32", name="token_ids")
    mask = keras.Input((None,), dtype="int32", name="padding_mask")
    embedded = keras.layers.Embedding(VOCABULARY, width, name="stem_embedding")(ids)
    hidden = keras.layers.Dense(width, activation="tanh", name="block_00_dense")(embedded)
    pooled = keras.layers.GlobalAveragePooling1D(name="block_00_pool")(hidden, mask=mask)
    attended = keras.layers.Dense(width, name="block_01_dense")(hidden)
    top = keras.layers.GlobalAveragePooling1D(name="block_01_pool")(attended, mask=mask)
    joined = keras.layers.Concatenate(name="head_join")([top, pooled])
    model = keras.Model([ids, mask], keras.layers.Dense(3, name="head_logits")(joined))
    for layer in model.layers:
        layer.trainable = not layer.name.startswith(("stem", "block_00"))
    return model


def texts(rows=200, seed=0):
    rng = np.random.default_rng(seed)
    tokens = Ragged.from_rows([rng.integers(1, VOCABULARY, rng.integers(2, 12)) for _ in range(rows)])
    return text_source(tokens).select(("token_ids", "padding_mask"))


def front_of(model=None):
    return store.make_front(split_at_boundary(model or token_model()))
