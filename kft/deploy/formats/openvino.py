"""OpenVINO: the fastest of all on Intel's processors."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from kft.deploy.formats.format import Format, Quantization, Source, Written, signature
from kft.runtime import load_openvino

if TYPE_CHECKING:
    import keras


def _write(source: Source, path: Path) -> Written:
    openvino = load_openvino()  # before Keras does

    from kft.deploy.spelling import common_activations

    graph = source.graph
    with common_activations(graph):
        graph.export(str(path), format="openvino", input_signature=signature(graph), verbose=False)
    core = openvino.Core()
    core.set_property({"ENABLE_MMAP": False})  # its own file is written over below
    model = core.read_model(str(path))
    for output, name in zip(model.outputs, sorted(graph.output), strict=True):  # in TensorFlow's order
        output.tensor.set_names({name})
    openvino.save_model(model, str(path), compress_to_fp16=False)
    return Written()


def _write_float16(graph: keras.Model, whole: Path, path: Path) -> None:
    openvino = load_openvino()
    openvino.save_model(openvino.Core().read_model(str(whole)), str(path), compress_to_fp16=True)


OPENVINO = Format(
    name="openvino",
    about="OpenVINO: the fastest on Intel's processors",
    model="model.xml",
    write=_write,
    packages=("openvino>=2026.2,<2027",),
    modules=("openvino",),
    extra="openvino",
    tolerance=1e-4,
    quantizations={"float16": Quantization("weights in float16; all is computed in float32", _write_float16)},
)
