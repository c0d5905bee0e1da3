"""The Hugging Face families that kft loads: which keys of config.json change what is computed, and how.

A key that changes the computation is either obeyed or, when it has a value that keras-hub does not compute,
refused by name. Keys that only concern training or generation are left alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kft.errors import ModelError

Config = dict[str, Any]


def exact_gelu(x: Any) -> Any:
    """GELU by the error function (Hendrycks and Gimpel, 2016)."""
    import keras

    return keras.activations.gelu(x, approximate=False)


def tanh_gelu(x: Any) -> Any:
    """GELU by its tanh approximation, as GPT-2 had it."""
    import keras

    return keras.activations.gelu(x, approximate=True)


TANH = ("gelu_new", "gelu_pytorch_tanh")
"""Hugging Face's names for the tanh approximation."""
ACTIVATIONS: Mapping[str, Callable[[Any], Any]] = {"gelu": exact_gelu, **dict.fromkeys(TANH, tanh_gelu)}
"""Hugging Face's names for GELU, and which one each means."""


def _same(config: Config) -> Config:
    return config


def _nothing(config: Config) -> Config:
    return {}


@dataclass(frozen=True)
class Family:
    """How a Hugging Face family is read.

    Attributes:
        model_type: As in config.json.
        name: For people.
        fixed: Keys and the values that are computed right; an absent key counts as the first value.
        activations: What the activation may be called, where kft sets it; empty where keras-hub's is right.
        activation_key: Where config.json says it.
        default_activation: What an absent key means.
        epsilon: The key of the layer normalisation's epsilon, where kft sets it; None where an argument does.
        default_epsilon: What an absent key means.
        arguments: Arguments for the model that keras-hub's converter does not pass on.
        dropout: The name of the model's dropout argument.
        positions: The key of how many positions the model knows.
        reserved: How many of these are kept for padding.
        pooling: What is advised to make one vector of a sequence.
        normalise: Config of today's transformers as keras-hub reads it.
        finish: Called with the model, the reader and the configuration after conversion.
        reads_text: Whether it reads texts, not images.
    """

    model_type: str
    name: str
    fixed: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    activations: Mapping[str, Callable[[Any], Any]] = field(default_factory=dict)
    activation_key: str = "hidden_act"
    default_activation: str = "gelu"
    epsilon: str | None = None
    default_epsilon: float = 1e-12
    arguments: Callable[[Config], Config] = _nothing
    dropout: str | None = "dropout"
    positions: str = "max_position_embeddings"
    reserved: int = 0
    pooling: str = "mean"
    normalise: Callable[[Config], Config] = _same
    finish: Callable[[Any, Any, Config], None] | None = None
    reads_text: bool = True


def check_config(family: Family, config: Config, folder: Path) -> Config:
    """Refuses what cannot be computed faithfully; returns the arguments that the configuration asks for."""
    checks = [(key, config.get(key, allowed[0]), allowed) for key, allowed in family.fixed.items()]
    if family.activations:
        received = config.get(family.activation_key, family.default_activation)
        checks.append((family.activation_key, received, tuple(family.activations)))
    try:
        checks += family_checks(config)
    except KeyError as error:
        raise lacks_key(folder, error) from None
    for key, received, allowed in checks:
        if received not in allowed:
            raise ModelError(
                "this version cannot load such a backbone faithfully",
                where=f"{folder / 'config.json'}, {key}",
                received=str(received),
                expected=" or ".join(map(str, allowed)),
                next_step="kft models",
            )
    return family.arguments(config)


def lacks_key(folder: Path, error: KeyError) -> ModelError:
    """Returns the error for a configuration that leaves out what has no default."""
    return ModelError(
        "config.json lacks a key that the model's size depends on",
        where=str(folder / "config.json"),
        received=f"no {error.args[0]}",
        expected="a configuration as transformers saves it",
        next_step="copy config.json from where the weights came from",
    )


