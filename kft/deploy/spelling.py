"""Activations in operations that every converter knows, for as long as a graph is written."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import keras
from keras import ops

from kft.model.families import exact_gelu


def erf_gelu(x: Any) -> Any:
    """Returns GELU by the error function; TensorFlow's own takes its complement, which ONNX does not have.

    ONNX Runtime and OpenVINO know this form, and compute it as one operation.
    """
    return 0.5 * x * (1.0 + ops.erf(x / 2.0**0.5))


@contextmanager
def common_activations(graph: keras.Model) -> Iterator[None]:
    """Lets a graph's layers compute GELU by ``erf_gelu`` while the body runs; nobody else may use them meanwhile."""
    layers = [layer for layer in graph._flatten_layers() if getattr(layer, "activation", None) in _GELU]
    before = [layer.activation for layer in layers]
    try:
        for layer in layers:
            layer.activation = erf_gelu
        yield
    finally:
        for layer, activation in zip(layers, before, strict=True):
            layer.activation = activation


_GELU = (exact_gelu, keras.activations.gelu)
