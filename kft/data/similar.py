"""Photos that belong together: copies of one picture, and pictures of one scene.

A random split puts some of a group into train and others into valid, which then says how well the model remembers.
On 634 photos of vegetables (Grocery Store Dataset) a linear probe on efficientnet-lite0 had .997 on random valid
splits and .89 on the test photos. Copies are few there (631 groups by hash, valid .997); what repeats is the scene:
grouped by the cosine of features at .85 there are 262 groups, and valid says .88; at .90, 441 and .992; at .80, 155
and .83, where valid begins to hold kinds of photos that train has never seen.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from kft.data.source import Vectors

COPY_BITS = 10
"""Of 64. Of the pairs of the photos above one in a hundred differed by 22 or fewer; of those that differed by so few
none was of two classes."""
SCENE_COSINE = 0.85
STRUCTURE = 2.0
"""Shades: where neighbouring fields all differ by less, a hash says nothing."""
GREY = np.array([0.299, 0.587, 0.114], np.float32)
PIECE = 1024


def near_duplicate_groups(images: Vectors, *, most_bits: int = COPY_BITS) -> np.ndarray:
    """Groups copies of one picture: encoded anew, resized, a little brighter or cropped by a hair.

    Each picture becomes 64 bits, whether brightness rises from a field to the next of an 8 x 9 grid (dHash: Krawetz,
    2013). Pictures whose hashes differ by few bits belong together, and so does whatever they are linked by. A picture
    without structure, such as a white page, stands alone.

    Args:
        images: A column of ``uint8[n, height, width, 3]``, as ``decode_images`` returns, at least 9 pixels a side.
        most_bits: How many of the 64 bits may differ.

    Returns:
        ``int64[n]``: each picture's group, numbered from 0 in the order of their first pictures.

    Example:
        >>> from kft.data.source import DenseColumn
        >>> rng = np.random.default_rng(0)
        >>> one, other = rng.integers(20, 200, (2, 32, 32, 3), dtype=np.uint8)
        >>> near_duplicate_groups(DenseColumn(np.stack([one, other, one + 9]))).tolist()
        [0, 1, 0]
    """
    bits, telling = [], []
    places = []
    for rows, pixels in images.chunks():
        for start in range(0, len(rows), PIECE):  # grey copies of a whole chunk would be four times its size
            fields = _fields(pixels[start : start + PIECE])
            steps = np.diff(fields, axis=2).reshape(len(fields), -1)
            bits.append(np.packbits(steps > 0, axis=1).view(np.uint64)[:, 0])
            telling.append(np.abs(steps).max(axis=1) >= STRUCTURE)
            places.append(rows[start : start + PIECE])
    if not places:
        return np.zeros(0, np.int64)
    order = np.argsort(np.concatenate(places))
    hashes, clear = np.concatenate(bits)[order], np.concatenate(telling)[order]

    def links() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for start in range(0, len(hashes), PIECE):
            far = np.bitwise_count(hashes[start : start + PIECE, None] ^ hashes[None, start:])
            near = (far <= most_bits) & clear[start : start + PIECE, None] & clear[None, start:]
            one, other = np.nonzero(near)
            yield one + start, other + start

    return _groups(len(hashes), links())


def similar_groups(vectors: np.ndarray, *, cosine: float = SCENE_COSINE) -> np.ndarray:
    """Groups pictures of one scene: those whose features are near, and whatever they are linked by.

    Time grows with the square of the number of pictures: some seconds for 10,000.

    Args:
        vectors: ``float[n, width]``: features of a backbone, pooled over the picture.
        cosine: From which cosine on two pictures belong together; it depends on the backbone, and the default was
            found with efficientnet-lite0.

    Returns:
        ``int64[n]``: each picture's group, numbered from 0 in the order of their first pictures.

    Example:
        >>> similar_groups(np.array([[1.0, 0.0], [0.0, 1.0], [2.0, 0.1]])).tolist()
        [0, 1, 0]
    """
    unit = np.asarray(vectors, np.float32)
    unit = unit / np.maximum(np.linalg.norm(unit, axis=1, keepdims=True), 1e-12)

    def links() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for start in range(0, len(unit), PIECE):
            one, other = np.nonzero(unit[start : start + PIECE] @ unit[start:].T >= cosine)
            yield one + start, other + start

    return _groups(len(unit), links())


def _fields(pixels: np.ndarray) -> np.ndarray:
    """Returns ``float32[n, 8, 9]``: mean brightness of the fields of a grid."""
    grey = pixels.astype(np.float32) @ GREY
    for axis, count in ((1, 8), (2, 9)):
        edges = np.arange(count + 1) * grey.shape[axis] // count
        shape = [1] * 3
        shape[axis] = count
        grey = np.add.reduceat(grey, edges[:-1], axis=axis) / np.diff(edges).reshape(shape)
    return grey


def _groups(count: int, links: Iterator[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    """Joins what is linked, piece by piece, so that the links of many pictures are never held together."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    group = np.arange(count)
    for one, other in links:
        graph = coo_array((np.ones(len(one), np.int8), (group[one], group[other])), shape=(count, count))
        _, joined = connected_components(graph, directed=False)
        group = joined[group]
    _, first, number = np.unique(group, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[number].astype(np.int64)
