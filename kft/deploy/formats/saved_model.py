"""SavedModel: a folder that TensorFlow Serving and every TensorFlow program load, without Keras."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from kft.deploy.formats.format import Format, signature

if TYPE_CHECKING:
    import keras


def _write(graph: keras.Model, path: Path) -> None:
    import keras

    archive = keras.export.ExportArchive()  # not `graph.export`, which writes every weight twice

    def answer(inputs: Any) -> Any:
        return graph(inputs, training=False)

    archive.add_endpoint("serving_default", answer, input_signature=signature(graph))
    archive.write_out(str(path), verbose=False)


SAVED_MODEL = Format(
    name="saved-model",
    about="SavedModel: for TensorFlow Serving, and programs that have TensorFlow",
    model="saved_model",
    write=_write,
    packages=("tensorflow>=2.20,<2.22",),
    modules=("tensorflow",),
    extra="",
    tolerance=1e-4,
)
