"""How much arithmetic an example takes, against sums by hand."""

import pytest

import kft
from kft.model.work import multiply_adds
from tests import tiny


def test_a_transformer_works_once_a_token(tiny_folder):
    model = kft.build_model(kft.load_backbone(str(tiny_folder)), classes=2)
    width, inner = tiny.WIDTH, tiny.INNER
    norms = 2 * 2 * width
    block = 4 * (width * width + width) + 2 * width * inner + inner + width + norms
    assert multiply_adds(model, 10) == 10 * tiny.LAYERS * block
    assert multiply_adds(model, 20) == 2 * multiply_adds(model, 10)


def test_a_convolution_works_once_a_pixel():
    import keras

    pixels = keras.Input((8, 8, 3), name="images")
    x = keras.layers.Conv2D(4, 3, padding="same", use_bias=False, name="block_00_conv")(pixels)
    x = keras.layers.Conv2D(4, 1, strides=2, use_bias=False, name="block_01_conv")(x)
    model = keras.Model(pixels, keras.layers.Dense(2, name="head_logits")(keras.layers.Flatten(name="head_flat")(x)))
    assert multiply_adds(model, 1) == pytest.approx(8 * 8 * 3 * 3 * 3 * 4 + 4 * 4 * 4 * 4)
