"""What a task is: what a model reads, and the kind of answer it gives."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np

from kft.metrics.metric import Metric
from kft.recipe.schema import DataSpec
from kft.records.metrics import ClassRow

Modality = Literal["text", "text-pair", "image"]


@dataclass(frozen=True)
class AnswerSpace:
    """Everything that an answer can be, learned from the training split's labels alone.

    Attributes:
        labels: Names, sorted; a target is a position in it. Empty for numbers.
        mean: Of numbers; 0 elsewhere.
        std: Of numbers; 1 elsewhere.
    """

    labels: tuple[str, ...]
    mean: float = 0.0
    std: float = 1.0


@dataclass(frozen=True)
class Objective:
    """What training minimises, as TensorFlow computes it on the device.

    Attributes:
        losses: (targets ``[batch, ...]``, outputs ``[batch, ...]``) to ``float32[batch]``.
        hits: Likewise to what the training log averages beside the loss.
        target_shape: Of one example's target; None is the token axis.
        target_dtype: Of a target.
    """

    losses: Callable[[Any, Any], Any]
    hits: Callable[[Any, Any], Any]
    target_shape: tuple[int | None, ...] = ()
    target_dtype: str = "int32"


class Answer(Protocol):
    """One prediction, as ``kft predict`` prints it."""

    @property
    def abstain(self) -> bool:
        """Whether the model declines to answer."""

    def as_dict(self) -> dict[str, Any]:
        """Returns the documented form."""


class AnswerKind(Protocol):
    """A kind of answer: everything that differs between classes, sets of labels, numbers and spans.

    Labels are what stands in a person's data (a name, a set of names, a number, spans). Targets are their numbers,
    for the loss. Outputs are what the model computes. Answers are probabilities, numbers or spans: what is judged
    against ``truth``.
    """

    name: str
    head: str  # of kft.model.heads
    per_token: bool
    solver: str  # the loss that the linear probe is solved for: softmax, sigmoid or squared
    baseline_name: str  # what answers without looking
    hits_name: str  # what Objective.hits is called in the training log
    metrics: Mapping[str, Metric]

    def parse(self, cell: object, text: object, spec: DataSpec) -> tuple[Any, str]:
        """Returns the label in a cell and an empty reason, or a reason why there is none."""

    def settle(self, cells: Sequence[object], spec: DataSpec) -> DataSpec:
        """Returns the recipe's part with what only the whole label column can tell."""

    def written(self, label: Any) -> str:
        """Returns a label as text: for hashes and tables."""

    def strata(self, labels: Sequence[Any]) -> np.ndarray:
        """Returns ``str[n]``: what a split keeps the shares of."""

    def space(self, labels: Sequence[Any]) -> AnswerSpace:
        """Returns what can be answered, from the training split's labels."""

    def names(self, label: Any) -> tuple[str, ...]:
        """Returns the names in a label, which have to be known."""

    def lack(self, space: AnswerSpace) -> str:
        """Says why such labels are too few to learn from; empty when they are not."""

    def units(self, space: AnswerSpace) -> int:
        """Returns how wide the model's last layer is."""

    def targets(self, labels: Sequence[Any], space: AnswerSpace, offsets: Sequence[np.ndarray] | None) -> Any:
        """Returns the targets: an array ``[n, ...]``, or one array a text of its tokens."""

    def truth(self, labels: Sequence[Any], space: AnswerSpace) -> Any:
        """Returns what the metrics compare answers with."""

    def objective(self, space: AnswerSpace, label_smoothing: float) -> Objective:
        """Returns what training minimises."""

    def loss(self, targets: Any, outputs: Any, space: AnswerSpace) -> float:
        """Returns the mean loss, in double precision, without label smoothing."""

    def answers(self, outputs: Any, space: AnswerSpace, offsets: Sequence[np.ndarray] | None) -> Any:
        """Turns what the model computes into answers."""

    def shares(self, labels: Sequence[Any], space: AnswerSpace) -> list[float]:
        """Returns what the baseline, which answers without looking, knows of the training split's labels."""

    def constant(self, shares: Sequence[float], space: AnswerSpace, n: int) -> Any:
        """Returns the baseline's answers to ``n`` examples."""

    def prediction(self, answer: Any, space: AnswerSpace, text: str) -> Answer:
        """Returns one answer as a person reads it."""

    def by_label(self, truth: Any, answers: Any, space: AnswerSpace) -> list[ClassRow]:
        """Returns precision, recall and F1 of each label; empty for numbers."""

    def confusion(self, truth: Any, answers: Any, space: AnswerSpace) -> np.ndarray | None:
        """Returns ``int[classes, classes]``; None where an example has not exactly one class."""

    def row(self, truth: Any, answer: Any, space: AnswerSpace) -> tuple[str, str, str]:
        """Returns target, prediction and confidence for predictions.csv."""


@dataclass(frozen=True)
class Task:
    """A task.

    Attributes:
        name: As in ``task:`` of a recipe.
        modality: What the model reads.
        kind: What it answers.
        about: For people.
    """

    name: str
    modality: Modality
    kind: AnswerKind
    about: str
