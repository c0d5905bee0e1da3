"""LiteRT: one file for telephones, browsers and small boards."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from kft.deploy.formats.format import Format, signature

if TYPE_CHECKING:
    import keras


def _write(graph: keras.Model, path: Path) -> None:
    from kft.deploy.spelling import common_activations

    with common_activations(graph):
        graph.export(str(path), format="litert", input_signature=signature(graph), verbose=False)


LITERT = Format(
    name="litert",
    about="LiteRT: for telephones, browsers and small boards",
    model="model.tflite",
    write=_write,
    packages=("ai-edge-litert>=2.3,<3",),
    modules=("ai_edge_litert",),
    extra="litert",
    tolerance=1e-4,
)
