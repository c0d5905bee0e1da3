"""ONNX: answered by ONNX Runtime, which installs in seconds and starts at once."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from kft.deploy.formats.format import ExportInput, ExportOutput, Format, Quantization, signature

if TYPE_CHECKING:
    import keras


SMALL = 256
"""Tensors of fewer numbers stay as they are: thresholds, the temperature, shapes."""


def _write(source: ExportInput, path: Path) -> ExportOutput:
    from kft.deploy.spelling import common_activations

    graph = source.graph
    with common_activations(graph), warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # Keras looks for names that NumPy will have anew
        convert = partial(graph.export, str(path), format="onnx", input_signature=signature(graph), verbose=False)
        try:
            with _passes_in_place():
                convert()
        except Exception:  # half of a pass was made: tf2onnx can leave it out, from a copy of what was before
            convert()
    return ExportOutput()


@contextmanager
def _passes_in_place() -> Iterator[None]:
    """Within it, tf2onnx makes its passes over one graph; else it copies all weights before each, in case it fails."""
    from tf2onnx import optimizer

    every_pass = optimizer.optimize_graph
    optimizer.optimize_graph = lambda graph, catch_errors, optimizers: every_pass(graph, False, optimizers)
    try:
        yield
    finally:
        optimizer.optimize_graph = every_pass


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


def _write_float16(graph: keras.Model, whole: Path, path: Path) -> None:
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    model = onnx.load(str(whole))
    casts = []
    for tensor in model.graph.initializer:
        values = numpy_helper.to_array(tensor)
        if values.dtype != np.float32 or values.size < SMALL or np.abs(values).max() > np.finfo(np.float16).max:
            continue
        name, half = tensor.name, f"{tensor.name}/float16"
        tensor.CopyFrom(numpy_helper.from_array(values.astype(np.float16), half))
        casts.append(helper.make_node("Cast", [half], [name], to=TensorProto.FLOAT))
    nodes = [*casts, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    onnx.checker.check_model(model)
    onnx.save(model, str(path))


NO_PRODUCTS = {"image": "it rounds products of matrices, and a model of images is made of convolutions"}
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
            "the backbone's weights in int8, and what they are multiplied with as it comes",
            _write_dynamic,
            alone=True,
            not_for=NO_PRODUCTS,
        ),
        "float16": Quantization("weights in float16; all is computed in float32", _write_float16),
    },
)
