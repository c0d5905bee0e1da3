"""Weights that are read or assigned right away are not drawn first; those that are not are drawn as ever."""

import threading

import keras
import numpy as np
import pytest

from kft import load_backbone
from kft.model.filling import assigned_later, filled
from tests.tiny import write_backbone


def built(name):
    keras.utils.set_random_seed(3)
    layer = keras.layers.Dense(4, name=name, kernel_initializer="glorot_uniform")
    layer.build((None, 5))
    return layer


def test_a_weight_begins_as_zeros_and_what_nothing_fills_is_drawn_as_ever():
    wanted = built("plain").kernel.numpy()
    with filled():
        left, given = built("left"), built("given")
        assert not left.kernel.numpy().any()
        given.kernel.assign(np.zeros((5, 4), np.float32))  # zeros that a file holds stay zeros
    assert np.array_equal(left.kernel.numpy(), wanted)
    assert not given.kernel.numpy().any()
    assert np.array_equal(built("after").kernel.numpy(), wanted)
    assert "assign" not in vars(keras.Variable)


def test_a_layer_of_another_thread_is_drawn_at_once():
    found = []
    with filled():
        thread = threading.Thread(target=lambda: found.append(built("other")))
        thread.start()
        thread.join()
        assert found[0].kernel.numpy().any()


def test_what_fails_leaves_keras_as_it_was():
    before = keras.layers.Layer.add_weight
    with pytest.raises(ValueError, match="broken"), filled():
        raise ValueError("broken")
    assert keras.layers.Layer.add_weight is before
    assert "assign" not in vars(keras.Variable)


def test_a_backbone_is_loaded_without_what_is_assigned_later(tmp_path):
    folder = write_backbone(tmp_path / "tiny")
    whole = load_backbone(str(folder)).model
    path = "transformer_layer_1/self_attention_layer/query/kernel"
    with assigned_later((path,)):
        found = load_backbone(str(folder)).model
    for variable, other in zip(whole.weights, found.weights, strict=True):
        same = np.array_equal(variable.numpy(), other.numpy())
        assert same == (variable.path != path), variable.path
    assert path in {variable.path for variable in whole.weights}
