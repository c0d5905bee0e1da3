"""Queries and documents as rows of one source: which belong together, which are held apart, and what valid asks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from kft.data.corpus import Corpus
from kft.data.examples import Examples
from kft.metrics.neighbours import unit_rows
from kft.metrics.retrieval import found_among
from kft.recipe.pairs import PairsSpec

MOST_CANDIDATES = 1000
"""Documents that valid's queries are answered with after each epoch: their own, and others drawn up to so many."""
SIDE, KEY, ANSWERS = 0, 1, 2
"""Columns of a row's target: 0 of a query and 1 of a document; the pair's document; all that answer the query."""
TOO_NEAR = 0.95
"""A document nearer to the query than this share of its own document's cosine may answer it too (de Souza, 2024)."""
NOBODY = -1


@dataclass(frozen=True)
class PairedRows:
    """Train's rows: the query of each pair, then the documents; and valid's: its queries, then candidates.

    Attributes:
        documents: ``int64[pairs]``: the row of each pair's document, among train's rows.
        negatives: ``int64[pairs, k]``: rows of documents that do not answer it; -1 where there are fewer.
        targets: ``int32[rows, 2 + most]``: side, document, and all documents that answer a query, filled up with -1.
        wanted: Of each query of valid, the places of the candidates that answer it.
        spec: How pairs are learned.
    """

    documents: np.ndarray
    negatives: np.ndarray
    targets: np.ndarray
    wanted: Sequence[np.ndarray]
    spec: PairsSpec

    @property
    def texts_a_pair(self) -> int:
        """Rows of a batch that a pair takes."""
        return 2 + self.negatives.shape[1]


@dataclass(frozen=True)
class ChosenPairs:
    """Which queries and documents take part, by their places.

    Attributes:
        queries: ``int64[pairs]``: places among train's queries.
        pairs: ``int64[pairs]``: keys of their documents.
        answers: Of each of train's queries, the keys of all documents that answer it.
        candidates: ``int64[m]``: keys of what valid's queries are answered with.
        wanted: Of each query of valid, places among these.
    """

    queries: np.ndarray
    pairs: np.ndarray
    answers: Sequence[np.ndarray]
    candidates: np.ndarray
    wanted: Sequence[np.ndarray]


def choose(train: Examples, valid: Examples, corpus: Corpus, seed: int) -> ChosenPairs:
    """Returns the pairs of train, and what valid's queries are answered with.

    Args:
        train: Its labels are ids of documents.
        valid: Likewise.
        corpus: The documents that selection may see.
        seed: Draws candidates beside valid's own documents, where there are too many.
    """
    assert train.labels is not None and valid.labels is not None
    answers = [corpus.keys_of(label) for label in train.labels]
    queries = np.repeat(np.arange(len(answers)), [len(each) for each in answers])
    asked = [corpus.keys_of(label) for label in valid.labels]
    own = np.unique(np.concatenate(asked))
    others = np.setdiff1d(np.unique(corpus.keys), own)
    drawn = np.random.default_rng(seed).permutation(others)[: max(0, MOST_CANDIDATES - len(own))]
    candidates = np.sort(np.concatenate([own, drawn]))
    wanted = [np.searchsorted(candidates, each) for each in asked]
    return ChosenPairs(queries, np.concatenate(answers), answers, candidates, wanted)


def pair_up(chosen: ChosenPairs, negatives: np.ndarray, spec: PairsSpec) -> tuple[PairedRows, np.ndarray]:
    """Returns the rows, and ``int64[m]``: the keys of the documents among train's, in the order of their rows.

    Args:
        chosen: From ``choose``.
        negatives: ``int64[pairs, k]``: keys; -1 where there are fewer.
        spec: How pairs are learned.
    """
    count = len(chosen.pairs)
    keys = np.unique(np.concatenate([chosen.pairs, negatives[negatives >= 0]]))
    most = max(len(each) for each in chosen.answers)
    targets = np.full((count + len(keys), ANSWERS + most), NOBODY, np.int32)
    targets[:count, SIDE], targets[count:, SIDE] = 0, 1
    targets[:count, KEY], targets[count:, KEY] = chosen.pairs, keys
    for row, query in enumerate(chosen.queries):
        answers = chosen.answers[query]
        targets[row, ANSWERS : ANSWERS + len(answers)] = answers
    documents = count + np.searchsorted(keys, chosen.pairs)
    apart = np.where(negatives >= 0, count + np.searchsorted(keys, np.maximum(negatives, 0)), NOBODY)
    return PairedRows(documents, apart, targets, chosen.wanted, spec), keys


def mine_negatives(
    queries: np.ndarray, documents: np.ndarray, keys: np.ndarray, chosen: ChosenPairs, count: int
) -> np.ndarray:
    """Returns ``int64[pairs, count]``: keys of the documents that come nearest to each query and do not answer it.

    Args:
        queries: ``float32[train's queries, width]``.
        documents: ``float32[m, width]``.
        keys: ``int64[m]``: of these documents, ascending.
        chosen: From ``choose``.
        count: How many of each; -1 fills up where there are fewer.
    """
    known, found = unit_rows(documents), np.full((len(chosen.pairs), count), NOBODY, np.int64)
    asked = unit_rows(queries)
    own = np.searchsorted(keys, chosen.pairs)
    for row, query in enumerate(chosen.queries):
        alike = known @ asked[query]
        alike[np.searchsorted(keys, chosen.answers[query])] = -np.inf
        near = float(known[own[row]] @ asked[query])
        alike[alike > TOO_NEAR * near] = -np.inf
        order = np.argsort(-alike, kind="stable")[:count]
        order = order[np.isfinite(alike[order])]
        found[row, : len(order)] = keys[order]
    return found


def judge_valid(vectors: np.ndarray, rows: PairedRows) -> tuple[np.ndarray, np.ndarray, float]:
    """Returns how many candidates answer each query, ``bool[n, depth]`` where they come, and the mean loss.

    Args:
        vectors: ``float32[queries and candidates, width]``, of length one.
        rows: What they belong to.
    """
    count = len(rows.wanted)
    queries, documents = vectors[:count], vectors[count:]
    counts, found = found_among(queries, documents, rows.wanted)
    return counts, found, _loss(queries, documents, rows)


def _loss(queries: np.ndarray, documents: np.ndarray, rows: PairedRows) -> float:
    """The loss of training, with all candidates in one batch; double precision."""
    total = 0.0
    for width in rows.spec.widths or (queries.shape[1],):
        near, far = (unit_rows(part[:, :width].astype(np.float64)) for part in (queries, documents))
        for query, wanted in zip(near, rows.wanted, strict=True):
            alike = far @ query / rows.spec.temperature
            others = np.delete(alike, wanted)
            for own in alike[wanted]:
                total += float(np.logaddexp.reduce(np.append(others, own)) - own) / len(wanted)
    return total / len(rows.wanted) / max(1, len(rows.spec.widths))
