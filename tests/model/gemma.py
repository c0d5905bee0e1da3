"""A tiny Gemma 3 as a GGUF file: the weights of tests/model/reference_families.json, and a vocabulary of 40 pieces."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from gguf import GGMLQuantizationType, GGUFWriter, quants

from kft.model.gguf_gemma import IN_BLOCK, TOP
from tests.model.seeded import seeded_arrays

REFERENCE = json.loads((Path(__file__).parent / "reference_families.json").read_text(encoding="utf-8"))["families"][
    "gemma 3"
]
CONTROL, NORMAL, USER, BYTE = 3, 1, 4, 6
PIECES = [
    *(("<pad>", -1000.0, CONTROL), ("<eos>", -1000.0, CONTROL), ("<bos>", -1000.0, CONTROL)),
    *(("<unk>", -1000.0, CONTROL), ("<turn>", -1000.0, CONTROL), ("  ", -1000.0, CONTROL)),
    *((f"<0x{byte:02X}>", -1000.0, BYTE) for byte in (0xC3, 0xA9)),
    *(
        (piece, -float(rank), NORMAL)
        for rank, piece in enumerate(("go", "od", "good", "\u2581good", "ba", "bad", "\u2581go", "oo"))
    ),
    *((letter, -100.0 - rank, NORMAL) for rank, letter in enumerate("\u2581abcdefghijklmnorstuwxy.")),
]
WITH_BYTES = [piece for piece in PIECES if piece[2] != BYTE]
WITH_BYTES += [(f"<0x{byte:02X}>", -1000.0, BYTE) for byte in range(256)]
"""Pieces that sentencepiece takes as well: it wants a piece for each byte."""
SIZES = {
    "embedding_length": 16,
    "block_count": 7,
    "feed_forward_length": 24,
    "attention.head_count": 2,
    "attention.head_count_kv": 1,
    "attention.key_length": 8,
    "attention.value_length": 8,
    "attention.sliding_window": 4,
    "context_length": 64,
}


def folder_names() -> dict[str, str]:
    """Maps the names of a Hugging Face folder's tensors to those of a GGUF file."""
    names = {theirs: ours for ours, theirs in TOP.items()}
    for block in range(SIZES["block_count"]):
        names |= {
            f"model.layers.{block}.{theirs}.weight": f"blk.{block}.{ours}.weight" for ours, theirs in IN_BLOCK.items()
        }
    return names


def write_gguf(
    path: Path,
    *,
    values: Mapping[str, Any] | None = None,
    arrays: Mapping[str, np.ndarray] | None = None,
    pieces: list[tuple[str, float, int]] = PIECES,
    packing: GGMLQuantizationType | None = None,
) -> Path:
    """Writes the file.

    Args:
        path: Where it goes.
        values: More of the header's values, or others; None leaves one out.
        arrays: Tensors by the file's own names, instead of the reference's.
        pieces: Text, score and kind of each token.
        packing: Of the matrices; default float32.
    """
    given = {
        **{f"gemma3.{key}": value for key, value in SIZES.items()},
        "gemma3.attention.layer_norm_rms_epsilon": 1e-6,
        "gemma3.rope.freq_base": 1e6,
        **{"tokenizer.ggml.model": "llama", "tokenizer.ggml.pre": "default"},
        **{
            f"tokenizer.ggml.{name}_token_id": number
            for number, name in enumerate(("padding", "eos", "bos", "unknown"))
        },
        **{"tokenizer.ggml.add_bos_token": True, "tokenizer.ggml.add_space_prefix": False},
        "tokenizer.ggml.tokens": [text for text, _, _ in pieces],
        "tokenizer.ggml.scores": [score for _, score, _ in pieces],
        "tokenizer.ggml.token_type": [kind for _, _, kind in pieces],
        **(values or {}),
    }
    writer = GGUFWriter(path, given.pop("general.architecture", "gemma3"))
    for key, value in given.items():
        add = {bool: writer.add_bool, int: writer.add_uint32, float: writer.add_float32, str: writer.add_string}
        if value is not None:
            add.get(type(value), writer.add_array)(key, value)
    for name, array in (arrays if arrays is not None else reference_arrays()).items():
        if packing is None or array.ndim == 1:
            writer.add_tensor(name, array)
        else:
            writer.add_tensor(name, quants.quantize(array, packing), raw_dtype=packing)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def reference_arrays() -> dict[str, np.ndarray]:
    """Returns the reference's tensors as a GGUF file has them: normalisations count from 0."""
    names = folder_names()
    found = {names[name]: array for name, array in seeded_arrays(REFERENCE["shapes"]).items() if name in names}
    return {name: array + 1 if name.endswith("norm.weight") else array for name, array in found.items()}
