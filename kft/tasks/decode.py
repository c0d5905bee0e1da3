"""From what a model computes to answers. NumPy alone, and nothing of kft: an exported model carries this file."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

FOREIGN, UNSURE = "unlike the training examples (out of scope)", "not sure enough"
"""Why an answer is withheld, in words."""


def softmax(logits: np.ndarray) -> np.ndarray:
    """Returns probabilities ``float64[rows, classes]``.

    Example:
        >>> softmax(np.array([[0.0, 0.0]])).tolist()
        [[0.5, 0.5]]
    """
    logits = logits.astype(np.float64)
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    return exponentials / exponentials.sum(axis=1, keepdims=True)


def log_softmax(logits: np.ndarray) -> np.ndarray:
    """Returns log-probabilities ``float64[rows, classes]``."""
    values = np.asarray(logits, np.float64)
    return values - np.logaddexp.reduce(values, axis=-1, keepdims=True)


def sigmoid(logits: np.ndarray) -> np.ndarray:
    """Returns the probability of each label by itself, ``float64[rows, labels]``.

    Example:
        >>> sigmoid(np.array([[0.0, 100.0]])).tolist()
        [[0.5, 1.0]]
    """
    return np.exp(-np.logaddexp(0, -np.asarray(logits, np.float64)))


def in_units(outputs: np.ndarray, mean: float, std: float) -> np.ndarray:
    """Returns standardised numbers ``[rows, 1]`` in the labels' own units, ``float64[rows]``.

    Example:
        >>> in_units(np.array([[0.0], [1.0]]), mean=10.0, std=2.0).tolist()
        [10.0, 12.0]
    """
    return np.asarray(outputs, np.float64)[:, 0] * std + mean


def find_spans(
    logits: np.ndarray, labels: Sequence[str], offsets: np.ndarray
) -> tuple[tuple[int, int, str, float], ...]:
    """Returns the spans of a text, (start, end, label, confidence), by its words' most probable tags.

    Args:
        logits: ``[tokens, 1 + 2 * labels]``: outside; then, for each label, begins a span and goes on with it.
        labels: Their names.
        offsets: From ``kft.tasks.words.mark_words``, ``int32[tokens, 3]``.
    """
    starts = np.flatnonzero(offsets[:, 2])
    if not len(starts):
        return ()
    probabilities = np.exp(log_softmax(logits[starts]))
    said = probabilities.argmax(axis=1)
    sure = probabilities[np.arange(len(starts)), said]
    return join_words(said, sure, labels, offsets)


def join_words(
    said: np.ndarray, sure: np.ndarray, labels: Sequence[str], offsets: np.ndarray
) -> tuple[tuple[int, int, str, float], ...]:
    """Joins words into spans, (start, end, label, confidence).

    Args:
        said: ``int[words]``: 0 outside; then, for each label, begins a span and goes on with it.
        sure: ``float[words]``.
        labels: Their names.
        offsets: From ``mark_words``, ``int32[tokens, 3]``.

    Example:
        >>> join_words(np.array([1, 2]), np.ones(2), ("PER",), np.array([[0, 3, 1], [4, 8, 1]]))
        ((0, 8, 'PER', 1.0),)
    """
    starts = np.flatnonzero(offsets[:, 2])
    # A word ends where its last token does: the one before the next word's first, or before a special token.
    limits = np.append(starts[1:], len(offsets))
    found: list[tuple[int, int, str, float]] = []
    open_label = -1
    for place, (first, limit) in enumerate(zip(starts, limits, strict=True)):
        tag = int(said[place])
        label, begins = (tag - 1) // 2 if tag else -1, tag % 2 == 1
        if label >= 0:
            end, confidence = int(offsets[first:limit, 1].max()), float(sure[place])
            if label == open_label and not begins:
                span = found[-1]
                found[-1] = (span[0], end, span[2], min(span[3], confidence))
            else:
                found.append((int(offsets[first, 0]), end, labels[label], confidence))
        open_label = label
    return tuple(found)
