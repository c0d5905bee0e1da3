"""`kft compare` where queries are answered with documents: words, the untuned backbone, both, and what is tuned.

Each approach answers valid's queries and test's; what it finds is kept as soon as it is done. Which documents answer
test's queries is read once, when the choice is made.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from kft.compare import vectors as room
from kft.compare.saved import FittedApproach, Saved
from kft.compare.vector_verdict import SplitAnswers, conclude
from kft.compare.vectors import SAMPLE, VectorSetting, speed, tune, untuned
from kft.data.corpus import Corpus
from kft.data.examples import Examples
from kft.metrics.neighbours import unit_rows
from kft.metrics.retrieval import first_places, hits, rank
from kft.records.compare import Comparison, Cost
from kft.search.alike import Alike, Encode, answers_of, by_vectors, by_words, mixed
from kft.search.ranking import MOST_CHOOSING, USUAL_WORDS, WEIGHTS
from kft.search.verdict import SEARCHES, WITH_WORDS, counts_of

ASKED = 64
"""Queries that are asked together to see how fast an approach is."""
NO_RISK = "not measured where approaches are searches"


@dataclass(frozen=True)
class SearchApproach:
    """What an approach finds.

    Attributes:
        alike: From queries and a corpus to ``float32[queries, documents]``.
        trained: Parameters that were trained.
        own_bytes: What is kept of it, beside a backbone that is there anyway.
        bytes: The backbone included where it needs one.
        chosen: What was chosen.
        of_valid: ``bool[n, depth]`` for valid's queries, where these choose something: each by what others chose.
        took: Wall seconds that the documents' vectors took, each time some were made, as if none were stored.
        fresh: As ``alike``, where that takes vectors of queries from the store; None where it does not.
    """

    alike: Alike
    trained: int = 0
    own_bytes: int = 0
    bytes: int = 0
    chosen: Mapping[str, Any] = field(default_factory=dict)
    of_valid: np.ndarray | None = None
    took: list[float] = field(default_factory=list)
    fresh: Alike | None = None


def compare_search(given: VectorSetting, names: Sequence[str] | None, budget: float, saved: Saved) -> Comparison:
    """Fits the approaches on train, chooses by valid, then looks which documents answer test's queries.

    Args:
        given: The recipe, whose own phases play no part, and its data.
        names: Which approaches; None: all but those that take more than the budget by their size.
        budget: Minutes that one approach may take.
        saved: Keeps each approach as soon as it is done, and has those of an earlier call.

    Raises:
        UsageError: An approach is not one of ``SEARCHES``.
    """
    split, progress = given.split, given.progress
    skipped = _too_long(given, budget) if names is None else {}
    skipped = {name: why for name, why in skipped.items() if name not in saved.done}
    wanted = [name for name in SEARCHES.asked(names) if name not in skipped]
    known, corpus, metric = split.without_test().corpus, split.corpus, split.kind.judging.main
    assert known is not None and corpus is not None
    made: dict[str, SearchApproach] = {}
    fitted: dict[str, FittedApproach] = {}
    for name in wanted:
        if before := saved.take(name, progress.note):
            fitted[name] = before
            continue
        progress.note(f"\n{name}")
        wall, cpu = time.perf_counter(), time.process_time()
        found = made[name] = _fit(given, name, made)
        plain = name.removesuffix(WITH_WORDS)
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        if plain != name and plain in made:  # with words beside it takes what vectors take, and the weight
            wall += fitted[plain].cost.train_seconds
            cpu += fitted[plain].cost.train_cpu_seconds
        answers = _found(found, split.valid, known) if found.of_valid is None else found.of_valid
        took = list(found.took)
        cost = Cost(wall, cpu, sum(took), _speed(found, given), found.trained, found.own_bytes, found.bytes)
        of_test = first_places(found.alike(split.test.inputs, corpus))
        fitted[name] = FittedApproach(name, answers, of_test, cost, NO_RISK, found.chosen, wall + sum(took))
        found.took[:] = took  # documents of test alone were looked at out of turn
        if name + WITH_WORDS not in wanted or name + WITH_WORDS in saved.done:
            for each in {name, plain} & made.keys():  # one is made of the other: both are kept at once
                saved.keep(fitted[each])
                if each not in ("bm25", "frozen"):
                    del made[each]
        progress.note(
            f"{'':<10} {metric.name} {metric.value(counts_of(split.valid), answers):.3f} on valid; {wall:,.1f} s "
            f"to fit, {sum(took):,.1f} s for the vectors of documents"
        )
    progress.note(f"\nscoring    {len(split.test):,} queries of test, once, for all approaches")
    wanted_of = _wanted(split.test, corpus)
    valid = {name: each.valid.astype(bool) for name, each in fitted.items()}
    test = {name: hits(each.test, wanted_of) for name, each in fitted.items()}
    parts = {
        "valid": SplitAnswers(counts_of(split.valid), valid, split.valid.groups),
        "test": SplitAnswers(counts_of(split.test), test, split.test.groups),
    }
    return conclude(split, SEARCHES, fitted, parts, skipped)


def _too_long(given: VectorSetting, budget: float) -> dict[str, str]:
    """Returns why approaches are not tried, by name: what takes more minutes than the budget by its size."""
    train, corpus, reader = given.split.train, given.split.without_test().corpus, given.reader
    assert corpus is not None and train.labels is not None
    rows = np.random.default_rng(0).permutation(len(train))[:SAMPLE]
    documents = [corpus.texts[corpus.places[train.labels[row][0]]] for row in rows]
    asked = reader.read([train.inputs[row] for row in rows]).source, reader.of_documents().read(documents).source
    tokens = sum(float(source.lengths.mean()) for source in asked)
    found = room.too_long(given, budget, tokens, int(counts_of(train).sum()))
    return {each: why for name, why in found.items() for each in (name, name + WITH_WORDS)}


def _found(found: SearchApproach, part: Examples, corpus: Corpus) -> np.ndarray:
    """Returns ``bool[n, depth]``: whether the document at each rank answers the query."""
    return rank(found.alike(part.inputs, corpus), _wanted(part, corpus))


def _wanted(part: Examples, corpus: Corpus) -> list[np.ndarray]:
    """Returns, for each query, the places of the documents that answer it."""
    assert part.labels is not None
    return [np.array([corpus.places[name] for name in label]) for label in part.labels]


def _speed(found: SearchApproach, given: VectorSetting) -> float:
    """Returns queries a second, of some that are asked together and nobody has stored, with the documents known."""
    corpus, asked, alike = given.split.corpus, given.split.valid.inputs[:ASKED], found.fresh or found.alike
    assert corpus is not None
    return speed(lambda: alike(asked, corpus), len(asked))


def _fit(given: VectorSetting, name: str, made: Mapping[str, SearchApproach]) -> SearchApproach:
    def other(needed: str) -> SearchApproach:
        return made.get(needed) or _fit(given, needed, made)

    if name == "bm25":
        return SearchApproach(by_words())
    if name == "frozen":
        return _frozen(given)
    if name == "hybrid":
        return _hybrid(given, other("bm25"), other("frozen"))
    if name.endswith(WITH_WORDS):
        return _worded(given, other("bm25"), other(name.removesuffix(WITH_WORDS)))
    return _tuned(given, name)


def _frozen(given: VectorSetting) -> SearchApproach:
    artifact, parameters = untuned(given)
    took: list[float] = []
    known: dict[str, np.ndarray] = {}
    alike = by_vectors(_pooled(given, unit_rows), took, known)
    fresh = by_vectors(answers_of(artifact), [], known)
    return SearchApproach(alike, bytes=_bytes(parameters), took=took, fresh=fresh)


def _pooled(given: VectorSetting, finish: Callable[[np.ndarray], np.ndarray]) -> Encode:
    """Returns what makes vectors of texts by the frozen backbone, from the store; the time is what it takes without."""
    reader = given.reader

    def encode(texts: Sequence[str], side: str) -> tuple[np.ndarray, float]:
        found = given.pooled((reader.of_documents() if side == "document" else reader).read(texts).source)
        return finish(found.vectors["all"]), 0.0 if found.cost is None else found.cost.seconds

    return encode


def _hybrid(given: VectorSetting, words: SearchApproach, vectors: SearchApproach) -> SearchApproach:
    """Weighs both by queries of train, which neither has learned from."""
    rows = np.random.default_rng(0).permutation(len(given.split.train))[:MOST_CHOOSING]
    asked = given.split.train.take(rows)
    weight = _best_weight(given, asked, _at_each_weight(given, asked, words, vectors))
    alike = _weighed(words, vectors, weight)
    fresh = _weighed(words, vectors, weight, fresh=True)
    return SearchApproach(alike, bytes=vectors.bytes, chosen={"words": weight}, took=vectors.took, fresh=fresh)


def _worded(given: VectorSetting, words: SearchApproach, vectors: SearchApproach) -> SearchApproach:
    """Weighs words and tuned vectors by queries of valid: those of train, which were learned from, would flatter these.

    Valid judges as well: so each half of it is answered with the weight that the other half chooses, and what stays is
    the weight that all of it chooses. Queries of one document stay together.
    """
    valid = given.split.valid
    assert valid.labels is not None
    ranked = _at_each_weight(given, valid, words, vectors)
    owners = np.unique([min(label) for label in valid.labels], return_inverse=True)[1]
    second = (np.random.default_rng(0).permutation(owners.max() + 1) % 2)[owners] == 1
    of_valid = ranked[USUAL_WORDS].copy()
    for half in (second, ~second):
        if half.any() and not half.all():
            weight = _best_weight(given, valid.take(np.flatnonzero(~half)), _only(ranked, ~half))
            of_valid[half] = ranked[weight][half]
    weight = _best_weight(given, valid, ranked)
    return replace(
        vectors,
        alike=_weighed(words, vectors, weight),
        fresh=_weighed(words, vectors, weight, fresh=True),
        chosen={**vectors.chosen, "words": weight},
        of_valid=of_valid,
    )


def _at_each_weight(
    given: VectorSetting, asked: Examples, words: SearchApproach, vectors: SearchApproach
) -> Mapping[float, np.ndarray]:
    """Returns ``bool[n, depth]`` for each weight of words: whether the document at each rank answers the query."""
    corpus = given.split.without_test().corpus
    assert corpus is not None
    said, near = (each.alike(asked.inputs, corpus) for each in (words, vectors))
    wanted = _wanted(asked, corpus)
    return {weight: rank(mixed(said, near, weight), wanted) for weight in WEIGHTS}


def _best_weight(given: VectorSetting, asked: Examples, ranked: Mapping[float, np.ndarray]) -> float:
    """Returns the weight of words with the best figure, of equal ones the nearest to the usual."""
    metric, counts = given.split.kind.judging.main, counts_of(asked)
    return max(ranked, key=lambda weight: (metric.value(counts, ranked[weight]), -abs(weight - USUAL_WORDS)))


def _only(ranked: Mapping[float, np.ndarray], rows: np.ndarray) -> Mapping[float, np.ndarray]:
    return {weight: found[rows] for weight, found in ranked.items()}


def _weighed(words: SearchApproach, vectors: SearchApproach, weight: float, *, fresh: bool = False) -> Alike:
    of_vectors = vectors.fresh if fresh and vectors.fresh is not None else vectors.alike

    def alike(queries: Sequence[str], corpus: Corpus) -> np.ndarray:
        return mixed(words.alike(queries, corpus), of_vectors(queries, corpus), weight)

    return alike


def _tuned(given: VectorSetting, name: str) -> SearchApproach:
    found = tune(given, name)
    encode = fresh = answers_of(found.artifact)
    if found.finish is not None:  # the vectors of what is frozen are in the store
        encode = _pooled(given, found.finish)
    took: list[float] = []
    known: dict[str, np.ndarray] = {}
    return SearchApproach(
        by_vectors(encode, took, known),
        trained=found.trained,
        own_bytes=_bytes(found.trained),
        bytes=_bytes(found.parameters),
        chosen=found.chosen,
        took=took,
        fresh=by_vectors(fresh, [], known) if found.finish is not None else None,
    )


def _bytes(parameters: int) -> int:
    return 4 * parameters
