"""The boundary: random layers of a part that trains stay behind it, nested models are refused."""

import keras
import numpy as np
import pytest

from kft.errors import ModelError
from kft.features.boundary import FrozenFront, split_at_boundary


def flat_model():
    inputs = keras.Input((4,), name="x")
    hidden = keras.layers.Dense(5, activation="relu", name="below")(inputs)
    normed = keras.layers.BatchNormalization(name="norm")(hidden)
    dropped = keras.layers.Dropout(0.5, name="frozen_dropout")(normed)
    middle = keras.layers.Dense(5, name="middle")(dropped)
    added = keras.layers.Add(name="add")([middle, normed])
    trained_dropout = keras.layers.Dropout(0.5, name="trained_dropout")(added)
    return keras.Model(inputs, keras.layers.Dense(2, name="top")(trained_dropout))


def freeze(model, *names):
    for layer in model.layers:
        layer.trainable = layer.name not in names


def test_an_add_across_the_boundary_has_two_tensors_and_frozen_dropout_is_fixed():
    model = flat_model()
    freeze(model, "below", "norm", "frozen_dropout")
    split = split_at_boundary(model)
    assert set(split.names) == {"norm", "frozen_dropout"}
    x = np.random.default_rng(0).normal(size=(3, 4)).astype("float32")
    np.testing.assert_array_equal(split.back(split.front([x], training=False)), model(x, training=False))


def test_dropout_of_a_part_that_trains_is_not_fixed():
    model = flat_model()
    freeze(model, "below", "norm", "frozen_dropout", "middle", "add")
    assert split_at_boundary(model).names == ("add",)


def test_a_frozen_front_ignores_training():
    model = flat_model()
    freeze(model, "below", "norm", "frozen_dropout", "middle", "add", "trained_dropout")
    split = split_at_boundary(model)
    whole = FrozenFront(split.front, split.back)
    before = [variable.numpy() for variable in model.get_layer("norm").weights]
    x = np.ones((3, 4), "float32")
    np.testing.assert_array_equal(whole([x], training=True), whole([x], training=False))
    for variable, value in zip(model.get_layer("norm").weights, before, strict=True):
        np.testing.assert_array_equal(variable.numpy(), value)


def test_a_nested_model_is_refused():
    inner = flat_model()
    inputs = keras.Input((4,))
    outer = keras.Model(inputs, keras.layers.Dense(2)(inner(inputs)))
    with pytest.raises(ModelError, match="nested as one layer hides where training begins"):
        split_at_boundary(outer)


def test_a_model_in_which_nothing_trains_has_no_boundary():
    model = flat_model()
    model.trainable = False
    with pytest.raises(ModelError, match="nothing in the model trains"):
        split_at_boundary(model)
