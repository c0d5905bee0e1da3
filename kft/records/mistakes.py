"""mistakes.json: the most confident wrong answers, each with the training examples that lie nearest to it."""

from __future__ import annotations

from dataclasses import dataclass

Shown = str | tuple[str, ...]
"""The path of an image, a text or two, shortened and with personal data masked."""


@dataclass(frozen=True)
class NearExample:
    """A training example: its id, input, label, and the cosine to the mistake."""

    id: str
    input: Shown
    label: str
    similarity: float


@dataclass(frozen=True)
class Mistake:
    """A wrong answer.

    Attributes:
        id: Of the test example.
        input: What was read.
        target: What is right.
        prediction: What was said.
        confidence: None for numbers.
        cost: Nothing yet.
        neighbours: The nearest first.
    """

    id: str
    input: Shown
    target: str
    prediction: str
    confidence: float | None
    cost: float | None
    neighbours: tuple[NearExample, ...]


@dataclass(frozen=True)
class Mistakes:
    """The mistakes of a run.

    Attributes:
        split: ``test``.
        n: All wrong answers.
        mistakes: The 20 most confident of them; of numbers, which have no confidence, the largest errors.
        predictions_hash: sha256 of the predictions.csv that they come from.
    """

    split: str
    n: int
    mistakes: tuple[Mistake, ...]
    predictions_hash: str = ""
