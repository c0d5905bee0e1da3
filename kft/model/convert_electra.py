"""ELECTRA of Hugging Face as keras-hub's ElectraBackbone, for which keras-hub has no converter."""

from __future__ import annotations

from typing import Any

import numpy as np


def build(config: dict[str, Any], arguments: dict[str, Any]) -> Any:
    """Builds the empty model."""
    import keras_hub

    return keras_hub.models.ElectraBackbone(
        vocab_size=config["vocab_size"],
        num_layers=config["num_hidden_layers"],
        num_heads=config["num_attention_heads"],
        hidden_dim=config["hidden_size"],
        embedding_dim=config["embedding_size"],
        intermediate_dim=config["intermediate_size"],
        max_sequence_length=config["max_position_embeddings"],
        num_segments=config["type_vocab_size"],
        **arguments,
    )


def convert_weights(model: Any, reader: Any, config: dict[str, Any]) -> None:
    """Fills it; the discriminator has no pooler, so that the model's own stays new."""
    port_embedding(reader, model.token_embedding.embeddings, "electra.embeddings.word_embeddings")
    port_embedding(reader, model.position_embedding.position_embeddings, "electra.embeddings.position_embeddings")
    port_embedding(reader, model.segment_embedding.embeddings, "electra.embeddings.token_type_embeddings")
    port_norm(reader, model.embeddings_layer_norm, "electra.embeddings.LayerNorm")
    if config["embedding_size"] != config["hidden_size"]:
        port_dense(reader, model.embeddings_projection, "electra.embeddings_project")
    for number, layer in enumerate(model.transformer_layers):
        port_encoder_layer(reader, layer, f"electra.encoder.layer.{number}", ("query", "key", "value"))


def port_encoder_layer(reader: Any, layer: Any, prefix: str, names: tuple[str, str, str]) -> None:
    """Fills a block whose normalisations stand behind attention and feed-forward, as BERT's do."""
    attention = layer._self_attention_layer
    # Keras's attention gives these a public name, DeBERTa's a private one.
    query, key, value, output = (
        getattr(attention, f"{name}_dense", None) or getattr(attention, f"_{name}_dense")
        for name in ("query", "key", "value", "output")
    )
    for name, dense in zip(names, (query, key, value), strict=True):
        port_dense(reader, dense, f"{prefix}.attention.self.{name}")
    port_dense(reader, output, f"{prefix}.attention.output.dense")
    port_norm(reader, layer._self_attention_layer_norm, f"{prefix}.attention.output.LayerNorm")
    port_dense(reader, layer._feedforward_intermediate_dense, f"{prefix}.intermediate.dense")
    port_dense(reader, layer._feedforward_output_dense, f"{prefix}.output.dense")
    port_norm(reader, layer._feedforward_layer_norm, f"{prefix}.output.LayerNorm")


def port_embedding(reader: Any, variable: Any, name: str) -> None:
    """Fills a table."""
    reader.port_weight(variable, f"{name}.weight")


def port_norm(reader: Any, layer: Any, name: str) -> None:
    """Fills a layer normalisation."""
    reader.port_weight(layer.gamma, f"{name}.weight")
    reader.port_weight(layer.beta, f"{name}.bias")


def port_dense(reader: Any, layer: Any, name: str) -> None:
    """Fills a dense layer, whose kernel may have the heads as an axis of its own."""
    reader.port_weight(layer.kernel, f"{name}.weight", lambda tensor, shape: np.reshape(tensor.T, shape))
    reader.port_weight(layer.bias, f"{name}.bias", lambda tensor, shape: np.reshape(tensor, shape))
