"""Any number of labels for each example."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from kft.metrics.classification import class_rows
from kft.metrics.metric import Metric
from kft.metrics.multi_label import METRICS, THRESHOLD
from kft.recipe.schema import DataSpec
from kft.records.metrics import ClassRow
from kft.tasks.cells import as_text, kind_problem
from kft.tasks.task import AnswerSpace, Objective

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

    def as_dict(self) -> dict[str, Any]:
        """Returns the documented form."""
        return {
            "labels": self.labels,
            "confidence": self.confidence,
            "abstain": self.abstain,
            "probabilities": self.probabilities,
        }


class Labels:
    """Answers with probabilities ``float64[n, labels]``; targets are 0 or 1, ``float32[n, labels]``.

    An empty cell says that no label fits, which is an answer like any other.
    """

    name = "labels"
    head = "multi-label"
    per_token = False
    solver = "sigmoid"
    baseline_name = "majority"
    hits_name = "binary_accuracy"
    metrics: Mapping[str, Metric] = METRICS

    def parse(self, cell: object, text: object, spec: DataSpec) -> tuple[tuple[str, ...], str]:
        """A list (of JSON lines, or JSON in a cell), or names between separators."""
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

    def settle(self, cells: Sequence[object], spec: DataSpec) -> DataSpec:
        """Chooses the separator that parts the cells, one for all of them."""
        if spec.label_separator is not None:
            return spec
        plain = [cell for cell in cells if isinstance(cell, str) and not cell.lstrip().startswith("[")]
        used = next((mark for mark in SEPARATORS if any(mark in cell for cell in plain)), SEPARATORS[0])
        return spec.model_copy(update={"label_separator": used})

    def written(self, label: Sequence[str]) -> str:
        """A JSON list."""
        return json.dumps(list(label), ensure_ascii=False)

    def strata(self, labels: Sequence[Sequence[str]]) -> np.ndarray:
        """Each example's rarest label, so that every split has its share of the rare ones."""
        counts = Counter(name for label in labels for name in label)
        return np.array([min(label, key=lambda n: (counts[n], n)) if label else "" for label in labels], dtype=object)

    def space(self, labels: Sequence[Sequence[str]]) -> AnswerSpace:
        """All labels that occur, sorted."""
        return AnswerSpace(tuple(sorted({name for label in labels for name in label})))

    def names(self, label: Sequence[str]) -> tuple[str, ...]:
        """All of the example's."""
        return tuple(label)

    def lack(self, space: AnswerSpace) -> str:
        """One label at least."""
        return "" if space.labels else "no label in any row: there is nothing to learn"

    def units(self, space: AnswerSpace) -> int:
        """One a label."""
        return len(space.labels)

    def targets(
        self, labels: Sequence[Sequence[str]], space: AnswerSpace, offsets: Sequence[np.ndarray] | None = None
    ) -> np.ndarray:
        """``float32[n, labels]``."""
        positions = {label: position for position, label in enumerate(space.labels)}
        found = np.zeros((len(labels), len(positions)), np.float32)
        for row, label in enumerate(labels):
            found[row, [positions[name] for name in label]] = 1
        return found

    def truth(self, labels: Sequence[Sequence[str]], space: AnswerSpace) -> np.ndarray:
        """The targets."""
        return self.targets(labels, space)

    def objective(self, space: AnswerSpace, label_smoothing: float) -> Objective:
        """The mean over the labels of binary cross-entropy; hits are the share of labels that are as said."""
        import tensorflow as tf

        def losses(targets: Any, outputs: Any) -> Any:
            logits = tf.cast(outputs, tf.float32)
            return tf.reduce_mean(tf.nn.sigmoid_cross_entropy_with_logits(labels=targets, logits=logits), axis=1)

        def hits(targets: Any, outputs: Any) -> Any:
            return tf.reduce_mean(tf.cast(tf.equal(outputs >= 0, targets > 0.5), tf.float32), axis=1)

        return Objective(losses, hits, (len(space.labels),), "float32")

    def loss(self, targets: np.ndarray, outputs: np.ndarray, space: AnswerSpace) -> float:
        """Mean binary cross-entropy in nats."""
        logits = np.asarray(outputs, np.float64)
        return float((np.logaddexp(0, logits) - logits * targets).mean())

    def answers(
        self, outputs: np.ndarray, space: AnswerSpace, offsets: Sequence[np.ndarray] | None = None
    ) -> np.ndarray:
        """The logistic function of the logits."""
        return np.exp(-np.logaddexp(0, -np.asarray(outputs, np.float64)))

    def shares(self, labels: Sequence[Sequence[str]], space: AnswerSpace) -> list[float]:
        """Each label's share."""
        return self.targets(labels, space).mean(axis=0, dtype=np.float64).tolist()

    def constant(self, shares: Sequence[float], space: AnswerSpace, n: int) -> np.ndarray:
        """The shares as probabilities."""
        return np.tile(np.array(shares), (n, 1))

    def prediction(self, answer: np.ndarray, space: AnswerSpace, text: str = "") -> LabelsPrediction:
        """The labels that are more likely than not, and all probabilities."""
        said = answer >= THRESHOLD
        return LabelsPrediction(
            labels=[label for label, there in zip(space.labels, said, strict=True) if there],
            confidence=float(np.where(said, answer, 1 - answer).prod()),
            abstain=False,
            probabilities={label: float(value) for label, value in zip(space.labels, answer, strict=True)},
        )

    def by_label(self, truth: np.ndarray, answers: np.ndarray, space: AnswerSpace) -> list[ClassRow]:
        """Each label by itself."""
        there, said = truth > 0, answers >= THRESHOLD
        return class_rows(space.labels, (there & said).sum(axis=0), there.sum(axis=0), said.sum(axis=0))

    def confusion(self, truth: np.ndarray, answers: np.ndarray, space: AnswerSpace) -> None:
        """None: labels do not shut each other out."""
        return None

    def row(self, truth: np.ndarray, answer: np.ndarray, space: AnswerSpace) -> tuple[str, str, str]:
        """Two JSON lists, and how probable it is that all labels are as said."""
        there = [label for label, value in zip(space.labels, truth, strict=True) if value]
        said = self.prediction(answer, space)
        return self.written(there), self.written(said.labels), f"{said.confidence:.6f}"


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


LABELS = Labels()
