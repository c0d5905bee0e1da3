"""`kft compare` where two texts get a score: a constant, shared words, the untuned backbone, and what is tuned.

Each approach answers valid's pairs and test's; its answers are kept as soon as it is done. Test's scores are read once,
when the choice is made.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from kft.compare import vectors as room
from kft.compare.saved import FittedApproach, Saved
from kft.compare.vector_verdict import Field, SplitAnswers, conclude
from kft.compare.vectors import PHASES, SAMPLE, VectorSetting, speed, tune, untuned
from kft.data.examples import Examples
from kft.features.ngrams import ngram_reader
from kft.metrics.neighbours import unit_rows
from kft.records.compare import Comparison, Cost
from kft.split.data_split import labels_of
from kft.tasks.similarity import cosines

CONSTANT, WORDS, FROZEN = "constant", "words", "frozen"
GRADED = Field(
    names=(CONSTANT, WORDS, FROZEN, *PHASES),
    enough={
        CONSTANT: "nothing here orders the pairs: look at the scores, or label more pairs",
        WORDS: "shared words are enough: a score needs no backbone",
        FROZEN: "the backbone's own vectors are enough: do not tune",
    },
    rows="pairs",
    where="pairs get scores",
)
ASKED = 64
"""Pairs that are asked together to see how fast an approach is."""
NO_RISK = "not measured where scores are compared by their order"
Pairs = Sequence[tuple[str, str]]


@dataclass(frozen=True)
class PairScorer:
    """What an approach answers with.

    Attributes:
        answer: From pairs to scores, ``float64[n]``.
        fresh: Likewise where nothing is stored.
        trained: Parameters that were trained.
        own_bytes: What is kept of it, beside a backbone that is there anyway.
        bytes: The backbone included where it needs one.
        features_seconds: Wall seconds that the frozen vectors it was fitted with take where none is stored.
        chosen: What was chosen.
    """

    answer: Callable[[Pairs], np.ndarray]
    fresh: Callable[[Pairs], np.ndarray]
    trained: int = 0
    own_bytes: int = 0
    bytes: int = 0
    features_seconds: float = 0.0
    chosen: Mapping[str, Any] = field(default_factory=dict)


def compare_graded(given: VectorSetting, names: Sequence[str] | None, budget: float, saved: Saved) -> Comparison:
    """Fits the approaches on train, chooses by valid, then reads test's scores once.

    Args:
        given: The recipe, whose own phases play no part, and its data.
        names: Which approaches; None: all but those that take more than the budget by their size.
        budget: Minutes that one approach may take.
        saved: Keeps each approach as soon as it is done, and has those of an earlier call.

    Raises:
        UsageError: An approach is not one of ``GRADED``.
    """
    split, progress = given.split, given.progress
    skipped = _too_long(given, budget) if names is None else {}
    skipped = {name: why for name, why in skipped.items() if name not in saved.done}
    metric, fitted = split.kind.judging.main, dict[str, FittedApproach]()
    for name in (name for name in GRADED.asked(names) if name not in skipped):
        if before := saved.take(name, progress.note):
            fitted[name] = before
            continue
        progress.note(f"\n{name}")
        wall, cpu = time.perf_counter(), time.process_time()
        made = _fit(given, name)
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        asked = split.valid.inputs[:ASKED]
        rate = speed(partial(made.fresh, asked), len(asked))
        cost = Cost(wall, cpu, made.features_seconds, rate, made.trained, made.own_bytes, made.bytes)
        answers = made.answer(split.valid.inputs), made.answer(split.test.inputs)
        fitted[name] = FittedApproach(name, *answers, cost, NO_RISK, made.chosen, wall + made.features_seconds)
        saved.keep(fitted[name])
        reached = metric.value(_truth(split.valid), answers[0])
        progress.note(f"{'':<10} {metric.name} {reached:.3f} on valid; {wall:,.1f} s to fit")
    progress.note(f"\nscoring    {len(split.test):,} pairs of test, once, for all approaches")
    parts = {
        "valid": SplitAnswers(_truth(split.valid), {n: each.valid for n, each in fitted.items()}, split.valid.groups),
        "test": SplitAnswers(_truth(split.test), {n: each.test for n, each in fitted.items()}, split.test.groups),
    }
    return conclude(split, GRADED, fitted, parts, skipped)


def _truth(part: Examples) -> np.ndarray:
    return np.array(labels_of(part), np.float64)


def _too_long(given: VectorSetting, budget: float) -> dict[str, str]:
    train = given.split.train
    rows = np.random.default_rng(0).permutation(len(train))[:SAMPLE]
    lengths = given.reader.read([train.inputs[row] for row in rows]).source.lengths
    return room.too_long(given, budget, 2 * float(lengths.mean()), len(train))


def _fit(given: VectorSetting, name: str) -> PairScorer:
    if name == CONSTANT:
        return _constant(given)
    if name == WORDS:
        return _words(given)
    return _frozen(given) if name == FROZEN else _tuned(given, name)


def _constant(given: VectorSetting) -> PairScorer:
    mean = float(_truth(given.split.train).mean())

    def answer(pairs: Pairs) -> np.ndarray:
        return np.full(len(pairs), mean)

    return PairScorer(answer, answer, own_bytes=8, bytes=8, chosen={"value": mean})


def _words(given: VectorSetting) -> PairScorer:
    """The cosine of TF-IDF vectors, whose words and weights are those of train's texts; no score is looked at."""
    read, size = ngram_reader([text for pair in given.split.train.inputs for text in pair])
    space = given.split.space

    def answer(pairs: Pairs) -> np.ndarray:
        first, second = (read([pair[side] for pair in pairs]) for side in (0, 1))
        shared = np.asarray(first.multiply(second).sum(axis=1), np.float64)
        return given.task.kind.judging.answers(shared, space, None)

    return PairScorer(answer, answer, own_bytes=size, bytes=size)


def _frozen(given: VectorSetting) -> PairScorer:
    artifact, parameters = untuned(given)
    return PairScorer(_pooled(given, unit_rows), artifact.answers, bytes=4 * parameters)


def _pooled(given: VectorSetting, finish: Callable[[np.ndarray], np.ndarray]) -> Callable[[Pairs], np.ndarray]:
    """Returns what scores pairs by the frozen backbone's vectors, which are stored."""
    judging, space = given.task.kind.judging, given.split.space

    def answer(pairs: Pairs) -> np.ndarray:
        vectors = given.pooled(given.reader.read(pairs).source).vectors["all"]
        return judging.answers(cosines(finish(vectors)), space, None)

    return answer


def _tuned(given: VectorSetting, name: str) -> PairScorer:
    found = tune(given, name)
    answer: Callable[[Pairs], np.ndarray] = found.artifact.answers
    seconds = 0.0
    if found.finish is not None:
        answer = _pooled(given, found.finish)
        learned = [*given.split.train.inputs, *given.split.valid.inputs]
        cost = given.pooled(given.reader.read(learned).source).cost
        seconds = 0.0 if cost is None else cost.seconds
    sizes = found.trained, 4 * found.trained, 4 * found.parameters
    return PairScorer(answer, found.artifact.answers, *sizes, seconds, found.chosen)
