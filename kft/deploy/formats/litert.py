"""LiteRT: one file for telephones, browsers and small boards."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from kft.deploy.formats.format import ExportInput, ExportOutput, Format, Quantization, signature
from kft.runtime import quiet_stderr

if TYPE_CHECKING:
    import keras


def _write(source: ExportInput, path: Path) -> ExportOutput:
    _convert(source.graph, path)
    return ExportOutput()


def _convert(graph: keras.Model, path: Path, **settings: Any) -> None:
    """Writes a graph; settings are the converter's own."""
    from kft.deploy.spelling import common_activations

    with common_activations(graph):
        graph.export(str(path), format="litert", input_signature=signature(graph), verbose=False, **settings)


def _write_float16(graph: keras.Model, whole: Path, path: Path) -> None:
    import tensorflow as tf

    with quiet_stderr():
        _convert(graph, path, optimizations=[tf.lite.Optimize.DEFAULT], target_spec={"supported_types": [tf.float16]})


LITERT = Format(
    name="litert",
    about="LiteRT: for telephones, browsers and small boards",
    model="model.tflite",
    write=_write,
    packages=("ai-edge-litert>=2.3,<3",),
    modules=("ai_edge_litert",),
    extra="litert",
    tolerance=1e-4,
    quantizations={"float16": Quantization("weights in float16; all is computed in float32", _write_float16)},
)
