"""A tiny random BERT as a Hugging Face folder, and small labelled texts it can learn: fast, and offline."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file, save_file

WIDTH, LAYERS, HEADS, INNER, POSITIONS = 32, 3, 2, 64, 64
GOOD = ("great", "superb", "lovely", "excellent", "perfect")
BAD = ("awful", "broken", "terrible", "useless", "poor")
PLAIN = ("the", "battery", "screen", "phone", "camera", "is", "was", "very", "and", "it", "a", "my", "really")


def write_backbone(folder: Path, *, seed: int = 0, hidden_act: str = "gelu", unused: int = 0) -> Path:
    """Writes config.json, model.safetensors, vocab.txt and tokenizer_config.json.

    Args:
        folder: Where to.
        seed: Of the weights.
        hidden_act: The activation.
        unused: Words of the vocabulary that no text has.
    """
    folder.mkdir(parents=True, exist_ok=True)
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", ".", ",", "!", "?", *PLAIN, *GOOD, *BAD]
    words += [f"unused{number}" for number in range(unused)]
    (folder / "vocab.txt").write_text("\n".join(words) + "\n", encoding="utf-8")
    (folder / "tokenizer_config.json").write_text(json.dumps({"do_lower_case": True, "strip_accents": None}))
    config = {
        "model_type": "bert",
        "architectures": ["BertModel"],
        "hidden_act": hidden_act,
        "vocab_size": len(words),
        "num_hidden_layers": LAYERS,
        "num_attention_heads": HEADS,
        "hidden_size": WIDTH,
        "intermediate_size": INNER,
        "max_position_embeddings": POSITIONS,
        "type_vocab_size": 2,
        "layer_norm_eps": 1e-12,
    }
    (folder / "config.json").write_text(json.dumps(config))
    arrays = _weights(len(words), np.random.default_rng(seed))
    # What pretraining would have taught it: praise and blame lie on either side of one direction.
    for group, side in ((GOOD, 1.5), (BAD, -1.5)):
        for word in group:
            arrays["embeddings.word_embeddings.weight"][words.index(word), ::2] += side
    save_file(arrays, folder / "model.safetensors", {"format": "pt"})
    return folder


def in_shards(folder: Path, names: tuple[str, str] = ("odd-name.safetensors", "rest.safetensors")) -> Path:
    """Splits a folder's weights into files that an index names."""
    arrays = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    keys = sorted(arrays)
    parts = [keys[:5], keys[5:]]
    for name, part in zip(names, parts, strict=True):
        save_file({key: arrays[key] for key in part}, folder / name, {"format": "pt"})
    index = {key: name for name, part in zip(names, parts, strict=True) for key in part}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": index}))
    return folder


def _weights(words: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
    def matrix(*shape: int) -> np.ndarray:
        return rng.normal(0, 0.3, shape).astype(np.float32)

    arrays = {
        "embeddings.word_embeddings.weight": matrix(words, WIDTH),
        "embeddings.position_embeddings.weight": 0.1 * matrix(POSITIONS, WIDTH),
        "embeddings.token_type_embeddings.weight": matrix(2, WIDTH),
        "pooler.dense.weight": matrix(WIDTH, WIDTH),
        "pooler.dense.bias": np.zeros(WIDTH, np.float32),
    }
    norms = ["embeddings.LayerNorm"]
    dense = []
    for i in range(LAYERS):
        layer = f"encoder.layer.{i}."
        dense += [(f"{layer}attention.self.{name}", WIDTH, WIDTH) for name in ("query", "key", "value")]
        dense += [(f"{layer}attention.output.dense", WIDTH, WIDTH)]
        dense += [(f"{layer}intermediate.dense", INNER, WIDTH), (f"{layer}output.dense", WIDTH, INNER)]
        norms += [f"{layer}attention.output.LayerNorm", f"{layer}output.LayerNorm"]
    for name, out, inside in dense:
        arrays[f"{name}.weight"], arrays[f"{name}.bias"] = matrix(out, inside), np.zeros(out, np.float32)
    for name in norms:
        arrays[f"{name}.weight"], arrays[f"{name}.bias"] = np.ones(WIDTH, np.float32), np.zeros(WIDTH, np.float32)
    return arrays


def texts_and_labels(rows: int, *, seed: int = 0) -> tuple[list[str], list[str]]:
    """Returns short texts of differing length whose label hangs on one word, and their labels."""
    rng = np.random.default_rng(seed)
    texts, labels = [], []
    for row in range(rows):
        label = ("positive", "negative")[row % 2]
        words = list(rng.choice(PLAIN, size=rng.integers(2, 14)))
        words.insert(int(rng.integers(0, len(words) + 1)), str(rng.choice(GOOD if label == "positive" else BAD)))
        texts.append(" ".join(words) + ".")
        labels.append(label)
    return texts, labels


def write_table(path: Path, rows: int, *, seed: int = 0) -> Path:
    """Writes a csv with the columns text and label."""
    texts, labels = texts_and_labels(rows, seed=seed)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "label"])
        writer.writerows(zip(texts, labels, strict=True))
    return path


def recipe(folder: Path, backbone: Path, *, rows: int = 120, **train: object) -> Path:
    """Writes a table and a recipe that trains the tiny backbone on it; returns the recipe."""
    write_table(folder / "reviews.csv", rows)
    path = folder / "recipe.yaml"
    values = {
        "task": "text-classification",
        "data": {"train": "reviews.csv", "valid": "20%", "test": "25%"},
        "model": {"backbone": str(backbone)},
        "train": {"batch_size": 16, "best": "valid_loss", **train},
    }
    path.write_text(json.dumps(values), encoding="utf-8")  # JSON is YAML
    return path


PROBE = {"name": "probe", "unfreeze": "none", "solver": "lbfgs"}
TOP = {"name": "top", "unfreeze": "top-1", "epochs": 2, "lr": 1e-3}
