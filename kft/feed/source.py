"""Examples as a model takes them: one column a tensor, served batch by batch, padded to a length of the batch's own."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Protocol, TypeVar, runtime_checkable

import numpy as np

from kft.feed.batches import EVEN, Ragged, choose_edges, edge_for

KEY_BYTES = 16
DOCUMENT_IDS = "document_ids"
"""A column beside the model's inputs: the token ids of a text in windows, each once."""
Given = TypeVar("Given")
Made = TypeVar("Made")


CHUNK_ROWS = 2048
Chunk = tuple[np.ndarray, np.ndarray]
"""Places of some examples, ``int64[n]``, and their tensors, ``[n, ...]``."""


class Column(Protocol):
    """One tensor of every example."""

    def take(self, rows: np.ndarray, edge: int) -> np.ndarray:
        """Returns ``[batch, ...]``; row -1 is padding and comes out as zeros; a token axis is padded to ``edge``."""

    def row(self, index: int) -> np.ndarray:
        """Returns one example's own tensor, without padding."""


@runtime_checkable
class Vectors(Protocol):
    """One vector of every example, in pieces: whoever needs all of them need not hold them at once."""

    def chunks(self) -> Iterator[Chunk]:
        """Yields each example once, in pieces and in any order; always the same."""


@dataclass(frozen=True)
class DenseColumn:
    """Tensors of one shape, such as images or pooled vectors.

    Attributes:
        values: ``[examples, ...]``.
    """

    values: np.ndarray

    def take(self, rows: np.ndarray, edge: int) -> np.ndarray:
        """Returns the rows; the edge plays no part."""
        taken = self.values[np.maximum(rows, 0)]
        taken[rows < 0] = 0
        return taken

    def row(self, index: int) -> np.ndarray:
        return self.values[index]

    def chunks(self) -> Iterator[Chunk]:
        for start in range(0, len(self.values), CHUNK_ROWS):
            values = self.values[start : start + CHUNK_ROWS]
            yield np.arange(start, start + len(values)), values


@dataclass(frozen=True)
class JoinedColumn:
    """Two columns of one tensor, end to end; neither is copied.

    Attributes:
        first: Of the examples before ``count``.
        second: Of those from there on.
        count: How many the first has.
    """

    first: Column
    second: Column
    count: int

    def take(self, rows: np.ndarray, edge: int) -> np.ndarray:
        ours = rows < self.count
        first = self.first.take(np.where(ours, rows, -1), edge)
        second = self.second.take(np.where(ours, -1, rows - self.count), edge)
        return np.where(ours.reshape(-1, *[1] * (first.ndim - 1)), first, second)

    def row(self, index: int) -> np.ndarray:
        return self.first.row(index) if index < self.count else self.second.row(index - self.count)


@dataclass(frozen=True)
class ChosenColumn:
    """Some rows of a column, in an order of their own; nothing is copied.

    Attributes:
        column: Of all rows.
        rows: ``int64[n]``: which of them.
    """

    column: Column
    rows: np.ndarray

    def take(self, rows: np.ndarray, edge: int) -> np.ndarray:
        real = rows >= 0
        return self.column.take(np.where(real, self.rows[np.where(real, rows, 0)], -1), edge)

    def row(self, index: int) -> np.ndarray:
        return self.column.row(int(self.rows[index]))


