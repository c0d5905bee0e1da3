"""Any number of labels for each example."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from kft.metrics.by_class import class_row
from kft.metrics.multi_label import METRICS, THRESHOLD
from kft.metrics.proportions import Groups, group_codes
from kft.recipe.schema import DataSpec
from kft.records.metrics import ClassRow
from kft.tasks.cells import as_text, kind_problem
from kft.tasks.classes import constant_shares
from kft.tasks.decode import sigmoid
from kft.tasks.task import AnswerKind, AnswerSpace, Judging, LabelColumn, Labelling, Learning, Objective, Offsets

SEPARATORS = ("|", ";", ",")
"""Looked for in this order, in all cells, where the recipe names none."""


@dataclass(frozen=True)
class LabelsPrediction:
    """One answer.

    Attributes:
        labels: Those with a probability of one half or more.
        confidence: How probable it is that every label is as said, were they independent.
        abstain: Whether the model declines to answer; always False until an abstention threshold is set.
        probabilities: Every label's probability.
    """

    labels: list[str]
    confidence: float
    abstain: bool
    probabilities: dict[str, float]


def _parse(cell: object, text: object, spec: DataSpec) -> tuple[tuple[str, ...], str]:
    """Reads a list (of JSON lines, or JSON in a cell), or names between separators; empty says that no label fits."""
    values = cell
    if not isinstance(values, (list, tuple)):
        problem = kind_problem(cell, "label")
        if problem:
            return (), problem
        values = split_names(as_text(cell), spec.label_separator or SEPARATORS[0])
    for value in values:
        problem = kind_problem(value, "label")
        if problem:
            return (), problem
    return tuple(sorted({as_text(value).strip() for value in values} - {""})), ""


def _settle(column: LabelColumn, spec: DataSpec) -> DataSpec:
    """Chooses the separator that parts the cells, one for all of them."""
    if spec.label_separator is not None:
        return spec
    plain = [cell for cell in column.cells if isinstance(cell, str) and not cell.lstrip().startswith("[")]
    used = next((mark for mark in SEPARATORS if any(mark in cell for cell in plain)), SEPARATORS[0])
    return spec.model_copy(update={"label_separator": used})


def _written(label: Sequence[str]) -> str:
    return json.dumps(list(label), ensure_ascii=False)


def _strata(labels: Sequence[Sequence[str]]) -> np.ndarray:
    """Each example's rarest label, so that every split has its share of the rare ones."""
    counts = Counter(name for label in labels for name in label)
    return np.array([min(label, key=lambda n: (counts[n], n)) if label else "" for label in labels], dtype=object)


def _targets(labels: Sequence[Sequence[str]], space: AnswerSpace, offsets: Offsets = None) -> np.ndarray:
    """Returns ``float32[n, labels]`` of 0 and 1."""
    positions = {label: position for position, label in enumerate(space.labels)}
    found = np.zeros((len(labels), len(positions)), np.float32)
    for row, label in enumerate(labels):
        found[row, [positions[name] for name in label]] = 1
    return found


def _objective(space: AnswerSpace, label_smoothing: float) -> Objective:
    """The mean over the labels of binary cross-entropy; hits are the share of labels that are as said."""
    import tensorflow as tf

    def losses(targets: Any, outputs: Any) -> Any:
        logits = tf.cast(outputs, tf.float32)
        return tf.reduce_mean(tf.nn.sigmoid_cross_entropy_with_logits(labels=targets, logits=logits), axis=1)

    def hits(targets: Any, outputs: Any) -> Any:
        return tf.reduce_mean(tf.cast(tf.equal(outputs >= 0, targets > 0.5), tf.float32), axis=1)

    return Objective(losses, hits, (len(space.labels),), "float32")


def _loss(targets: np.ndarray, outputs: np.ndarray, space: AnswerSpace) -> float:
    """Returns the mean binary cross-entropy in nats."""
    logits = np.asarray(outputs, np.float64)
    return float((np.logaddexp(0, logits) - logits * targets).mean())


def _prediction(answer: np.ndarray, space: AnswerSpace, text: str = "") -> LabelsPrediction:
    said = answer >= THRESHOLD
    return LabelsPrediction(
        labels=[label for label, there in zip(space.labels, said, strict=True) if there],
        confidence=float(np.where(said, answer, 1 - answer).prod()),
        abstain=False,
        probabilities={label: float(value) for label, value in zip(space.labels, answer, strict=True)},
    )


def _by_label(truth: np.ndarray, answers: np.ndarray, space: AnswerSpace, groups: Groups | None) -> list[ClassRow]:
    there, said, codes = truth > 0, answers >= THRESHOLD, group_codes(groups, len(truth))
    columns = zip(space.labels, (there & said).T, there.T, said.T, strict=True)
    return [class_row(*column, codes) for column in columns]


def _row(truth: np.ndarray, answer: np.ndarray, space: AnswerSpace) -> tuple[str, str, str]:
    """Two JSON lists, and how probable it is that all labels are as said."""
    there = [label for label, value in zip(space.labels, truth, strict=True) if value]
    said = _prediction(answer, space)
    return _written(there), _written(said.labels), f"{said.confidence:.6f}"


def split_names(text: str, separator: str) -> list[object]:
    """Returns the names in a cell: a JSON list, or what the separator parts.

    Example:
        >>> split_names("billing; refund", ";"), split_names('["a; b"]', ";"), split_names("", ";")
        (['billing', ' refund'], ['a; b'], [])
    """
    if text.lstrip().startswith("["):
        try:
            found = json.loads(text)
        except ValueError:
            found = None
        if isinstance(found, list):
            return found
    return list(text.split(separator)) if text.strip() else []


LABELS = AnswerKind(
    # Labels are tuples of names, also empty ones; answers are probabilities ``float64[n, labels]``.
    labels=Labelling(
        form="set",
        parse=_parse,
        space=lambda labels: AnswerSpace(tuple(sorted({name for label in labels for name in label}))),
        lack=lambda space: "" if space.labels else "no label in any row: there is nothing to learn",
        strata=_strata,
        names=tuple,
        written=_written,
        settle=_settle,
    ),
    learning=Learning(
        head="multi-label",
        solver="sigmoid",
        hits_name="binary_accuracy",
        units=lambda space: len(space.labels),
        targets=_targets,
        objective=_objective,
        loss=_loss,
    ),
    judging=Judging(
        metrics=METRICS,
        baseline_name="majority",
        answers=lambda outputs, space, offsets: sigmoid(outputs),
        truth=_targets,
        constant=constant_shares,
        prediction=_prediction,
        row=_row,
        shares=lambda labels, space: _targets(labels, space).mean(axis=0, dtype=np.float64).tolist(),
        by_label=_by_label,
    ),
    keys=("data.label_separator",),
)
