"""Runs a model file: for each runtime a function from its path to one that takes arrays by name and returns such."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np

from kft.errors import UsageError

Arrays = Mapping[str, np.ndarray]
Engine = Callable[[Arrays], dict[str, np.ndarray]]


@contextmanager
def needed(package: str) -> Iterator[None]:
    """Says how to install what the body imports, where it is missing."""
    try:
        yield
    except ModuleNotFoundError as missing:
        raise UsageError(
            f"this model runs on {package}, which is not installed",
            received=str(missing),
            next_step=f"pip install {package}",
        ) from None


def open_onnx(path: Path) -> Engine:
    """Opens an ONNX file with ONNX Runtime, on the CPU."""
    with needed("onnxruntime"):
        import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    # Threads that wait by spinning take the cores from those that compute, here and of other processes.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]

    def run(arrays: Arrays) -> dict[str, np.ndarray]:
        return dict(zip(names, session.run(names, dict(arrays)), strict=True))

    return run


def open_openvino(path: Path) -> Engine:
    """Opens an OpenVINO model on the CPU, in the precision that its file has."""
    # With this package there OpenVINO would report each start to its vendor; it does without.
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    with needed("openvino"):
        import openvino

    settings: dict[str, Any] = {
        "INFERENCE_PRECISION_HINT": "f32",
        "PERFORMANCE_HINT": "LATENCY",
        "DYNAMIC_QUANTIZATION_GROUP_SIZE": 128,  # of what weights in int8 are multiplied with: within one token
    }
    core = openvino.Core()
    model = core.read_model(str(path))
    names = [output.any_name for output in model.outputs]  # compiled, two outputs that are one have one name
    compiled = core.compile_model(model, "CPU", settings)

    def run(arrays: Arrays) -> dict[str, np.ndarray]:
        found = compiled.create_infer_request().infer(dict(arrays))
        return {name: np.array(found[place]) for place, name in enumerate(names)}

    return run


def open_litert(path: Path) -> Engine:
    """Opens a LiteRT model on the CPU; one question at a time, because its interpreter holds the arrays."""
    with needed("ai-edge-litert"):
        from ai_edge_litert.interpreter import Interpreter

    runner, turn = Interpreter(str(path)).get_signature_runner(), Lock()

    def run(arrays: Arrays) -> dict[str, np.ndarray]:
        with turn:
            return {name: np.array(values) for name, values in runner(**arrays).items()}

    return run


def open_saved_model(path: Path) -> Engine:
    """Opens a SavedModel with TensorFlow, on the CPU: a GPU computes float32 in fewer bits unless it is told not to."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    with needed("tensorflow"):
        import tensorflow

    with tensorflow.device("CPU"):
        loaded = tensorflow.saved_model.load(str(path))

    def run(arrays: Arrays) -> dict[str, np.ndarray]:
        answer = loaded.signatures["arrays"]  # of `loaded`, so that this and its weights stay alive
        with tensorflow.device("CPU"):
            found = answer(**{name: tensorflow.constant(values) for name, values in arrays.items()})
        return {name: values.numpy() for name, values in found.items()}

    return run


ENGINES: dict[str, Callable[[Path], Engine]] = {
    "onnx": open_onnx,
    "openvino": open_openvino,
    "litert": open_litert,
    "saved-model": open_saved_model,
}
"""By the format's name."""
