"""Ragged rows and the batch plan: which examples go together, at which padded length."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

PLAN_WINDOW = 64
"""Batches within which examples are sorted by length, so that little padding is needed."""


@dataclass(frozen=True)
class Ragged:
    """Rows of differing length, stored end to end.

    Attributes:
        values: ``[total, ...]``.
        offsets: ``int64[rows + 1]``; row i is ``values[offsets[i]:offsets[i + 1]]``.

    Example:
        >>> import numpy as np
        >>> ragged = Ragged.from_rows([np.array([7, 8]), np.array([9])])
        >>> ragged.pad(np.array([1, 0, -1]), 3)[0].tolist()
        [[9, 0, 0], [7, 8, 0], [0, 0, 0]]
    """

    values: np.ndarray
    offsets: np.ndarray

    @classmethod
    def from_rows(cls, rows: Sequence[np.ndarray]) -> Ragged:
        """Joins rows; at least one is needed, since it tells the type."""
        lengths = np.array([len(row) for row in rows], dtype=np.int64)
        return cls(np.concatenate(rows), np.concatenate([[0], np.cumsum(lengths)]))

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def lengths(self) -> np.ndarray:
        """``int64[rows]``."""
        return np.diff(self.offsets)

    def row(self, index: int) -> np.ndarray:
        """Returns one row."""
        return self.values[self.offsets[index] : self.offsets[index + 1]]

    def pad(self, rows: np.ndarray, edge: int) -> tuple[np.ndarray, np.ndarray]:
        """Returns rows padded with zeros to ``[batch, edge, ...]`` and their mask ``bool[batch, edge]``.

        Args:
            rows: ``int[batch]``; -1 gives a row of zeros with mask 0.
            edge: The padded length, at least that of the longest row.
        """
        real = np.maximum(rows, 0)
        lengths = np.where(rows >= 0, self.lengths[real], 0)
        mask = np.arange(edge) < lengths[:, None]
        positions = self.offsets[real][:, None] + np.arange(edge)
        padded = np.zeros((len(rows), edge, *self.values.shape[1:]), self.values.dtype)
        padded[mask] = self.values[positions[mask]]
        return padded, mask


def plan(seed: int, epoch: int, lengths: np.ndarray, *, batch_size: int, window: int = PLAN_WINDOW) -> np.ndarray:
    """Returns ``int64[steps, batch_size]``: a pure function of seed, epoch and lengths.

    Permutes the rows, sorts by length inside windows of ``window`` batches, slices, permutes the batches.
    Each row stands there exactly once; -1 fills the one batch that is not full.

    Example:
        >>> import numpy as np
        >>> sorted(plan(0, 0, np.array([5, 1, 3]), batch_size=2).ravel().tolist())
        [-1, 0, 1, 2]
    """
    rng = np.random.Generator(np.random.PCG64([seed, epoch]))
    order = rng.permutation(len(lengths))
    size = window * batch_size
    for start in range(0, len(order), size):
        part = order[start : start + size]
        order[start : start + size] = part[np.argsort(lengths[part], kind="stable")]
    return rng.permutation(_slice(order, batch_size))


def sequential_plan(lengths: np.ndarray, *, batch_size: int) -> np.ndarray:
    """Returns ``int64[steps, batch_size]`` with the rows in order of length, for inference."""
    return _slice(np.argsort(lengths, kind="stable"), batch_size)


def _slice(order: np.ndarray, batch_size: int) -> np.ndarray:
    padded = np.full(-(-len(order) // batch_size) * batch_size, -1, dtype=np.int64)
    padded[: len(order)] = order
    return padded.reshape(-1, batch_size)


def choose_edges(lengths: np.ndarray, *, max_edges: int = 8, multiple: int = 4) -> tuple[int, ...]:
    """Returns at most ``max_edges`` padded lengths that need the fewest padded tokens.

    An exact dynamic programme over the multiples of ``multiple``: ``cost[k][j]`` is the least padded length of
    all rows up to candidate j with k edges, the last of which is j.

    Example:
        >>> import numpy as np
        >>> choose_edges(np.array([3, 4, 30]), max_edges=2)
        (4, 32)
    """
    rounded = -(-np.asarray(lengths) // multiple) * multiple
    candidates, counts = np.unique(np.maximum(rounded, multiple), return_counts=True)
    total = np.concatenate([[0], np.cumsum(counts)])
    n = len(candidates)
    cost = np.full((min(max_edges, n) + 1, n + 1), np.inf)
    cost[0, 0] = 0
    choice = np.zeros(cost.shape, dtype=np.int64)
    for k in range(1, len(cost)):
        for j in range(1, n + 1):
            options = cost[k - 1, :j] + (total[j] - total[:j]) * candidates[j - 1]
            choice[k, j] = int(options.argmin())
            cost[k, j] = options[choice[k, j]]
    k, j = int(cost[:, n].argmin()), n
    edges = []
    while j > 0:
        edges.append(int(candidates[j - 1]))
        k, j = k - 1, int(choice[k, j])
    return tuple(reversed(edges))


def edge_for(length: int, edges: Sequence[int]) -> int:
    """Returns the smallest edge that holds a length."""
    return next(edge for edge in edges if edge >= length)
