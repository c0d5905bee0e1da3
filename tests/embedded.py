"""Queries and documents for the tiny backbone: each document is some words, each query some of them."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np

from tests.tiny import BAD, GOOD, PLAIN

HEAD = {"name": "head", "unfreeze": "none", "solver": "lbfgs"}
TOP = {"name": "top", "unfreeze": "top-1", "epochs": 2, "lr": 1e-3}


def write_tables(folder: Path, documents: int = 60, seed: int = 0) -> None:
    """Writes documents.csv and queries.csv: one query a document, and a second one for each fifth."""
    rng = np.random.default_rng(seed)
    texts = [" ".join(rng.choice([*PLAIN, *GOOD, *BAD], 8, replace=False)) for _ in range(documents)]
    queries = []
    for row, text in enumerate(texts):
        for _ in range(2 if row % 5 == 0 else 1):
            queries.append((" ".join(rng.choice(text.split(), 4, replace=False)), f"d{row}"))
    _write(folder / "documents.csv", ("id", "text"), [(f"d{row}", text) for row, text in enumerate(texts)])
    _write(folder / "queries.csv", ("query", "document"), queries)


def _write(path: Path, names: tuple[str, ...], rows: list[tuple[str, ...]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(names)
        writer.writerows(rows)


def values(backbone: Path, *, phases: list[dict], **train: object) -> dict:
    """Returns a recipe on these tables."""
    return {
        "task": "text-embedding",
        "data": {"train": "queries.csv", "documents": "documents.csv", "valid": "20%", "test": "20%"},
        "model": {"backbone": str(backbone)},
        "train": {"batch_size": 16, "phases": phases, **train},
    }


def recipe(folder: Path, backbone: Path, *, phases: list[dict], **train: object) -> Path:
    """Writes the tables and a recipe; returns the recipe."""
    write_tables(folder)
    path = folder / "recipe.yaml"
    path.write_text(json.dumps(values(backbone, phases=phases, **train)), encoding="utf-8")  # JSON is YAML
    return path
