"""Batch normalisation that is folded computes what Keras's own does where it fits, and is left to Keras elsewhere."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from kft.features.inference import make_inference
from kft.features.norms import folded_norms
from kft.features.overlay import lay_over

BELOW = {
    "convolution": keras.layers.Conv2D(4, 3, strides=2, padding="same", dilation_rate=1, use_bias=False),
    "with a bias": keras.layers.Conv2D(4, 3, dilation_rate=2, bias_initializer="random_normal"),
    "by channel": keras.layers.DepthwiseConv2D(3, strides=2, depth_multiplier=2, use_bias=False),
    "pooled": keras.layers.MaxPooling2D(),
}


def network(seed=0, below="convolution", **options):
    keras.utils.set_random_seed(seed)
    images = keras.Input((9, 9, 3), name="images")
    x = type(BELOW[below]).from_config(BELOW[below].get_config())(images)
    norm = keras.layers.BatchNormalization(name="norm", **options)
    model = keras.Model([images], keras.layers.Activation("relu6")(norm(x)))
    rng = np.random.default_rng(seed)
    for variable in norm.weights:
        variable.assign(rng.uniform(1e-6, 2, variable.shape))
    return model


@pytest.mark.parametrize(
    "options",
    [
        *({"below": below} for below in BELOW),
        {"epsilon": 1e-5},
        {"scale": False},
        {"center": False, "below": "pooled"},
        {"axis": 1},
        {"dtype": "mixed_bfloat16"},
    ],
    ids=str,
)
def test_it_computes_the_same(options):
    model = network(**options)
    given = np.random.default_rng(1).normal(0, 2, (5, 9, 9, 3)).astype(np.float32)
    norm = model.get_layer("norm")
    norm.moving_variance.assign(np.geomspace(1e-7, 1, norm.moving_variance.shape[0]))
    largest = 1 / np.sqrt(1e-7 + norm.epsilon)  # what a rounding is multiplied by, in either way
    expected = np.asarray(model([given], training=False))
    (found,) = make_inference(model, 8)((given,))
    values = np.asarray(found, np.float32), np.asarray(expected, np.float32)
    np.testing.assert_allclose(*values, rtol=1e-6, atol=1e-6 * largest)


def test_weights_laid_over_it_are_those_that_it_takes():
    model, other = network(), network(seed=1)
    given = np.random.default_rng(1).normal(0, 2, (5, 9, 9, 3)).astype(np.float32)
    arrays = {mine.path: its.numpy() for mine, its in zip(model.weights, other.weights, strict=True)}
    (found,) = make_inference(lay_over(model, arrays), 8)((given,))
    np.testing.assert_allclose(found, np.asarray(other([given], training=False)), rtol=1e-5, atol=1e-5)


def test_training_is_left_to_keras_and_so_is_what_comes_after():
    model, call = network(), keras.layers.BatchNormalization.call
    given = np.random.default_rng(1).normal(0, 2, (5, 9, 9, 3)).astype(np.float32)
    with folded_norms():
        trained = np.asarray(model([given], training=True))
        graph = tf.function(lambda x: model([x], training=False)).get_concrete_function(tf.TensorSpec((None, 9, 9, 3)))
    kinds = [operation.type for operation in graph.graph.get_operations()]
    assert kinds.count("Conv2D") == 2 and "BiasAdd" in kinds and "FusedBatchNormV3" not in kinds
    assert np.abs(trained - np.asarray(model([given], training=False))).max() > 0.1
    assert keras.layers.BatchNormalization.call is call
