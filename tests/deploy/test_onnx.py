"""ONNX: the passes of the converter are made in place, and one that fails is left out all the same."""

import keras
import numpy as np
import onnx
import onnxruntime
import pytest
import tf2onnx.optimizer as passes

from kft.deploy.formats.format import ExportInput
from kft.deploy.formats.onnx import ONNX


@pytest.fixture
def graph():
    keras.utils.set_random_seed(0)
    given = {"x": keras.Input((6,), name="x")}
    flipped = keras.ops.transpose(keras.layers.Reshape((2, 3))(given["x"]), (0, 2, 1))
    return keras.Model(given, keras.layers.Dense(2, activation="relu")(keras.layers.Flatten()(flipped)))


def written(graph, path):
    ONNX.write(ExportInput(graph, None, ()), path)
    x = np.arange(12, dtype=np.float32).reshape(2, 6)
    (found,) = onnxruntime.InferenceSession(path).run(None, {"x": x})
    np.testing.assert_allclose(found, graph({"x": x}).numpy(), atol=1e-6)
    return [node.op_type for node in onnx.load(path).graph.node]


def test_the_graph_is_what_copies_would_have_given(graph, tmp_path, monkeypatch):
    asked, real = [], passes.optimize_graph

    def with_copies(given, catch_errors, optimizers):
        asked.append(catch_errors)
        return real(given, True, optimizers)

    in_place = written(graph, tmp_path / "a.onnx")
    monkeypatch.setattr(passes, "optimize_graph", with_copies)
    assert written(graph, tmp_path / "b.onnx") == in_place and asked == [False]


def test_a_pass_that_fails_is_left_out(graph, tmp_path, monkeypatch):
    def fails(self, given, iteration):
        raise ValueError("a pass of tf2onnx")

    monkeypatch.setattr(passes.IdentityOptimizer, "optimize", fails)
    assert written(graph, tmp_path / "a.onnx")
