"""Several sets of adapters on one decoder: room for the largest rank and all targets, into which any of them is put.

What a set does not adapt is zero there, and a smaller rank is filled up with zeros: so nothing has to be built or
traced again when another set takes its turn.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from kft.errors import ModelError
from kft.model.lora import A, B, add_lora
from kft.recipe.training import LoraSpec

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True)
class AdapterSet:
    """What one run has learned.

    Attributes:
        spec: Rank, alpha and targets.
        arrays: By the paths of the weights.
    """

    spec: LoraSpec
    arrays: Mapping[str, np.ndarray] = field(repr=False)

    @property
    def scale(self) -> float:
        """What the product of A and B counts."""
        return (self.spec.alpha or 2 * self.spec.rank) / self.spec.rank


def make_room(model: keras.Model, sets: Sequence[AdapterSet]) -> None:
    """Adds adapters to a decoder that any of some sets fits into; they add nothing until one is put there.

    Args:
        model: Changed in place.
        sets: At least one.
    """
    rank = max(each.spec.rank for each in sets)
    targets = tuple(dict.fromkeys(target for each in sets for target in each.spec.targets))
    add_lora(model, LoraSpec(rank=rank, alpha=rank, targets=targets))


def fitted(model: keras.Model, given: AdapterSet | None) -> dict[str, np.ndarray]:
    """Returns what the adapters of a model have to be for it to compute as with a set: B holds the scale as well.

    Args:
        model: After ``make_room``.
        given: One of the sets that there is room for; None: the model without adapters.

    Raises:
        ModelError: The set adapts what the model does not have.
    """
    room = {each.path: each for each in model.weights if each.name in (A, B)}
    arrays = {} if given is None else given.arrays
    unknown = sorted(set(arrays) - set(room))
    if unknown:
        raise ModelError(
            "adapters are of another model than this base",
            where=unknown[0],
            received=f"{len(unknown):,} weights that the base has no place for",
            expected="adapters that were trained on it",
            next_step="kft serve with the base that the run names: receipt.json, backbone",
        )
    found = {}
    for path, variable in room.items():
        whole = np.zeros(variable.shape, np.float32)
        if path in arrays and given is not None:
            array = np.asarray(arrays[path], np.float32)
            if variable.name == A:
                whole[..., : array.shape[-1]] = array
            else:
                whole[: array.shape[0]] = array * np.float32(given.scale)
        found[path] = whole
    return found


def put(model: keras.Model, arrays: Mapping[str, np.ndarray]) -> None:
    """Gives the adapters of a model other values, from ``fitted``."""
    for variable in model.weights:
        if variable.path in arrays:
            variable.assign(arrays[variable.path])
