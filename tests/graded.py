"""Graded pairs for the tiny backbone: the score of two texts is how many of their six words they have in common."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np

from tests.tiny import BAD, GOOD, PLAIN


def write_pairs(path: Path, pairs: int = 120, seed: int = 0) -> None:
    """Writes a table with the columns text1, text2 and score, from 0 to 5."""
    rng, words = np.random.default_rng(seed), np.array([*PLAIN, *GOOD, *BAD])
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("text1", "text2", "score"))
        for _ in range(pairs):
            order, score = rng.permutation(words), int(rng.integers(0, 6))
            first = order[:6]
            second = rng.permutation([*rng.permutation(first)[:score], *order[6 : 12 - score]])
            writer.writerow((" ".join(first), " ".join(second), score))


def values(backbone: Path, *, phases: list[dict], **train: object) -> dict:
    """Returns a recipe on this table."""
    return {
        "task": "text-similarity",
        "data": {"train": "pairs.csv", "valid": "20%", "test": "20%"},
        "model": {"backbone": str(backbone)},
        "train": {"batch_size": 16, "phases": phases, **train},
    }


def recipe(folder: Path, backbone: Path, *, phases: list[dict], **train: object) -> Path:
    """Writes the table and a recipe; returns the recipe."""
    write_pairs(folder / "pairs.csv")
    path = folder / "recipe.yaml"
    path.write_text(json.dumps(values(backbone, phases=phases, **train)), encoding="utf-8")  # JSON is YAML
    return path
