"""One class out of many."""

from __future__ import annotations

import bisect
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from kft.metrics.by_class import per_class
from kft.metrics.classification import METRICS, confusion_matrix
from kft.metrics.soft import SOFT_METRICS
from kft.recipe.schema import DataSpec
from kft.tasks.cells import as_text, kind_problem
from kft.tasks.decimals import as_number, comma_notes, number_problem, require_one_comma
from kft.tasks.decode import softmax
from kft.tasks.judgements import Judgements
from kft.tasks.label_cells import list_in
from kft.tasks.spelling import difference, spelled
from kft.tasks.task import AnswerKind, AnswerSpace, Judging, LabelColumn, Labelling, Learning, Objective, Offsets


@dataclass(frozen=True)
class Prediction:
    """One answer.

    Attributes:
        label: The most probable label.
        confidence: Its probability.
        abstain: Whether the model declines to answer: its confidence is below a threshold (``evaluate.abstain_at``,
            ``evaluate.threshold``), or the input looks foreign (``evaluate.out_of_scope``).
        probabilities: Every label's probability.
        why: Why it declines, in words; no part of the documented form.
        evidence: Of a text in windows those that decided; see ``kft.tasks.windows.evidence``.
    """

    KEYS: ClassVar = ("label", "confidence", "abstain", "probabilities", "evidence")

    label: str
    confidence: float
    abstain: bool
    probabilities: dict[str, float] = field(repr=False)  # of many labels, more than a screen
    why: str = ""
    evidence: tuple[dict[str, Any], ...] = field(default=(), repr=False, metadata={"absent": True})


def cross_entropy(targets: Any, logits: Any, label_smoothing: float = 0.0) -> Any:
    """Returns each example's cross-entropy in nats, with smoothed targets (Szegedy et al., 2016).

    Args:
        targets: ``int32[...]``, or shares of each class ``float32[..., classes]``.
        logits: ``float[..., classes]``.
        label_smoothing: This much of a target goes to all classes alike, also of shares.
    """
    import tensorflow as tf

    targets = tf.convert_to_tensor(targets)
    log_probabilities = tf.nn.log_softmax(tf.cast(logits, tf.float32))
    if targets.dtype.is_floating:
        picked = tf.reduce_sum(targets * log_probabilities, axis=-1)
    else:
        picked = tf.gather(log_probabilities, targets, axis=-1, batch_dims=len(targets.shape))
    uniform = tf.reduce_mean(log_probabilities, axis=-1)
    return -(1 - label_smoothing) * picked - label_smoothing * uniform


def _parse(cell: object, text: object, spec: DataSpec) -> tuple[str, str]:
    """Returns a name, or what bins make of a rating; a list of one name is that name, also a printed one.

    Of soft labels it is the class with the largest share; of several, one drawn by the text and ``data.split_seed``.
    """
    if isinstance(cell, Judgements):
        return cell.plurality(f"{spec.split_seed} {as_text(text)}"), ""
    try:
        several = list_in(cell)
    except ValueError as error:
        return "", str(error)
    if several is not None:
        if len(several) != 1:
            return "", f"label is a list of {len(several)} names: only a task for several labels reads that"
        (cell,) = several
    problem = kind_problem(cell, "label")
    label = "" if problem else spelled(cell)
    if problem or not label:
        return "", problem or "missing label"
    if spec.bins is None:
        return label, ""
    rating = as_number(label)
    if not math.isfinite(rating):
        return "", number_problem(label, "rating")
    return spec.bins.labels[bisect.bisect_right(spec.bins.edges, rating)], ""


def spelling_notes(found: Mapping[tuple[object, str], int]) -> tuple[str, ...]:
    """Says which labels are read in another spelling than the one they stand in.

    Args:
        found: Cells, and the label that each is read as, with how many there are.

    Example:
        >>> spelling_notes({("TRUE", "true"): 2, ("ok ", "ok"): 1})
        ("labels are read and answered in one spelling: 'TRUE' as 'true' (2)",)
    """
    counts: Counter[tuple[str, str]] = Counter()
    for (cell, label), count in found.items():
        if label and (text := as_text(cell).strip()) != label:
            counts[text, label] += count
    if not counts:
        return ()
    said = [
        f"{text[:40]!r} as {label[:40]!r} ({count:,})" if text.isascii() else f"{difference(text, label)} ({count:,})"
        for (text, label), count in counts.most_common(3)
    ]
    more = f" and {len(counts) - 3:,} more" if len(counts) > 3 else ""
    return ("labels are read and answered in one spelling: " + "; ".join(said) + more,)


def _settle(column: LabelColumn, spec: DataSpec) -> DataSpec:
    if spec.bins is not None:
        require_one_comma(column)
    return spec


def _notes(column: LabelColumn, spec: DataSpec) -> tuple[str, ...]:
    tied = sum(isinstance(cell, Judgements) and len(cell.leading) > 1 for cell in column.cells)
    if tied:
        return (_tied(tied, column),)
    if spec.bins is not None:
        return comma_notes(column)
    # By kind too: True and 1 are equal.
    cells = Counter((type(cell), cell) for cell in column.cells if pd.api.types.is_scalar(cell))
    read: Counter[tuple[object, str]] = Counter()
    for (kind, cell), count in cells.items():
        # A dictionary keeps the first of equal keys, which can be of another kind.
        read[str(cell) if kind is bool else cell, _parse(cell, "", spec)[0]] += count
    return spelling_notes(read)


