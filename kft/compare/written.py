"""`kft compare` where responses are written: the constant one, the nearest, prompts, and what is tuned.

Each approach writes to valid and to test; what it wrote is kept as soon as it is done. Test's right responses are read
once, when all is written and the choice is made.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import cache

from kft.answer.write import GREEDY, make_writer
from kft.compare.saved import FittedApproach
from kft.compare.verdict import BASELINE, WITH_PASSAGES, is_tuned
from kft.compare.written_judging import (
    NOT_MEASURED,
    metric_of,
    outcome_of,
    recommend,
)
from kft.compare.written_names import ABOUT, NAMES
from kft.compare.written_prompting import prompted
from kft.compare.written_prompts import nearest_by_words
from kft.compare.written_setting import (
    ROWS,
    Completions,
    WritingApproach,
    WritingSetting,
    responses_of,
    without_passages,
    write_all,
)
from kft.compare.written_tuning import too_long, tune
from kft.data.examples import Examples
from kft.errors import ModelError
from kft.metrics.constant_response import constant_response
from kft.metrics.language import no_objects, spoken
from kft.records.compare import ApproachResult, Comparison, Cost
from kft.split.data_split import DataSplit
from kft.split.labels import prompts_of
from kft.tasks.cells import as_objects


def compare_written(given: WritingSetting, split: DataSplit, names: Sequence[str], *, named: bool) -> Comparison:
    """Runs the approaches, cheapest first, chooses by what they wrote to valid, then reads test's right responses once.

    Args:
        given: What the approaches may see.
        split: For test's responses, at the end.
        names: Which approaches, in the order of ``NAMES``.
        named: Whether a person named them; else those that take more than the budget are left out.

    Raises:
        ModelError: None of them can be used on this backbone; where some can, the others are left out by name.
        KftError: One of its kinds, for data or a disk that do not fit.
    """
    skipped: dict[str, str] = {}
    fitted: dict[str, FittedApproach] = {}
    if why := no_objects(responses_of(given.split.valid)):
        given.progress.note(f"left out   JSON, fields and slots, of valid and so of what decides: {why}")
    for name in names:
        if before := given.saved.take(name, given.progress.note):
            fitted[name] = before
            continue
        why = "" if named else _too_dear(given, name)
        if not why:
            given.progress.note(f"\n{name:<10} {ABOUT[name]}")
            try:
                fitted[name] = _fit(given, name)
                given.saved.keep(fitted[name])
            except ModelError as error:
                if not fitted and name == names[-1]:
                    raise
                why = error.problem
        if why:
            skipped[name] = why
            given.progress.note(f"{name:<10} skipped: {why}")
    metric, verdict = metric_of(given), recommend(given, fitted)
    given.progress.note(f"\nscoring    {len(split.test):,} answers to test, once, for all approaches")
    best, looks = fitted[verdict.best if verdict.best in fitted else next(iter(fitted))], len(fitted) - 1
    outcomes = [outcome_of(given, split.test, each, best, looks) for each in fitted.values()]
    outcomes += [ApproachResult(name, skipped=why) for name, why in skipped.items()]
    outcomes.sort(key=lambda outcome: NAMES.index(outcome.name))
    return Comparison(split.split_hash, len(split.test), tuple(outcomes), verdict, metric.name)


def _too_dear(given: WritingSetting, name: str) -> str:
    if not is_tuned(name) or name in given.runs:
        return ""
    split = given.split if name.endswith(WITH_PASSAGES) else given.plain
    minutes = too_long(given.spec, split, given.backbone, name.removesuffix(WITH_PASSAGES))
    return (
        "" if minutes <= given.budget else f"about {minutes:,.0f} minutes by its size, over --budget {given.budget:g}"
    )


def _fit(given: WritingSetting, name: str) -> FittedApproach:
    started, cpu = time.perf_counter(), time.process_time()
    way = _way(given, name)
    wall, cpu = time.perf_counter() - started + way.before, time.process_time() - cpu
    parts = (given.split.valid, given.test)
    valid, test = (way.write(part if name.endswith(WITH_PASSAGES) else without_passages(part)) for part in parts)
    rows, writing = len(valid.texts) + len(test.texts), valid.seconds + test.seconds
    tokens, unfinished = valid.prompt_tokens + test.prompt_tokens, valid.unfinished + test.unfinished
    metric = metric_of(given)
    reached = metric.value(responses_of(given.split.valid), spoken(valid.texts))
    given.progress.note(
        f"{'':<10} {metric.name} {reached:.3f} on valid; {wall:,.1f} s to fit, {writing:,.1f} s for {rows:,} answers "
        f"to prompts of {tokens / rows:,.0f} tokens, {unfinished:,} of them without an end"
    )
    cost = Cost(
        train_seconds=wall,
        train_cpu_seconds=cpu,
        features_seconds=0.0,
        examples_per_second=rows / max(writing, 1e-9),
        trained_parameters=way.trained,
        own_bytes=way.own_bytes,
        bytes=way.bytes,
        prompt_tokens=round(tokens / rows, 1),
    )
    return FittedApproach(
        name=name,
        valid=as_objects(valid.texts),
        test=as_objects(test.texts),
        cost=cost,
        forgetting_why=NOT_MEASURED,
        chosen={**way.chosen, "unfinished": unfinished},
        seconds=time.perf_counter() - started,
    )


def _way(given: WritingSetting, name: str) -> WritingApproach:
    if is_tuned(name):
        return _tuned(given, name)
    if name not in (BASELINE, "retrieval"):
        return prompted(given, name)
    if name == BASELINE:
        constant = constant_response(given.responses, metric_of(given).name)
        size = len(constant.encode())
        return WritingApproach(lambda part: _at_once([constant] * len(part)), 0, size, size, {"response": constant})
    known = given.split.train.inputs
    size = sum(len(text.encode()) for text in (*known, *given.responses))

    def nearest(part: Examples) -> Completions:
        started = time.perf_counter()
        texts = [given.responses[row] for row in nearest_by_words(part.inputs, known, 1)[:, -1]]
        return _at_once(texts, time.perf_counter() - started)

    return WritingApproach(nearest, 0, size, size)


def _at_once(texts: list[str], seconds: float = 0.0) -> Completions:
    """Returns answers that no model writes."""
    return Completions(texts, 0, 0, seconds or 1e-6 * len(texts))


def _tuned(given: WritingSetting, name: str) -> WritingApproach:
    split = given.split if name.endswith(WITH_PASSAGES) else given.plain
    kind = name.removesuffix(WITH_PASSAGES)
    found = tune(given.spec, split, kind, given.progress, given.runs.get(name))
    # What was trained here is trained anew after a kill, and might write otherwise.
    recalled = given.saved.recall(name if name in given.runs else f"{name}-{time.time_ns()}")
    writer = cache(lambda: make_writer(found.artifact, ROWS))

    def write(part: Examples) -> Completions:
        texts, _ = found.artifact.reader.writing.composed(prompts_of(part))  # type: ignore[union-attr]  # it writes
        return write_all(given, writer, texts, GREEDY, recalled)

    return WritingApproach(write, found.trained, found.bytes, 4 * found.trained, found.chosen)