def family_checks(config: Config) -> list[tuple[str, Any, tuple[Any, ...]]]:
    """Checks that depend on several keys."""
    checks: list[tuple[str, Any, tuple[Any, ...]]] = []
    kind = config.get("model_type")
    rope = _rope(config)
    if kind in ("llama", "qwen2", "qwen3", "mistral"):
        known = ("default", "llama3") if kind == "llama" else ("default",)
        checks.append(("rope_parameters.rope_type", rope.get("rope_type", rope.get("type", "default")), known))
    if kind in ("llama", "qwen2"):
        # These take their head's width from the model's.
        width = config["hidden_size"] // config["num_attention_heads"]
        checks.append(("head_dim", config.get("head_dim") or width, (width,)))
    if kind == "gemma3_text":
        parameters = config.get("rope_parameters") or {}
        full = parameters.get("full_attention", {}).get("rope_theta", config.get("rope_theta", 1e6))
        local = parameters.get("sliding_attention", {}).get("rope_theta", config.get("rope_local_base_freq", 1e4))
        checks += [("rope_theta", full, (1e6,)), ("rope_local_base_freq", local, (1e4,))]
        layers = config["num_hidden_layers"]
        pattern = ["full_attention" if i % 6 == 5 else "sliding_attention" for i in range(layers)]
        checks.append(("layer_types", config.get("layer_types") or pattern, (pattern,)))
    if kind in ("gemma", "gemma2"):
        checks.append(("rope_theta", float(rope.get("rope_theta", 10_000.0)), (10_000.0,)))
    if kind == "gemma2":
        layers = config["num_hidden_layers"]
        pattern = ["full_attention" if i % 2 else "sliding_attention" for i in range(layers)]
        checks.append(("layer_types", config.get("layer_types") or pattern, (pattern,)))
    return checks


def _rope(config: Config) -> Config:
    rope = dict(config.get("rope_parameters") or {})
    rope.update(config.get("rope_scaling") or {})
    if "rope_theta" in config:
        rope.setdefault("rope_theta", config["rope_theta"])
    return rope


def _rope_as_before(config: Config) -> Config:
    """keras-hub reads the stretching of rotations under its old key alone, and would leave it out without a word."""
    rope = _rope(config)
    changed = {**config, "rope_theta": rope.get("rope_theta", 10_000.0), "rope_parameters": {}}
    stretched = rope.get("rope_type", rope.get("type", "default")) != "default"
    return {**changed, "rope_scaling": rope if stretched else None}


def _qwen(config: Config) -> Config:
    return {"use_sliding_window": False, "sliding_window": None, **_rope_as_before(config)}


def _mistral(config: Config) -> Config:
    """An absent window is what transformers fills in; keras-hub would have none."""
    return {"sliding_window": 4096, **_rope_as_before(config)}


def _fold_segment(model: Any, reader: Any, config: Config) -> None:
    """keras-hub's RoBERTa has no segment embedding: the only one there is, is added to every position's."""
    table = model.embeddings.position_embedding.position_embeddings
    table.assign(table + reader.get_tensor("roberta.embeddings.token_type_embeddings.weight")[0])


_ENCODER: dict[str, Any] = {"activations": ACTIVATIONS, "epsilon": "layer_norm_eps"}
_DECODER: dict[str, Any] = {"epsilon": "rms_norm_eps", "default_epsilon": 1e-6, "pooling": "last"}
_ABSOLUTE: dict[str, tuple[Any, ...]] = {
    "position_embedding_type": ("absolute", None),
    "is_decoder": (False,),
    "add_cross_attention": (False,),
}
_SILU: dict[str, tuple[Any, ...]] = {"hidden_act": ("silu",), "attention_bias": (False,), "mlp_bias": (False,)}

