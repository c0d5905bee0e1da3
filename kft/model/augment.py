"""Random changes of training images that leave their label alone: flips, crops, colours, RandAugment.

One layer, for the top of a flat model, that is the identity unless it is called with ``training=True``. Each image of
a batch draws its own changes, all from one random state, a Keras variable: a checkpoint that restores it goes on
with the very images that would have come.

Keras 3.15 has layers for most of this, and they were tried first (tests/model/test_augment.py keeps what was found):

- their ``call`` has ``training=True`` as its default, so a model that is called without the argument augments;
- RandomFlip("horizontal_and_vertical") tosses one coin for both: an image is turned by 180 degrees or left alone;
- RandomSaturation cuts the saturation, which lies in 0..1, at 255: pixels of 0..255 come out as low as -64,770;
- RandomSaturation and RandomHue draw, and so move their random state, at inference too: evaluating more often changes
  the images that are trained on;
- RandomCrop takes one place for all images of a batch, and none of them changes the crop's size;
- RandAugment takes the same operations for all images of a batch, computes all eleven each time (4.3 CPU seconds for 32
  images of 224 x 224, where this file's takes 1.0), and XLA, and so a TPU, cannot compile it.

Everything geometric is one affine map here and everything linear in the colours one matrix, so that an image is
interpolated once, and only elementwise work, a matrix product and a gather reach the device. From one state XLA draws
other numbers than TensorFlow's own kernels: a run that is resumed has to stay with the one it began with.
"""

from __future__ import annotations

import math
from typing import Any, Literal

import keras
from keras import ops
from pydantic import ValidationError

from kft.errors import UsageError
from kft.recipe.training import AugmentSpec

LARGEST_MAGNITUDE = 10.0
ROUNDS = 2
"""Operations of RandAugment that an image gets, as in the paper."""
ASPECT = 4 / 3
"""A crop is stretched by at most this, either way (Szegedy et al., 2015)."""
GREY = (0.299, 0.587, 0.114)
"""The weights of red, green and blue in the brightness that people see (ITU-R BT.601)."""
# fmt: off
TO_YIQ = ((0.299, 0.587, 0.114), (0.5959, -0.2746, -0.3213), (0.2115, -0.5227, 0.3112))
FROM_YIQ = ((1.0, 0.956, 0.619), (1.0, -0.272, -0.647), (1.0, -1.106, 1.703))
OPERATIONS = (
    "identity", "rotate", "shear_x", "shear_y", "translate_x", "translate_y",
    "brightness", "contrast", "saturation", "posterize", "solarize", "auto_contrast",
)
# fmt: on
"""RandAugment's, without equalize (a histogram an image) and sharpness (a convolution)."""


def augmentation(spec: AugmentSpec, seed: int, *, name: str = "augment") -> keras.layers.Layer:
    """Returns a layer that augments images.

    Args:
        spec: What it does.
        seed: Where its random numbers start.
        name: Of the layer.

    Returns:
        A layer from pixels 0 .. 255, ``[batch, height, width, 3]`` of any type, to float32 of the same shape and range.

    Example:
        >>> import numpy as np
        >>> layer = augmentation(AugmentSpec(flip="horizontal"), seed=1)
        >>> images = np.arange(48, dtype="uint8").reshape(4, 2, 2, 3)
        >>> bool((layer(images) == images).numpy().all())  # at inference
        True
        >>> mirrored = layer(images, training=True).numpy() == images[:, :, ::-1]
        >>> mirrored.all(axis=(1, 2, 3)).tolist()
        [...]
    """
    return Augment(**spec.model_dump(), seed=seed, name=name)


def _changes(spec: AugmentSpec) -> bool:
    return spec.flip != "none" or spec.crop < 1 or spec.color > 0 or spec.rand_augment is not None


def _spec(**values: Any) -> AugmentSpec:
    try:
        return AugmentSpec(**values)
    except ValidationError as error:
        wrong = [(issue["loc"][0], issue["input"], issue["msg"]) for issue in error.errors()]
        raise UsageError(
            "images cannot be augmented like this",
            received="; ".join(f"{name}={value!r}" for name, value, _ in wrong),
            expected="; ".join(f"{name}: {text}" for name, _, text in wrong),
        ) from None


