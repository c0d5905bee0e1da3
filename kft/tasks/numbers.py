"""A number for each example."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from kft.metrics.metric import Metric
from kft.metrics.regression import METRICS
from kft.recipe.schema import DataSpec
from kft.records.metrics import ClassRow
from kft.tasks.cells import as_text, kind_problem
from kft.tasks.classes import as_number
from kft.tasks.task import AnswerSpace, Objective

STRATA = 10


@dataclass(frozen=True)
class NumberPrediction:
    """One answer.

    Attributes:
        value: The number, in the units of the training labels.
        abstain: Whether the model declines to answer; always False until an abstention threshold is set.
    """

    value: float
    abstain: bool

    def as_dict(self) -> dict[str, Any]:
        """Returns the documented form."""
        return {"value": self.value, "abstain": self.abstain}


class Numbers:
    """Answers with ``float64[n]``.

    The model computes standardised numbers, ``(label - mean) / std`` of the training split, so that learning rates
    mean the same whatever the labels' units; the loss is their squared error: 1 is what the mean reaches.
    """

    name = "number"
    head = "regression"
    per_token = False
    solver = "squared"
    baseline_name = "mean"
    hits_name = "mae"
    metrics: Mapping[str, Metric] = METRICS

    def parse(self, cell: object, text: object, spec: DataSpec) -> tuple[float, str]:
        """A finite number."""
        problem = kind_problem(cell, "label")
        label = "" if problem else as_text(cell).strip()
        if problem or not label:
            return math.nan, problem or "missing label"
        value = as_number(label)
        return value, "" if math.isfinite(value) else f"label is no finite number: {label[:20]!r}"

    def settle(self, cells: Sequence[object], spec: DataSpec) -> DataSpec:
        """Nothing is open."""
        return spec

    def written(self, label: float) -> str:
        """The shortest text that reads back as the same number."""
        return repr(float(label))

    def strata(self, labels: Sequence[float]) -> np.ndarray:
        """Tenths of the numbers in order, so that each split sees the whole range."""
        values = np.array(labels, np.float64)
        limits = np.unique(np.quantile(values, np.linspace(0, 1, STRATA + 1)[1:-1]))
        return np.array([f"{place:02d}" for place in np.searchsorted(limits, values, side="right")], dtype=object)

    def space(self, labels: Sequence[float]) -> AnswerSpace:
        """Mean and standard deviation."""
        values = np.array(labels, np.float64)
        return AnswerSpace((), float(values.mean()), float(values.std()))

    def names(self, label: float) -> tuple[str, ...]:
        """None."""
        return ()

    def lack(self, space: AnswerSpace) -> str:
        """Numbers that differ; one that never changes has no deviation to learn."""
        return "" if space.std > 0 else "one number only: there is nothing to learn"

    def units(self, space: AnswerSpace) -> int:
        """One."""
        return 1

    def targets(
        self, labels: Sequence[float], space: AnswerSpace, offsets: Sequence[np.ndarray] | None = None
    ) -> np.ndarray:
        """``float32[n, 1]``, standardised."""
        values = (np.array(labels, np.float64) - space.mean) / space.std
        return values.astype(np.float32)[:, None]

    def truth(self, labels: Sequence[float], space: AnswerSpace) -> np.ndarray:
        """The numbers."""
        return np.array(labels, np.float64)

    def objective(self, space: AnswerSpace, label_smoothing: float) -> Objective:
        """Squared error of standardised numbers; hits are absolute errors in the labels' own units."""
        import tensorflow as tf

        def losses(targets: Any, outputs: Any) -> Any:
            return tf.reduce_sum(tf.square(tf.cast(outputs, tf.float32) - targets), axis=1)

        def hits(targets: Any, outputs: Any) -> Any:
            return tf.reduce_sum(tf.abs(tf.cast(outputs, tf.float32) - targets), axis=1) * space.std

        return Objective(losses, hits, (1,), "float32")

    def loss(self, targets: np.ndarray, outputs: np.ndarray, space: AnswerSpace) -> float:
        """Mean squared error of standardised numbers."""
        return float(((np.asarray(outputs, np.float64) - targets) ** 2).mean())

    def answers(
        self, outputs: np.ndarray, space: AnswerSpace, offsets: Sequence[np.ndarray] | None = None
    ) -> np.ndarray:
        """In the labels' own units."""
        return np.asarray(outputs, np.float64)[:, 0] * space.std + space.mean

    def shares(self, labels: Sequence[float], space: AnswerSpace) -> list[float]:
        """None: the mean is known."""
        return []

    def constant(self, shares: Sequence[float], space: AnswerSpace, n: int) -> np.ndarray:
        """The mean."""
        return np.full(n, space.mean)

    def prediction(self, answer: float, space: AnswerSpace, text: str = "") -> NumberPrediction:
        """The number."""
        return NumberPrediction(float(answer), abstain=False)

    def by_label(self, truth: np.ndarray, answers: np.ndarray, space: AnswerSpace) -> list[ClassRow]:
        """None."""
        return []

    def confusion(self, truth: np.ndarray, answers: np.ndarray, space: AnswerSpace) -> None:
        """None."""
        return None

    def row(self, truth: Any, answer: Any, space: AnswerSpace) -> tuple[str, str, str]:
        """Both numbers; there is no confidence."""
        return f"{float(truth):.6g}", f"{float(answer):.6g}", ""


NUMBERS = Numbers()
