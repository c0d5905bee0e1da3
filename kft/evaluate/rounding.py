"""What frozen blocks in int8 cost in the task's first metric: a head on them beside a head on float32.

That takes features in float32, which int8 is there to save: so it is measured on at most ``TRAIN_ROWS`` and
``VALID_ROWS``, drawn by the recipe's seed. They go through the store: who has them there already pays nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from kft.answer.load import Answering, pretrained_backbone
from kft.data.examples import Examples
from kft.metrics.intervals import estimate, paired_difference
from kft.records.document import read_if_there, write_document
from kft.records.history import ProbeSolved, read_history
from kft.records.rounding import RoundingResult
from kft.records.run_folder import RunFolder
from kft.split.data_split import DataSplit, labels_of
from kft.split.labels import learned_targets

TRAIN_ROWS, VALID_ROWS = 600, 400
STRENGTH = 1.0
"""Of both heads where the run has solved none."""


def measure_rounding(answering: Answering, split: DataSplit, note: Callable[[str], None]) -> RoundingResult | None:
    """Measures what int8 costs a run, and says it; None where the run is in float32, or it cannot be told.

    Args:
        answering: What the run answers with.
        split: Its data; test plays no part.
        note: Told what was found.

    Raises:
        StorageError: The disk is full or cannot be written.
    """
    spec, best = answering.spec, answering.best
    if not spec.features.in_int8:
        return None
    if best.kind.learning.per_token:
        note("int8       what it costs is not measured for the words of texts")
        return None
    from kft.features.int8 import described
    from kft.features.vectors import pooled_vectors

    backbone = pretrained_backbone(answering)
    parts = {
        "train": _drawn(split.train, TRAIN_ROWS, spec.seed),
        "valid": _drawn(split.valid, VALID_ROWS, spec.seed),
    }
    sources = {name: best.reader.read(part.inputs).source for name, part in parts.items()}
    rounded = pooled_vectors(backbone, sources, spec.model, spec.features)
    started = time.process_time()
    whole = pooled_vectors(
        backbone, sources, spec.model, spec.features.model_copy(update={"precision": "float32"}), note=note
    )
    seconds = time.process_time() - started
    valid, main = parts["valid"], best.kind.judging.main
    truth = best.kind.judging.truth(list(labels_of(valid)), best.space)
    answers = [_answers(answering, parts["train"], vectors) for vectors in (rounded, whole)]
    figures = [estimate(main, truth, each, valid.groups) for each in answers]
    cosines = _cosines(rounded["valid"], whole["valid"])
    found = RoundingResult(
        metric=main.name,
        int8=figures[0],
        float32=figures[1],
        difference=paired_difference(main, truth, answers[0], answers[1], valid.groups),
        n=len(valid),
        train=len(parts["train"]),
        mean_cosine=float(cosines.mean()),
        least_cosine=float(cosines.min()),
        cpu_seconds=seconds,
        by=described(),
    )
    note(f"int8       {found.line}")
    return found


def _drawn(examples: Examples, most: int, seed: int) -> Examples:
    rows = np.random.default_rng(seed).permutation(len(examples))[:most]
    return examples.take(np.sort(rows))


def _answers(answering: Answering, train: Examples, vectors: dict[str, np.ndarray]) -> Any:
    """Solves a head on train's vectors with the strength of the run's own, and answers valid."""
    from kft.features.probe import ProbeRows, solve_at

    best = answering.best
    targets, learning = learned_targets(train, best.kind, best.space), best.kind.learning
    solved = [event for event in read_history(answering.run.history) if isinstance(event, ProbeSolved)]
    strength = solved[0].strength if solved else STRENGTH
    kernel, bias = solve_at(ProbeRows(vectors["train"], targets), learning.units(best.space), strength, learning.solver)
    return best.kind.judging.answers(vectors["valid"] @ kernel + bias, best.space, None)


def _cosines(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    lengths = np.linalg.norm(first, axis=1) * np.linalg.norm(second, axis=1)
    return (first * second).sum(axis=1) / np.maximum(lengths, np.finfo(np.float32).tiny)


def write_rounding(run: RunFolder, found: RoundingResult, checkpoint: str) -> None:
    """Writes rounding.json, with the hash of the checkpoint it belongs to.

    Raises:
        StorageError: The disk is full or the folder cannot be written.
    """
    write_document(run.rounding, replace(found, checkpoint=checkpoint))


def read_rounding(run: RunFolder, checkpoint: str) -> RoundingResult | None:
    """Returns what was measured for the checkpoint of this hash; None where there is nothing, or it is of another.

    Raises:
        RunError: The file is damaged.
    """
    found = read_if_there(RoundingResult, run.rounding)
    return found if found is not None and found.checkpoint == checkpoint else None
