"""The linear model on words that every run on texts is held against: no backbone, a second of work."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from kft.answer.calibration import fit_temperature
from kft.answer.decide import UNCHANGED
from kft.recipe.schema import RecipeSpec
from kft.split.data_split import Selection, labels_of
from kft.split.holdout import set_aside
from kft.split.labels import learned_targets
from kft.tasks.registry import TASKS
from kft.train.events import Watcher

MOST_ROWS = 20_000
"""Rows of train that it is fitted on: enough to say what words can do, and soon done."""


def why_no_linear(spec: RecipeSpec) -> str:
    """Says why a run has no linear model beside it; empty where it has one.

    Example:
        >>> why_no_linear(RecipeSpec.model_validate({"task": "image-classification", "data": {"train": "photos"}}))
        'a linear model on words reads texts alone; kft compare has one on thumbnails'
    """
    task = TASKS.get(spec.task)
    if not task.kind.one_class:
        return f"a linear model on words is held beside one class of many alone, not beside {spec.task}"
    if task.reads.files:
        return "a linear model on words reads texts alone; kft compare has one on thumbnails"
    return ""


def fit_linear(spec: RecipeSpec, split: Selection, watcher: Watcher) -> Callable[[Sequence[Any]], np.ndarray]:
    """Solves the linear model on train, chooses and calibrates by valid, and returns what answers.

    It is the approach ``linear`` of ``kft compare``. What abstention sets aside of valid it does not see.

    Args:
        spec: The recipe, of one class of many texts; see ``why_no_linear``.
        split: Train and valid.
        watcher: Told what was fitted.
    """
    from kft.features.ngrams import solve_words

    started = time.perf_counter()
    judging = split.kind.judging
    rows = np.random.default_rng(spec.seed).permutation(len(split.train))[:MOST_ROWS]
    train = split.train.take(np.sort(rows)) if len(rows) < len(split.train) else split.train
    valid = split.valid.take(np.flatnonzero(~set_aside(spec, split)))
    targets, valid_learned = (learned_targets(part, split.kind, split.space) for part in (train, valid))
    valid_truth = np.asarray(judging.truth(list(labels_of(valid)), split.space))
    assert spec.train.best is not None  # loading a recipe fills it in
    name = spec.train.best.removeprefix("valid_")
    metric, compared = judging.metrics.get(name), valid_truth
    if metric is None:
        by_loss = judging.by_loss(valid_truth, None if valid.shares is None else valid_learned)
        assert by_loss is not None  # of one class of many
        metric, compared = by_loss
    sign = 1 if metric.higher_is_better else -1
    found = solve_words(
        (train.inputs, targets),
        valid.inputs,
        len(split.labels),
        lambda answers: sign * metric.value(compared, answers),
    )
    calibrate = spec.evaluate.calibrate == "temperature"
    temperature = fit_temperature(valid_learned, found.answer(valid.inputs)) if calibrate else UNCHANGED
    seconds = time.perf_counter() - started
    part = "" if train is split.train else f" of {len(split.train):,}"
    watcher.note(
        f"linear     {found.ngrams:,} words and pairs of words, on {len(train):,}{part} rows of train; "
        f"C {found.strength:g}, chosen on valid; {seconds:.1f} s"
    )
    return lambda inputs: temperature.apply(found.answer(inputs))
