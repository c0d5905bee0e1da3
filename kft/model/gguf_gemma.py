"""Gemma 3 in a GGUF file, as the Hugging Face folder that it was made from: configuration, tensors, tokenizer.

What the header says is obeyed, or refused by name. The weights are those of the file, which has 4 to 8 bits of each
weight of the folder.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from kft.model.gguf import GgufFile, open_gguf
from kft.model.sentencepiece import BPE, CONTROL, NORMAL, SPACE, UNKNOWN, USER_DEFINED, SentencePieceModel

SUFFIX = ".gguf"
ARCHITECTURE = "gemma3"
SIZES = {
    "embedding_length": "hidden_size",
    "block_count": "num_hidden_layers",
    "feed_forward_length": "intermediate_size",
    "attention.head_count": "num_attention_heads",
    "attention.head_count_kv": "num_key_value_heads",
    "attention.key_length": "head_dim",
    "attention.sliding_window": "sliding_window",
    "context_length": "max_position_embeddings",
}
"""The header's names of sizes, and those of config.json."""
EPSILON, VALUE_LENGTH = "attention.layer_norm_rms_epsilon", "attention.value_length"
ONLY: Mapping[str, tuple[Any, ...]] = {
    "rope.freq_base": (1e6,),
    "rope.freq_base_swa": (1e4,),
    "rope.scaling.type": ("none",),
    "rope.scaling.factor": (1.0,),
    "attention.causal": (True,),
    "attention.sliding_window_pattern": (6,),
}
"""Keys that change what is computed, and the values by which it is; the file may leave them out."""
TOKENS = "tokenizer.ggml."
TOKENIZER_ONLY: Mapping[str, tuple[Any, ...]] = {
    "model": ("llama",),
    "pre": ("default",),
    "add_bos_token": (True,),
    "add_eos_token": (False,),
    "add_sep_token": (False,),
    "add_space_prefix": (False,),
    "remove_extra_whitespaces": (False,),
}
LISTS = ("tokens", "scores", "token_type")
SPECIAL = {"padding": "<pad>", "eos": "<eos>", "bos": "<bos>"}
"""Pieces that stay control pieces: no text is read as one of the others."""
NORM = re.compile(r".*norm\.weight")
TOP = {
    "token_embd.weight": "model.embed_tokens.weight",
    "output_norm.weight": "model.norm.weight",
    "output.weight": "lm_head.weight",
}
IN_BLOCK = {
    "attn_norm": "input_layernorm",
    "post_attention_norm": "post_attention_layernorm",
    "ffn_norm": "pre_feedforward_layernorm",
    "post_ffw_norm": "post_feedforward_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "attn_q_norm": "self_attn.q_norm",
    "attn_k_norm": "self_attn.k_norm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}


def read_gguf_config(path: Path) -> dict[str, Any]:
    """Returns the config.json of the folder that a GGUF file was made from.

    Raises:
        ModelError: The file is damaged, holds another architecture, or asks for what is not computed; names the key.
    """
    file = open_gguf(path)
    found = file.values.get("general.architecture")
    if found != ARCHITECTURE:
        raise file.refused(str(found), f"{ARCHITECTURE}: of GGUF files, kft reads Gemma 3", key="general.architecture")
    if file.values.get("split.count", 1) != 1:
        raise file.refused(str(file.values["split.count"]), "one file", key="split.count")
    values = {key.partition(".")[2]: value for key, value in file.values.items() if key.startswith(f"{ARCHITECTURE}.")}
    known = (*SIZES, EPSILON, VALUE_LENGTH, *ONLY)
    _check(file, f"{ARCHITECTURE}.", values, known, ONLY)
    missing = [key for key in (*SIZES, EPSILON) if key not in values]
    if missing:
        raise file.refused(f"no {missing[0]}", "the sizes of the model", key=f"{ARCHITECTURE}.{missing[0]}")
    if values.get(VALUE_LENGTH, values["attention.key_length"]) != values["attention.key_length"]:
        raise file.refused(str(values[VALUE_LENGTH]), "as attention.key_length", key=f"{ARCHITECTURE}.{VALUE_LENGTH}")
    sizes = {name: values[key] for key, name in SIZES.items()}
    return {
        "model_type": "gemma3_text",
        **sizes,
        "vocab_size": len(_tokens(file)["tokens"]),
        "query_pre_attn_scalar": sizes["head_dim"],
        "hidden_activation": "gelu_pytorch_tanh",
        # Written in 32 bits: 1e-6 comes back as 9.999999974752427e-07.
        "rms_norm_eps": float(np.format_float_positional(np.float32(values[EPSILON]), unique=True)),
    }


def _check(
    file: GgufFile, prefix: str, values: Mapping[str, Any], known: tuple[str, ...], only: Mapping[str, tuple[Any, ...]]
) -> None:
    """Refuses a key that nobody knows, and a value by which nothing is computed."""
    for key, value in values.items():
        if key not in known:
            raise file.refused(str(value)[:80], "no such key: this version of kft does not know it", key=prefix + key)
        if key in only and value not in only[key]:
            raise file.refused(str(value)[:80], " or ".join(map(str, only[key])), key=prefix + key)


class GgufTensors:
    """The tensors of a file by the names of the Hugging Face folder; keeps to what a safetensors file can do.

    Args:
        path: The file.
    """

    def __init__(self, path: Path) -> None:
        self.file = open_gguf(path)

    @cached_property
    def names(self) -> dict[str, str]:
        """The folder's name of each tensor, and the file's; a tensor that nobody knows keeps its own."""
        return {_folder_name(name): name for name in self.file.tensors}

    def keys(self) -> Iterator[str]:
        return iter(self.names)

    def get_tensor(self, name: str) -> np.ndarray:
        """Returns a tensor as float32.

        Raises:
            ModelError: It is packed in a way that cannot be read.
        """
        own = self.names[name]
        found = self.file.tensor(own)
        # The file counts a normalisation's scale from 0, the folder from 1.
        return found - np.float32(1) if NORM.fullmatch(own) else found


def _folder_name(name: str) -> str:
    inner = re.fullmatch(r"blk\.(\d+)\.(\w+)\.weight", name)
    if inner and inner[2] in IN_BLOCK:
        return f"model.layers.{inner[1]}.{IN_BLOCK[inner[2]]}.weight"
    return TOP.get(name, name)


def read_gguf_tokens(path: Path) -> SentencePieceModel:
    """Returns the SentencePiece model that a file's tokens were made from.

    Pieces with a meaning of their own (turns, images, runs of spaces) are found in a text as the file writes them;
    the file counts these and the control pieces as one kind.

    Raises:
        ModelError: The file is damaged, or reads texts as kft does not; names the key.
    """
    file = open_gguf(path)
    values = _tokens(file)
    unknown = values.get("unknown_token_id", 3)
    named = {values.get(f"{role}_token_id") for role in SPECIAL}
    pieces = []
    for number, (text, score, kind) in enumerate(zip(*(values[name] for name in LISTS), strict=True)):
        if number == unknown:
            kind = UNKNOWN  # the file says control
        elif kind == CONTROL and number not in named:
            kind = USER_DEFINED
        if kind == USER_DEFINED:
            text = text.replace(" ", SPACE)
        pieces.append((text, score if kind == NORMAL else 0.0, kind))
    counts = Counter(text for text, _, _ in pieces)
    twice, count = counts.most_common(1)[0]
    if count > 1:  # one of them would lose its id
        raise file.refused(f"the same token twice: {twice!r}", "tokens that differ", key=f"{TOKENS}tokens")
    return SentencePieceModel(str(path), tuple(pieces), BPE, b"", dummy_prefix=False, collapse_spaces=False)


def _tokens(file: GgufFile) -> dict[str, Any]:
    """Returns what the header says of tokens, judged: three lists of the same length, and settings that are obeyed."""
    found = {key.removeprefix(TOKENS): value for key, value in file.values.items() if key.startswith(TOKENS)}
    known = (*LISTS, *TOKENIZER_ONLY, *(key for key in found if key.endswith("_token_id")))
    _check(file, TOKENS, found, known, TOKENIZER_ONLY)
    forms = {"tokens": str, "scores": float, "token_type": int}
    for name, form in forms.items():
        values = found.get(name)
        if not isinstance(values, list | tuple) or not values or not all(type(value) is form for value in values):
            raise file.refused("none, or of another type", f"a list of {form.__name__}", key=TOKENS + name)
        if len(values) != len(found["tokens"]):
            raise file.refused(f"{len(values):,}", f"{len(found['tokens']):,}, as tokens", key=TOKENS + name)
    if "model" not in found:
        raise file.refused("none", "llama", key=TOKENS + "model")
    return found
