"""Documents that say nearly the same: each passage of the shorter one has its like in the other."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from kft.metrics.neighbours import ROWS_AT_ONCE
from kft.search.contents import Contents

ALIKE = 0.95
"""The cosine from which on two passages say nearly the same."""
MOST = 1_000_000
"""Pairs of passages that are looked at: thousands of copies of one document have more."""


@dataclass(frozen=True)
class NearDuplicate:
    """Two documents that are nearly alike.

    Attributes:
        first: An id.
        second: Another.
        cosine: The lowest of the best cosines of the shorter one's passages.
        same: Whether their texts are equal.
    """

    first: str
    second: str
    cosine: float
    same: bool


@dataclass(frozen=True)
class Duplicates:
    """What was found.

    Attributes:
        at_least: The cosine from which on passages count as alike.
        pairs: The nearest first.
        complete: Whether all pairs of passages were looked at, rather than the first million that are alike.
    """

    at_least: float
    pairs: tuple[NearDuplicate, ...]
    complete: bool


def find_duplicates(
    contents: Contents, rows: np.ndarray, at_least: float, tick: Callable[[int], None] = lambda count: None
) -> Duplicates:
    """Compares every passage with every other.

    Args:
        contents: The passages.
        rows: ``float32[passages, width]``: their vectors.
        at_least: The cosine from which on passages count as alike.
        tick: Is told of passages that are done.
    """
    owners = np.asarray(contents.passages[:, 0])
    best: dict[tuple[int, int], dict[int, float]] = {}
    seen = 0
    for first, second, cosines in _alike(rows, owners, at_least, tick):
        for one, other, cosine in zip(first.tolist(), second.tolist(), cosines.tolist(), strict=True):
            for here, there in ((one, other), (other, one)):
                passages = best.setdefault((int(owners[here]), int(owners[there])), {})
                passages[here] = max(cosine, passages.get(here, 0.0))
        seen += len(first)
        if seen > MOST:
            break
    counts = np.bincount(owners, minlength=len(contents.ids))
    pairs = [
        _pair(contents, a, b, min(passages.values()))
        for (a, b), passages in best.items()
        if len(passages) == counts[a] and (counts[a], a) < (counts[b], b)  # each pair once, from the shorter one
    ]
    ordered = sorted(pairs, key=lambda pair: (not pair.same, -pair.cosine, pair.first, pair.second))
    return Duplicates(at_least, tuple(ordered), seen <= MOST)


def _pair(contents: Contents, one: int, other: int, cosine: float) -> NearDuplicate:
    same = bool((contents.digests[one] == contents.digests[other]).all())
    first, second = sorted((one, other))
    return NearDuplicate(contents.ids[first], contents.ids[second], round(min(cosine, 1.0), 4), same)


def _alike(
    rows: np.ndarray, owners: np.ndarray, at_least: float, tick: Callable[[int], None]
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Yields pairs of passages of different documents, each once, and their cosines."""
    for start in range(0, len(rows), ROWS_AT_ONCE):
        part = rows[start : start + ROWS_AT_ONCE]
        for beside in range(start, len(rows), 16 * ROWS_AT_ONCE):
            cosines = part @ rows[beside : beside + 16 * ROWS_AT_ONCE].T
            one, other = np.nonzero(cosines >= at_least)
            first, second = one + start, other + beside
            kept = owners[first] < owners[second]  # passages stand in the order of their documents
            yield first[kept], second[kept], cosines[one, other][kept]
        tick(len(part))
