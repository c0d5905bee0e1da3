"""The proof that frozen weights do not move: a hash over them, before a phase and after it."""

from __future__ import annotations

import hashlib

import keras
import numpy as np

from kft.errors import TrainingError
from kft.model.freeze import FreezePlan


def require_unmoved(model: keras.Model, planned: FreezePlan, before: str, name: str) -> None:
    """Refuses to go on where a weight has moved that was frozen.

    Raises:
        TrainingError: One has.
    """
    if frozen_fingerprint(model, planned) != before:
        raise TrainingError(
            "a frozen weight moved during training",
            where=f"phase {name}",
            expected="frozen weights that are bit-identical",
            next_step="report this as a bug in kft, with the recipe",
        )


def frozen_fingerprint(model: keras.Model, planned: FreezePlan) -> str:
    """Returns a hash over every weight that must not move."""
    moving = {id(variable) for variable in planned.moving}
    digest = hashlib.blake2b()
    for variable in model.weights:
        if id(variable) not in moving:
            digest.update(variable.path.encode())
            digest.update(np.ascontiguousarray(variable.numpy()).data)
    return digest.hexdigest()
