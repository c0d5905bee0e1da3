"""The first layer of an image model: pixels to the range that the backbone was trained on."""

from __future__ import annotations

from collections.abc import Sequence

import keras

from kft.errors import ModelError

NAME = "normalise"


def normalisation_layer(offset: float | Sequence[float], scale: float | Sequence[float]) -> keras.layers.Layer:
    """Returns a layer that computes ``(x - offset) / scale``, for all channels or one by one.

    It takes pixels of any type, ``uint8`` too, which is a quarter of what has to be copied to a device, and computes
    in float32 whatever the model's precision: in bfloat16 neighbouring shades would fall together.

    Args:
        offset: Subtracted first; one number, or one a channel.
        scale: Divided by then; likewise.

    Raises:
        ModelError: A scale is 0, or the two do not have as many numbers.

    Example:
        >>> import numpy as np
        >>> pixels = np.array([[[[127, 255, 63]]]], "uint8")
        >>> normalisation_layer(127, 128)(pixels).numpy().tolist()
        [[[[0.0, 1.0, -0.5]]]]
    """
    offsets = [float(value) for value in (offset if isinstance(offset, Sequence) else [offset])]
    scales = [float(value) for value in (scale if isinstance(scale, Sequence) else [scale])]
    if 0 in scales or (len(offsets) != len(scales) and 1 not in (len(offsets), len(scales))):
        raise ModelError(
            "pixels cannot be normalised like this",
            where=NAME,
            received=f"(x - {offset}) / {scale}",
            expected="scales that are not 0, and as many of them as offsets",
        )
    channels = max(len(offsets), len(scales))
    offsets, scales = offsets * (channels // len(offsets)), scales * (channels // len(scales))
    factors = [1 / value for value in scales]
    shifts = [-value / by for value, by in zip(offsets, scales, strict=True)]
    if channels == 1:
        return keras.layers.Rescaling(factors[0], shifts[0], dtype="float32", name=NAME)
    return keras.layers.Rescaling(factors, shifts, dtype="float32", name=NAME)
