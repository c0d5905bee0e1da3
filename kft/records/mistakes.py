"""mistakes.json: the most confident wrong answers, each with the training examples that lie nearest to it."""

from __future__ import annotations

from dataclasses import dataclass

from kft.records.fields import absent

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
class DecidingPassage:
    """A part of a text in windows that decided an answer.

    Attributes:
        text: Shortened, and with personal data masked.
        start: Where it stands in the text, in characters.
        end: Likewise, past its last character.
        weight: Its share in the document.
        said: What it would be answered alone: a label and its probability, or a number.
    """

    text: str
    start: int
    end: int
    weight: float
    said: str


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
        passages: Of a text in windows those that decided; none elsewhere.
        given: Of a written answer the passages that it was written from; none elsewhere.
        unsupported: What of it stands neither there nor in the prompt.
        withheld: Whether the model declines to give it.
    """

    id: str
    input: Shown
    target: str
    prediction: str
    confidence: float | None
    cost: float | None
    neighbours: tuple[NearExample, ...]
    passages: tuple[DecidingPassage, ...] = absent(())
    given: tuple[str, ...] = absent(())
    unsupported: tuple[str, ...] = absent(())
    withheld: bool = absent(False)


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
