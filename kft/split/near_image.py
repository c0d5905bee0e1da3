"""Copies and near-copies among photos: resized, recompressed, brightened, a little cropped."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

import numpy as np

from kft.data.examples import content
from kft.data.images import ImageSizing, decode_image, workers
from kft.metrics.neighbours import cosines, nearest_first
from kft.runtime import one_blas_thread
from kft.split.near import Copies, as_pairs

COPY = 0.88
"""From this correlation of grey pixels on, two photos count as copies."""
SIDE, COARSE = 32, 8
"""Pixels a side of the grey image that is compared, and of the one that finds candidates."""
CANDIDATE = 0.7
"""The correlation of coarse images below which two photos are no candidates."""
NEIGHBOURS = 4
"""Candidates of a photo: the most alike."""
MARGINS = (0, 1, 2, 3)
"""Pixels of ``SIDE`` that may have been cut off at each edge: up to a tenth of the side."""
GREY = np.array([0.299, 0.587, 0.114], np.float32)


def near_images(paths: Sequence[Path]) -> Copies:
    """Finds photos that are the same file, or the same picture resized, recompressed, brightened or a little cropped.

    Files of the same bytes have similarity 1: each is paired with the first. Among the others, candidates are those
    whose grey images of 8 x 8 pixels correlate; the similarity of two is the highest correlation of their grey images
    when a margin of up to a tenth is cut off either of them. Correlation ignores brightness and contrast.

    Args:
        paths: Images that can be decoded.

    Returns:
        The pairs, each once, and what was compared.

    Raises:
        DataError: An image cannot be decoded.

    Example:
        >>> near_images([]).pairs.first.tolist()
        []
    """
    first: dict[str, int] = {}
    found, same_as = [], []
    with ThreadPoolExecutor(workers(), thread_name_prefix="kft-images") as pool:
        for row, digest in enumerate(pool.map(content, paths)):
            same = first.setdefault(digest, row)
            same_as.append(same)
            if same != row:
                found.append((same, row, 1.0))
        rows = np.fromiter(first.values(), np.int64, len(first))
        pictures = list(pool.map(_grey, [paths[row] for row in rows]))
    if pictures:
        grey = np.stack(pictures)
        with one_blas_thread():
            for one, other in _candidates(grey):
                alike = max(_aligned(grey[one], grey[other]), _aligned(grey[other], grey[one]))
                if alike >= COPY:
                    found.append((int(rows[one]), int(rows[other]), min(alike, 1.0)))
    return Copies(as_pairs(found), np.array(same_as, np.int64), len(rows))


def _grey(path: Path) -> np.ndarray:
    """Returns ``float32[SIDE, SIDE]``."""
    return decode_image(path, ImageSizing(SIDE, SIDE, fit="stretch")).astype(np.float32) @ GREY


def _candidates(grey: np.ndarray) -> list[tuple[int, int]]:
    each = SIDE // COARSE
    coarse = _standardised(grey.reshape(len(grey), COARSE, each, COARSE, each).mean((2, 4)).reshape(len(grey), -1))
    found = set()
    for places, alike in cosines(coarse, coarse):
        alike[np.arange(len(alike)), np.arange(places.start, places.stop)] = -1
        for row, others in enumerate(nearest_first(alike, NEIGHBOURS), start=places.start):
            close = others[alike[row - places.start, others] >= CANDIDATE]
            found |= {(min(row, other), max(row, other)) for other in close.tolist()}
    return sorted(found)


def _aligned(whole: np.ndarray, cut: np.ndarray) -> float:
    """Returns the highest correlation of ``cut`` with ``whole``, some margin of which is cut off."""
    windows = _windows()
    size = len(windows)
    tried = np.einsum("aij,jk,blk->abil", windows, whole, windows, optimize=True).reshape(size * size, -1)
    return float((_standardised(tried) @ _standardised(cut.reshape(1, -1))[0]).max())


@cache
def _windows() -> np.ndarray:
    """Returns ``float32[cuts, SIDE, SIDE]``: each takes the pixels between two margins to ``SIDE``, linearly."""
    found = []
    for low in MARGINS:
        for high in MARGINS:
            places = np.clip((np.arange(SIDE) + 0.5) * (SIDE - low - high) / SIDE + low - 0.5, 0, SIDE - 1)
            left = np.minimum(places.astype(int), SIDE - 2)
            window = np.zeros((SIDE, SIDE), np.float32)
            window[np.arange(SIDE), left] = 1 - (places - left)
            window[np.arange(SIDE), left + 1] = places - left
            found.append(window)
    return np.stack(found)


def _standardised(rows: np.ndarray) -> np.ndarray:
    """Returns rows of mean 0 and length 1; a picture of one grey becomes zeros."""
    centred = rows - rows.mean(axis=1, keepdims=True)
    return centred / np.maximum(np.linalg.norm(centred, axis=1, keepdims=True), 1e-3)
