"""The head of masked language modelling: logits of hidden tokens alone, tied to the token embedding.

Dense, activation and normalisation, then the embedding's own matrix and a bias, as BERT has it (Devlin et al., 2019).
Where a Hugging Face folder has kept the head that its backbone was pretrained with, that is taken; else it is new.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from kft.errors import ModelError
from kft.model.language import NextToken, output_embedding
from kft.tasks.responses import TARGETS

if TYPE_CHECKING:
    from kft.model.backbones import Backbone

MASKED = "masked"
"""What ``kft.build_model`` calls this head."""
KNOWN = (
    # BERT, RoBERTa and XLM-R, DistilBERT, ELECTRA's generator, ALBERT: dense, normalisation, bias.
    ("cls.predictions.transform.dense", "cls.predictions.transform.LayerNorm", "cls.predictions.bias"),
    ("lm_head.dense", "lm_head.layer_norm", "lm_head.bias"),
    ("vocab_transform", "vocab_layer_norm", "vocab_projector.bias"),
    ("generator_predictions.dense", "generator_predictions.LayerNorm", "generator_lm_head.bias"),
    ("predictions.dense", "predictions.LayerNorm", "predictions.bias"),
)
"""Where Hugging Face folders keep the head of pretraining."""
Head = tuple[np.ndarray, ...]
"""Kernel and bias of the dense layer, scale and offset of the normalisation, bias of each token."""


class MaskedToken(NextToken):
    """How well each hidden token is found again; logits are made at these positions alone.

    Args:
        embedding: From ``kft.model.language.output_embedding``.
        width: Of hidden states.
        activation: Of the dense layer.
        epsilon: Of the normalisation.
        head: The head of pretraining, if any.
    """

    def __init__(
        self, embedding: keras.layers.Layer, width: int, activation: Any, epsilon: float, head: Head | None
    ) -> None:
        super().__init__(embedding, name="head_masked_token")
        self.pretrained = head is not None
        inner = int(embedding.output_dim)
        # Seeded by itself: the untuned model is built again where a run is judged, and has to be the same.
        first = keras.initializers.TruncatedNormal(stddev=0.02, seed=0)
        # Built here, their paths do not begin with this layer: whoever starts from a run tells the head by them.
        self.dense = keras.layers.Dense(inner, activation, kernel_initializer=first, name="head_dense", dtype="float32")
        self.norm = keras.layers.LayerNormalization(epsilon=epsilon, name="head_norm", dtype="float32")
        self.built = False
        self.dense.build((None, width))
        self.norm.build((None, inner))
        self.bias = self.add_weight(shape=(int(embedding.input_dim),), initializer="zeros", name="bias")
        self.built = True
        if head is not None:
            for variable, values in zip([*self.dense.weights, *self.norm.weights, self.bias], head, strict=True):
                variable.assign(values)

    def losses_and_hits(self, hidden: Any, right: Any, training: bool) -> tuple[Any, Any]:
        """Takes ``float[n, width]`` and ``int32[n]``; all logits are there at once, for every token has a bias."""
        import tensorflow as tf

        found = self.norm(self.dense(tf.cast(hidden, tf.float32)))
        logits = tf.cast(self.embedding(found, reverse=True), tf.float32) + self.bias
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=right, logits=logits)
        return losses, tf.cast(tf.equal(tf.argmax(logits, axis=-1, output_type=tf.int32), right), tf.float32)


def with_hidden(backbone: Backbone, *, pretrained: bool = True) -> keras.Model:
    """Returns an encoder's graph with one more input, ``target_ids``, and what ``MaskedToken`` says of it.

    Args:
        backbone: Reads texts in both directions.
        pretrained: Whether the head that its folder has kept is taken.

    Raises:
        ModelError: The backbone finds no hidden tokens.
    """
    if backbone.modality != "text" or backbone.pooling == "last" or not _ties(backbone.model):
        raise ModelError(
            "this backbone finds no hidden tokens",
            where="model.backbone",
            received=backbone.name,
            expected="an encoder such as minilm-l6, or a folder of BERT, DistilBERT, RoBERTa, ELECTRA or ALBERT",
            next_step="kft models --modality text; a decoder learns texts by task: causal-lm",
        )
    embedding = output_embedding(backbone.model)
    activation, epsilon = _block_settings(backbone.model)
    width = int(backbone.features.shape[-1])
    head = _kept_head(backbone, width, embedding) if pretrained else None
    targets = keras.Input((None,), dtype="int32", name=TARGETS)
    outputs = MaskedToken(embedding, width, activation, epsilon, head)(backbone.features, targets)
    return keras.Model({**backbone.model.input, TARGETS: targets}, outputs, name="kft_model")


def describe_head(model: keras.Model) -> str:
    """Says where the head of a model of ``with_hidden`` comes from."""
    (layer,) = (each for each in model.layers if isinstance(each, MaskedToken))
    if layer.pretrained:
        return "that of the backbone's own pretraining, tied to its token embedding"
    return "new, tied to the token embedding: the backbone's files hold none of its pretraining"


def _ties(model: keras.Model) -> bool:
    return any(isinstance(layer, keras.layers.ReversibleEmbedding) for layer in model._flatten_layers())


def _block_settings(model: keras.Model) -> tuple[Any, float]:
    """Returns the activation and the epsilon of the last block, which the head of pretraining shares."""
    from kft.model.families import exact_gelu

    for layer in reversed(model.layers):
        dense = getattr(layer, "_feedforward_intermediate_dense", None)
        if dense is not None:
            return dense.activation, float(layer._feedforward_layer_norm.epsilon)
    return exact_gelu, 1e-12


def _kept_head(backbone: Backbone, width: int, embedding: Any) -> Head | None:
    """Returns the head that a Hugging Face folder has kept; None where it has none that fits."""
    from kft.model.backbones import fetch_backbone
    from kft.model.hugging_face import ALLOWED, read_config
    from kft.model.presets import is_preset
    from kft.model.tensors import tensor_reader

    folder = fetch_backbone(backbone.name)
    if not folder.is_dir() or is_preset(folder, read_config(folder)):
        return None
    inner, tokens = int(embedding.output_dim), int(embedding.input_dim)
    shapes = [(width, inner), (inner,), (inner,), (inner,), (tokens,)]
    with tensor_reader()(str(folder), ALLOWED) as reader:
        for dense, norm, bias in KNOWN:
            scales = ("weight", "bias") if reader.find(f"{norm}.weight") else ("gamma", "beta")
            names = [f"{dense}.weight", f"{dense}.bias", *(f"{norm}.{each}" for each in scales), bias]
            if all(reader.find(name) for name in names):
                kernel, *others = (reader.get_tensor(name) for name in names)
                found = (kernel.T, *others)
                return found if [each.shape for each in found] == shapes else None
    return None