def _tied(tied: int, column: LabelColumn) -> str:
    return (
        f"{tied:,} of {len(column.cells):,} labels are ties: which of the classes they count as is drawn by "
        "data.split_seed and the input; what is learned are the shares"
    )


def _targets(labels: Sequence[str], space: AnswerSpace, offsets: Offsets = None) -> np.ndarray:
    """Returns ``int32[n]``: each example's position in the labels."""
    positions = {label: position for position, label in enumerate(space.labels)}
    return np.array([positions[label] for label in labels], dtype=np.int32)


def _objective(space: AnswerSpace, label_smoothing: float) -> Objective:
    """Cross-entropy; hits are right answers."""
    import tensorflow as tf

    def hits(targets: Any, outputs: Any) -> Any:
        return tf.cast(tf.equal(tf.argmax(outputs, axis=1, output_type=tf.int32), targets), tf.float32)

    return Objective(lambda targets, outputs: cross_entropy(targets, outputs, label_smoothing), hits)


def _soft_objective(space: AnswerSpace, label_smoothing: float) -> Objective:
    """Cross-entropy against shares; hits are answers of the class with the largest share."""
    import tensorflow as tf

    def hits(targets: Any, outputs: Any) -> Any:
        return tf.cast(tf.equal(tf.argmax(outputs, axis=1), tf.argmax(targets, axis=1)), tf.float32)

    def losses(targets: Any, outputs: Any) -> Any:
        return cross_entropy(targets, outputs, label_smoothing)

    return Objective(losses, hits, (len(space.labels),), "float32")


def _loss(targets: np.ndarray, outputs: np.ndarray, space: AnswerSpace) -> float:
    """Returns the mean cross-entropy in nats, against classes or against shares."""
    probabilities = softmax(outputs)
    if targets.ndim == 2:
        return SOFT_METRICS["soft_log_loss"].value(targets, probabilities)
    return METRICS["log_loss"].value(targets, probabilities)


def _shares(labels: Sequence[str], space: AnswerSpace) -> list[float]:
    counts = np.bincount(_targets(labels, space), minlength=len(space.labels))
    return (counts / counts.sum()).tolist()


def constant_shares(shares: Sequence[float], space: AnswerSpace, n: int) -> np.ndarray:
    """Returns ``float64[n, labels]``: every label as probable as it is frequent."""
    return np.tile(np.array(shares), (n, 1))


def _prediction(answer: np.ndarray, space: AnswerSpace, text: str = "") -> Prediction:
    best = int(answer.argmax())
    return Prediction(
        label=space.labels[best],
        confidence=float(answer[best]),
        abstain=False,
        probabilities={label: float(value) for label, value in zip(space.labels, answer, strict=True)},
    )


def _row(truth: Any, answer: np.ndarray, space: AnswerSpace) -> tuple[str, str, str]:
    return space.labels[int(truth)], space.labels[int(answer.argmax())], f"{answer.max():.6f}"


CLASSES = AnswerKind(
    # Labels are names; targets are ``int32[n]``, answers probabilities ``float64[n, classes]``.
    labels=Labelling(
        form="class",
        parse=_parse,
        space=lambda labels: AnswerSpace(tuple(sorted(set(labels)))),
        lack=lambda space: "" if len(space.labels) > 1 else "one class only: there is nothing to tell apart",
        strata=lambda labels: np.array(labels, dtype=object),
        names=lambda label: (label,),
        settle=_settle,
        notes=_notes,
        renamed=lambda label, new: new.get(label, label),
        noun="classes",
    ),
    learning=Learning(
        head="classification",
        solver="softmax",
        hits_name="accuracy",
        units=lambda space: len(space.labels),
        targets=_targets,
        objective=_objective,
        loss=_loss,
        soft=_soft_objective,
    ),
    judging=Judging(
        metrics=METRICS,
        baseline_name="majority",
        answers=lambda outputs, space, offsets: softmax(np.asarray(outputs)),
        truth=_targets,
        constant=constant_shares,
        prediction=_prediction,
        given=lambda document: Prediction(**{**document, "evidence": tuple(document.get("evidence", ()))}),
        row=_row,
        shares=_shares,
        by_label=lambda truth, answers, space, groups: per_class(truth, answers, space.labels, groups),
        confusion=lambda truth, answers, space: confusion_matrix(truth, answers.argmax(axis=1), len(space.labels)),
        gates=(
            "slices.worst.accuracy",
            "slices.worst.log_loss",
            "calibration.brier",
            "selective.coverage",
            "selective.error",
            "selective.aurc",
            "edge_cases.pass_rate",
            *SOFT_METRICS,
        ),
        soft=SOFT_METRICS,
        of_slices=("accuracy", "log_loss"),
        confidence=lambda answers: answers.max(axis=1),
        as_label=lambda prediction: prediction.label,
    ),
    objectives=("own", "contrastive"),
    keys=(
        "data.bins",
        "data.unlabelled",
        "train.teacher",
        "train.class_weight",
        "train.label_smoothing",
        "evaluate.suite",
        "evaluate.abstain_at",
        "evaluate.threshold",
        "evaluate.out_of_scope",
    ),
)
