"""Records what `transformers` computes on tiny seeded models, for tests/model/test_families.py to compare with.

Run it from the repository root in an environment of its own with torch, transformers and safetensors; the tests
never run it:

    python -m tests.model.make_references

It writes tests/model/reference_families.json: for each family the configuration as transformers saves it, the names
and shapes of the tensors in its file, and the outputs. The weights themselves follow from names and shapes
(tests/model/seeded.py).
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file, save_file

from tests.model.seeded import seeded_array, seeded_arrays

COMMON = {
    "vocab_size": 40,
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 24,
    "max_position_embeddings": 24,
}
DECODER = {**COMMON, "num_key_value_heads": 1, "max_position_embeddings": 64}
ROPE = {"rope_type": "default", "rope_theta": 5000.0}
LLAMA3 = {
    "rope_type": "llama3",
    "rope_theta": 5000.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 16,
}
FAMILIES: dict[str, tuple[str, dict[str, Any], str]] = {
    "bert": ("bert", {**COMMON, "hidden_act": "gelu"}, "AutoModel"),
    "bert with another epsilon, in a masked language model": (
        "bert",
        {**COMMON, "hidden_act": "gelu_new", "layer_norm_eps": 1e-3, "type_vocab_size": 3},
        "AutoModelForMaskedLM",
    ),
    "distilbert": (
        "distilbert",
        {
            "vocab_size": 40,
            "dim": 16,
            "n_layers": 2,
            "n_heads": 2,
            "hidden_dim": 24,
            "max_position_embeddings": 24,
        },
        "AutoModelForMaskedLM",
    ),
    "roberta": ("roberta", {**COMMON, "layer_norm_eps": 1e-5, "type_vocab_size": 1}, "AutoModelForMaskedLM"),
    "roberta as a sentence encoder saves it": (
        "roberta",
        {**COMMON, "layer_norm_eps": 1e-12, "type_vocab_size": 1},
        "AutoModel",
    ),
    "xlm-roberta": ("xlm-roberta", {**COMMON, "layer_norm_eps": 1e-5, "type_vocab_size": 1}, "AutoModel"),
    "albert": (
        "albert",
        {**COMMON, "embedding_size": 8, "num_hidden_layers": 3, "hidden_act": "gelu_new"},
        "AutoModel",
    ),
    "electra": ("electra", {**COMMON, "embedding_size": 8}, "AutoModelForPreTraining"),
    "electra as wide as its embedding": ("electra", {**COMMON, "embedding_size": 16}, "AutoModel"),
    "deberta-v3": (
        "deberta-v2",
        {
            **COMMON,
            "relative_attention": True,
            "max_relative_positions": -1,
            "position_buckets": 4,
            "norm_rel_ebd": "layer_norm",
            "share_att_key": True,
            "pos_att_type": "p2c|c2p",
            "position_biased_input": False,
            "type_vocab_size": 0,
            "layer_norm_eps": 1e-7,
        },
        "AutoModel",
    ),
    "gpt2": (
        "gpt2",
        {"vocab_size": 40, "n_embd": 16, "n_layer": 2, "n_head": 2, "n_positions": 24},
        "AutoModelForCausalLM",
    ),
    "llama": (
        "llama",
        {**DECODER, "rms_norm_eps": 1e-5, "rope_parameters": ROPE, "tie_word_embeddings": False},
        "AutoModelForCausalLM",
    ),
    "llama 3.1, whose rotations are stretched": (
        "llama",
        {**DECODER, "rope_parameters": LLAMA3, "tie_word_embeddings": True},
        "AutoModelForCausalLM",
    ),
    "mistral": (
        "mistral",
        {
            **DECODER,
            "head_dim": 6,
            "sliding_window": 4,
            "rms_norm_eps": 1e-5,
            "rope_parameters": ROPE,
            "tie_word_embeddings": False,
        },
        "AutoModelForCausalLM",
    ),
    "gemma": ("gemma", {**DECODER, "head_dim": 8}, "AutoModelForCausalLM"),
    "gemma 2": (
        "gemma2",
        {**DECODER, "head_dim": 8, "query_pre_attn_scalar": 8, "sliding_window": 4},
        "AutoModelForCausalLM",
    ),
    "gemma 3": (
        "gemma3_text",
        {**DECODER, "head_dim": 8, "query_pre_attn_scalar": 8, "sliding_window": 4, "num_hidden_layers": 7},
        "AutoModelForCausalLM",
    ),
    "qwen 2": (
        "qwen2",
        {**DECODER, "rope_parameters": ROPE, "tie_word_embeddings": True},
        "AutoModelForCausalLM",
    ),
    "qwen 3": (
        "qwen3",
        {**DECODER, "head_dim": 8, "rope_parameters": ROPE, "tie_word_embeddings": False},
        "AutoModelForCausalLM",
    ),
    "vit": (
        "vit",
        {
            "hidden_size": 16,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "intermediate_size": 24,
            "image_size": 8,
            "patch_size": 4,
        },
        "AutoModelForImageClassification",
    ),
}


def record(model_type: str, settings: dict[str, Any], head: str) -> dict[str, Any]:
    """Returns the reference of one tiny model."""
    import torch  # here, because pytest imports this file where neither is installed
    import transformers

    config = transformers.AutoConfig.for_model(model_type, **settings)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        getattr(transformers, head).from_config(config).save_pretrained(folder)
        shapes = {key: list(array.shape) for key, array in load_file(folder / "model.safetensors").items()}
        save_file(seeded_arrays(shapes), folder / "model.safetensors", {"format": "pt"})
        # Eager attention: the definition, without a kernel's own rounding.
        model = transformers.AutoModel.from_pretrained(folder, attn_implementation="eager", dtype=torch.float32).eval()
        saved = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    with torch.no_grad():
        if model_type == "vit":
            pixels = seeded_array("pixels", (2, 3, 8, 8))
            output = model(pixel_values=torch.tensor(pixels)).last_hidden_state
            return _reference(saved, shapes, output.numpy(), None)
        ids = np.random.default_rng(0).integers(3, 40, (2, 11))
        mask = np.ones_like(ids)
        mask[1, 7:] = 0
        ids[1, 7:] = int(getattr(config, "pad_token_id", 0) or 0)
        output = model(input_ids=torch.tensor(ids), attention_mask=torch.tensor(mask)).last_hidden_state.numpy()
    return _reference(saved, shapes, output, {"token_ids": ids.tolist(), "padding_mask": mask.tolist()})


def _reference(config: dict, shapes: dict, output: np.ndarray, inputs: dict | None) -> dict[str, Any]:
    rounded = np.round(output.astype(np.float64), 6).tolist()
    return {"config": config, "shapes": shapes, "inputs": inputs, "output": rounded}


def main() -> None:
    """Records all families."""
    import torch
    import transformers

    made_with = f"transformers {transformers.__version__}, torch {torch.__version__}"
    families = {name: record(*arguments) for name, arguments in FAMILIES.items()}
    path = Path(__file__).parent / "reference_families.json"
    # One family a line: a change of one family is a change of one line.
    lines = ",\n".join(f" {json.dumps(name)}: {json.dumps(family)}" for name, family in families.items())
    path.write_text(f'{{"made_with": {json.dumps(made_with)}, "families": {{\n{lines}\n}}}}\n', encoding="utf-8")


if __name__ == "__main__":
    main()
