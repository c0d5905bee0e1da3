"""Weights that a name and a shape give: the recorder of references and the tests make the same ones, and store none."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence

import numpy as np


def seeded_array(name: str, shape: Sequence[int]) -> np.ndarray:
    """Returns ``float32`` values that only the tensor's name and shape decide; none is a neutral 0 or 1."""
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    values = rng.normal(0.0, 1.0, tuple(shape))
    if name.endswith("norm.weight") or "LayerNorm.weight" in name or "ln_" in name or "layernorm" in name.lower():
        # Scales about 1 (Gemma's, which count from 1, take them as 2); shifts about 0.
        return (values * 0.1 + (1.0 if name.endswith("weight") else 0.0)).astype(np.float32)
    return (values * 0.2).astype(np.float32)


def seeded_arrays(shapes: Mapping[str, Sequence[int]]) -> dict[str, np.ndarray]:
    """Returns one array a name."""
    return {name: seeded_array(name, shape) for name, shape in shapes.items()}
