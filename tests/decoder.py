"""A tiny random GPT-2 as a Hugging Face folder that reads any text byte by byte, and prompts that it can learn."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file, save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors

WIDTH, LAYERS, HEADS, POSITIONS = 32, 2, 2, 128
END = "<|endoftext|>"
LORA = {"name": "lora", "unfreeze": {"lora": {"targets": ["*query*", "*value*"]}}, "epochs": 2, "lr": 1e-2}
WORDS = ("red", "blue", "green", "old", "new", "big")


def write_backbone(folder: Path, *, seed: int = 0, for_hub: bool = False) -> Path:
    """Writes config.json, model.safetensors and tokenizer.json: a token a byte, and one that ends a text.

    Args:
        folder: Made where it is missing.
        seed: Of the weights.
        for_hub: Whether keras-hub's own tokenizer reads the same: it wants pairs of bytes, and puts a first token.
    """
    merges = [("r", "e"), ("\u0120", "b")] if for_hub else []
    folder.mkdir(parents=True, exist_ok=True)
    pieces = [*sorted(pre_tokenizers.ByteLevel.alphabet()), *map("".join, merges)]
    vocabulary = {letter: place for place, letter in enumerate(pieces)}
    tokenizer = Tokenizer(models.BPE({**vocabulary, END: len(vocabulary)}, merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([END])
    if for_hub:
        tokenizer.post_processor = processors.TemplateProcessing(
            single=f"{END} $A", special_tokens=[(END, len(vocabulary))]
        )
    tokenizer.save(str(folder / "tokenizer.json"))
    config = {
        "model_type": "gpt2",
        "vocab_size": len(vocabulary) + 1,
        "n_positions": POSITIONS,
        "n_embd": WIDTH,
        "n_layer": LAYERS,
        "n_head": HEADS,
        **dict.fromkeys(("attn_pdrop", "embd_pdrop", "resid_pdrop"), 0.0),
        "activation_function": "gelu_new",
        "layer_norm_epsilon": 1e-5,
    }
    (folder / "config.json").write_text(json.dumps(config))
    save_file(
        _weights(len(vocabulary) + 1, np.random.default_rng(seed)), folder / "model.safetensors", {"format": "pt"}
    )
    return folder


def _weights(tokens: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
    def matrix(*shape: int) -> np.ndarray:
        return rng.normal(0, 0.2, shape).astype(np.float32)

    arrays = {"wte.weight": matrix(tokens, WIDTH), "wpe.weight": matrix(POSITIONS, WIDTH)}
    norms = ["ln_f"]
    for i in range(LAYERS):
        norms += [f"h.{i}.ln_1", f"h.{i}.ln_2"]
        for name, inside, out in (
            ("attn.c_attn", WIDTH, 3 * WIDTH),
            ("attn.c_proj", WIDTH, WIDTH),
            ("mlp.c_fc", WIDTH, 4 * WIDTH),
            ("mlp.c_proj", 4 * WIDTH, WIDTH),
        ):
            arrays[f"h.{i}.{name}.weight"] = matrix(inside, out)
            arrays[f"h.{i}.{name}.bias"] = np.zeros(out, np.float32)
    for name in norms:
        arrays[f"{name}.weight"], arrays[f"{name}.bias"] = np.ones(WIDTH, np.float32), np.zeros(WIDTH, np.float32)
    return arrays


def write_rows(path: Path, rows: int, *, seed: int = 0) -> Path:
    """Writes jsonl of a prompt of some words each, and a JSON object of its first word."""
    rng = np.random.default_rng(seed)
    with path.open("w", encoding="utf-8") as file:
        for row in range(rows):
            words = [str(word) for word in rng.choice(WORDS, 3)]
            response = json.dumps({"first": words[0]})
            file.write(json.dumps({"prompt": f"{' '.join(words)} {row}", "response": response}) + "\n")
    return path


def recipe(folder: Path, backbone: Path, *, rows: int = 40, phases: list[dict] | None = None, **train: object) -> Path:
    """Writes rows and a recipe that tunes the tiny decoder on them; returns the recipe."""
    write_rows(folder / "rows.jsonl", rows)
    values = {
        "task": "causal-lm",
        "data": {"train": "rows.jsonl", "valid": "20%", "test": "20%"},
        "model": {"backbone": str(backbone), "max_tokens": 64, "response_tokens": 32, "dropout": 0.0},
        "train": {"batch_size": 8, "phases": phases or [LORA], **train},
    }
    path = folder / "recipe.yaml"
    path.write_text(json.dumps(values), encoding="utf-8")  # JSON is YAML
    return path


def with_controls(folder: Path, *controls: str) -> Path:
    """Adds tokens of control to a backbone of ``write_backbone``: to its vocabulary, its embedding and its settings."""
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.add_special_tokens(list(controls))
    tokenizer.save(str(folder / "tokenizer.json"))
    arrays = load_file(folder / "model.safetensors")
    new = np.random.default_rng(1).normal(0, 0.2, (len(controls), WIDTH)).astype(np.float32)
    arrays["wte.weight"] = np.concatenate([arrays["wte.weight"], new])
    save_file(arrays, folder / "model.safetensors", {"format": "pt"})
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "vocab_size": len(arrays["wte.weight"])}))
    return folder
