"""SavedModel: a folder that TensorFlow Serving and every TensorFlow program load, without Keras."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from kft.deploy.formats.format import Format, signature

if TYPE_CHECKING:
    import keras


def _write(graph: keras.Model, path: Path) -> None:
    graph.export(str(path), format="tf_saved_model", input_signature=signature(graph), verbose=False)


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