@dataclass(frozen=True)
class Source:
    """Examples and how they are batched.

    Attributes:
        columns: What a batch holds, by the name of the model's input, in order.
        lengths: ``int64[examples]``: tokens of each; ones where there is no token axis. They decide which
            examples share a batch.
        edges: The few padded lengths that batches may have, for a compiler of static shapes; without any, a batch is
            as long as its longest example.
        window: Tokens of a window where examples are texts in windows: each length is a multiple of it. 0 elsewhere.
    """

    columns: Mapping[str, Column]
    lengths: np.ndarray
    edges: tuple[int, ...] = ()
    window: int = 0

    def __len__(self) -> int:
        return len(self.lengths)

    def edge(self, rows: np.ndarray) -> int:
        """Returns the length that a batch of these rows is padded to."""
        longest = int(self.lengths[rows[rows >= 0]].max(initial=max(self.window, 1)))
        return edge_for(longest, self.edges) if self.edges else longest

    @property
    def longest(self) -> int:
        """The length of the longest batch."""
        return self.edges[-1] if self.edges else int(self.lengths.max(initial=max(self.window, 1)))

    @property
    def pieces(self) -> np.ndarray:
        """``int64[examples]``: the tokens that a backbone is given at a time: those of a text, or of a window."""
        return np.minimum(self.lengths, self.window) if self.window else self.lengths

    @property
    def texts(self) -> Ragged | None:
        """The token ids of each text, each once, whether or not it is in windows; None of images."""
        found = self.columns.get(DOCUMENT_IDS, self.columns.get("token_ids"))
        return found if isinstance(found, Ragged) else None

    def batch(self, rows: np.ndarray) -> tuple[np.ndarray, ...]:
        """Returns the tensors for the given rows; -1 is padding."""
        edge = self.edge(rows)
        return tuple(column.take(rows, edge) for column in self.columns.values())

    def with_columns(self, columns: Mapping[str, Column]) -> Source:
        return replace(self, columns=columns)

    def select(self, names: tuple[str, ...]) -> Source:
        """Returns the same examples with these columns alone, in this order."""
        return self.with_columns({name: self.columns[name] for name in names})

    def joined(self, other: Source) -> Source:
        """Returns these examples and, after them, those of another source of the same columns.

        Example:
            >>> first = Source({"x": DenseColumn(np.array([5, 6]))}, np.ones(2, np.int64))
            >>> first.joined(first).batch(np.array([3, 0, -1]))[0].tolist()
            [6, 5, 0]
        """
        columns = {name: JoinedColumn(column, other.columns[name], len(self)) for name, column in self.columns.items()}
        more = (other.longest,) if self.edges and other.longest > self.longest else ()
        lengths = np.concatenate([self.lengths, other.lengths])
        return Source(columns, lengths, (*self.edges, *more), self.window)

    def chosen(self, rows: np.ndarray) -> Source:
        """Returns some of the examples, ``int64[n]`` of them, in an order of their own; one may come twice."""
        columns: dict[str, Column] = {name: ChosenColumn(each, rows) for name, each in self.columns.items()}
        return Source(columns, self.lengths[rows], self.edges)

    def with_edges(self, *others: Source) -> Source:
        """Returns the same examples at a few padded lengths, which suit those of other sources as well."""
        lengths = np.concatenate([self.lengths, *(other.lengths for other in others)])
        return replace(self, edges=choose_edges(lengths, multiple=self.window or EVEN // 2))

    @cached_property
    def keys(self) -> np.ndarray:
        """``uint8[examples, 16]``: a hash of each example's content, whatever its place.

        Example:
            >>> source = Source({"x": DenseColumn(np.array([[1.0], [2.0], [1.0]]))}, np.ones(3, np.int64))
            >>> keys = source.keys
            >>> bool((keys[0] == keys[2]).all()), bool((keys[0] == keys[1]).all())
            (True, False)
        """
        found = np.empty((len(self), KEY_BYTES), np.uint8)
        for index in range(len(self)):
            digest = hashlib.blake2b(digest_size=KEY_BYTES)
            for name in sorted(self.columns):
                row = self.columns[name].row(index)
                digest.update(repr(row.shape).encode())
                digest.update(np.ascontiguousarray(row).data)
            found[index] = np.frombuffer(digest.digest(), np.uint8)
        return found


def ahead(make: Callable[[Given], Made], plan: Iterable[Given]) -> Iterator[Made]:
    """Yields what is made of each entry of a plan; a thread makes the next one while this one is at work.

    Args:
        make: Such as ``source.batch``.
        plan: What it is given, one after the other.

    Example:
        >>> source = Source({"x": DenseColumn(np.array([5, 6, 7]))}, np.ones(3, np.int64))
        >>> [tensors[0].tolist() for tensors in ahead(source.batch, np.array([[2, 0], [1, -1]]))]
        [[7, 5], [6, 0]]
    """
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="kft-batches") as pool:
        upcoming = None
        for given in plan:
            following = pool.submit(make, given)
            if upcoming:
                yield upcoming.result()
            upcoming = following
        if upcoming:
            yield upcoming.result()


def image_source(images: np.ndarray | Column, count: int | None = None) -> Source:
    """Returns images as a source.

    Args:
        images: ``[examples, height, width, channels]``, or a column of them.
        count: How many; an array knows.
    """
    column = DenseColumn(images) if isinstance(images, np.ndarray) else images
    rows = len(images) if isinstance(images, np.ndarray) else count
    assert rows is not None
    return Source({"images": column}, np.ones(rows, np.int64))


def text_source(tokens: Ragged, segments: Ragged | None = None) -> Source:
    """Returns token ids as the inputs of a text backbone: ids, segments (0 without a second text), padding mask.

    Example:
        >>> tokens = Ragged.from_rows([np.array([7, 8]), np.array([9])])
        >>> [tensor.tolist() for tensor in text_source(tokens).batch(np.array([1, 0]))]
        [[[9, 0], [7, 8]], [[0, 0], [0, 0]], [[1, 0], [1, 1]]]
    """

    def constant(value: int) -> Ragged:
        # One number shown as many: the mask of all tokens takes no memory.
        return Ragged(np.broadcast_to(np.int32(value), len(tokens.values)), tokens.offsets)

    ids = Ragged(tokens.values.astype(np.int32), tokens.offsets)
    columns = {"token_ids": ids, "segment_ids": segments or constant(0), "padding_mask": constant(1)}
    return Source(columns, tokens.lengths)


def windows_source(
    ids: Sequence[np.ndarray], real: Sequence[np.ndarray], texts: Sequence[np.ndarray], size: int
) -> Source:
    """Returns texts in windows as the inputs of a text backbone, the windows of a text behind one another.

    Args:
        ids: Of each text, ``int32[windows * size]``.
        real: Likewise 1 for a token, 0 for what fills the last window up.
        texts: The ids of each text, each once.
        size: Tokens of a window.
    """
    source = text_source(Ragged.from_rows(ids))
    columns = {"padding_mask": Ragged.from_rows(real), DOCUMENT_IDS: Ragged.from_rows(texts)}
    return replace(source, columns={**source.columns, **columns}, window=size)
