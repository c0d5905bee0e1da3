"""OpenVINO: the fastest of all on Intel's processors."""

from __future__ import annotations

import importlib
import io
import logging
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING

from kft.deploy.formats.format import ExportInput, ExportOutput, Format, Quantization, signature
from kft.extras import lacking
from kft.runtime import as_if_absent, load_openvino

if TYPE_CHECKING:
    import keras


def _write(source: ExportInput, path: Path) -> ExportOutput:
    openvino = load_openvino()  # before Keras does

    from kft.deploy.spelling import common_activations

    graph = source.graph
    with common_activations(graph):
        graph.export(str(path), format="openvino", input_signature=signature(graph), verbose=False)
    core = openvino.Core()
    core.set_property({"ENABLE_MMAP": False})  # its own file is written over below
    model = core.read_model(str(path))
    for output in model.outputs:
        output.tensor.set_names(set())
    for output, name in zip(model.outputs, sorted(graph.output), strict=True):  # in TensorFlow's order
        output.tensor.add_names({name})  # two outputs may be one tensor: a vector is its own answer
    openvino.save_model(model, str(path), compress_to_fp16=False)
    return ExportOutput()


def _write_float16(graph: keras.Model, whole: Path, path: Path) -> None:
    openvino = load_openvino()
    openvino.save_model(openvino.Core().read_model(str(whole)), str(path), compress_to_fp16=True)


def _write_int8(graph: keras.Model, whole: Path, path: Path) -> None:
    openvino = load_openvino()
    try:
        with as_if_absent(["openvino_telemetry"]):
            nncf = importlib.import_module("nncf")
    except ImportError as error:
        raise lacking(
            "nncf", "int8 of openvino needs a package that is not installed", str(error), where="--quantize"
        ) from error
    nncf.set_log_level(logging.ERROR)
    with redirect_stdout(io.StringIO()):  # its bars
        small = nncf.compress_weights(
            openvino.Core().read_model(str(whole)),
            mode=nncf.CompressWeightsMode.INT8_SYM,
            ignored_scope=nncf.IgnoredScope(patterns=[".*/head.*", ".*/decide.*"], validate=False),
        )
    openvino.save_model(small, str(path), compress_to_fp16=False)


NOT_MEASURED = {"image": "what its convolutions would gain has not been measured"}
OPENVINO = Format(
    name="openvino",
    about="OpenVINO: the fastest on Intel's processors",
    model="model.xml",
    write=_write,
    packages=("openvino>=2026.2,<2027",),
    modules=("openvino",),
    extra="openvino",
    tolerance=1e-4,
    quantizations={
        "float16": Quantization("weights in float16; all is computed in float32", _write_float16),
        "int8": Quantization(
            "the backbone's weights in int8, and each token that they are multiplied with, where the CPU can",
            _write_int8,
            not_for=NOT_MEASURED,
        ),
    },
)
