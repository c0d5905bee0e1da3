"""Pairs of rows that are alike, and the groups that they make."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

AT_ONCE = 100_000


class Pairs(NamedTuple):
    """Pairs of rows, sorted by the first, then the second; ``first[k] < second[k]``.

    Attributes:
        first: ``int64[pairs]``.
        second: ``int64[pairs]``.
        similarity: ``float64[pairs]``: 1 for copies to the letter.
    """

    first: np.ndarray
    second: np.ndarray
    similarity: np.ndarray


@dataclass(frozen=True)
class Copies:
    """Copies and near-copies among rows, and how far they were looked for.

    Attributes:
        pairs: The pairs: each row with the first of the same content, and near-copies among those firsts.
        first: ``int64[n]``: for each row the first one with the same content; found among all rows, however many.
        searched: Among how many of the different contents near-copies were looked for.
        neighbours: With how many others that may be like it each was compared at most, where there were too many for
            the usual search; else 0.
        compared: The comparisons after which the search was ended; 0 where it came to its end.
    """

    pairs: Pairs
    first: np.ndarray
    searched: int
    neighbours: int = 0
    compared: int = 0

    @property
    def different(self) -> int:
        """How many different contents there are."""
        return int((self.first == np.arange(len(self.first))).sum())

    @property
    def reach(self) -> str:
        """What was not searched for near-copies, in words; empty where nothing was left out."""
        said = []
        if self.searched < self.different:
            said.append(f"looked for among {self.searched:,} of {self.different:,} different texts, drawn at random")
        if self.neighbours:
            said.append(f"each of {self.searched:,} texts was held against {self.neighbours} others")
        if self.compared:
            said.append(f"the search ended after {self.compared:,} comparisons, for too many texts are nearly alike")
        return ", ".join(said) + ": some are missed" if said else ""

    def arranged(self, order: np.ndarray) -> Copies:
        """Returns the copies among some of the rows, in another order: what a search among them alone would find.

        Args:
            order: ``int64[m]``: which row comes at each place; none twice.

        Example:
            >>> found = Copies(as_pairs([(0, 1, 1.0), (0, 2, 0.95)]), np.array([0, 0, 2]), 2)
            >>> again = found.arranged(np.array([2, 1, 0]))
            >>> again.first.tolist(), [*zip(again.pairs.first.tolist(), again.pairs.second.tolist())]
            ([0, 1, 1], [(0, 1), (1, 2)])
            >>> found.arranged(np.array([1, 2])).first.tolist()
            [0, 1]
        """
        places, kind = np.arange(len(order)), self.first[order]
        lowest = np.full(len(self.first), -1, np.int64)
        lowest[kind[::-1]] = places[::-1]  # what is written last stays: the lowest place
        first = lowest[kind]
        near = self.first[self.pairs.second] == self.pairs.second
        near &= (lowest[self.pairs.first] >= 0) & (lowest[self.pairs.second] >= 0)
        one, other = lowest[self.pairs.first[near]], lowest[self.pairs.second[near]]
        same = same_pairs(first)
        pairs = sorted_pairs(
            np.concatenate([same.first, np.minimum(one, other)]),
            np.concatenate([same.second, np.maximum(one, other)]),
            np.concatenate([same.similarity, self.pairs.similarity[near]]),
        )
        return Copies(pairs, first, self.searched, self.neighbours, self.compared)


def same_pairs(first: np.ndarray) -> Pairs:
    """Returns each row that is not the first of its content, paired with it.

    Args:
        first: As in ``Copies``.

    Example:
        >>> same_pairs(np.array([0, 1, 0])).second.tolist()
        [2]
    """
    second = np.flatnonzero(first != np.arange(len(first)))
    return Pairs(first[second], second, np.ones(len(second)))


def as_pairs(found: Iterable[tuple[int, int, float]]) -> Pairs:
    """Returns triples of two rows and their similarity as sorted pairs.

    Example:
        >>> as_pairs([(2, 0, 0.9)]).first.tolist()
        [0]
    """
    rows = sorted((min(one, other), max(one, other), alike) for one, other, alike in found)
    first, second, alike = zip(*rows, strict=True) if rows else ((), (), ())
    return Pairs(np.array(first, np.int64), np.array(second, np.int64), np.array(alike, np.float64))


def sorted_pairs(first: np.ndarray, second: np.ndarray, similarity: np.ndarray) -> Pairs:
    """Returns pairs in their order; of each, ``first < second`` already."""
    order = np.lexsort((second, first))
    return Pairs(first[order].astype(np.int64), second[order].astype(np.int64), similarity[order].astype(np.float64))


def each_pair(pairs: Pairs) -> Iterator[tuple[int, int, float]]:
    """Yields pairs as plain numbers, in their order: millions of them are never all in memory.

    Example:
        >>> list(each_pair(as_pairs([(0, 1, 1.0)])))
        [(0, 1, 1.0)]
    """
    for start in range(0, len(pairs.first), AT_ONCE):
        part = (column[start : start + AT_ONCE].tolist() for column in pairs)
        yield from zip(*part, strict=True)


def groups_of(pairs: Pairs, count: int) -> np.ndarray:
    """Returns ``int64[count]``: for each row the lowest row that it is joined with, directly or through others.

    Args:
        pairs: From ``near_texts`` or ``near_images``.
        count: How many rows there are.

    Example:
        >>> groups_of(as_pairs([(1, 3, 1.0), (3, 4, 0.9)]), 5).tolist()
        [0, 1, 2, 1, 1]
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    if not len(pairs.first):
        return np.arange(count)
    ones = np.ones(len(pairs.first), np.int8)
    links = coo_array((ones, (pairs.first, pairs.second)), shape=(count, count))
    _, member = connected_components(links, directed=False)
    _, lowest = np.unique(member, return_index=True)
    return np.asarray(lowest[member], np.int64)


def join_groups(*groups: np.ndarray | None) -> np.ndarray | None:
    """Returns the finest groups that keep together what any of the given ones does; None where all are None.

    Args:
        groups: Each ``[n]``: rows with the same value are one group.

    Returns:
        ``int64[n]``, the lowest row of each group.

    Example:
        >>> join_groups(np.array(["a", "a", "b", "c"]), np.array([0, 1, 1, 3])).tolist()
        [0, 0, 0, 3]
    """
    given = [group for group in groups if group is not None]
    if not given:
        return None
    links = []
    for group in given:
        named = group if group.dtype.kind in "iu" else group.astype(str)
        _, first, place = np.unique(named, return_index=True, return_inverse=True)
        joined = np.flatnonzero(first[place] != np.arange(len(group)))
        links.append((first[place[joined]], joined))
    first, second = (np.concatenate(ends) for ends in zip(*links, strict=True))
    return groups_of(sorted_pairs(first, second, np.ones(len(first))), len(given[0]))
