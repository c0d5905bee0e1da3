"""One class out of many."""

from __future__ import annotations

import bisect
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from kft.metrics.classification import METRICS, confusion_matrix, per_class, softmax
from kft.metrics.metric import Metric
from kft.recipe.schema import DataSpec
from kft.records.metrics import ClassRow
from kft.tasks.cells import as_text, kind_problem
from kft.tasks.task import AnswerSpace, Objective


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
    """

    label: str
    confidence: float
    abstain: bool
    probabilities: dict[str, float]
    why: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Returns the documented form."""
        return {
            "label": self.label,
            "confidence": self.confidence,
            "abstain": self.abstain,
            "probabilities": self.probabilities,
        }


def cross_entropy(targets: Any, logits: Any, label_smoothing: float = 0.0) -> Any:
    """Returns each example's cross-entropy in nats, with smoothed targets (Szegedy et al., 2016)."""
    import tensorflow as tf

    log_probabilities = tf.nn.log_softmax(tf.cast(logits, tf.float32))
    picked = tf.gather(log_probabilities, targets, axis=-1, batch_dims=len(targets.shape))
    uniform = tf.reduce_mean(log_probabilities, axis=-1)
    return -(1 - label_smoothing) * picked - label_smoothing * uniform


class Classes:
    """Answers with probabilities ``float64[n, classes]``; targets are ``int32[n]``."""

    name = "classes"
    head = "classification"
    per_token = False
    solver = "softmax"
    baseline_name = "majority"
    hits_name = "accuracy"
    metrics: Mapping[str, Metric] = METRICS

    def parse(self, cell: object, text: object, spec: DataSpec) -> tuple[str, str]:
        """A name, or a rating that bins turn into one."""
        problem = kind_problem(cell, "label")
        label = "" if problem else as_text(cell).strip()
        if problem or not label:
            return "", problem or "missing label"
        if spec.bins is None:
            return label, ""
        rating = as_number(label)
        if not math.isfinite(rating):
            return "", f"rating is no finite number: {label[:20]!r}"
        return spec.bins.labels[bisect.bisect_right(spec.bins.edges, rating)], ""

    def settle(self, cells: Sequence[object], spec: DataSpec) -> DataSpec:
        """Nothing is open."""
        return spec

    def written(self, label: str) -> str:
        """As it is."""
        return label

    def strata(self, labels: Sequence[str]) -> np.ndarray:
        """The classes."""
        return np.array(labels, dtype=object)

    def space(self, labels: Sequence[str]) -> AnswerSpace:
        """All classes that occur, sorted."""
        return AnswerSpace(tuple(sorted(set(labels))))

    def names(self, label: str) -> tuple[str, ...]:
        """The class."""
        return (label,)

    def lack(self, space: AnswerSpace) -> str:
        """Two classes at least."""
        return "" if len(space.labels) > 1 else "one class only: there is nothing to tell apart"

    def units(self, space: AnswerSpace) -> int:
        """One a class."""
        return len(space.labels)

    def targets(
        self, labels: Sequence[str], space: AnswerSpace, offsets: Sequence[np.ndarray] | None = None
    ) -> np.ndarray:
        """``int32[n]``: each example's position in the labels."""
        positions = {label: position for position, label in enumerate(space.labels)}
        return np.array([positions[label] for label in labels], dtype=np.int32)

    def truth(self, labels: Sequence[str], space: AnswerSpace) -> np.ndarray:
        """The targets."""
        return self.targets(labels, space)

    def objective(self, space: AnswerSpace, label_smoothing: float) -> Objective:
        """Cross-entropy; hits are right answers."""
        import tensorflow as tf

        def hits(targets: Any, outputs: Any) -> Any:
            return tf.cast(tf.equal(tf.argmax(outputs, axis=1, output_type=tf.int32), targets), tf.float32)

        return Objective(lambda targets, outputs: cross_entropy(targets, outputs, label_smoothing), hits)

    def loss(self, targets: np.ndarray, outputs: np.ndarray, space: AnswerSpace) -> float:
        """Mean cross-entropy in nats."""
        return METRICS["log_loss"].value(targets, softmax(outputs))

    def answers(
        self, outputs: np.ndarray, space: AnswerSpace, offsets: Sequence[np.ndarray] | None = None
    ) -> np.ndarray:
        """The softmax of the logits."""
        return softmax(np.asarray(outputs))

    def shares(self, labels: Sequence[str], space: AnswerSpace) -> list[float]:
        """Each class's share."""
        counts = np.bincount(self.targets(labels, space), minlength=len(space.labels))
        return (counts / counts.sum()).tolist()

    def constant(self, shares: Sequence[float], space: AnswerSpace, n: int) -> np.ndarray:
        """The shares as probabilities."""
        return np.tile(np.array(shares), (n, 1))

    def prediction(self, answer: np.ndarray, space: AnswerSpace, text: str = "") -> Prediction:
        """The most probable label, and all probabilities."""
        best = int(answer.argmax())
        return Prediction(
            label=space.labels[best],
            confidence=float(answer[best]),
            abstain=False,
            probabilities={label: float(value) for label, value in zip(space.labels, answer, strict=True)},
        )

    def by_label(self, truth: np.ndarray, answers: np.ndarray, space: AnswerSpace) -> list[ClassRow]:
        """Each class by itself."""
        return per_class(truth, answers, space.labels)

    def confusion(self, truth: np.ndarray, answers: np.ndarray, space: AnswerSpace) -> np.ndarray:
        """Targets down, predictions across."""
        return confusion_matrix(truth, answers.argmax(axis=1), len(space.labels))

    def row(self, truth: Any, answer: np.ndarray, space: AnswerSpace) -> tuple[str, str, str]:
        """Names, and the probability of the one that is said."""
        return space.labels[int(truth)], space.labels[int(answer.argmax())], f"{answer.max():.6f}"


def as_number(text: str) -> float:
    """Returns a cell's number, NaN where it is none.

    Example:
        >>> as_number("1.5"), as_number("1_000")
        (1.5, nan)
    """
    try:
        # Python reads 1_000 as a number; a table that holds it means something else.
        return math.nan if "_" in text else float(text)
    except ValueError:
        return math.nan


CLASSES = Classes()
