"""Changes to images, as cameras, light and uploads make them: from a PIL image in RGB to another.

Sizes are shares of the shorter side, so that a change looks the same at every size.
"""

from __future__ import annotations

import io
import math
from typing import TYPE_CHECKING

import numpy as np

from kft.records.estimate import percent
from kft.suites.perturbation import ImageChange, Perturbation, register_perturbation

if TYPE_CHECKING:
    from PIL.Image import Image

BLUR = 0.01
LIGHTER, DARKER = 1.4, 0.6
MORE_CONTRAST, LESS_CONTRAST = 1.5, 0.6
KEPT_BY_CROP = 0.85
NOISE = 16.0
"""Standard deviation, of 0 to 255."""
LEAST_DEGREES, MOST_DEGREES = 4.0, 10.0
JPEG_QUALITY = 20


def blur(image: Image, rng: np.random.Generator, given: str = "") -> Image:
    """Blurs with a Gaussian of a hundredth of the shorter side.

    Example:
        >>> from PIL import Image
        >>> blur(Image.new("RGB", (200, 100)), np.random.default_rng(0)).size
        (200, 100)
    """
    from PIL import ImageFilter

    return image.filter(ImageFilter.GaussianBlur(BLUR * min(image.size)))


def _enhanced(enhancer: str, factor: float) -> ImageChange:
    """Returns a change by one of Pillow's enhancers: ``Brightness`` or ``Contrast``."""

    def change(image: Image, rng: np.random.Generator, given: str = "") -> Image:
        from PIL import ImageEnhance

        enhanced: Image = getattr(ImageEnhance, enhancer)(image).enhance(factor)
        return enhanced

    return change


def crop(image: Image, rng: np.random.Generator, given: str = "") -> Image:
    """Keeps a part of 85 % of each side, somewhere.

    Example:
        >>> from PIL import Image
        >>> crop(Image.new("RGB", (200, 100)), np.random.default_rng(0)).size
        (170, 85)
    """
    width, height = (max(1, round(KEPT_BY_CROP * side)) for side in image.size)
    left = int(rng.integers(0, image.width - width + 1))
    top = int(rng.integers(0, image.height - height + 1))
    return image.crop((left, top, left + width, top + height))


def add_noise(image: Image, rng: np.random.Generator, given: str = "") -> Image:
    """Adds Gaussian noise to each pixel and colour."""
    from PIL import Image

    pixels = np.asarray(image, np.float32) + rng.normal(0, NOISE, (image.height, image.width, 3))
    return Image.fromarray(pixels.clip(0, 255).round().astype(np.uint8))


def rotate(image: Image, rng: np.random.Generator, given: str = "") -> Image:
    """Turns by 4 to 10 degrees to either side, and keeps the largest part of the same proportions without corners.

    Example:
        >>> from PIL import Image
        >>> turned = rotate(Image.new("RGB", (200, 100), "white"), np.random.default_rng(0))
        >>> bool(np.asarray(turned).min() == 255), turned.width < 200
        (True, True)
    """
    from PIL import Image

    degrees = rng.uniform(LEAST_DEGREES, MOST_DEGREES) * rng.choice([-1, 1])
    angle = math.radians(abs(degrees))
    width, height = image.size
    # A box of the same proportions fits into the turned image when its turned corners do.
    scale = min(
        width / (width * math.cos(angle) + height * math.sin(angle)),
        height / (width * math.sin(angle) + height * math.cos(angle)),
    )
    inner_width, inner_height = (max(1, math.floor(side * scale) - 2) for side in image.size)
    left, top = (width - inner_width) // 2, (height - inner_height) // 2
    turned = image.rotate(degrees, Image.Resampling.BICUBIC)
    return turned.crop((left, top, left + inner_width, top + inner_height))


def flip(image: Image, rng: np.random.Generator, given: str = "") -> Image:
    """As in a mirror."""
    from PIL import Image

    return image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)


def compress(image: Image, rng: np.random.Generator, given: str = "") -> Image:
    """Saves as a JPEG of low quality, and reads that."""
    from PIL import Image

    written = io.BytesIO()
    image.save(written, "JPEG", quality=JPEG_QUALITY)
    with Image.open(written) as read:
        return read.convert("RGB")


def in_grey(image: Image, rng: np.random.Generator, given: str = "") -> Image:
    """Without colours."""
    return image.convert("L").convert("RGB")


def _register(name: str, change: ImageChange, about: str) -> None:
    register_perturbation(Perturbation(name, about, "image", change))


_register("blur", blur, "a little out of focus")
_register("brighter", _enhanced("Brightness", LIGHTER), "more light")
_register("darker", _enhanced("Brightness", DARKER), "less light")
_register("more-contrast", _enhanced("Contrast", MORE_CONTRAST), "stronger colours")
_register("less-contrast", _enhanced("Contrast", LESS_CONTRAST), "paler colours")
_register("crop", crop, f"a crop of {percent(KEPT_BY_CROP, 0)} of each side")
_register("noise", add_noise, f"noise of a standard deviation of {NOISE:g}, of 255")
_register("rotate", rotate, f"turned by {LEAST_DEGREES:g} to {MOST_DEGREES:g} degrees, without corners")
_register("flip", flip, "as in a mirror")
_register("jpeg", compress, f"saved as a JPEG of quality {JPEG_QUALITY}")
_register("grey", in_grey, "without colours")