@keras.saving.register_keras_serializable(package="kft")
class Augment(keras.layers.Layer):
    """Augments images, each on its own; see ``AugmentSpec``.

    Args:
        flip: As there, and so the next three.
        crop: Likewise.
        color: Likewise.
        rand_augment: Likewise.
        seed: Where the random numbers start.
        **options: Those of any Keras layer. It always computes in float32.

    Call arguments:
        images: Pixels 0 .. 255, ``[batch, height, width, 3]``; height and width must be known.
        training: Whether to change them.
    """

    def __init__(
        self,
        flip: Literal["none", "horizontal", "horizontal_and_vertical"] = "none",
        crop: float = 1.0,
        color: float = 0.0,
        rand_augment: float | None = None,
        seed: int = 0,
        **options: Any,
    ) -> None:
        super().__init__(**{**options, "dtype": "float32"})
        self.spec = _spec(flip=flip, crop=crop, color=color, rand_augment=rand_augment)
        self.seed = seed
        self.random = keras.random.SeedGenerator(seed)

    def build(self, input_shape: tuple) -> None:
        """Refuses images of an unknown size where their size is needed."""
        if None in input_shape[1:3] and (self.spec.crop < 1 or self.spec.rand_augment):
            raise UsageError(
                "images of an unknown size cannot be cropped or warped",
                where=self.name,
                received=f"images of shape {tuple(input_shape)}",
                expected="a fixed height and width, as keras.Input((224, 224, 3)) has them",
            )

    def call(self, images: Any, training: bool = False) -> Any:
        """Changes the images in training, and only gives them another type otherwise."""
        images = ops.cast(images, "float32")
        if not training or not _changes(self.spec):
            return images
        # One draw a batch, of all numbers at once: the state moves by one, whatever the spec asks for.
        numbers = _Numbers(keras.random.uniform((ops.shape(images)[0], DRAWS), seed=self.random))
        if self.spec.flip != "none":
            images = _where(numbers.take() < 0.5, ops.flip(images, axis=2), images)
        if self.spec.flip == "horizontal_and_vertical":
            images = _where(numbers.take() < 0.5, ops.flip(images, axis=1), images)
        picked = [_Operation(numbers, self.spec.rand_augment) for _ in range(ROUNDS) if self.spec.rand_augment]
        if self.spec.crop < 1 or picked:
            images = _warp(images, _place(numbers, self.spec.crop, picked))
        if self.spec.color:
            images = _jitter(images, numbers, self.spec.color)
        for operation in picked:
            images = operation.change_colours(images)
        return images

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """Returns what makes the layer anew, its random numbers from the start."""
        return {**super().get_config(), **self.spec.model_dump(), "seed": self.seed}


DRAWS = 32
"""Random numbers an image; more than any spec uses."""


class _Numbers:
    """Hands out columns of uniform numbers, each once."""

    def __init__(self, values: Any) -> None:
        self._values, self._next = values, 0

    def take(self, low: float = 0.0, high: float = 1.0) -> Any:
        """Returns ``[batch]`` numbers in ``low .. high``."""
        self._next += 1
        return low + (high - low) * self._values[:, self._next - 1]


class _Operation:
    """One operation of RandAugment for each image, as parameters that do nothing where another one was drawn."""

    def __init__(self, numbers: _Numbers, magnitude: float) -> None:
        self._drawn = ops.floor(numbers.take(high=len(OPERATIONS)))
        self._sign = ops.where(numbers.take() < 0.5, -1.0, 1.0)
        self._strength = magnitude / LARGEST_MAGNITUDE

    def _amount(self, operation: str, most: float, otherwise: float = 0.0) -> Any:
        return ops.where(self._is(operation), otherwise + self._sign * self._strength * most, otherwise)

    def _is(self, operation: str) -> Any:
        return ops.equal(self._drawn, float(OPERATIONS.index(operation)))

    def place(self) -> Any:
        """Returns ``[batch, 3, 3]``: where in the image, -1 .. 1, each point of the result comes from."""
        angle = self._amount("rotate", math.radians(30))
        one, zero = ops.ones_like(angle), ops.zeros_like(angle)
        shear_x, shear_y = self._amount("shear_x", 0.3), self._amount("shear_y", 0.3)
        # At most one of them is not zero, so that no product of two is lost here.
        return _matrix(
            (ops.cos(angle), shear_x - ops.sin(angle), self._amount("translate_x", 0.6)),
            (shear_y + ops.sin(angle), ops.cos(angle), self._amount("translate_y", 0.6)),
            (zero, zero, one),
        )

    def change_colours(self, images: Any) -> Any:
        """Returns the images with brightness, contrast, saturation or number of shades changed."""
        brightness, contrast, saturation = (
            self._amount(name, 0.9, 1.0) for name in ("brightness", "contrast", "saturation")
        )
        images = _recolour(images, brightness, contrast, _saturate(saturation))
        step = 2.0 ** round(4 * self._strength)
        images = _where(self._is("posterize"), ops.floor(images / step) * step, images)
        bright = images >= 256.0 * (1 - self._strength)
        images = _where(self._is("solarize"), ops.where(bright, 255.0 - images, images), images)
        darkest = ops.min(images, axis=(1, 2), keepdims=True)
        span = ops.max(images, axis=(1, 2), keepdims=True) - darkest
        stretched = ops.where(span > 0, (images - darkest) * 255.0 / ops.maximum(span, 1.0), images)
        return ops.clip(_where(self._is("auto_contrast"), stretched, images), 0.0, 255.0)


