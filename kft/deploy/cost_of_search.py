"""What smaller numbers cost a query: what it finds among documents whose vectors have smaller numbers too."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kft.data.corpus import Corpus
from kft.deploy.load import Shipped
from kft.deploy.runner.model import open_model
from kft.metrics.neighbours import cosines, nearest_first, unit_rows
from kft.metrics.retrieval import found_among
from kft.records.document import as_document
from kft.records.shipped import About

if TYPE_CHECKING:
    from kft.answer.artifact import Artifact

MOST_DOCUMENTS = 5000
"""Documents that are given vectors: all that answer a test row, and others drawn up to so many."""


@dataclass(frozen=True)
class FoundTwice:
    """The same queries among the same documents: by what was evaluated, and by what ships.

    Attributes:
        before: ``bool[queries, depth]``: whether the document at each rank answers the query.
        after: Likewise.
        changed: Share of the queries whose first document is another.
        documents: How many there are.
    """

    before: np.ndarray
    after: np.ndarray
    changed: float
    documents: int


def draw_documents(corpus: Corpus, labels: Sequence[tuple[str, ...]], seed: int, most: int = MOST_DOCUMENTS) -> Corpus:
    """Returns the documents that answer queries, and others drawn up to so many, in their order.

    Example:
        >>> corpus = Corpus(np.array(list("abcd")), list("abcd"))
        >>> draw_documents(corpus, [("c",)], seed=0, most=2).ids.tolist()[-1], len(draw_documents(corpus, [], 0))
        ('c', 4)
    """
    own = {corpus.places[name] for label in labels for name in label}
    others = [place for place in np.random.default_rng(seed).permutation(len(corpus)).tolist() if place not in own]
    return corpus.take(np.sort(np.array([*own, *others[: max(0, most - len(own))]], np.int64)))


def find_twice(
    artifact: Artifact,
    shipped: tuple[Path, About],
    corpus: Corpus,
    labels: Sequence[tuple[str, ...]],
    queries: tuple[Any, Any],
) -> FoundTwice:
    """Gives documents vectors by both models, and looks for each one's queries among its own.

    Args:
        artifact: What was evaluated.
        shipped: The folder of what ships, and what is said of it.
        corpus: The documents.
        labels: Of each query, the ids of the documents that answer it.
        queries: Their vectors by the first and by the second, ``float32[queries, width]``.
    """
    folder, about = shipped
    small = Shipped(folder, about, open_model(folder, as_document(about)))
    sides = (artifact.of_documents().answers(corpus.texts), small.vectors(corpus.texts, side="document"))
    wanted = [np.array([corpus.places[name] for name in label]) for label in labels]
    pairs = [(unit_rows(np.asarray(one)), unit_rows(other)) for one, other in zip(queries, sides, strict=True)]
    before, after = (found_among(*pair, wanted)[1] for pair in pairs)
    first, second = (np.concatenate([nearest_first(each, 1) for _, each in cosines(*pair)]) for pair in pairs)
    return FoundTwice(before, after, float((first != second).mean()), len(corpus))
