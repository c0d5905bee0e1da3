"""`kft compare` where queries are answered with documents: words, the untuned backbone, both, and what is tuned."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from kft.answer.artifact import Artifact
from kft.data.corpus import Corpus
from kft.data.examples import Examples
from kft.features.vectors import pool
from kft.metrics.intervals import estimate_all
from kft.metrics.neighbours import unit_rows
from kft.metrics.retrieval import rank
from kft.model.encode import make_reader
from kft.model.work import estimated_minutes, multiply_adds
from kft.recipe.load import Recipe
from kft.recipe.schema import RecipeSpec
from kft.recipe.training import PhaseSpec
from kft.records.compare import ApproachResult, Comparison, Cost, Risk
from kft.search.alike import Alike, Encode, answers_of, by_vectors, by_words, mixed
from kft.search.ranking import MOST_CHOOSING, USUAL_WORDS, WEIGHTS
from kft.search.verdict import NAMES, WITH_WORDS, counts_of, decide, lead_of, names_of
from kft.split.data_split import DataSplit
from kft.tasks.registry import TASKS
from kft.train import start as starting
from kft.train.progress import Progress

PHASES: dict[str, dict[str, Any]] = {
    "head": {"unfreeze": "none", "solver": "lbfgs"},
    "lora": {"unfreeze": {"lora": {}}, "epochs": 3, "lr": 5e-4},
    "top": {"unfreeze": "top-2", "epochs": 3, "lr": 1e-4},
    "full": {"unfreeze": "all", "epochs": 3, "lr": 5e-5},
}
ASKED, LOOKS = 64, 3
"""Queries that are asked together to see how fast an approach is, and how often."""
SAMPLE = 1000
"""Pairs whose tokens say how long training takes."""


@dataclass(frozen=True)
class Found:
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


@dataclass(frozen=True)
class Compared:
    """What the approaches are given.

    Attributes:
        spec: The recipe.
        split: Its data; test is asked when all is chosen.
        progress: Told what goes on.
    """

    spec: RecipeSpec
    split: DataSplit
    progress: Progress


def compare_search(
    recipe: Recipe, split: DataSplit, names: Sequence[str] | None, budget: float, progress: Progress
) -> Comparison:
    """Fits the approaches on train, chooses by valid, then opens the test split once.

    Args:
        recipe: Its own phases play no part.
        split: The data.
        names: Which approaches; None: all but those that take more than the budget by their size.
        budget: Minutes that one approach may take.
        progress: Told what goes on.

    Raises:
        UsageError: An approach is not one of ``NAMES``.
    """
    given = Compared(recipe.spec, split, progress)
    skipped = _too_long(given, budget) if names is None else {}
    wanted = [name for name in names_of(names) if name not in skipped]
    known = split.without_test().corpus
    assert known is not None and split.corpus is not None
    metric = split.kind.judging.main
    made: dict[str, Found] = {}
    valid: dict[str, np.ndarray] = {}
    seconds: dict[str, tuple[float, float]] = {}
    passes: dict[str, float] = {}
    for name in wanted:
        progress.note(f"\n{name}")
        wall, cpu = time.perf_counter(), time.process_time()
        made[name] = _fit(given, name, made)
        vectors = name.removesuffix(WITH_WORDS)  # where it has words beside: it takes what they take, and the weight
        before = seconds.get(vectors, (0.0, 0.0))
        seconds[name] = before[0] + time.perf_counter() - wall, before[1] + time.process_time() - cpu
        ranked = made[name].of_valid
        valid[name] = _found(made[name], split.valid, known) if ranked is None else ranked
        passes[name] = sum(made[name].took)
        reached = metric.value(counts_of(split.valid), valid[name])
        progress.note(
            f"{'':<10} {metric.name} {reached:.3f} on valid; {seconds[name][0]:,.1f} s to fit, "
            f"{passes[name]:,.1f} s for the vectors of documents"
        )
    verdict = decide(split.valid, valid, metric)
    progress.note(f"\nscoring    {len(split.test):,} queries of test, once, for all approaches")
    test = {name: _found(each, split.test, split.corpus) for name, each in made.items()}
    outcomes = []
    for name, each in made.items():
        parts = {"valid": (split.valid, valid), "test": (split.test, test)}
        paired = {
            key: lead_of(part, metric, (found[name], found[verdict.best]), len(made) - 1)
            for key, (part, found) in parts.items()
        }
        estimates = {
            key: estimate_all(counts_of(part), found[name], groups=part.groups, metrics=split.kind.judging.metrics)
            for key, (part, found) in parts.items()
        }
        outcomes.append(
            ApproachResult(
                name=name,
                metrics=estimates["test"],
                valid=estimates["valid"],
                paired=paired,
                cost=Cost(*seconds[name], passes[name], _speed(each, split), each.trained, each.own_bytes, each.bytes),
                risk=Risk(None, None, None, None, None, "not measured where approaches are searches", None),
                chosen=dict(each.chosen),
                rows=len(split.valid),
            )
        )
    outcomes += [ApproachResult(name, skipped=why) for name, why in skipped.items()]
    outcomes.sort(key=lambda outcome: NAMES.index(outcome.name))
    return Comparison(split.split_hash, len(split.test), tuple(outcomes), verdict, metric.name)


def _too_long(given: Compared, budget: float) -> dict[str, str]:
    """Returns why approaches are not tried, by name: what takes more minutes than the budget by its size."""
    from kft.model.build import build_for  # it brings TensorFlow, which is started quietly by now

    spec, train, corpus = given.spec, given.split.train, given.split.without_test().corpus
    assert corpus is not None and train.labels is not None
    backbone, task = starting.load_for(spec), TASKS.get(spec.task)
    reader = make_reader(task, backbone, spec.model)
    rows = np.random.default_rng(0).permutation(len(train))[:SAMPLE]
    documents = [corpus.texts[corpus.places[train.labels[row][0]]] for row in rows]
    asked = reader.read([train.inputs[row] for row in rows]).source, reader.of_documents().read(documents).source
    tokens = sum(float(source.lengths.mean()) for source in asked)
    model = build_for(spec, task, given.split.space, backbone)
    pairs = int(counts_of(train).sum())
    skipped: dict[str, str] = {}
    for name in ("lora", "full"):  # the top blocks are a small part of all, and never left out
        work = multiply_adds(model, tokens) * pairs * PHASES[name]["epochs"]
        minutes = estimated_minutes(work, 2 if name == "lora" else 3)
        if minutes > budget:
            why = f"about {minutes:,.0f} minutes by its size, more than --budget {budget:g}"
            skipped |= {name: why, name + WITH_WORDS: why}
            given.progress.note(f"{name:<10} skipped: {why}")
    return skipped


def _found(found: Found, part: Examples, corpus: Corpus) -> np.ndarray:
    """Returns ``bool[n, depth]``: whether the document at each rank answers the query."""
    return rank(found.alike(part.inputs, corpus), _wanted(part, corpus))


def _wanted(part: Examples, corpus: Corpus) -> list[np.ndarray]:
    """Returns, for each query, the places of the documents that answer it."""
    assert part.labels is not None
    return [np.array([corpus.places[name] for name in label]) for label in part.labels]


def _speed(found: Found, split: DataSplit) -> float:
    """Returns queries a second, of some that are asked together and nobody has stored, with the documents known.

    The best of several looks: others who use the machine make a look slower, and none faster.
    """
    assert split.corpus is not None
    asked, alike, took = split.valid.inputs[:ASKED], found.fresh or found.alike, []
    for _ in range(1 + LOOKS):  # the first one traces the graph
        started = time.perf_counter()
        alike(asked, split.corpus)
        took.append(time.perf_counter() - started)
    return len(asked) / max(1e-9, min(took[1:]))


def _fit(given: Compared, name: str, made: Mapping[str, Found]) -> Found:
    def other(needed: str) -> Found:
        return made.get(needed) or _fit(given, needed, made)

    if name == "bm25":
        return Found(by_words())
    if name == "frozen":
        return _frozen(given)
    if name == "hybrid":
        return _hybrid(given, other("bm25"), other("frozen"))
    if name.endswith(WITH_WORDS):
        return _worded(given, other("bm25"), other(name.removesuffix(WITH_WORDS)))
    return _tuned(given, name)


def _frozen(given: Compared) -> Found:
    from kft.model.build import build_for  # it brings TensorFlow, which is started quietly by now

    plain = given.spec.model.without_learned_pooling
    spec, task = given.spec.model_copy(update={"model": plain}), TASKS.get(given.spec.task)
    backbone, space = starting.load_for(spec), given.split.space
    untuned = Artifact(
        build_for(spec, task, space, backbone),
        make_reader(task, backbone, spec.model),
        task.kind,
        space,
        spec,
        backbone,
    )
    took: list[float] = []
    known: dict[str, np.ndarray] = {}
    alike = by_vectors(_pooled(given, unit_rows), took, known)
    fresh = by_vectors(answers_of(untuned), [], known)
    return Found(alike, bytes=_bytes(backbone.model.count_params()), took=took, fresh=fresh)


def _pooled(given: Compared, finish: Callable[[np.ndarray], np.ndarray]) -> Encode:
    """Returns what makes vectors of texts by the frozen backbone, from the store; the time is what it takes without."""
    spec = given.spec
    backbone = starting.load_for(spec)
    reader = make_reader(TASKS.get(spec.task), backbone, spec.model)

    def encode(texts: Sequence[str], side: str) -> tuple[np.ndarray, float]:
        source = (reader.of_documents() if side == "document" else reader).read(texts).source
        found = pool(backbone, {"all": source}, spec.model, spec.features)
        return finish(found.vectors["all"]), 0.0 if found.cost is None else found.cost.seconds

    return encode


def _hybrid(given: Compared, words: Found, vectors: Found) -> Found:
    """Weighs both by queries of train, which neither has learned from."""
    rows = np.random.default_rng(0).permutation(len(given.split.train))[:MOST_CHOOSING]
    asked = given.split.train.take(rows)
    weight = _best_weight(given, asked, _at_each_weight(given, asked, words, vectors))
    alike = _weighed(words, vectors, weight)
    fresh = _weighed(words, vectors, weight, fresh=True)
    return Found(alike, bytes=vectors.bytes, chosen={"words": weight}, took=vectors.took, fresh=fresh)


def _worded(given: Compared, words: Found, vectors: Found) -> Found:
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


def _at_each_weight(given: Compared, asked: Examples, words: Found, vectors: Found) -> Mapping[float, np.ndarray]:
    """Returns ``bool[n, depth]`` for each weight of words: whether the document at each rank answers the query."""
    corpus = given.split.without_test().corpus
    assert corpus is not None
    said, near = (each.alike(asked.inputs, corpus) for each in (words, vectors))
    wanted = _wanted(asked, corpus)
    return {weight: rank(mixed(said, near, weight), wanted) for weight in WEIGHTS}


def _best_weight(given: Compared, asked: Examples, ranked: Mapping[float, np.ndarray]) -> float:
    """Returns the weight of words with the best figure, of equal ones the nearest to the usual."""
    metric, counts = given.split.kind.judging.main, counts_of(asked)
    return max(ranked, key=lambda weight: (metric.value(counts, ranked[weight]), -abs(weight - USUAL_WORDS)))


def _only(ranked: Mapping[float, np.ndarray], rows: np.ndarray) -> Mapping[float, np.ndarray]:
    return {weight: found[rows] for weight, found in ranked.items()}


def _weighed(words: Found, vectors: Found, weight: float, *, fresh: bool = False) -> Alike:
    of_vectors = vectors.fresh if fresh and vectors.fresh is not None else vectors.alike

    def alike(queries: Sequence[str], corpus: Corpus) -> np.ndarray:
        return mixed(words.alike(queries, corpus), of_vectors(queries, corpus), weight)

    return alike


def _tuned(given: Compared, name: str) -> Found:
    """Trains a fresh model as `kft train` does, in memory, and keeps its best epoch on valid."""
    from kft import runtime
    from kft.model.heads import LOGITS
    from kft.train.prepare import prepare
    from kft.train.recorder import Files
    from kft.train.run import fit

    phase = PhaseSpec.model_validate({"name": name, **PHASES[name]})
    train = given.spec.train.model_copy(update={"phases": (phase,), "prefer": "best", "callbacks": ()})
    spec = given.spec.model_copy(update={"train": train})
    runtime.seed_everything(spec.seed)
    backbone, task = starting.load_for(spec), TASKS.get(spec.task)
    selection = given.split.without_test()
    fitted = fit(prepare(spec, selection, backbone, given.progress), Files())
    reader = make_reader(task, backbone, spec.model)
    artifact = Artifact(fitted.model, reader, task.kind, selection.space, spec, backbone)
    (tuned,) = fitted.phases

    encode = fresh = answers_of(artifact)
    if phase.solved:  # what lies below the head is frozen: its vectors are in the store
        kernel, bias = (variable.numpy() for variable in fitted.model.get_layer(LOGITS).weights)
        encode = _pooled(given, lambda vectors: unit_rows(vectors @ kernel + bias))
    took: list[float] = []
    chosen = {"phases": [phase.model_dump(mode="json", exclude_defaults=True)], "epoch": tuned.best_epoch}
    sizes = tuned.trainable, _bytes(tuned.trainable), _bytes(tuned.parameters)
    known: dict[str, np.ndarray] = {}
    alike = by_vectors(encode, took, known)
    return Found(alike, *sizes, chosen, took=took, fresh=by_vectors(fresh, [], known) if phase.solved else None)


def _bytes(parameters: int) -> int:
    return 4 * parameters
