"""What a phase answers to valid, as a checkpoint holds it: arrays by these names."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from kft.feed.batches import Ragged

OUTPUTS, OFFSETS = "valid", "valid_offsets"
"""A phase's outputs for valid; the second only where texts have many outputs each."""
TRAIN, TRAIN_ROWS = "train", "train_rows"
"""A blend's outputs for rows of train, out of fold, and which rows these are."""


def outputs_as_arrays(outputs: Ragged | np.ndarray) -> dict[str, np.ndarray]:
    """Returns what a model computed for valid as a checkpoint holds it."""
    if isinstance(outputs, Ragged):
        return {OUTPUTS: outputs.values, OFFSETS: outputs.offsets}
    return {OUTPUTS: outputs}


def outputs_from(arrays: Mapping[str, np.ndarray]) -> Ragged | np.ndarray:
    """Returns what ``outputs_as_arrays`` was given."""
    outputs = arrays[OUTPUTS]
    return Ragged(outputs, arrays[OFFSETS]) if OFFSETS in arrays else outputs
