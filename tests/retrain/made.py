"""A champion that is blind to one kind of text, and new rows of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from tests import tiny

PHASES = {"probe": [tiny.PROBE], "tuned": [tiny.TOP]}


def new_rows(rows: int, *, seed: int = 7) -> pd.DataFrame:
    """Texts without praise or blame, whose label hangs on what they are about: no champion has learned that."""
    rng = np.random.default_rng(seed)
    found = []
    for row in range(rows):
        about, label = (("battery", "positive"), ("camera", "negative"))[row % 2]
        words = [about] * 6 + list(rng.choice(tiny.PLAIN[6:], size=8))
        rng.shuffle(words)
        found.append((" ".join(words) + ".", label))
    return pd.DataFrame(found, columns=["text", "label"])


def recipe(folder: Path, backbone: Path, phases: str = "probe", **values: object) -> dict:
    """Writes old rows and returns a recipe for them."""
    tiny.write_table(folder / "old.csv", 240, seed=1)
    return {
        "name": "tickets",
        "task": "text-classification",
        "data": {"train": "old.csv", "valid": "20%", "test": "30%"},
        "model": {"backbone": str(backbone)},
        "train": {"batch_size": 16, "phases": PHASES[phases]},
        **values,
    }
