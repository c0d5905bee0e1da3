"""DeBERTa-v3 of Hugging Face as keras-hub's DebertaV3Backbone, for which keras-hub has no converter."""

from __future__ import annotations

from typing import Any

from kft.model.convert_electra import port_embedding, port_encoder_layer, port_norm


def build(config: dict[str, Any], arguments: dict[str, Any]) -> Any:
    """Builds the empty model."""
    import keras_hub

    return keras_hub.models.DebertaV3Backbone(
        vocabulary_size=config["vocab_size"],
        num_layers=config["num_hidden_layers"],
        num_heads=config["num_attention_heads"],
        hidden_dim=config["hidden_size"],
        intermediate_dim=config["intermediate_size"],
        max_sequence_length=config["max_position_embeddings"],
        bucket_size=config["position_buckets"],
        **arguments,
    )


def convert_weights(model: Any, reader: Any, config: dict[str, Any]) -> None:
    """Fills it; query and key also serve the positions (share_att_key)."""
    port_embedding(reader, model.token_embedding.embeddings, "deberta.embeddings.word_embeddings")
    port_norm(reader, model.embeddings_layer_norm, "deberta.embeddings.LayerNorm")
    relative = model.relative_embeddings
    port_embedding(reader, relative.rel_embeddings, "deberta.encoder.rel_embeddings")
    port_norm(reader, relative.layer_norm, "deberta.encoder.LayerNorm")
    for number, layer in enumerate(model.transformer_layers):
        port_encoder_layer(reader, layer, f"deberta.encoder.layer.{number}", ("query_proj", "key_proj", "value_proj"))
