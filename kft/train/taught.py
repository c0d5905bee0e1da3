"""Rows with a teacher's answers: what a run learns from where another one teaches it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from kft.data.examples import Examples
from kft.data.shares import Shares
from kft.split.data_split import Selection, labels_of
from kft.tasks.cells import as_objects


def with_answers(split: Selection, answers: Shares, weight: float) -> Selection:
    """Returns the data with the teacher's answers in train: on labelled rows beside the label, on the others alone.

    Args:
        split: Labelled rows, and those without labels.
        answers: Of train's rows, then of those without labels.
        weight: The answers' share in what a labelled row is learned by.

    Example:
        >>> from kft.tasks.classes import CLASSES
        >>> one = Examples(np.array(["a"]), ["one"], np.array(["x"], object), None)
        >>> more = Examples(np.array(["b"]), ["two"], None, None)
        >>> split = Selection(one, one, CLASSES, CLASSES.labels.space(["x", "y"]), more)
        >>> answers = Shares(("y", "x"), np.array([[0.5, 0.5], [0.75, 0.25]], np.float32), np.zeros(2, int))
        >>> train = with_answers(split, answers, 0.5).train
        >>> train.labels.tolist(), train.shares.of(("x", "y")).tolist()
        (['x', 'y'], [[0.75, 0.25], [0.25, 0.75]])
    """
    labels = split.space.labels
    values, n = answers.of(labels), len(split.train)
    own = split.train.shares or Shares.of_labels(labels_of(split.train).tolist())
    mixed = (1 - weight) * own.of(labels) + weight * values[:n]
    train = replace(split.train, shares=_shares(labels, mixed))
    if split.unlabelled is None:
        return replace(split, train=train)
    return replace(
        split, train=Examples.concatenate([train, _answered(split, values[n:])]), unlabelled=None, copies=None
    )


def _answered(split: Selection, values: np.ndarray) -> Examples:
    """Returns the rows without labels as examples; the columns that only labelled rows need are empty."""
    unlabelled, labels = split.unlabelled, split.space.labels
    assert unlabelled is not None
    blank = as_objects([""] * len(unlabelled))
    return replace(
        unlabelled,
        labels=as_objects([labels[place] for place in values.argmax(axis=1)]),
        columns=dict.fromkeys(split.train.columns, blank),
        shares=_shares(labels, values),
    )


def _shares(labels: tuple[str, ...], values: np.ndarray) -> Shares:
    values = values.astype(np.float64)
    values /= values.sum(axis=1, keepdims=True)
    return Shares(labels, values.astype(np.float32), np.zeros(len(values), np.int32))


def without_answers(split: Selection) -> Selection:
    """Returns the data as ``with_answers`` would, with answers that say nothing: to plan what they will take."""
    n = len(split.train) + (0 if split.unlabelled is None else len(split.unlabelled))
    labels = split.space.labels
    values = np.eye(len(labels), dtype=np.float32)[np.arange(n) % len(labels)]
    return with_answers(split, Shares(labels, values, np.zeros(n, np.int32)), 0.5)
