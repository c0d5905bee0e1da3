"""Tiny random backbones of keras-hub, one a family, as kft flattens them."""

from __future__ import annotations

from typing import Any

import numpy as np

ENCODER = {
    "vocabulary_size": 40,
    "num_layers": 3,
    "num_heads": 2,
    "hidden_dim": 16,
    "intermediate_dim": 24,
    "max_sequence_length": 16,
}
DECODER = {
    "vocabulary_size": 40,
    "num_layers": 3,
    "num_query_heads": 2,
    "num_key_value_heads": 1,
    "hidden_dim": 16,
    "intermediate_dim": 24,
}
PHOTOS = {
    "vit": {
        "image_shape": (16, 16, 3),
        "patch_size": (8, 8),
        "num_layers": 3,
        "num_heads": 2,
        "hidden_dim": 16,
        "mlp_dim": 24,
    },
    "densenet": {
        "stackwise_num_repeats": [2, 2, 1],
        "compression_ratio": 0.5,
        "growth_rate": 4,
        "image_shape": (None, None, 3),
    },
    "resnet": {
        "input_conv_filters": [64],
        "input_conv_kernel_sizes": [3],
        "stackwise_num_filters": [64, 8, 8],
        "stackwise_num_blocks": [1, 2, 1],
        "stackwise_num_strides": [1, 2, 2],
        "block_type": "basic_block",
        "use_pre_activation": False,
        "image_shape": (None, None, 3),
    },
    "resnet v2": {
        "input_conv_filters": [8],
        "input_conv_kernel_sizes": [3],
        "stackwise_num_filters": [64, 8, 8],
        "stackwise_num_blocks": [1, 2, 1],
        "stackwise_num_strides": [1, 2, 2],
        "block_type": "bottleneck_block",
        "use_pre_activation": True,
        "image_shape": (None, None, 3),
    },
    "efficientnet": {
        "stackwise_width_coefficients": [1.0] * 3,
        "stackwise_depth_coefficients": [1.0] * 3,
        "stackwise_kernel_sizes": [3] * 3,
        "stackwise_num_repeats": [1, 2, 1],
        "stackwise_input_filters": [8, 8, 8],
        "stackwise_output_filters": [8, 8, 16],
        "stackwise_expansion_ratios": [1, 2, 2],
        "stackwise_strides": [1, 2, 2],
        "stackwise_squeeze_and_excite_ratios": [0.25] * 3,
        "stackwise_block_types": ["v1"] * 3,
        "num_features": 32,
    },
    "mobilenet": {
        "stackwise_expansion": [[8, 16], [16]],
        "stackwise_num_blocks": [2, 1],
        "stackwise_num_filters": [[8, 8], [16]],
        "stackwise_kernel_size": [[3, 3], [5]],
        "stackwise_num_strides": [[2, 1], [2]],
        "stackwise_se_ratio": [[None, None], [0.25]],
        "stackwise_activation": [["relu", "relu"], ["hard_swish"]],
        "stackwise_padding": [[1, 1], [2]],
        "output_num_filters": 16,
        "input_activation": "hard_swish",
        "output_activation": "hard_swish",
        "input_num_filters": 8,
        "image_shape": (None, None, 3),
        "depthwise_filters": 8,
        "depthwise_stride": 2,
        "depthwise_residual": False,
        "squeeze_and_excite": 0.5,
        "last_layer_filter": 32,
    },
}
CLASSES = {
    "bert": ("BertBackbone", ENCODER),
    "distilbert": ("DistilBertBackbone", ENCODER),
    "roberta": ("RobertaBackbone", ENCODER),
    "xlm-roberta": ("XLMRobertaBackbone", ENCODER),
    "albert": ("AlbertBackbone", {**ENCODER, "embedding_dim": 8}),
    "electra": (
        "ElectraBackbone",
        {("vocab_size" if key == "vocabulary_size" else key): each for key, each in ENCODER.items()}
        | {"embedding_dim": 8},
    ),
    "deberta-v3": ("DebertaV3Backbone", {**ENCODER, "bucket_size": 4}),
    "gpt2": ("GPT2Backbone", ENCODER),
    "llama": ("Llama3Backbone", DECODER),
    "gemma": ("GemmaBackbone", {**DECODER, "head_dim": 8}),
    "gemma 3": ("Gemma3Backbone", {**DECODER, "head_dim": 8, "image_size": None, "vision_encoder": None}),
    "qwen 2": ("QwenBackbone", DECODER),
    "qwen 3": ("Qwen3Backbone", {**DECODER, "head_dim": 8}),
    "vit": ("ViTBackbone", PHOTOS["vit"]),
    "densenet": ("DenseNetBackbone", PHOTOS["densenet"]),
    "resnet": ("ResNetBackbone", PHOTOS["resnet"]),
    "resnet v2": ("ResNetBackbone", PHOTOS["resnet v2"]),
    "efficientnet": ("EfficientNetBackbone", PHOTOS["efficientnet"]),
    "mobilenet": ("MobileNetBackbone", PHOTOS["mobilenet"]),
}


def build(family: str) -> Any:
    """Returns keras-hub's own tiny model, seeded."""
    import keras
    import keras_hub

    name, arguments = CLASSES[family]
    keras.utils.set_random_seed(0)
    return getattr(keras_hub.models, name)(**arguments)


def inputs(model: Any) -> Any:
    """Returns two rows of inputs; the second text is shorter."""
    rng = np.random.default_rng(0)
    if len(model.inputs) == 1:
        side = model.inputs[0].shape[1] or 32
        return rng.normal(size=(2, side, side, 3)).astype(np.float32)
    mask = np.ones((2, 9), np.int32)
    mask[1, 5:] = 0
    values = {"token_ids": rng.integers(3, 40, (2, 9)) * mask, "padding_mask": mask, "segment_ids": 0 * mask}
    return {tensor.name: values[tensor.name].astype(np.int32) for tensor in model.inputs}


def with_head(backbone: Any) -> Any:
    """Returns the flat model with a head as ``kft.build_model`` names it."""
    import keras

    from kft.model.flat import flatten

    flat, features = flatten(backbone, "here")
    axes = tuple(range(1, len(features.shape) - 1))
    pooled = keras.layers.Lambda(lambda x: keras.ops.mean(x, axis=axes), name="head_pool")(features)
    return keras.Model(flat.input, keras.layers.Dense(3, name="head_logits")(pooled))
