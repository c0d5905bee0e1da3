"""Ragged rows and the batch plan: which examples go together, at which padded length."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

EVEN = 8
"""Padded lengths in inference are multiples of it: sums and products then have the same bits in every batch."""
PLAN_WINDOW = 64
"""Batches within which examples are sorted by length, so that little padding is needed."""
PLAN = "longest first"
"""Tells a plan from those of earlier versions: a run is only resumed by the one that it was begun with."""


@dataclass(frozen=True)
class Ragged:
    """Rows of differing length, stored end to end.

    Attributes:
        values: ``[total, ...]``.
        offsets: ``int64[rows + 1]``; row i is ``values[offsets[i]:offsets[i + 1]]``.

    Example:
        >>> ragged = Ragged.from_rows([np.array([7, 8]), np.array([9])])
        >>> ragged.pad(np.array([1, 0, -1]), 3)[0].tolist()
        [[9, 0, 0], [7, 8, 0], [0, 0, 0]]
    """

    values: np.ndarray
    offsets: np.ndarray

    @classmethod
    def from_rows(cls, rows: Sequence[np.ndarray]) -> Ragged:
        """Joins rows; at least one is needed, since it tells the type."""
        if not rows:
            raise ValueError("at least one row is needed, since it tells the type")
        lengths = np.array([len(row) for row in rows], dtype=np.int64)
        return cls(np.concatenate(rows), np.concatenate([[0], np.cumsum(lengths)]))

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def lengths(self) -> np.ndarray:
        """``int64[rows]``."""
        return np.diff(self.offsets)

    def row(self, index: int) -> np.ndarray:
        return self.values[self.offsets[index] : self.offsets[index + 1]]

    def take(self, rows: np.ndarray, edge: int) -> np.ndarray:
        """Returns rows padded with zeros to ``[batch, edge, ...]``; -1 gives a row of padding alone."""
        return self.pad(rows, edge)[0]

    def pad(self, rows: np.ndarray, edge: int, fill: float = 0) -> tuple[np.ndarray, np.ndarray]:
        """Returns rows padded to ``[batch, edge, ...]`` and their mask ``bool[batch, edge]``.

        Args:
            rows: ``int[batch]``; -1 gives a row of padding alone, with mask 0.
            edge: The padded length, at least that of the longest row.
            fill: What padding is made of.

        Raises:
            ValueError: A row is longer than the edge; it would be cut without a word.
        """
        real = np.maximum(rows, 0)
        starts = self.offsets[real]
        lengths = np.where(rows >= 0, self.offsets[real + 1] - starts, 0)
        if lengths.max(initial=0) > edge:
            raise ValueError(f"a row of {lengths.max()} does not fit into {edge}")
        mask = np.arange(edge) < lengths[:, None]
        positions = starts[:, None] + np.arange(edge)
        padded = np.full((len(rows), edge, *self.values.shape[1:]), fill, self.values.dtype)
        padded[mask] = self.values[positions[mask]]
        return padded, mask


def plan(
    seed: int,
    epoch: int,
    lengths: np.ndarray,
    *,
    batch_size: int,
    window: int = PLAN_WINDOW,
) -> np.ndarray:
    """Returns ``int64[steps, batch_size]``: a pure function of seed, epoch and lengths.

    Permutes the rows, sorts by length inside windows of ``window`` batches, the longest first, slices, permutes the
    batches. Each row stands there exactly once; -1 fills the one batch that is not full, which holds short rows. How
    many updates a call of the device makes plays no part: the same batches come in the same order.

    Example:
        >>> sorted(plan(0, 0, np.array([5, 1, 3]), batch_size=2).ravel().tolist())
        [-1, 0, 1, 2]
    """
    rng = np.random.Generator(np.random.PCG64([seed, epoch]))
    order = rng.permutation(len(lengths))
    size = window * batch_size
    for start in range(0, len(order), size):
        part = order[start : start + size]
        order[start : start + size] = part[_longest_first(lengths[part])]
    return rng.permutation(_slice(order, batch_size))


def stratified_plan(
    seed: int, epoch: int, targets: np.ndarray, *, batch_size: int, per_class: int, names: int = 0
) -> np.ndarray:
    """Returns ``int64[steps, batch_size]`` whose batches hold several examples of each class they have.

    A pure function of seed, epoch and targets; the number of steps is the same in every epoch. The examples of a class
    are dealt anew in each epoch into parts of like size: at most ``per_class``, at least 2 where the class has 2. A
    batch takes as many whole parts as always fit, the first part of every class before the second of any. Each example
    stands there exactly once; -1 fills up.

    Args:
        seed: Of the run.
        epoch: Over all phases.
        targets: ``int[n]``: the class of each example.
        batch_size: Rows of a batch, at least those of one part.
        per_class: 3 or more.
        names: Classes whose name is a row as well: that of class c is row ``n + c``, and stands, once, in each batch
            that has the class.

    Example:
        >>> rows = stratified_plan(0, 0, np.array([0, 0, 1, 1, 0, 1]), batch_size=4, per_class=3)
        >>> sorted(sorted(batch) for batch in rows.tolist())
        [[-1, 0, 1, 4], [-1, 2, 3, 5]]
    """
    rng = np.random.Generator(np.random.PCG64([seed, epoch]))
    parts = _parts_of_classes(rng, targets, per_class)
    fitting = batch_size // (max(map(len, parts)) + bool(names))
    if not fitting:
        raise ValueError(f"a part of {max(map(len, parts))} examples does not fit into {batch_size} rows")
    steps = -(-len(parts) // fitting)
    found = np.full((steps, batch_size), -1, dtype=np.int64)
    for step in range(steps):
        rows = np.concatenate(parts[step::steps])
        if names:
            rows = np.append(rows, len(targets) + np.unique(targets[rows]))
        found[step, : len(rows)] = rows
    return found


def _parts_of_classes(rng: np.random.Generator, targets: np.ndarray, per_class: int) -> list[np.ndarray]:
    """Returns the examples of each class in parts, in the order in which they are dealt out."""
    order = rng.permutation(len(targets))
    order = order[np.argsort(targets[order], kind="stable")]
    starts = np.flatnonzero(np.diff(targets[order], prepend=-1))
    parts: list[np.ndarray] = []
    turns: list[int] = []  # the first parts of all classes come first
    for rows in np.split(order, starts[1:]):
        count = -(-len(rows) // per_class)
        parts += np.array_split(rows, count)
        turns += range(count)
    return [parts[place] for place in np.lexsort((rng.random(len(parts)), np.array(turns)))]


def sequential_plan(lengths: np.ndarray, batch_size: int) -> np.ndarray:
    """Returns ``int64[steps, batch_size]`` with the rows in order of length, for inference; -1 at the end.

    The longest come first: the batch that is not full holds the shortest, and memory is asked for once.

    Example:
        >>> sequential_plan(np.array([5, 1, 3]), 2).tolist()
        [[0, 2], [1, -1]]
    """
    return _slice(_longest_first(lengths), batch_size)


def plan_by_edge(
    lengths: np.ndarray, batch_size: int, edges: Sequence[int], most_tokens: int | None = None
) -> list[np.ndarray]:
    """Returns the rows of each batch, for inference where an example's length alone decides what it is padded to.

    Only rows of one edge share a batch, those of the longest first; no batch is filled up.

    Args:
        lengths: ``int[rows]``.
        batch_size: Rows of a batch at most.
        edges: The padded lengths, in order; the last holds the longest row.
        most_tokens: Of a batch, padding counted; a single row may have more. Default: as many as there are.

    Example:
        >>> [rows.tolist() for rows in plan_by_edge(np.array([5, 1, 3, 9]), 2, (8, 16))]
        [[3], [0, 2], [1]]
    """
    place = np.searchsorted(np.asarray(edges), lengths)
    found: list[np.ndarray] = []
    for each in reversed(range(len(edges))):
        (rows,) = np.nonzero(place == each)
        order = rows[_longest_first(lengths[rows])]
        size = batch_size if most_tokens is None else max(1, min(batch_size, most_tokens // edges[each]))
        found += [order[start : start + size] for start in range(0, len(order), size)]
    return found


def even_edges(longest: int, limit: int | None = None) -> tuple[int, ...]:
    """Returns the multiples of ``EVEN`` up to the one that holds this length.

    Args:
        longest: Tokens of the longest example.
        limit: What the model has positions for: the last edge is not beyond it, nor, where it is not known, beyond
            the longest example.

    Example:
        >>> even_edges(20, limit=512), even_edges(20, limit=21), even_edges(20)
        ((8, 16, 24), (8, 16, 21), (8, 16, 20))
    """
    longest = max(longest, 1)
    last = max(longest, min(-(-longest // EVEN) * EVEN, limit or longest))
    return (*range(EVEN, last, EVEN), last)


def _longest_first(lengths: np.ndarray) -> np.ndarray:
    return np.argsort(-np.asarray(lengths), kind="stable")


def _slice(order: np.ndarray, batch_size: int) -> np.ndarray:
    padded = np.full(-(-len(order) // batch_size) * batch_size, -1, dtype=np.int64)
    padded[: len(order)] = order
    return padded.reshape(-1, batch_size)


def choose_edges(lengths: np.ndarray, *, max_edges: int = 8, multiple: int = 4) -> tuple[int, ...]:
    """Returns at most ``max_edges`` padded lengths that need the fewest padded tokens.

    An exact dynamic programme over the multiples of ``multiple``: ``cost[k][j]`` is the least padded length
    of all rows up to candidate j with k edges, the last of which is j.

    Args:
        lengths: ``int[rows]``.
        max_edges: At most so many edges.
        multiple: Every edge is a multiple of it.

    Example:
        >>> choose_edges(np.array([3, 4, 30]), max_edges=2)
        (4, 32)
    """
    # One more length that no row has: without any, there still is an edge.
    known = np.concatenate([np.asarray(lengths, dtype=np.int64), [1]])
    rows = np.ones(len(known), dtype=np.int64)
    rows[-1] = 0
    candidates, at = np.unique(np.maximum(-(-known // multiple) * multiple, multiple), return_inverse=True)
    total = np.concatenate([[0], np.cumsum(np.bincount(at, weights=rows))])
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
    """Returns the smallest edge that holds a length.

    Raises:
        ValueError: None does.

    Example:
        >>> edge_for(5, (4, 8))
        8
    """
    for edge in edges:
        if edge >= length:
            return edge
    raise ValueError(f"no edge of {', '.join(map(str, edges))} holds a length of {length}")
