"""What is measured of each image file: size, format, sharpness, brightness, the colour of its border."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kft.data.images import FORMATS, workers

SIDE = 256
"""Pixels of the longer side at which images are measured, so that figures compare across sizes."""
BORDER = 1
"""Pixels at each edge that count as the border: a thin frame fills them."""


@dataclass(frozen=True)
class ImageFacts:
    """Figures of some images, along their order.

    Attributes:
        sizes: ``int64[n, 2]``: width and height in pixels, as stored.
        formats: ``str[n]``, such as ``JPEG``.
        sharpness: ``float64[n]``: variance of the Laplacian of the grey image (Pech-Pacheco et al., 2000).
        brightness: ``float64[n, 3]``: 1st percentile, mean and 99th percentile of grey, 0 to 255.
        contrast: ``float64[n]``: standard deviation of grey.
        border: ``float64[n, 4]``: mean red, green and blue of the border, and the standard deviation along it.
    """

    sizes: np.ndarray
    formats: np.ndarray
    sharpness: np.ndarray
    brightness: np.ndarray
    contrast: np.ndarray
    border: np.ndarray


def measure_images(paths: Sequence[Path]) -> ImageFacts:
    """Measures images that can be read, from as many threads as there are cores."""
    with ThreadPoolExecutor(workers(), thread_name_prefix="kft-pixels") as pool:
        rows = list(pool.map(_measure, paths))
    sizes, formats, sharpness, brightness, contrast, border = zip(*rows, strict=True)
    return ImageFacts(*map(np.array, (sizes, formats, sharpness, brightness, contrast, border)))


def laplacian_variance(grey: np.ndarray) -> float:
    """Returns the variance of the Laplacian: small where nothing in an image has an edge.

    Args:
        grey: ``[height, width]``, signed.

    Example:
        >>> laplacian_variance(np.zeros((8, 8))), laplacian_variance(np.eye(8)) > 1
        (0.0, True)
    """
    if min(grey.shape) < 3:
        return 0.0
    inner = grey[1:-1, 1:-1]
    return float((grey[:-2, 1:-1] + grey[2:, 1:-1] + grey[1:-1, :-2] + grey[1:-1, 2:] - 4 * inner).var())


def _measure(path: Path) -> tuple[tuple[int, int], str, float, tuple[float, ...], float, tuple[float, ...]]:
    from PIL import Image

    with Image.open(path, formats=FORMATS) as image:
        size, kind = image.size, image.format or ""
        image.draft("RGB", (SIDE, SIDE))  # a large JPEG is decoded at a fraction of its size
        small = image.convert("RGB")
    small.thumbnail((SIDE, SIDE), Image.Resampling.BOX)
    colours, grey = np.asarray(small), small.convert("L")
    low, mean, high, spread = _spread(np.array(grey.histogram(), float))
    edge = np.concatenate([
        colours[:BORDER].reshape(-1, 3), colours[-BORDER:].reshape(-1, 3),
        colours[:, :BORDER].reshape(-1, 3), colours[:, -BORDER:].reshape(-1, 3),
    ]).astype(np.float32)  # fmt: skip
    border = (*map(float, edge.mean(axis=0)), float(edge.std(axis=0).mean()))
    return size, kind, laplacian_variance(np.asarray(grey, np.int16)), (low, mean, high), spread, border


def _spread(histogram: np.ndarray) -> tuple[float, float, float, float]:
    """Returns 1st percentile, mean, 99th percentile and standard deviation of what a histogram counts."""
    shares = histogram / histogram.sum()
    values, reached = np.arange(len(shares)), np.cumsum(shares)
    mean = float(shares @ values)
    low, high = (float(np.searchsorted(reached, share)) for share in (0.01, 0.99))
    return low, mean, high, float(np.sqrt(shares @ (values - mean) ** 2))
