"""The vectors of the words that are tagged, for the probe: those of all texts, end to end."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from kft.feed.source import CHUNK_ROWS, Chunk, Column


@dataclass(frozen=True)
class WordVectors:
    """One vector a tagged word.

    Attributes:
        column: Features of every token, ``[tokens, width]`` a text.
        tags: Each text's targets, ``int[tokens]``: 0 where a token is not tagged.
    """

    column: Column
    tags: Sequence[np.ndarray]

    @cached_property
    def targets(self) -> np.ndarray:
        """``int[words]``: the tags, counted from 0."""
        return np.concatenate([tags[tags > 0] - 1 for tags in self.tags])

    def chunks(self) -> Iterator[Chunk]:
        """Yields all words' vectors in pieces, in the order of the targets."""
        start, waiting, count = 0, [], 0
        for index, tags in enumerate(self.tags):
            waiting.append(np.asarray(self.column.row(index))[tags > 0])
            count += len(waiting[-1])
            if count >= CHUNK_ROWS or index + 1 == len(self.tags):
                yield np.arange(start, start + count), np.concatenate(waiting).astype(np.float32, copy=False)
                start, waiting, count = start + count, [], 0
