"""Labelled queries: where the documents that answer them come, which weights are best, and what can be promised."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from kft.answer.selective import certify, propose_thresholds
from kft.metrics.intervals import estimate_all, paired_difference
from kft.metrics.proportions import share_interval
from kft.metrics.retrieval import DEPTH, METRICS
from kft.recipe.evaluation import AbstainSpec
from kft.records.estimate import Estimate
from kft.records.fields import absent
from kft.records.index import Weighing
from kft.records.rules import Promise
from kft.search.contents import Contents
from kft.search.scores import Hits, best_documents

USUAL_WORDS = 0.5
"""The weight of words where no labelled query says which is better."""
WEIGHTS = tuple(step / 20 for step in range(21))
MOST_CHOOSING = 1000
"""Labelled queries that choose the weight; half of them where there are fewer than twice as many."""
WAYS = {"bm25": 1.0, "vectors": 0.0}
HYBRID = "hybrid"

Find = Callable[[Sequence[str]], Iterator[Hits]]
"""Queries to what is near each."""


@dataclass(frozen=True)
class Ranked:
    """What became of labelled queries.

    Attributes:
        counts: ``int[n]``: documents that answer each.
        found: ``bool[n, DEPTH]``: whether the document at each rank is one of them.
        best: ``float64[n]``: the score of the first.
    """

    counts: np.ndarray
    found: np.ndarray
    best: np.ndarray

    @property
    def right(self) -> np.ndarray:
        """``bool[n]``: whether the first document answers the query."""
        right: np.ndarray = self.found[:, 0]
        return right


@dataclass(frozen=True)
class RetrievalScores:
    """How well an index answers labelled queries.

    Attributes:
        n: How many queries.
        metrics: By BM25 alone, by vectors alone, and by both as the index weighs them.
        differences: The hybrid less each of the others, paired by query.
        answered: The share of queries with a good answer, by the promise; None without one.
        errors: The share of wrong first documents among these.
        fitted_to: How many of the queries also chose the weight: of these the hybrid's figures are too good.
    """

    n: int
    metrics: Mapping[str, Mapping[str, Estimate]]
    differences: Mapping[str, Mapping[str, Estimate]]
    answered: Estimate | None = absent()
    errors: Estimate | None = absent()
    fitted_to: int = absent(0)


def rank(
    contents: Contents, find: Find, queries: Mapping[str, Sequence[str]], weights: Sequence[float]
) -> list[Ranked]:
    """Ranks documents for labelled queries, once with each weight of words.

    Args:
        contents: Of the index.
        find: Finds what is near queries.
        queries: The ids of the documents that answer each.
        weights: From 0, vectors alone, to 1, words alone.
    """
    numbers = {name: number for number, name in enumerate(contents.ids)}
    wanted = [np.array([numbers[name] for name in several]) for several in queries.values()]
    made = [(np.zeros((len(wanted), DEPTH), bool), np.zeros(len(wanted))) for _ in weights]
    owners = contents.passages[:, 0]
    for row, near in enumerate(find(list(queries))):
        documents = owners[near.places]
        for (found, best), weight in zip(made, weights, strict=True):
            scores = near.weighed(weight)
            first, places = best_documents(scores, documents, DEPTH)
            found[row, : len(first)] = np.isin(first, wanted[row])
            best[row] = scores[places[0]] if len(places) else 0.0
    counts = np.array([len(several) for several in wanted])
    return [Ranked(counts, found, best) for found, best in made]


def fit(
    contents: Contents, find: Find, queries: Mapping[str, Sequence[str]], error: float
) -> tuple[Weighing, Promise | None]:
    """Chooses the weight of words on some labelled queries, and promises something by the others.

    Args:
        contents: Of the index.
        find: Finds what is near queries.
        queries: Each stands for itself: the ids of the documents that answer it.
        error: The largest share of wrong first documents among the queries that get an answer.

    Returns:
        The weight with the best ``mrr``, of equal ones the nearest to the usual; and the promise, with a confidence of
        95 %. Without queries the usual weight, and no promise.
    """
    if not queries:
        return Weighing(USUAL_WORDS), None
    names = list(queries)
    order = np.random.default_rng(0).permutation(len(names))
    few = max(1, min(MOST_CHOOSING, len(names) // 2))
    choosing, rest = ({names[place]: queries[names[place]] for place in part} for part in (order[:few], order[few:]))
    tried = rank(contents, find, choosing, WEIGHTS)
    reached = [METRICS["mrr"].value(each.counts, each.found) for each in tried]
    best = min(range(len(WEIGHTS)), key=lambda place: (-reached[place], abs(WEIGHTS[place] - USUAL_WORDS)))
    mrr = {"bm25": reached[-1], "vectors": reached[0], HYBRID: reached[best]}
    asked = AbstainSpec(error=error)
    (calibrating,) = rank(contents, find, rest, WEIGHTS[best : best + 1]) if rest else (tried[best],)
    chosen = tried[best]
    thresholds = propose_thresholds(chosen.best, chosen.right, len(calibrating.best), asked)
    n = len(calibrating.best) if rest else 0
    promise = certify(calibrating.best[:n], calibrating.right[:n], thresholds, asked, "queries")
    return Weighing(WEIGHTS[best], len(choosing), {name: round(value, 4) for name, value in mrr.items()}), promise


def judge(
    contents: Contents,
    find: Find,
    queries: Mapping[str, Sequence[str]],
    weighing: Weighing,
    promise: Promise | None,
) -> RetrievalScores:
    """Returns figures with intervals by query, and what the hybrid gains.

    Args:
        contents: Of the index.
        find: Finds what is near queries.
        queries: The ids of the documents that answer each.
        weighing: Of the index.
        promise: Likewise.
    """
    ranked = dict(zip((*WAYS, HYBRID), rank(contents, find, queries, (*WAYS.values(), weighing.words)), strict=True))
    metrics = {way: estimate_all(each.counts, each.found, metrics=METRICS) for way, each in ranked.items()}
    hybrid = ranked[HYBRID]
    differences = {
        way: {
            name: paired_difference(metric, hybrid.counts, hybrid.found, ranked[way].found)
            for name, metric in METRICS.items()
        }
        for way in WAYS
    }
    answered = errors = None
    if promise is not None and promise.threshold is not None:
        given = hybrid.best >= promise.threshold
        answered = share_interval(float(given.mean()), len(given))
        errors = share_interval(float((~hybrid.right)[given].mean()), int(given.sum())) if given.any() else None
    fitted = len(queries.keys() & contents.queries.keys())
    return RetrievalScores(len(queries), metrics, differences, answered, errors, fitted)
