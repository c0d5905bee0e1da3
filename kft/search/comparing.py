"""`kft compare` where queries are answered with documents: words, the untuned backbone, both, and what is tuned."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from kft.answer.artifact import Artifact
from kft.data.corpus import Corpus
from kft.data.examples import Examples
from kft.errors import UsageError
from kft.features.vectors import pooled_vectors
from kft.metrics.intervals import estimate_all, paired_difference
from kft.metrics.metric import Metric
from kft.metrics.neighbours import unit_rows
from kft.metrics.retrieval import rank
from kft.model import backbones
from kft.model.encode import make_reader
from kft.recipe.load import Recipe
from kft.recipe.schema import RecipeSpec
from kft.recipe.training import PhaseSpec
from kft.records.compare import ApproachResult, Comparison, Cost, Risk, Verdict
from kft.records.estimate import widen
from kft.search.ranking import MOST_CHOOSING, USUAL_WORDS, WEIGHTS
from kft.search.words import Words, index_words, load_words, save_words
from kft.split.data_split import DataSplit
from kft.tasks.registry import TASKS
from kft.train.progress import Progress

PHASES: dict[str, dict[str, Any]] = {
    "head": {"unfreeze": "none", "solver": "lbfgs"},
    "lora": {"unfreeze": {"lora": {}}, "epochs": 3, "lr": 5e-4},
    "top": {"unfreeze": "top-2", "epochs": 3, "lr": 1e-4},
    "full": {"unfreeze": "all", "epochs": 3, "lr": 5e-5},
}
NAMES = ("bm25", "frozen", "hybrid", *PHASES)
"""Cheapest first."""
ENOUGH = {
    "bm25": "words are enough: search needs no vectors",
    "frozen": "the backbone's own vectors are enough: do not tune",
    "hybrid": "words and the backbone's own vectors together are enough: do not tune",
}


@dataclass(frozen=True)
class Found:
    """What an approach finds.

    Attributes:
        alike: From queries and a corpus to ``float32[queries, documents]``.
        trained: Parameters that were trained.
        own_bytes: What is kept of it, beside a backbone that is there anyway.
        bytes: The backbone included where it needs one.
        chosen: What was chosen.
    """

    alike: Callable[[Sequence[str], Corpus], np.ndarray]
    trained: int = 0
    own_bytes: int = 0
    bytes: int = 0
    chosen: Mapping[str, Any] = field(default_factory=dict)


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


def compare_search(recipe: Recipe, split: DataSplit, names: Sequence[str] | None, progress: Progress) -> Comparison:
    """Fits the approaches on train, chooses by valid, then opens the test split once.

    Args:
        recipe: Its own phases play no part.
        split: The data.
        names: Which approaches; None: all.
        progress: Told what goes on.

    Raises:
        UsageError: An approach is not one of ``NAMES``.
    """
    wanted = names_of(names)
    given = Compared(recipe.spec, split, progress)
    known = split.without_test().corpus
    assert known is not None and split.corpus is not None
    metric = split.kind.judging.main
    made: dict[str, Found] = {}
    valid: dict[str, np.ndarray] = {}
    seconds: dict[str, tuple[float, float]] = {}
    for name in wanted:
        progress.note(f"\n{name}")
        wall, cpu = time.perf_counter(), time.process_time()
        made[name] = _fit(given, name, made)
        seconds[name] = time.perf_counter() - wall, time.process_time() - cpu
        valid[name] = _found(made[name], split.valid, known)
        reached = metric.value(_counts(split.valid), valid[name])
        progress.note(f"{'':<10} {metric.name} {reached:.3f} on valid; {seconds[name][0]:,.1f} s to fit")
    verdict = decide(split.valid, valid, metric)
    progress.note(f"\nscoring    {len(split.test):,} queries of test, once, for all approaches")
    test = {name: _found(each, split.test, split.corpus) for name, each in made.items()}
    outcomes = []
    for name, each in made.items():
        parts = {"valid": (split.valid, valid), "test": (split.test, test)}
        paired = {
            key: widen(_difference(metric, part, found[name], found[verdict.best]), max(1, len(made) - 1))
            for key, (part, found) in parts.items()
        }
        estimates = {
            key: estimate_all(_counts(part), found[name], groups=part.groups, metrics=split.kind.judging.metrics)
            for key, (part, found) in parts.items()
        }
        outcomes.append(
            ApproachResult(
                name=name,
                metrics=estimates["test"],
                valid=estimates["valid"],
                paired=paired,
                cost=Cost(*seconds[name], 0.0, _speed(each, split), each.trained, each.own_bytes, each.bytes),
                risk=Risk(None, None, None, None, None, "not measured where approaches are searches", None),
                chosen=dict(each.chosen),
                rows=len(split.valid),
            )
        )
    return Comparison(split.split_hash, len(split.test), tuple(outcomes), verdict, metric.name)


def names_of(names: Sequence[str] | None) -> list[str]:
    """Returns the approaches that are tried, cheapest first.

    Raises:
        UsageError: One is unknown.
    """
    unknown = [name for name in names or () if name not in NAMES]
    if unknown:
        raise UsageError(
            "no such approach where documents are found",
            where="--approaches",
            received=", ".join(unknown),
            expected=", ".join(NAMES),
            next_step="leave --approaches out for all of them",
        )
    return [name for name in NAMES if names is None or name in names]


def decide(valid: Examples, found: Mapping[str, np.ndarray], metric: Metric) -> Verdict:
    """Recommends the cheapest that is not significantly worse than the best, paired by query of valid.

    Args:
        valid: Queries that chose.
        found: By approach, cheapest first: ``bool[n, depth]``.
        metric: Which decides.
    """
    counts = _counts(valid)
    reached = {name: metric.value(counts, each) for name, each in found.items()}
    best = max(reached, key=lambda name: reached[name])  # of several alike the first, which is the cheapest
    leads = {
        name: widen(_difference(metric, valid, found[best], found[name]), max(1, len(found) - 1))
        for name in found
        if name != best
    }
    chosen = next(name for name in found if name == best or leads[name].low <= 0)
    value = f"{reached[chosen]:.3f} {metric.name} on {len(valid):,} queries of valid"
    if chosen != best:
        lead = f"{best} has {reached[best]:.3f}, a lead of {leads[chosen]}, which may be chance"
        said = ENOUGH.get(chosen, f"{chosen} is the cheapest that keeps up")
        return Verdict(chosen, f"{said} ({value}); {lead}", best)
    rival = max((name for name in found if name != best), key=lambda name: reached[name], default=None)
    gain = "" if rival is None else f", {leads[rival]} over {rival}, the next"
    said = ENOUGH.get(chosen, f"tuning pays: {chosen} is the best")
    return Verdict(chosen, f"{said} ({value}{gain}); nothing measured is better", best)


def _difference(metric: Metric, part: Examples, first: np.ndarray, second: np.ndarray) -> Any:
    return paired_difference(metric, _counts(part), first, second, groups=part.groups)


def _counts(part: Examples) -> np.ndarray:
    assert part.labels is not None  # only labelled queries are read
    return np.array([len(label) for label in part.labels], np.int64)


def _found(found: Found, part: Examples, corpus: Corpus) -> np.ndarray:
    """Returns ``bool[n, depth]``: whether the document at each rank answers the query."""
    assert part.labels is not None
    wanted = [np.array([corpus.places[name] for name in label]) for label in part.labels]
    return rank(found.alike(part.inputs, corpus), wanted)


def _speed(found: Found, split: DataSplit) -> float:
    """Returns queries a second, with the documents known."""
    assert split.corpus is not None
    asked = split.valid.inputs[:64]
    found.alike(asked, split.corpus)
    started = time.perf_counter()
    found.alike(asked, split.corpus)
    return len(asked) / max(1e-9, time.perf_counter() - started)


def _fit(given: Compared, name: str, made: Mapping[str, Found]) -> Found:
    if name == "bm25":
        return made.get(name) or Found(_by_words())
    if name == "frozen":
        return _frozen(given)
    if name == "hybrid":
        return _hybrid(given, made.get("bm25") or Found(_by_words()), made.get("frozen") or _frozen(given))
    return _tuned(given, name)


def _by_words() -> Callable[[Sequence[str], Corpus], np.ndarray]:
    known: dict[int, tuple[Corpus, Words]] = {}  # the corpus too: an object that is gone leaves its id to another

    def alike(queries: Sequence[str], corpus: Corpus) -> np.ndarray:
        if id(corpus) not in known:
            with tempfile.TemporaryDirectory(prefix="kft-words-") as folder:
                save_words(index_words(corpus.texts), Path(folder))
                known[id(corpus)] = corpus, load_words(Path(folder))
        return known[id(corpus)][1].shares(queries)

    return alike


def _by_vectors(
    encode: Callable[[Sequence[str], str], np.ndarray],
) -> Callable[[Sequence[str], Corpus], np.ndarray]:
    known: dict[str, np.ndarray] = {}  # a document's vector is computed once, in whichever corpus it stands

    def alike(queries: Sequence[str], corpus: Corpus) -> np.ndarray:
        missing = [text for text in dict.fromkeys(corpus.texts) if text not in known]
        if missing:
            known.update(zip(missing, encode(missing, "document"), strict=True))
        return encode(queries, "query") @ np.stack([known[text] for text in corpus.texts]).T

    return alike


def _frozen(given: Compared) -> Found:
    spec = given.spec
    backbone = backbones.load_for(spec)
    reader = make_reader(TASKS.get(spec.task), backbone, spec.model)

    def encode(texts: Sequence[str], side: str) -> np.ndarray:
        source = (reader.of_documents() if side == "document" else reader).read(texts).source
        return unit_rows(pooled_vectors(backbone, {"all": source}, spec.model, spec.features)["all"])

    return Found(_by_vectors(encode), bytes=_bytes(backbone.model.count_params()))


def _hybrid(given: Compared, words: Found, vectors: Found) -> Found:
    """Weighs both by queries of train, which neither has learned from."""
    split = given.split
    corpus = split.without_test().corpus
    assert corpus is not None
    rows = np.random.default_rng(0).permutation(len(split.train))[:MOST_CHOOSING]
    asked = split.train.take(rows)
    by_words, by_vectors = (each.alike(asked.inputs, corpus) for each in (words, vectors))
    metric, counts = split.kind.judging.main, _counts(asked)

    def reached(weight: float) -> float:
        mixed = _mixed(by_words, by_vectors, weight)
        return metric.value(counts, _found(Found(lambda queries, corpus: mixed), asked, corpus))

    best = max(WEIGHTS, key=lambda weight: (reached(weight), -abs(weight - USUAL_WORDS)))

    def alike(queries: Sequence[str], corpus: Corpus) -> np.ndarray:
        return _mixed(words.alike(queries, corpus), vectors.alike(queries, corpus), best)

    return Found(alike, bytes=vectors.bytes, chosen={"words": best})


def _mixed(words: np.ndarray, cosines: np.ndarray, weight: float) -> np.ndarray:
    return (weight * words + (1 - weight) * np.maximum(cosines, 0)).astype(np.float32)


def _tuned(given: Compared, name: str) -> Found:
    """Trains a fresh model as `kft train` does, in memory, and keeps its best epoch on valid."""
    from kft import runtime
    from kft.train.prepare import prepare
    from kft.train.recorder import Files
    from kft.train.run import fit

    phase = PhaseSpec.model_validate({"name": name, **PHASES[name]})
    train = given.spec.train.model_copy(update={"phases": (phase,), "prefer": "best", "callbacks": ()})
    spec = given.spec.model_copy(update={"train": train})
    runtime.seed_everything(spec.seed)
    backbone, task = backbones.load_for(spec), TASKS.get(spec.task)
    selection = given.split.without_test()
    fitted = fit(prepare(spec, selection, backbone, given.progress), Files())
    reader = make_reader(task, backbone, spec.model)
    artifact = Artifact(fitted.model, reader, task.kind, selection.space, spec, backbone)
    (tuned,) = fitted.phases

    def encode(texts: Sequence[str], side: str) -> np.ndarray:
        asked = artifact.of_documents() if side == "document" else artifact
        found: np.ndarray = asked.answers(texts)
        return found

    chosen = {"phases": [phase.model_dump(mode="json", exclude_defaults=True)], "epoch": tuned.best_epoch}
    return Found(_by_vectors(encode), tuned.trainable, _bytes(tuned.trainable), _bytes(tuned.parameters), chosen)


def _bytes(parameters: int) -> int:
    return 4 * parameters
