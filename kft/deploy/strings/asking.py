"""Asks a SavedModel for raw texts, in a process without kft: `python asking.py SAVED_MODEL INPUTS OUT`.

This file alone is run there. INPUTS are lines of JSON: texts, or pairs of them. OUT is JSON: for each signature and
output one value a text.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np

BATCH = 32
SIGNATURES = ("tokens", "serving_default")


def ask(model: str, inputs: list[Any]) -> dict[str, list[Any]]:
    """Returns what each signature gives for raw inputs, a batch after the other."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    import tensorflow

    sides = [given if isinstance(given, list) else [given] for given in inputs]
    rows: dict[str, list[Any]] = {}
    with tensorflow.device("CPU"):
        loaded = tensorflow.saved_model.load(model)
        for start in range(0, len(sides), BATCH):
            several = list(zip(*sides[start : start + BATCH], strict=True))
            for signature in SIGNATURES:
                answer = loaded.signatures[signature]
                names = sorted(answer.structured_input_signature[1])
                given = {name: tensorflow.constant(side) for name, side in zip(names, several, strict=True)}
                for name, values in answer(**given).items():
                    rows.setdefault(f"{signature}/{name}", []).extend(map(plain, values.numpy()))
    return rows


def plain(value: Any) -> Any:
    """Returns a row of an output as JSON has it; a number of 32 bits comes back as it was."""
    if isinstance(value, np.ndarray):
        return [plain(each) for each in value.tolist()]
    return value.decode() if isinstance(value, bytes) else np.asarray(value).item()


def main(model: str, source: str, made: str) -> None:
    """Asks, and writes the answers."""
    inputs = [json.loads(line) for line in Path(source).read_text(encoding="utf-8").splitlines()]
    Path(made).write_text(json.dumps(ask(model, inputs)), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
