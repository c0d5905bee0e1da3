"""What is known of the valid split: the words that occur in it, and where its vectors lie.

Nothing is calibrated by it: after a refit the model has learned from these rows. It is what test rows and rows in
production are both held against.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

CELLS = 32_768
"""Of token counts at most. A larger vocabulary is hashed into them."""
MOST_VECTORS = 500
"""Vectors that are kept as a sample."""
DIRECTIONS = 4
_ODD = np.uint64(2_654_435_761)  # Knuth's multiplier: 2 ** 32 times the golden ratio
_SHIFT = np.uint64(17)  # leaves 15 of 32 bits: CELLS


@dataclass(frozen=True)
class KnownRows:
    """What rows are held against; what the valid split does not have is None.

    Attributes:
        rows: Of the valid split whose tokens were counted.
        counts: ``uint32[cells]``: how often each token occurs, by id, or by its hash.
        hashed: Whether ids are hashed.
        vectors: ``float16[<= 500, width]``: a sample.
        mean: ``float32[width]``: of all vectors that were computed.
        directions: ``float32[<= 4, width]``: the principal ones, each of length 1.
    """

    rows: int = 0
    counts: np.ndarray | None = None
    hashed: bool = False
    vectors: np.ndarray | None = None
    mean: np.ndarray | None = None
    directions: np.ndarray | None = None

    def cells(self, ids: np.ndarray) -> np.ndarray:
        """Returns the cell of each token id."""
        assert self.counts is not None
        return hashed_ids(ids) if self.hashed else np.clip(ids, 0, len(self.counts) - 1)


NOTHING = KnownRows()
"""Of a split without rows."""


def hashed_ids(ids: np.ndarray) -> np.ndarray:
    """Returns a cell of ``CELLS`` for each id.

    Example:
        >>> hashed_ids(np.array([0, 1, 2])).tolist()
        [0, 20251, 7735]
    """
    return (((ids.astype(np.uint64) * _ODD) & np.uint64(0xFFFFFFFF)) >> _SHIFT).astype(np.int64)


def count_tokens(rows: Sequence[np.ndarray], vocabulary: int, special: Collection[int]) -> tuple[np.ndarray, bool]:
    """Returns how often each token occurs, and whether ids are hashed.

    Args:
        rows: Token ids of each text.
        vocabulary: How many ids there are.
        special: Ids that the tokenizer adds to every text, which say nothing.
    """
    hashed = vocabulary > CELLS
    ids = np.concatenate([*rows, np.zeros(0, np.int64)]).astype(np.int64)
    ids = ids[~np.isin(ids, list(special))]
    counts = np.bincount(hashed_ids(ids) if hashed else ids, minlength=CELLS if hashed else vocabulary)
    return counts.astype(np.uint32), hashed


def principal(vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns mean and principal directions of vectors, ``float32[width]`` and ``float32[<= 4, width]``.

    Each direction's largest component is positive, so that the same vectors always give the same.
    """
    mean = vectors.mean(axis=0, dtype=np.float64)
    _, sizes, directions = np.linalg.svd(vectors.astype(np.float64) - mean, full_matrices=False)
    directions = directions[:DIRECTIONS][sizes[:DIRECTIONS] > 1e-6 * max(1e-12, float(sizes[0]))]
    largest = np.take_along_axis(directions, np.abs(directions).argmax(axis=1)[:, None], axis=1)
    return mean.astype(np.float32), (directions * np.sign(largest)).astype(np.float32)
