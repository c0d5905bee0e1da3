"""The normalisation layer: (x - offset) / scale, for any type of pixel, in float32."""

import keras
import numpy as np
import pytest

from kft.errors import ModelError
from kft.model.normalise import normalisation_layer

PIXELS = np.arange(256 * 3).reshape(1, 16, 16, 3) % 256


@pytest.mark.parametrize("kind", ["uint8", "int32", "float32"])
@pytest.mark.parametrize(
    ("offset", "scale"),
    [(127.0, 128.0), ([123.675, 116.28, 103.53], [58.395, 57.12, 57.375]), (127, [1, 2, 4]), ([1, 2, 3], 255)],
)
def test_pixels_are_shifted_and_scaled(kind, offset, scale):
    found = normalisation_layer(offset, scale)(PIXELS.astype(kind))
    assert found.dtype == "float32"
    np.testing.assert_allclose(found.numpy(), (PIXELS - np.array(offset)) / np.array(scale), rtol=1e-5, atol=1e-5)


def test_the_backbones_own_normalisation_is_exact():
    found = normalisation_layer(127.0, 128.0)(PIXELS.astype("uint8")).numpy()
    np.testing.assert_array_equal(found, ((PIXELS - 127) / 128).astype("float32"))


def test_it_opens_a_flat_model_and_is_saved_with_it(tmp_path):
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        inputs = keras.Input((16, 16, 3), dtype="uint8", name="images")
        model = keras.Model(inputs, normalisation_layer([1, 2, 3], 255.0)(inputs))
    finally:
        keras.config.set_dtype_policy("float32")
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    batch = PIXELS.astype("uint8")
    np.testing.assert_array_equal(again(batch).numpy(), model(batch).numpy())
    assert again(batch).dtype == "float32" and not again.variables


@pytest.mark.parametrize(("offset", "scale"), [(0, 0), ([1, 2], [1, 2, 3]), (0, [1, 0, 1])])
def test_what_cannot_be_is_refused(offset, scale):
    with pytest.raises(ModelError, match="cannot be normalised") as caught:
        normalisation_layer(offset, scale)
    assert caught.value.received == f"(x - {offset}) / {scale}"
