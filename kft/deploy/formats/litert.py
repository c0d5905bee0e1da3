"""LiteRT: one file for telephones, browsers and small boards."""

from __future__ import annotations

from pathlib import Path

from kft.deploy.formats.format import Format, Source, Written, signature


def _write(source: Source, path: Path) -> Written:
    from kft.deploy.spelling import common_activations

    graph = source.graph
    with common_activations(graph):
        graph.export(str(path), format="litert", input_signature=signature(graph), verbose=False)
    return Written()


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