FAMILIES: dict[str, Family] = {
    family.model_type: family
    for family in (
        Family(
            "bert",
            "BERT",
            fixed=_ABSOLUTE,
            arguments=lambda config: {"num_segments": config.get("type_vocab_size", 2)},
            **_ENCODER,
        ),
        Family(
            "distilbert",
            "DistilBERT",
            fixed={"sinusoidal_pos_embds": (False, True)},  # how they were made; the file holds them
            activations=ACTIVATIONS,
            activation_key="activation",
            epsilon="layer_norm_eps",  # no such key; what its code fixes
        ),
        Family(
            "roberta",
            "RoBERTa",
            fixed={**_ABSOLUTE, "type_vocab_size": (1,), "pad_token_id": (1,)},
            reserved=2,
            finish=_fold_segment,
            **_ENCODER,
        ),
        Family(
            "xlm-roberta",
            "XLM-RoBERTa",
            fixed={**_ABSOLUTE, "type_vocab_size": (1,), "pad_token_id": (1,)},
            reserved=2,
            **_ENCODER,
        ),
        Family("albert", "ALBERT", fixed=_ABSOLUTE, **{**_ENCODER, "default_activation": "gelu_new"}),
        Family("electra", "ELECTRA", fixed=_ABSOLUTE, **_ENCODER),
        Family(
            "deberta-v2",
            "DeBERTa-v3",
            fixed={
                "relative_attention": (True,),
                "norm_rel_ebd": ("layer_norm",),
                "share_att_key": (True,),
                "position_biased_input": (False,),
                "type_vocab_size": (0,),
                "conv_kernel_size": (0, None),
                "max_relative_positions": (-1,),
            },
            default_epsilon=1e-7,
            **_ENCODER,
        ),
        Family(
            "gpt2",
            "GPT-2",
            fixed={
                "n_inner": (None,),
                "scale_attn_weights": (True,),
                "scale_attn_by_inverse_layer_idx": (False,),
                "add_cross_attention": (False,),
            },
            activations=ACTIVATIONS,
            activation_key="activation_function",
            default_activation="gelu_new",
            epsilon="layer_norm_epsilon",
            default_epsilon=1e-5,
            positions="n_positions",
            pooling="last",
        ),
        Family("llama", "Llama", fixed=_SILU, normalise=_rope_as_before, **_DECODER),
        Family(
            "mistral",
            "Mistral",
            fixed={"hidden_act": ("silu",), "tie_word_embeddings": (False,)},
            normalise=_mistral,
            **_DECODER,
        ),
        Family(
            "gemma",
            "Gemma",
            # Early checkpoints say gelu and mean its tanh approximation; transformers corrects that as well.
            fixed={"hidden_act": ("gelu_pytorch_tanh", "gelu"), "hidden_activation": (None, "gelu_pytorch_tanh")},
            **_DECODER,
        ),
        Family(
            "gemma2",
            "Gemma 2",
            fixed={"hidden_activation": ("gelu_pytorch_tanh",), "attention_bias": (False,)},
            **_DECODER,
        ),
        Family(
            "gemma3_text",
            "Gemma 3",
            fixed={
                "hidden_activation": ("gelu_pytorch_tanh",),
                "attention_bias": (False,),
                "use_bidirectional_attention": (False, None),
            },
            **_DECODER,
        ),
        Family(
            "qwen2",
            "Qwen 2",
            fixed={"hidden_act": ("silu",), "use_sliding_window": (False,)},
            normalise=_qwen,
            **_DECODER,
        ),
        Family(
            "qwen3",
            "Qwen 3",
            fixed={"hidden_act": ("silu",), "use_sliding_window": (False,), "attention_bias": (False,)},
            normalise=_qwen,
            **_DECODER,
        ),
        Family(
            "vit",
            "ViT",
            fixed={"hidden_act": ("gelu",), "num_channels": (3,), "qkv_bias": (True,)},
            epsilon="layer_norm_eps",
            dropout="dropout_rate",
            reads_text=False,
        ),
    )
}
