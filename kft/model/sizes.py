"""The sizes that a backbone's config.json may ask for: judged before anything is built or allocated."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from kft.errors import ModelError

VOCABULARY = ("vocab_size", "vocabulary_size")
WIDTH = ("hidden_size", "dim", "n_embd", "hidden_dim")
INNER = ("intermediate_size", "intermediate_dim", "n_inner")
LAYERS = ("num_hidden_layers", "n_layers", "n_layer", "num_layers")
HEADS = ("num_attention_heads", "n_heads", "n_head", "num_heads", "num_query_heads")
EMBEDDING = ("embedding_size", "embedding_dim")
LIMITS: Mapping[str, tuple[int, int]] = {
    **dict.fromkeys(VOCABULARY, (1, 4_000_000)),
    **dict.fromkeys(WIDTH, (1, 65_536)),
    **dict.fromkeys(EMBEDDING, (1, 65_536)),
    **dict.fromkeys(INNER, (1, 524_288)),
    **dict.fromkeys(LAYERS, (1, 1_000)),
    **dict.fromkeys((*HEADS, "num_key_value_heads"), (1, 1_024)),
    **dict.fromkeys(("max_position_embeddings", "n_positions", "max_sequence_length"), (1, 16_777_216)),
    **dict.fromkeys(("type_vocab_size", "num_segments"), (0, 1_024)),
    "head_dim": (1, 8_192),
    **dict.fromkeys(("num_hidden_groups", "inner_group_num", "num_groups", "num_inner_repetitions"), (1, 1_000)),
    **dict.fromkeys(("position_buckets", "bucket_size"), (-1, 65_536)),
    "sliding_window": (1, 16_777_216),
    "sliding_window_size": (1, 16_777_216),
    **dict.fromkeys(("image_size", "patch_size"), (1, 8_192)),
    "num_channels": (1, 64),
}
"""Keys, and the whole numbers that they may be: beyond what anybody has trained."""
MAY_BE_NULL = (
    *("n_inner", "head_dim", "num_key_value_heads", "sliding_window", "sliding_window_size"),
    *("embedding_size", "embedding_dim", "image_size"),
)
POSITIVE = (
    "layer_norm_eps",
    "layer_norm_epsilon",
    "rms_norm_eps",
    "rope_theta",
    "rope_local_base_freq",
    "query_pre_attn_scalar",
)
"""Keys that may be any finite number above nothing."""
ABSOLUTE = ("bert", "distilbert", "roberta", "xlm-roberta", "albert", "electra", "gpt2")
"""Families that hold a vector for each position."""
CHEAP = 100_000_000
"""Up to so many parameters a model is built in any case."""
PARAMETERS = 20_000_000_000
"""How many a model that is trained from scratch may have; of a pretrained one the weights on disk say it."""


def check_sizes(path: Path, config: Mapping[str, Any]) -> None:
    """Refuses sizes that no model has, and numbers that are none.

    Args:
        path: The config.json.
        config: What stands in it, or the part of it that describes the model.

    Raises:
        ModelError: Names the key, what stands there, and the limits.
    """
    for key, value in _numbers(config):
        if isinstance(value, float) and not math.isfinite(value):
            raise _refused(path, key, value, "a finite number")
    for key, (low, high) in LIMITS.items():
        if key not in config or (config[key] is None and key in MAY_BE_NULL):
            continue
        value = config[key]
        sides = value if key in ("image_size", "patch_size") and isinstance(value, list) else [value]  # height, width
        if not sides or any(type(side) is not int or not low <= side <= high for side in sides):
            raise _refused(path, key, value, f"a whole number from {low:,} to {high:,}")
    for key in POSITIVE:
        value = config.get(key, 1.0)
        if value is not None and (isinstance(value, bool) or not isinstance(value, int | float) or value <= 0):
            raise _refused(path, key, value, "a finite number above 0")
    width, heads = _size(config, WIDTH), _size(config, HEADS)
    if width and heads and not config.get("head_dim") and width % heads:
        named = next(key for key in HEADS if config.get(key) is not None)
        raise _refused(path, named, heads, f"a divisor of the width {width:,}")


def check_memory(path: Path, config: Mapping[str, Any], bytes_on_disk: int | None) -> None:
    """Refuses a model of more parameters than its weights can hold: a parameter takes a byte at least.

    Args:
        path: The config.json.
        config: From which ``check_sizes`` has taken no offence.
        bytes_on_disk: Of the weights; None where they are not loaded.

    Raises:
        ModelError: Says both.
    """
    least = fewest_parameters(config)
    most = PARAMETERS if bytes_on_disk is None else bytes_on_disk
    if least > max(most, CHEAP):  # of a small one the loader says better what is wrong with the weights
        held = f"{PARAMETERS:,} parameters from scratch" if bytes_on_disk is None else f"weights of {most:,} bytes"
        sizes = {key: config[key] for key in (*VOCABULARY, *WIDTH, *INNER, *LAYERS) if key in config}
        raise ModelError(
            "config.json describes a model that is larger than its weights",
            where=str(path),
            received=f"at least {least:,} parameters: " + ", ".join(f"{key} {value}" for key, value in sizes.items()),
            expected=f"no more than fit in {held}",
            next_step="copy config.json and the weights again, from one place",
        )


def fewest_parameters(config: Mapping[str, Any]) -> int:
    """Returns how many parameters a text model has at least: its tables, and one matrix a layer."""
    width, kind = _size(config, WIDTH), config.get("model_type")
    table = _size(config, EMBEDDING) or width
    rows = _size(config, VOCABULARY)
    if kind in ABSOLUTE:
        rows += _size(config, ("max_position_embeddings", "n_positions"))
    layers = 1 if kind == "albert" else _size(config, LAYERS)
    # Of DistilBERT `hidden_dim` is what others call intermediate_size; counting the width twice is less, never more.
    return rows * table + layers * width * width


def _size(config: Mapping[str, Any], keys: tuple[str, ...]) -> int:
    return next((config[key] for key in keys if type(config.get(key)) is int), 0)


def _numbers(value: Any, place: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        for key, each in value.items():
            yield from _numbers(each, f"{place}.{key}" if place else str(key))
    elif isinstance(value, list):
        for each in value:
            yield from _numbers(each, place)
    else:
        yield place, value


def _refused(path: Path, key: str, value: Any, expected: str) -> ModelError:
    return ModelError(
        "config.json asks for what no model has",
        where=f"{path}, {key}",
        received=repr(value)[:80],
        expected=expected,
        next_step="copy config.json from where the weights came from",
    )
