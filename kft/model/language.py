"""A decoder as a language model: the logits of the next token from hidden states, and the pass with a key-value cache.

Both are keras-hub's own: the backbone's token embedding, called in reverse (its own output matrix where the weights
have one, soft caps and all), and the family's ``CausalLM``.
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

import keras
from keras import ops

from kft.errors import ModelError
from kft.tasks.responses import TARGETS

if TYPE_CHECKING:
    from kft.model.backbones import Backbone


LANGUAGE = "language"
"""What ``kft.build_model`` calls the head of a language model."""


class NextToken(keras.layers.Layer):
    """How well each asked position predicts the token behind it; logits are made of these positions alone.

    The matrix stays the embedding's own weight, so this layer has none.

    Args:
        embedding: From ``output_embedding``.
    """

    def __init__(self, embedding: keras.layers.Layer, name: str = "head_next_token") -> None:
        super().__init__(name=name, dtype="float32")
        object.__setattr__(self, "embedding", embedding)  # not a part of this layer
        self.built = True

    def call(self, hidden: Any, targets: Any, training: bool | None = None) -> Any:
        """Takes ``float[batch, tokens, width]`` and ``int32[batch, tokens]``; gives ``float32[batch, tokens, 3]``.

        The three are those of ``kft.tasks.responses``: LOSS, HIT and ASKED.
        """
        import tensorflow as tf

        places = tf.where(targets > 0)
        right, read = tf.gather_nd(targets, places) - 1, tf.gather_nd(hidden, places)
        losses, hits = self.losses_and_hits(read, right, bool(training))
        values = tf.stack([losses, hits, tf.ones_like(losses)], axis=-1)
        return tf.scatter_nd(places, values, tf.cast(tf.concat([tf.shape(targets), [3]], 0), tf.int64))

    def losses_and_hits(self, hidden: Any, right: Any, training: bool) -> tuple[Any, Any]:
        """Takes ``float[n, width]`` and ``int32[n]``, the right tokens; gives ``float32[n]`` twice."""
        weigh = self._all_at_once if training and self._trains else self._in_parts
        return weigh(hidden, right, training)

    @property
    def _trains(self) -> bool:
        """Whether the matrix does now; what trains is set before anything is traced."""
        layer = self.embedding
        return bool((layer._embeddings if layer.tie_weights else layer.reverse_embeddings).trainable)

    def _in_parts(self, hidden: Any, right: Any, training: bool) -> tuple[Any, Any]:
        from kft.model.over_vocabulary import output_matrix, weigh

        return weigh(output_matrix(self.embedding), hidden, right, slopes=training)

    def _all_at_once(self, hidden: Any, right: Any, training: bool) -> tuple[Any, Any]:
        import tensorflow as tf

        from kft.model.over_vocabulary import logits_of, output_matrix

        logits = logits_of(output_matrix(self.embedding), hidden)
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=right, logits=logits)
        return losses, tf.cast(tf.equal(tf.argmax(logits, axis=-1, output_type=tf.int32), right), tf.float32)

    def compute_output_shape(self, hidden_shape: tuple, targets_shape: tuple) -> tuple:
        return (*targets_shape, 3)


def with_targets(backbone: Backbone) -> keras.Model:
    """Returns a decoder's graph with one more input, ``target_ids``, and what ``NextToken`` says of it.

    Raises:
        ModelError: The backbone is no language model.
    """
    require_decoder(backbone)
    targets = keras.Input((None,), dtype="int32", name=TARGETS)
    outputs = NextToken(output_embedding(backbone.model))(backbone.features, targets)
    return keras.Model({**backbone.model.input, TARGETS: targets}, outputs, name="kft_model")


def require_decoder(backbone: Backbone) -> None:
    """Refuses a backbone that does not predict the next token.

    Raises:
        ModelError: It reads images, or each of its tokens sees those behind it.
    """
    if backbone.modality != "text" or backbone.pooling != "last" or _reversible(backbone.model) is None:
        raise ModelError(
            "this backbone is no language model: nothing in it predicts the next token",
            where="model.backbone",
            received=backbone.name,
            expected="a causal decoder: gemma3-270m, or a folder of GPT-2, Llama, Mistral, Gemma or Qwen",
            next_step="kft models --modality text",
        )


def output_embedding(model: keras.Model) -> Any:
    """Returns the layer that makes logits of hidden states when it is called with ``reverse=True``.

    Raises:
        ModelError: The model has none.
    """
    layer = _reversible(model)
    if layer is None:
        raise ModelError(
            "the model has no matrix that makes logits of hidden states",
            where=model.name,
            expected="a decoder whose token embedding is a ReversibleEmbedding",
            next_step="kft models --modality text",
        )
    return layer


def next_token_logits(model: keras.Model, hidden: Any, positions: Any = None) -> Any:
    """Returns the logits of the token that follows each of some positions.

    Args:
        model: A decoder's flat graph, or one that was built on it by ``kft.build_model``.
        hidden: ``float[batch, tokens, width]``: what its last normalisation gives.
        positions: ``int[batch, n]``: after which tokens; None: after every one. The matrix of a large vocabulary costs
            more than all blocks, so ask for what is needed.

    Returns:
        ``float32[batch, n, vocabulary]``, soft caps applied.

    Raises:
        ModelError: The model has no such matrix.
    """
    from kft.model.over_vocabulary import logits_of, output_matrix

    if positions is not None:
        hidden = ops.take_along_axis(hidden, ops.expand_dims(ops.cast(positions, "int32"), -1), axis=1)
    matrix, shape = output_matrix(output_embedding(model)), ops.shape(hidden)
    # One product of all positions: Keras makes one a row, which reads the matrix as often.
    flat = ops.reshape(hidden, (-1, hidden.shape[-1]))
    return ops.reshape(logits_of(matrix, flat), (*shape[:-1], matrix.tokens))


def first_pass(lm: Any, tokens: Any) -> tuple[Any, Any]:
    """Returns the hidden states of some tokens, and the cache of keys and values that they leave.

    Args:
        lm: From ``causal_lm``.
        tokens: ``int32[batch, tokens]``, none of them padding; what images and sounds need beside is left out.
    """
    given = {"token_ids": tokens, "padding_mask": ops.ones_like(tokens)}
    names = inspect.signature(lm._build_cache).parameters
    hidden, cache = lm._build_cache(*(given.get(name) for name in names))
    return hidden, cache


def causal_lm(model: keras.Model) -> Any:
    """Returns keras-hub's ``CausalLM`` of a decoder's backbone: the same layers and weights, adapters as well.

    Its ``call_with_cache(token_ids, cache, cache_update_index)`` gives logits, hidden states and the cache that the
    tokens before have left; ``_build_cache`` seeds one.

    Args:
        model: ``Backbone.model`` of keras-hub's own class.

    Raises:
        ModelError: keras-hub has no language model for it.
    """
    import keras_hub

    for name in dir(keras_hub.models):
        found = getattr(keras_hub.models, name)
        if name.endswith("CausalLM") and getattr(found, "backbone_cls", None) is type(model):
            return found(backbone=model, preprocessor=None)
    raise ModelError(
        "keras-hub has no language model for this backbone",
        where=model.name,
        received=type(model).__name__,
        expected="a decoder of GPT-2, Llama, Mistral, Gemma, Qwen and their like",
        next_step="kft models --modality text",
    )


def _reversible(model: keras.Model) -> Any:
    layers = (layer for layer in model._flatten_layers() if isinstance(layer, keras.layers.ReversibleEmbedding))
    return next(layers, None)
