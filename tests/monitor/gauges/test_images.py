"""What is measured of images."""

import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageFilter

from kft.monitor.gauges.images import IMAGES, measure_images


def one(image):
    found = measure_images([np.asarray(image)], np.array([[image.width, image.height]]))
    assert set(found) == {gauge.name for gauge in IMAGES}
    return {name: values.item() for name, values in found.items()}


@pytest.fixture(scope="module")
def photo():
    rng = np.random.default_rng(0)
    small = Image.fromarray(rng.integers(0, 256, (12, 16, 3)).astype(np.uint8))
    return small.resize((64, 48), Image.Resampling.BICUBIC)


def test_each_gauge_tells_its_change(photo):
    plain = one(photo)
    assert plain["megapixels"] == 64 * 48 / 1e6 and plain["aspect"] == pytest.approx(64 / 48)
    assert one(ImageEnhance.Brightness(photo).enhance(0.5))["brightness"] == pytest.approx(
        plain["brightness"] / 2, abs=1
    )
    assert one(ImageEnhance.Contrast(photo).enhance(0.5))["contrast"] < 0.6 * plain["contrast"]
    assert one(photo.filter(ImageFilter.GaussianBlur(2)))["sharpness"] < 0.5 * plain["sharpness"]
    assert one(ImageEnhance.Color(photo).enhance(0.0))["saturation"] == 0 < plain["saturation"]
    red, green, blue = photo.split()
    warmer = Image.merge("RGB", [red.point(lambda value: min(255, value + 40)), green, blue])
    assert one(warmer)["warmth"] > plain["warmth"] + 20


def test_brightness_is_that_of_grey():
    grey = one(Image.new("RGB", (8, 8), (100, 100, 100)))
    assert grey["brightness"] == pytest.approx(100, abs=1e-3) and grey["contrast"] == pytest.approx(0, abs=1e-3)
    assert grey["sharpness"] == pytest.approx(0, abs=1e-6) and grey["saturation"] == grey["warmth"] == 0


def test_no_rows():
    assert {len(values) for values in measure_images([], np.zeros((0, 2), np.int64)).values()} == {0}
