"""The documents that a suite's queries are answered with."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from kft.data.corpus import Corpus
from kft.metrics.neighbours import cosines, nearest_first
from kft.metrics.retrieval import DEPTH
from kft.tasks.vectors import Ranking

if TYPE_CHECKING:
    from kft.answer.artifact import Artifact


@dataclass(frozen=True, eq=False)
class Searched:
    """Documents and where they lie.

    Attributes:
        corpus: The documents.
        vectors: ``float32[documents, width]``, of length one, by the model whose queries are judged.
    """

    corpus: Corpus
    vectors: np.ndarray = field(repr=False)

    @classmethod
    def by(cls, artifact: Artifact, corpus: Corpus) -> Searched:
        """Returns them as an artifact sees them."""
        return cls(corpus, artifact.of_documents().answers(corpus.texts))

    @cached_property
    def digest(self) -> str:
        """sha256 over ids and texts: whether a query finds its document hangs on the others."""
        digest = hashlib.sha256()
        for name, text in zip(self.corpus.ids, self.corpus.texts, strict=True):
            digest.update(f"{len(str(name))} {name}\n{len(text)} {text}\n".encode())
        return digest.hexdigest()

    def ranked(self, queries: np.ndarray) -> list[Ranking]:
        """Returns the nearest documents of each query, ranked as evaluation ranks them: ties in their order.

        Example:
            >>> documents = Searched(Corpus(np.array(["a", "b"]), ["one", "two"]), np.eye(2))
            >>> documents.ranked(np.array([[0.6, 0.8]]))[0].documents
            ('b', 'a')
        """
        found = []
        for _, alike in cosines(queries, self.vectors):
            found += [Ranking(tuple(map(str, self.corpus.ids[order]))) for order in nearest_first(alike, DEPTH)]
        return found
