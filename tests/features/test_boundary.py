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


def halves_differ(model, *inputs):
    """The largest difference between the model and its two halves, from arrays alone: as stored features come."""
    split = split_at_boundary(model)
    stored = [tensor.numpy() for tensor in keras.tree.flatten(split.front(list(inputs), training=False))]
    assert len(stored) == len(split.names) == len(set(split.names))
    whole = model(list(inputs) if len(inputs) > 1 else inputs[0])
    pairs = zip(*(keras.tree.flatten(out) for out in (split.back(stored), whole)), strict=True)
    return max(float(abs(one - other).numpy().max()) for one, other in pairs)


def masked_model():
    ids = keras.Input((None,), dtype="int32", name="ids")
    hidden = keras.layers.Dense(5, name="middle")(keras.layers.Embedding(10, 4, mask_zero=True, name="below")(ids))
    pooled = keras.layers.GlobalAveragePooling1D(name="pooled")(hidden)
    last = keras.layers.LSTM(3, name="last")(hidden)
    return keras.Model(ids, keras.layers.Dense(2, name="top")(keras.layers.Concatenate(name="both")([last, pooled])))


@pytest.mark.parametrize("frozen", [("below",), ("below", "middle"), ("below", "middle", "pooled")])
def test_keras_masks_cross_the_boundary(frozen):
    model = masked_model()
    freeze(model, *frozen)
    assert halves_differ(model, np.array([[1, 2, 0, 0], [3, 4, 5, 0]])) == 0


def test_several_inputs_and_outputs():
    left, right = keras.Input((4,), name="left"), keras.Input((3,), name="right")
    low = keras.layers.Dense(5, name="low")(left)
    joined = keras.layers.Concatenate(name="joined")([low, right])
    aside = keras.layers.Dense(2, name="aside")(low)
    model = keras.Model([left, right], {"top": keras.layers.Dense(2, name="top")(joined), "aside": aside})
    freeze(model, "low", "aside")
    assert set(split_at_boundary(model).names) == {"joined", "aside"}  # a finished output crosses as it is
    rng = np.random.default_rng(0)
    assert halves_differ(model, rng.normal(size=(3, 4)), rng.normal(size=(3, 3))) == 0
    assert set(split_at_boundary(model).back([np.ones((1, 8)), np.ones((1, 2))])) == {"top", "aside"}


def tied_model():
    inputs = keras.Input((4,))
    shared = keras.layers.Dense(4, name="shared")
    middle = keras.layers.Dense(4, name="middle")(shared(inputs))
    return keras.Model(inputs, keras.layers.Dense(2, name="top")(shared(middle)))


def test_a_layer_called_twice_has_two_names():
    model = tied_model()
    freeze(model, "shared")
    assert split_at_boundary(model).names == ("shared_call_0",)
    assert halves_differ(model, np.ones((2, 4))) == 0
    freeze(model, "shared", "middle")
    assert split_at_boundary(model).names == ("shared_call_1",)


class TiedDense(keras.layers.Layer):
    """Multiplies with another layer's kernel, transposed."""

    def __init__(self, other, **kwargs):
        super().__init__(**kwargs)
        self.other = other

    def call(self, x):
        return x @ keras.ops.transpose(self.other.kernel)


def test_a_variable_that_another_layer_trains_is_not_fixed():
    """As with an embedding that is the output matrix too: its frozen layer says nothing of the variable."""
    inputs = keras.Input((4,))
    low = keras.layers.Dense(4, name="low")
    top = TiedDense(low, name="top")
    model = keras.Model(inputs, top(keras.layers.Dense(4, name="middle")(low(inputs))))
    freeze(model, "low", "middle")
    low.kernel.trainable = True  # through `top`, which trains
    assert split_at_boundary(model).names == (model.inputs[0].name,)


def test_batch_norm_without_weights_still_adapts():
    inputs = keras.Input((4,))
    normed = keras.layers.BatchNormalization(scale=False, center=False, name="norm")(inputs)
    model = keras.Model(inputs, keras.layers.Dense(2, name="top")(normed))
    assert split_at_boundary(model).names == (model.inputs[0].name,)
    freeze(model, "norm")
    assert split_at_boundary(model).names == ("norm",)


class LowRank(keras.layers.Layer):
    """A frozen kernel with a trainable low-rank update beside it, as LoRA has (Hu et al., 2021)."""

    def build(self, shape):
        self.kernel = self.add_weight(shape=(shape[-1], shape[-1]), trainable=False)
        self.low = self.add_weight(shape=(shape[-1], 1))
        self.high = self.add_weight(shape=(1, shape[-1]))

    def call(self, x):
        return x @ (self.kernel + self.low @ self.high)


def test_a_low_rank_update_marks_where_training_begins():
    inputs = keras.Input((4,))
    hidden = LowRank(name="adapted")(keras.layers.Dense(4, name="low")(inputs))
    model = keras.Model(inputs, keras.layers.Dense(2, name="top")(hidden))
    freeze(model, "low")
    assert split_at_boundary(model).names == ("low",)
    assert halves_differ(model, np.ones((2, 4))) == 0
