"""What the second half of the training rows brought to an approach that was trained: it is trained again on one half.

Two points show a slope and carry no further: a curve through them could bend in any way between once and twice the
rows. So the gain is said, with its paired interval on valid, and nothing is carried on.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from kft.compare.answered import answer_labelled
from kft.compare.approaches import APPROACHES
from kft.compare.saved import FittedApproach, Saved
from kft.compare.setting import Setting
from kft.data.examples import Examples
from kft.errors import UsageError
from kft.features.growth import nested
from kft.metrics.intervals import paired_difference
from kft.records.compare import Slope
from kft.split.data_split import labels_of

FEWEST_ROWS = 2
"""Training rows a class, in the half: with fewer it says nothing of how training goes on."""


def trained_names() -> list[str]:
    """Returns the approaches that are trained on train alone, cheapest first."""
    return [approach.name for approach in APPROACHES if approach.passes]


def require_trained(names: list[str] | None) -> None:
    """Refuses a curve of what is trained where nothing that trains was asked for.

    Raises:
        UsageError: None of these is trained.
    """
    if names is not None and not set(names) & set(trained_names()):
        raise UsageError(
            "nothing that is trained is among the approaches, so that it has no learning curve",
            where="--curve tuned",
            received=", ".join(names),
            expected="one of " + ", ".join(trained_names()) + " at least",
            next_step="name one in --approaches, or leave --curve out",
        )


def with_slope(setting: Setting, fitted: Mapping[str, FittedApproach], saved: Saved) -> dict[str, FittedApproach]:
    """Trains the best by valid of those that are trained once more, on half of the rows; the others stay as they are.

    Args:
        setting: Of all approaches.
        fitted: What they came to.
        saved: Keeps what is found, for a call that goes on from there.
    """
    sign = 1 if setting.metric.higher_is_better else -1
    truth = setting.truth(setting.split.valid)
    values = {
        name: sign * setting.metric.value(truth, fitted[name].valid) for name in trained_names() if name in fitted
    }
    if not values:
        setting.progress.note("\nhalf       nothing that is trained was fitted: there is no slope of it")
        return dict(fitted)
    name = max(values, key=lambda each: values[each])
    if fitted[name].slope is not None:
        return dict(fitted)
    if why := why_no_half(setting):
        setting.progress.note(f"\nhalf       {name} is not trained on half of the rows: {why}")
        return dict(fitted)
    found = replace(fitted[name], slope=_slope(setting, fitted[name]))
    saved.keep(found)
    return {**fitted, name: found}


def why_no_half(setting: Setting) -> str:
    """Says why half of the rows would say nothing; empty where it would."""
    half = setting.rows_per_class / 2
    return f"half is {half:.1f} training rows a class" if half < FEWEST_ROWS else ""


def half_of(setting: Setting) -> Examples:
    """Returns half of the training rows: each class, or kind of label, by its share, and groups whole but for one."""
    train, groups = setting.split.train, setting.judged.folding.groups
    strata = np.unique(setting.task.kind.labels.strata(list(labels_of(train))), return_inverse=True)[1]
    order = nested(strata, None if groups is None else groups[: len(train)], np.random.default_rng(setting.spec.seed))
    return train.take(np.sort(order[: round(len(train) / 2)]))


def _slope(setting: Setting, whole: FittedApproach) -> Slope:
    half, valid, metric = half_of(setting), setting.split.valid, setting.metric
    rows = len(setting.split.train)
    setting.progress.note(f"\n{whole.name:<10} once more, on {len(half):,} of {rows:,} training rows")
    began = time.perf_counter()
    other = Setting(setting.spec, replace(setting.split, train=half, copies=None), setting.progress)
    answers = answer_labelled(other, whole.name, APPROACHES.get(whole.name).fit(other)).valid
    truth = setting.truth(valid)
    return Slope(
        sizes=(len(half), rows),
        values=(metric.value(truth, answers), metric.value(truth, whole.valid)),
        gain=paired_difference(metric, truth, whole.valid, answers, groups=valid.groups),
        rows=len(valid),
        seconds=time.perf_counter() - began,
    )
