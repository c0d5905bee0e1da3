"""Reads images, as paths or as the bytes of their files: the same pixels as kft's, from the same code."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kft.data.images import ImageSizing, UnusableImage, decode_bytes, read_file
from kft.deploy.runner.reading import Read, RowError


@dataclass(frozen=True)
class ImageReader:
    """Reads images.

    Attributes:
        sizing: How they come to one size.
    """

    sizing: ImageSizing

    def read(self, inputs: Sequence[Any], *, traced: bool = False) -> Read:
        """Decodes.

        Args:
            inputs: Paths, or the contents of files.
            traced: Whether hashes of the pixels are wanted: as they were decoded, and at their size.

        Raises:
            RowError: An image cannot be used.
        """
        rows, decoded, normalised = [], [], []
        for number, given in enumerate(inputs, 1):
            try:
                pixels, whole = read_pixels(given, self.sizing, traced=traced)
            except (UnusableImage, OSError, ValueError) as error:
                name = "" if isinstance(given, bytes) else str(given)
                raise RowError(number, "an image cannot be used", name=name, received=str(error)) from None
            rows.append({"images": pixels})
            decoded.append(whole)
            normalised.append(hashlib.sha256(pixels.tobytes()).hexdigest() if traced else "")
        return Read(decoded, normalised, rows)


def read_pixels(given: Any, sizing: ImageSizing, *, traced: bool) -> tuple[np.ndarray, str]:
    """Returns an image at its size, ``uint8[height, width, 3]``, and a hash of what was decoded if it is wanted.

    Raises:
        UnusableImage: It is none, or damaged.
        OSError: It cannot be read.
    """
    found: list[str] = []

    def look(image: Any) -> None:
        found.append(hashlib.sha256(np.asarray(image).tobytes()).hexdigest())

    content = given if isinstance(given, bytes) else read_file(Path(given).expanduser())
    pixels = decode_bytes(content, sizing, look if traced else None)
    return pixels, found[0] if found else ""


def make_image_reader(settings: Mapping[str, Any]) -> ImageReader:
    """Returns the reader that an artifact's settings describe."""
    return ImageReader(ImageSizing(settings["height"], settings["width"], settings["fit"]))
