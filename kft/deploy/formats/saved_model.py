"""SavedModel: a folder that TensorFlow Serving and every TensorFlow program load, without Keras."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kft.deploy.formats.format import ExportInput, ExportOutput, Format, signature

if TYPE_CHECKING:
    from kft.deploy.strings.reading import StringReader

DEFAULT, ARRAYS, TOKENS = "serving_default", "arrays", "tokens"
"""Signatures: raw texts to names where the graph reads them, else arrays; arrays to figures; raw texts to arrays."""
WARM_UP = "assets.extra/tf_serving_warmup_requests"
"""Where TensorFlow Serving looks for what it asks a model before it answers people."""


def _write(source: ExportInput, path: Path) -> ExportOutput:
    from kft.deploy.strings.reading import make_reading
    from kft.deploy.strings.spelling import NotInGraph

    try:
        reading = make_reading(source.artifact)
    except NotInGraph as why:
        _archive(source, None, path)
        _write_warm_up(path, _arrays(source))
        return ExportOutput(note=f"arrays     {DEFAULT} takes what a reader gives, and no raw input: {why}")
    _archive(source, reading, path)
    sides = [given if isinstance(given, tuple) else (given,) for given in source.examples]
    _write_warm_up(path, dict(zip(reading.names, map(list, zip(*sides, strict=True)), strict=True)))
    return ExportOutput(takes=reading.names)


def _archive(source: ExportInput, reading: StringReader | None, path: Path) -> None:
    import keras
    import tensorflow as tf

    from kft.deploy.strings.naming import NAMERS

    graph, artifact = source.graph, source.artifact
    archive = keras.export.ExportArchive()  # not `graph.export`, which writes every weight twice

    def answer(inputs: Any) -> Any:
        return graph(inputs, training=False)

    archive.add_endpoint(ARRAYS, answer, input_signature=signature(graph))
    if reading is None:
        archive.add_endpoint(DEFAULT, answer, input_signature=signature(graph))
    else:

        def tokens(*sides: Any) -> Any:
            arrays = reading(sides)
            return {name: arrays[name] for name in graph.input}

        def named(*sides: Any) -> Any:
            return NAMERS[artifact.kind.labels.form](answer(tokens(*sides)), artifact.space.labels)

        archive.track(reading)
        takes = [tf.TensorSpec([None], tf.string, name=name) for name in reading.names]
        archive.add_endpoint(TOKENS, tokens, input_signature=takes)
        archive.add_endpoint(DEFAULT, named, input_signature=takes)
    archive.write_out(str(path), verbose=False)


def _arrays(source: ExportInput) -> dict[str, Any]:
    """Returns one example as the graph takes it."""
    columns = source.artifact.reader.read(source.examples[:1]).source.columns
    return {name: columns[name].row(0)[None] for name in source.graph.input}


def _write_warm_up(path: Path, inputs: Mapping[str, Any]) -> None:
    """Writes requests that TensorFlow Serving makes before it calls a model ready: of one example, and of all."""
    import tensorflow as tf
    from tensorflow_serving.apis import predict_pb2, prediction_log_pb2

    place = path / WARM_UP
    place.parent.mkdir()
    with tf.io.TFRecordWriter(str(place)) as records:
        for count in sorted({1, len(next(iter(inputs.values())))}):
            request = predict_pb2.PredictRequest()
            request.model_spec.signature_name = DEFAULT
            for name, values in inputs.items():
                request.inputs[name].CopyFrom(tf.make_tensor_proto(values[:count]))
            log = prediction_log_pb2.PredictLog(request=request)
            records.write(prediction_log_pb2.PredictionLog(predict_log=log).SerializeToString())


SAVED_MODEL = Format(
    name="saved-model",
    about="SavedModel: for TensorFlow Serving, and programs that have TensorFlow",
    model="saved_model",
    write=_write,
    packages=("tensorflow>=2.20,<2.22",),
    modules=("tensorflow", "tensorflow_serving"),
    extra="saved-model",
    tolerance=1e-4,
)
