"""ONNX: answered by ONNX Runtime, which installs in seconds and starts at once."""

from __future__ import annotations

import logging
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from kft.deploy.formats.format import Format, Quantization, Source, Written, signature

if TYPE_CHECKING:
    import keras


def _write(source: Source, path: Path) -> Written:
    from kft.deploy.spelling import common_activations

    graph = source.graph
    with common_activations(graph), warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # Keras looks for names that NumPy will have anew
        graph.export(str(path), format="onnx", input_signature=signature(graph), verbose=False)
    return Written()


def _write_dynamic(graph: keras.Model, whole: Path, path: Path) -> None:
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic

    nodes = [node.name for node in onnx.load(str(whole), load_external_data=False).graph.node]
    logging.disable(logging.WARNING)  # it advises a step that is for static quantization
    try:
        quantize_dynamic(
            whole,
            path,
            op_types_to_quantize=["MatMul", "Gather"],
            per_channel=True,
            weight_type=QuantType.QInt8,
            nodes_to_exclude=[name for name in nodes if "/head" in name or "/decide" in name],
        )
    finally:
        logging.disable(logging.NOTSET)


ONNX = Format(
    name="onnx",
    about="ONNX Runtime: small, starts at once, on every system",
    model="model.onnx",
    write=_write,
    packages=("onnxruntime>=1.32,<2",),
    modules=("tf2onnx", "onnx", "onnxruntime"),
    extra="onnx",
    tolerance=1e-4,
    quantizations={
        "dynamic": Quantization(
            "the backbone's weights in int8, and what they are multiplied with as it comes", _write_dynamic, alone=True
        )
    },
)
