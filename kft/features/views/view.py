"""What a view reads, what it answers for, and what it is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np

from kft.features.probe import LOSSES, certainty_of
from kft.feed.batches import Ragged
from kft.metrics.neighbours import unit_rows

FLOOR = 1e-6
"""Added to a probability before its logarithm is taken, so that no view can forbid an answer by itself."""


@dataclass(frozen=True, eq=False)
class Shapes:
    """How words are written.

    Attributes:
        places: ``int32[n, FEATURES]``: from ``kft.tasks.word_shapes``.
        text: ``int64[n]``: the text of each word, or the group of texts that belong together.
    """

    places: np.ndarray
    text: np.ndarray

    def take(self, rows: np.ndarray) -> Shapes:
        return Shapes(self.places[rows], self.text[rows])

    def with_more(self, other: Shapes) -> Shapes:
        return Shapes(np.concatenate([self.places, other.places]), np.concatenate([self.text, other.text]))


@dataclass(frozen=True, eq=False)
class ViewInput:
    """Examples as views read them.

    Attributes:
        vectors: ``float32[n, width]``: what the head reads, from the frozen backbone.
        tokens: Token ids of each, as the backbone's tokenizer gives them; None of images and of single words.
        shapes: How each is written, where examples are words of texts.
    """

    vectors: np.ndarray
    tokens: Ragged | None = None
    shapes: Shapes | None = None

    def __len__(self) -> int:
        return len(self.vectors)

    @cached_property
    def unit(self) -> np.ndarray:
        """``float32[n, width]``: the vectors at length 1."""
        return unit_rows(self.vectors)

    def take(self, rows: np.ndarray) -> ViewInput:
        """Returns these examples alone, in this order."""
        tokens, shapes = self.tokens, self.shapes
        return ViewInput(
            self.vectors[rows],
            None if tokens is None else Ragged.from_rows([tokens.row(int(row)) for row in rows]),
            None if shapes is None else shapes.take(rows),
        )

    def with_more(self, other: ViewInput) -> ViewInput:
        """Returns these examples and then others."""
        tokens = shapes = None
        if self.tokens is not None and other.tokens is not None:
            mine, theirs = self.tokens, other.tokens
            offsets = np.append(mine.offsets, mine.offsets[-1] + theirs.offsets[1:])
            tokens = Ragged(np.concatenate([mine.values, theirs.values]), offsets)
        if self.shapes is not None and other.shapes is not None:
            shapes = self.shapes.with_more(other.shapes)
        return ViewInput(np.concatenate([self.vectors, other.vectors]), tokens, shapes)


@dataclass(frozen=True)
class Goal:
    """What is answered, and how wrong an answer is.

    Attributes:
        solver: ``softmax`` (one class of many), ``sigmoid`` (each label by itself) or ``squared`` (a number).
        units: How many outputs an example has.
    """

    solver: str
    units: int

    @property
    def certainty(self) -> float:
        return certainty_of(self.solver, self.units)

    def losses(self, outputs: np.ndarray, targets: np.ndarray) -> np.ndarray:
        """Returns ``float64[n]``; the outputs stay as they are.

        Args:
            outputs: ``float[n, units]``: log-probabilities, logits or numbers.
            targets: ``int[n]`` for softmax, or shares; else ``float[n, units]``.
        """
        return LOSSES[self.solver](np.array(outputs, np.float32), targets)[0]

    def as_matrix(self, targets: np.ndarray) -> np.ndarray:
        """Returns ``float32[n, units]``: a one for each right answer, the shares, or the numbers."""
        if self.solver != "softmax" or targets.ndim == 2:
            return np.asarray(targets, np.float32).reshape(len(targets), self.units)
        return np.eye(self.units, dtype=np.float32)[targets]

    def normalised(self, outputs: np.ndarray) -> np.ndarray:
        """Returns logits as log-probabilities where the classes exclude each other; else what was given."""
        if self.solver != "softmax":
            return outputs
        shifted = outputs - outputs.max(axis=1, keepdims=True)
        return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))

    def from_shares(self, shares: np.ndarray) -> np.ndarray:
        """Returns outputs for what a share of neighbours, say, speaks for: logarithms, log-odds, or the mean itself."""
        if self.solver == "squared":
            return shares
        if self.solver == "softmax":
            return np.log(shares + FLOOR)
        inside = np.clip(shares, ODDS_FLOOR, 1 - ODDS_FLOOR)
        return np.log(inside) - np.log1p(-inside)


ODDS_FLOOR = 1e-3
"""A share nearer to 0 or 1 has the log-odds of this one."""


def folds_of(fold_of: np.ndarray, only: int | None) -> list[int]:
    """Returns the folds that are answered: all of them, or the one that is named."""
    return list(range(int(fold_of.max()) + 1)) if only is None else [only]


class View(Protocol):
    """Something learned from labelled examples, that answers others."""

    @property
    def name(self) -> str:
        """As it is printed, and as its layer in the graph is called."""

    @property
    def settings(self) -> Mapping[str, Any]:
        """What was chosen out of fold, for people; the first is what the ``fit`` of its file takes."""

    @property
    def arrays(self) -> Mapping[str, np.ndarray]:
        """All that its layer in the graph needs, by name; ``kft.model.blend`` computes the same from them."""

    def outputs(self, seen: ViewInput) -> np.ndarray:
        """Returns ``float32[n, units]``: log-probabilities, log-odds or standardised numbers."""


@dataclass(frozen=True, eq=False)
class Lesson:
    """What a view is fitted on.

    Attributes:
        seen: Labelled examples.
        targets: ``int[n]`` for softmax, or shares of the classes; else ``float32[n, units]``.
        goal: What is answered.
        names: The classes' names, one example each, in the order of the outputs; None where names say nothing.
        weights: ``float32[n]``: how much each example counts; None where all count the same.
    """

    seen: ViewInput
    targets: np.ndarray
    goal: Goal
    names: ViewInput | None = None
    weights: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.targets)

    def take(self, rows: np.ndarray) -> Lesson:
        weights = None if self.weights is None else self.weights[rows]
        return Lesson(self.seen.take(rows), self.targets[rows], self.goal, self.names, weights)

    def with_more(self, other: Lesson) -> Lesson:
        """Returns these examples and then those of another lesson of the same kind."""
        weights = None
        if self.weights is not None or other.weights is not None:
            weights = np.concatenate([self.counts, other.counts])
        targets = [self.targets, other.targets]
        if len({each.ndim for each in targets}) > 1:
            targets = [self.goal.as_matrix(each) for each in targets]
        return Lesson(self.seen.with_more(other.seen), np.concatenate(targets), self.goal, self.names, weights)

    @property
    def counts(self) -> np.ndarray:
        """``float32[n]``: the weights; ones where there are none."""
        return np.ones(len(self), np.float32) if self.weights is None else self.weights

    def loss(self, outputs: np.ndarray) -> float:
        """Returns the mean loss of outputs for these examples, each by its weight."""
        return float(np.average(self.goal.losses(outputs, self.targets), weights=self.counts))

    @cached_property
    def with_names(self) -> tuple[np.ndarray, np.ndarray]:
        """Unit vectors ``float32[m, width]`` and targets of the examples, each name being one example more."""
        if self.names is None:
            return self.seen.unit, self.targets
        units = np.arange(self.goal.units)
        extra = units if self.targets.ndim == 1 else np.eye(len(units), dtype=np.float32)
        return np.concatenate([self.seen.unit, self.names.unit]), np.concatenate([self.targets, extra])


def answers_out_of_fold(
    lesson: Lesson, fold_of: np.ndarray, fit: Callable[[Lesson], View], only: int | None = None
) -> np.ndarray:
    """Answers each example by a view that saw nothing of its fold.

    Args:
        lesson: Labelled examples.
        fold_of: ``int[n]``: the fold of each.
        fit: From the examples of the other folds to a view.
        only: The one fold that is answered; default: all of them.

    Returns:
        ``float32[n, units]``: zeros where nothing was answered.
    """
    found = np.zeros((len(lesson), lesson.goal.units), np.float32)
    for fold in folds_of(fold_of, only):
        (held,) = np.nonzero(fold_of == fold)
        found[held] = fit(lesson.take(np.flatnonzero(fold_of != fold))).outputs(lesson.seen.take(held))
    return found
