"""A number for each example."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from kft.metrics.regression import METRICS, undefined
from kft.recipe.schema import DataSpec
from kft.records.fields import absent, unwritten
from kft.tasks.cells import as_text, kind_problem
from kft.tasks.decimals import as_number, comma_notes, number_problem, require_one_comma
from kft.tasks.decode import in_units
from kft.tasks.task import (
    OTHERS,
    AnswerKind,
    AnswerSpace,
    Judging,
    LabelColumn,
    Labelling,
    Learning,
    Objective,
    Offsets,
)

STRATA = 10


@dataclass(frozen=True)
class NumberPrediction:
    """One answer.

    Attributes:
        value: The number, in the units of the training labels.
        abstain: Whether the model declines to answer: the input looks foreign (``evaluate.out_of_scope``), or the
            interval is too wide (``evaluate.interval``).
        interval: The ends of where the right number lies as often as ``evaluate.interval`` promises; None without.
        evidence: Of a text in windows those that decided; see ``kft.tasks.windows.number_evidence``.
        why: Why it declines, in words; no part of the documented form.
    """

    value: float
    abstain: bool
    interval: tuple[float, float] | None = absent()
    evidence: tuple[dict[str, Any], ...] = field(default=(), repr=False, metadata={"absent": True})
    why: str = unwritten("")


def _parse(cell: object, text: object, spec: DataSpec) -> tuple[float, str]:
    problem = kind_problem(cell, "label")
    label = "" if problem else as_text(cell).strip()
    if problem or not label:
        return math.nan, problem or "missing label"
    value = as_number(label)
    return value, "" if math.isfinite(value) else number_problem(label, "label")


def _settle(column: LabelColumn, spec: DataSpec) -> DataSpec:
    require_one_comma(column)
    return spec


def _strata(labels: Sequence[float]) -> np.ndarray:
    """Tenths of the numbers in order, so that each split sees the whole range."""
    values = np.array(labels, np.float64)
    limits = np.unique(np.quantile(values, np.linspace(0, 1, STRATA + 1)[1:-1]))
    return np.array([f"{place:02d}" for place in np.searchsorted(limits, values, side="right")], dtype=object)


def _space(labels: Sequence[float]) -> AnswerSpace:
    values = np.array(labels, np.float64)
    return AnswerSpace((), float(values.mean()), float(values.std()))


def _targets(labels: Sequence[float], space: AnswerSpace, offsets: Offsets = None) -> np.ndarray:
    """Returns ``float32[n, 1]``, standardised: learning rates mean the same then, whatever the labels' units."""
    values = (np.array(labels, np.float64) - space.mean) / space.std
    return values.astype(np.float32)[:, None]


def _objective(space: AnswerSpace, label_smoothing: float) -> Objective:
    """Squared error of standardised numbers: 1 is what the mean reaches. Hits are absolute errors in own units."""
    import tensorflow as tf

    def losses(targets: Any, outputs: Any) -> Any:
        return tf.reduce_sum(tf.square(tf.cast(outputs, tf.float32) - targets), axis=1)

    def hits(targets: Any, outputs: Any) -> Any:
        return tf.reduce_sum(tf.abs(tf.cast(outputs, tf.float32) - targets), axis=1) * space.std

    return Objective(losses, hits, (1,), "float32")


def _prediction(answer: Any, space: AnswerSpace, text: str = "") -> NumberPrediction:
    found = NumberPrediction(float(answer), abstain=False)
    if space.interval is None:
        return found
    low, high = space.interval.bounds(np.array([answer]))[0].tolist()
    return replace(found, interval=(low, high))


def _given(document: Mapping[str, Any]) -> NumberPrediction:
    ends, told = document.get("interval"), tuple(document.get("evidence", ()))
    return NumberPrediction(**{**document, "interval": tuple(ends) if ends else None, "evidence": told})


NUMBERS = AnswerKind(
    # Labels are floats; answers are ``float64[n]``.
    labels=Labelling(
        form="number",
        parse=_parse,
        space=_space,
        # A number that never changes has no deviation to learn.
        lack=lambda space: "" if space.std > 0 else "one number only: there is nothing to learn",
        strata=_strata,
        written=lambda label: repr(float(label)),
        settle=_settle,
        notes=lambda column, spec: comma_notes(column),
    ),
    learning=Learning(
        head="regression",
        solver="squared",
        hits_name="mae",
        units=lambda space: 1,
        targets=_targets,
        objective=_objective,
        loss=lambda targets, outputs, space: float(((np.asarray(outputs, np.float64) - targets) ** 2).mean()),
    ),
    judging=Judging(
        metrics=METRICS,
        baseline_name="mean",
        answers=lambda outputs, space, offsets: in_units(outputs, space.mean, space.std),
        truth=lambda labels, space: np.array(labels, np.float64),
        constant=lambda shares, space, n: np.full(n, space.mean),
        prediction=_prediction,
        given=_given,
        row=lambda truth, answer, space: (f"{float(truth):.6g}", f"{float(answer):.6g}", ""),
        gates=("slices.worst.mae", "edge_cases.pass_rate", "interval.covered", "interval.width", "interval.answered"),
        as_label=lambda prediction: float(prediction.value),
        undefined=undefined,
    ),
    keys=("evaluate.suite", "evaluate.out_of_scope", "evaluate.interval"),
    refuses={"compare": OTHERS},
)
