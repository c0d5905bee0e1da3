"""What each step made of some inputs: kept in one file, so that two models can be compared step by step."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

Row = dict[str, np.ndarray]


@dataclass(frozen=True)
class Stages:
    """What each step made of some inputs; every list has one entry an input.

    Attributes:
        decoded: Each as it was decoded: a text without entities, or a hash of an image's pixels.
        normalised: Each as it is taken apart: a text as the tokenizer spells it, or a hash of the pixels at their size.
        rows: What the model was given, by the names of its inputs.
        outputs: What the graph gave, by name.
        answers: What is answered.
    """

    decoded: list[str]
    normalised: list[str]
    rows: list[Row]
    outputs: list[Row]
    answers: list[dict[str, Any]]


def save_stages(path: Path, stages: Stages) -> None:
    """Writes stages as .npz: texts and answers as JSON, arrays of all inputs end to end."""
    arrays = {
        name: np.frombuffer(json.dumps(getattr(stages, name)).encode(), np.uint8)
        for name in ("decoded", "normalised", "answers")
    }
    for kind in ("rows", "outputs"):
        several: Sequence[Row] = getattr(stages, kind)
        for name in several[0]:
            parts = [np.asarray(each[name]) for each in several]
            arrays[f"{kind}/{name}"] = np.concatenate([np.atleast_1d(part) for part in parts])
            arrays[f"{kind}/{name}/lengths"] = np.array([len(part) if part.ndim else -1 for part in parts])
    np.savez(path, **arrays)  # type: ignore[arg-type]


def load_stages(path: Path) -> Stages:
    """Reads what ``save_stages`` wrote."""
    with np.load(path, allow_pickle=False) as arrays:
        texts = {name: json.loads(arrays[name].tobytes()) for name in ("decoded", "normalised", "answers")}
        found: dict[str, list[Row]] = {kind: [{} for _ in texts["answers"]] for kind in ("rows", "outputs")}
        for key in arrays.files:
            kind, _, name = key.partition("/")
            if name and not name.endswith("/lengths"):
                lengths = arrays[f"{key}/lengths"]
                parts = np.split(arrays[key], np.cumsum(np.where(lengths < 0, 1, lengths))[:-1])
                for place, (part, length) in enumerate(zip(parts, lengths, strict=True)):
                    found[kind][place][name] = part if length >= 0 else part[0]
    return Stages(**texts, rows=found["rows"], outputs=found["outputs"])
