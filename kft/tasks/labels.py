"""Any number of labels for each example."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from kft.errors import DataError
from kft.metrics.by_class import class_row
from kft.metrics.multi_label import METRICS, THRESHOLD
from kft.metrics.proportions import Groups, group_codes
from kft.recipe.schema import DataSpec
from kft.records.fields import unwritten
from kft.records.metrics import ClassRow
from kft.tasks.cells import as_text, kind_problem
from kft.tasks.classes import constant_shares, spelling_notes
from kft.tasks.decode import sigmoid
from kft.tasks.label_cells import CLOSED, list_in, names_in
from kft.tasks.marks import is_mark
from kft.tasks.spelling import spelled
from kft.tasks.task import (
    NO_RECALL,
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

SEPARATORS = ("|", ";", ",")
"""Looked for in this order, in all cells, where the recipe names none."""
MARKED = ("", "0", "1", "true", "false")
VECTOR = re.compile(r"[01](?:\s*[\s,;|]?\s*[01])+")


@dataclass(frozen=True)
class LabelsPrediction:
    """One answer.

    Attributes:
        labels: Those with a probability of one half or more, or of their own threshold (``evaluate.label_thresholds``).
        confidence: How probable it is that every label is as said, were they independent.
        abstain: Whether the model declines to answer: the input looks foreign (``evaluate.out_of_scope``).
        probabilities: Every label's probability.
        evidence: Of a text in windows those that decided; see ``kft.tasks.windows.evidence``.
        why: Why it declines, in words; no part of the documented form.
    """

    labels: list[str]
    confidence: float
    abstain: bool
    probabilities: dict[str, float]
    evidence: tuple[dict[str, Any], ...] = field(default=(), repr=False, metadata={"absent": True})
    why: str = unwritten("")


def _parse(cell: object, text: object, spec: DataSpec) -> tuple[tuple[str, ...], str]:
    """Reads a list, also a printed one, or names between separators; empty says that no label fits."""
    try:
        values = names_in(cell, spec.label_separator or SEPARATORS[0])
    except ValueError as error:
        return (), str(error)
    for value in values:
        problem = kind_problem(value, "label")
        if problem:
            return (), problem
    return tuple(sorted({spelled(value) for value in values} - {""})), ""


def _settle(column: LabelColumn, spec: DataSpec) -> DataSpec:
    """Chooses the separator that parts the cells, one for all of them.

    Raises:
        DataError: The cells say yes and no, and of what is not known.
    """
    _refuse_marks(column, spec)
    if spec.label_separator is not None:
        return spec
    plain = [cell for cell in column.cells if isinstance(cell, str) and cell.lstrip()[:1] not in CLOSED]
    used = next((mark for mark in SEPARATORS if any(mark in cell for cell in plain)), SEPARATORS[0])
    return spec.model_copy(update={"label_separator": used})


def _refuse_marks(column: LabelColumn, spec: DataSpec) -> None:
    """Refuses vectors of 0 and 1, and single marks: no name of a label stands in them."""
    if len(column.cells) < 2:
        return
    vectors = []
    for cell in column.cells:
        try:
            names = list_in(cell)
        except ValueError:
            return
        several = [spelled(name) for name in names] if names is not None else [spelled(cell)]
        if names is None and VECTOR.fullmatch(several[0]):
            several = re.findall("[01]", several[0])
        if not all(name in MARKED or (names is None and len(several) == 1 and is_mark(name)) for name in several):
            return
        if any(several):
            vectors.append(several)
    lengths = {len(each) for each in vectors}
    if not vectors or (lengths != {1} and (len(lengths) > 1 or all(len(set(each)) == len(each) for each in vectors))):
        return  # {0}, {1}, {0, 1} can be names
    single = lengths == {1}
    raise DataError(
        "the cells say yes and no, not which label" if single else "labels are vectors of 0 and 1, without names",
        where=column.where,
        received=repr(next(cell for cell in column.cells if as_text(cell).strip()))[:60]
        if single
        else f"{lengths.pop()} places a row, such as {vectors[0][:12]}",
        expected="names of labels; or, where each label has a column of its own, all of these columns",
        next_step="data.label: [COLUMN, COLUMN] in the recipe names one column a label; kft init FILE --task "
        "text-multi-label (or image-multi-label) finds them",
    )


def _notes(column: LabelColumn, spec: DataSpec) -> tuple[str, ...]:
    separator = _settle(column, spec).label_separator or SEPARATORS[0]
    found: Counter[tuple[object, str]] = Counter()
    for cell in column.cells:
        try:
            names = names_in(cell, separator)
        except ValueError:
            continue
        found.update((as_text(name), spelled(name)) for name in names if not kind_problem(name, "label"))
    return spelling_notes(found)


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
    said = answer >= (np.array(space.thresholds) if space.thresholds else THRESHOLD)
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
        notes=_notes,
        renamed=lambda label, new: tuple(sorted({new.get(name, name) for name in label})),
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
        given=lambda document: LabelsPrediction(**{**document, "evidence": tuple(document.get("evidence", ()))}),
        row=_row,
        shares=lambda labels, space: _targets(labels, space).mean(axis=0, dtype=np.float64).tolist(),
        by_label=_by_label,
        gates=("slices.worst.micro_f1", "edge_cases.pass_rate"),
        as_label=lambda prediction: tuple(sorted(prediction.labels)),
        undefined=lambda truth: "" if np.any(truth) else f"no row has a label: {NO_RECALL}",
    ),
    keys=("data.label_separator", "evaluate.label_thresholds", "evaluate.suite", "evaluate.out_of_scope"),
    refuses={"compare": OTHERS},
)