def _place(numbers: _Numbers, crop: float, picked: list[_Operation]) -> Any:
    """Returns ``[batch, 3, 3]``: where in the image each point of the result comes from."""
    area = numbers.take(crop, 1.0)
    stretch = ops.exp(numbers.take(-math.log(ASPECT), math.log(ASPECT)) / 2)
    if crop == 1:
        stretch = ops.ones_like(stretch)
    wide, high = (ops.minimum(ops.sqrt(area) * side, 1.0) for side in (stretch, 1 / stretch))
    zero = ops.zeros_like(area)
    place = _matrix(
        (wide, zero, (1 - wide) * numbers.take(-1.0, 1.0)),
        (zero, high, (1 - high) * numbers.take(-1.0, 1.0)),
        (zero, zero, ops.ones_like(area)),
    )
    for operation in picked:
        place = ops.matmul(place, operation.place())
    return place


def _warp(images: Any, place: Any) -> Any:
    """Takes each point of the result from between four pixels of the image; beyond its edges it is mirrored."""
    batch, (height, width) = ops.shape(images)[0], images.shape[1:3]
    across, down = (ops.arange(size, dtype="float32") + 0.5 for size in (width, height))
    x, y = across / width * 2 - 1, down / height * 2 - 1
    entry = place[:, :, :, None, None]
    from_x = entry[:, 0, 0] * x[None, None] + entry[:, 0, 1] * y[None, :, None] + entry[:, 0, 2]
    from_y = entry[:, 1, 0] * x[None, None] + entry[:, 1, 1] * y[None, :, None] + entry[:, 1, 2]
    left, right, over = _neighbours(from_x, width)
    top, bottom, below = _neighbours(from_y, height)
    pixels = ops.reshape(images, (-1, 3))
    first = (ops.arange(batch, dtype="int32") * (height * width))[:, None, None]

    def pick(row: Any, column: Any) -> Any:
        return ops.take(pixels, first + row * width + column, axis=0)

    upper = pick(top, left) * (1 - over) + pick(top, right) * over
    lower = pick(bottom, left) * (1 - over) + pick(bottom, right) * over
    return upper * (1 - below) + lower * below


def _neighbours(place: Any, size: int) -> tuple[Any, Any, Any]:
    """Returns the pixels on either side of a place in -1 .. 1, and how near it is to the second, ``[..., 1]``."""
    mirrored = 1 - ops.abs(ops.mod(place + 1, 4.0) - 2)  # -1 .. 1 again
    at = ops.clip((mirrored + 1) / 2 * size - 0.5, 0.0, size - 1.0)
    first = ops.floor(at)
    low = ops.cast(first, "int32")
    return low, ops.minimum(low + 1, size - 1), (at - first)[..., None]


def _jitter(images: Any, numbers: _Numbers, color: float) -> Any:
    brightness, contrast, saturation = (numbers.take(1 - 0.4 * color, 1 + 0.4 * color) for _ in range(3))
    angle = numbers.take(-0.1 * color, 0.1 * color) * 2 * math.pi
    one, zero = ops.ones_like(angle), ops.zeros_like(angle)
    # A turn of the two colour axes of YIQ: a hue that keeps its brightness, in a matrix.
    turn = _matrix((one, zero, zero), (zero, ops.cos(angle), -ops.sin(angle)), (zero, ops.sin(angle), ops.cos(angle)))
    hue = ops.matmul(ops.matmul(ops.convert_to_tensor(FROM_YIQ, "float32"), turn), ops.convert_to_tensor(TO_YIQ))
    return ops.clip(_recolour(images, brightness, contrast, ops.matmul(hue, _saturate(saturation))), 0.0, 255.0)


def _saturate(amount: Any) -> Any:
    """Returns ``[batch, 3, 3]``: 0 makes an image grey, 1 leaves it, more makes it more colourful."""
    grey = ops.convert_to_tensor([GREY] * 3, "float32")
    return amount[:, None, None] * ops.eye(3) + (1 - amount)[:, None, None] * grey


def _recolour(images: Any, brightness: Any, contrast: Any, matrix: Any) -> Any:
    """Multiplies brightness, spreads the colours about the image's mean grey, then applies the matrix."""
    images = images * brightness[:, None, None, None]
    mean = ops.sum(ops.mean(images, axis=(1, 2)) * ops.convert_to_tensor(GREY, "float32"), axis=-1)[:, None, None, None]
    images = (images - mean) * contrast[:, None, None, None] + mean
    return ops.einsum("bhwc,bdc->bhwd", images, matrix)


def _matrix(*rows: tuple[Any, Any, Any]) -> Any:
    return ops.stack([ops.stack(row, axis=-1) for row in rows], axis=-2)


def _where(choice: Any, one: Any, other: Any) -> Any:
    return ops.where(choice[:, None, None, None], one, other)
