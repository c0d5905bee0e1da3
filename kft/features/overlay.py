"""Other weights for a model, laid over its own: the model stays as it is, and what they leave alone is shared."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from kft.features.boundary import Forward


@dataclass(frozen=True)
class OtherWeights:
    """A model that computes with other weights than its own.

    Attributes:
        model: Whose graph it is.
        pairs: A variable of the model, and the one that is read in its place.
    """

    model: keras.Model
    pairs: tuple[tuple[keras.Variable, keras.Variable], ...]

    @property
    def inputs(self) -> list[Any]:
        return self.model.inputs

    @property
    def outputs(self) -> list[Any]:
        return self.model.outputs

    @property
    def layers(self) -> list[Any]:
        return self.model.layers

    @property
    def losses(self) -> list[Any]:
        return self.model.losses

    def __call__(self, tensors: list[Any], *, training: bool) -> Any:
        # In the scope alone, and so in this trace alone, a variable's value is another's.
        with keras.StatelessScope(state_mapping=list(self.pairs)):
            return self.model(tensors, training=training)


def lay_over(model: keras.Model, arrays: Mapping[str, np.ndarray]) -> Forward:
    """Returns the model with some weights replaced; call it in the strategy's scope.

    Args:
        model: Stays as it is.
        arrays: By the paths of weights; those of other models are ignored.
    """
    pairs = overlay(model, arrays)
    return OtherWeights(model, tuple(pairs)) if pairs else model


def overlay(model: keras.Model, arrays: Mapping[str, np.ndarray]) -> list[tuple[keras.Variable, keras.Variable]]:
    """Returns each variable of a model that others take the place of, and what does; see ``lay_over``."""
    taken = [variable for variable in model.weights if variable.path in arrays]
    return [(v, keras.Variable(arrays[v.path], dtype=v.dtype, trainable=False, name=v.name)) for v in taken]
