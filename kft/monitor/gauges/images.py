"""Gauges of images: their size as stored, and light, colour and sharpness of the pixels that the model is given."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from kft.audit.pixels import laplacian_variance
from kft.monitor.gauges.gauge import Gauge, Values

IMAGES = (
    Gauge("megapixels", "input", "width times height, as stored", "million pixels"),
    Gauge("aspect", "input", "width over height, as stored", "ratio"),
    Gauge("brightness", "input", "mean grey", "0 to 255", weight=2.0),
    Gauge("contrast", "input", "standard deviation of grey", "0 to 255"),
    Gauge(
        "sharpness",
        "input",
        "variance of the Laplacian of grey: small where blurred",
        "squared grey",
        weight=2.0,
    ),
    Gauge("saturation", "input", "mean distance of the strongest colour from the weakest", "0 to 255"),
    Gauge("warmth", "input", "mean red less mean blue", "0 to 255"),
)
LUMA = np.array([0.299, 0.587, 0.114], np.float32)
"""Of red, green and blue: ITU-R BT.601, as Pillow's grey."""


def measure_images(pixels: Sequence[np.ndarray], sizes: np.ndarray) -> Values:
    """Returns the gauges of images.

    Args:
        pixels: ``uint8[height, width, 3]`` of each, as the model is given it.
        sizes: ``int64[rows, 2]``: width and height as stored.
    """
    measured = np.array([_measure(each) for each in pixels], np.float64).reshape(-1, 5)
    names = ("brightness", "contrast", "sharpness", "saturation", "warmth")
    return {
        "megapixels": sizes[:, 0] * sizes[:, 1] / 1e6,
        "aspect": sizes[:, 0] / sizes[:, 1],
        **dict(zip(names, measured.T.copy(), strict=True)),
    }


def _measure(pixels: np.ndarray) -> tuple[float, ...]:
    grey = pixels.astype(np.float32) @ LUMA
    red, _, blue = (float(value) for value in pixels.mean(axis=(0, 1)))
    spread = pixels.max(axis=-1).astype(np.int16) - pixels.min(axis=-1)
    return float(grey.mean()), float(grey.std()), laplacian_variance(grey), float(spread.mean()), red - blue
