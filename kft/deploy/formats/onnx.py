"""ONNX: answered by ONNX Runtime, which installs in seconds and starts at once."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from kft.deploy.formats.format import Format, signature

if TYPE_CHECKING:
    import keras


def _write(graph: keras.Model, path: Path) -> None:
    from kft.deploy.spelling import common_activations

    with common_activations(graph), warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # Keras looks for names that NumPy will have anew
        graph.export(str(path), format="onnx", input_signature=signature(graph), verbose=False)


ONNX = Format(
    name="onnx",
    about="ONNX Runtime: small, starts at once, on every system",
    model="model.onnx",
    write=_write,
    packages=("onnxruntime>=1.32,<2",),
    modules=("tf2onnx", "onnx", "onnxruntime"),
    extra="onnx",
    tolerance=1e-4,
)
