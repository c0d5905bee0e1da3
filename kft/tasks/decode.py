"""From what a model computes to answers. NumPy alone, and nothing of kft: an exported model carries this file."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


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
        offsets: From ``mark_words``, ``int32[tokens, 3]``.
    """
    starts = np.flatnonzero(offsets[:, 2])
    if not len(starts):
        return ()
    probabilities = np.exp(log_softmax(logits[starts]))
    said = probabilities.argmax(axis=1)
    # A word ends where its last token does: the one before the next word's first, or before a special token.
    limits = np.append(starts[1:], len(offsets))
    ends = [int(offsets[first:limit, 1].max()) for first, limit in zip(starts, limits, strict=True)]
    found: list[tuple[int, int, str, float]] = []
    open_label = -1
    for place, first in enumerate(starts):
        label, begins = (int(said[place]) - 1) // 2 if said[place] else -1, said[place] % 2 == 1
        sure = float(probabilities[place, said[place]])
        if label >= 0 and label == open_label and not begins:
            span = found[-1]
            found[-1] = (span[0], ends[place], span[2], min(span[3], sure))
        elif label >= 0:
            found.append((int(offsets[first, 0]), ends[place], labels[label], sure))
        open_label = label
    return tuple(found)


def mark_words(offsets: np.ndarray, text: str) -> np.ndarray:
    """Adds to each token's first and last character whether it begins a word: ``int32[tokens, 3]``.

    A token goes on with a word where nothing lies between it and the one before, and letters or digits meet there.

    Args:
        offsets: ``int32[tokens, 2]``; (0, 0) for special tokens.
        text: What was tokenized.

    Example:
        >>> mark_words(np.array([[0, 0], [0, 2], [2, 5], [5, 6], [0, 0]]), "Hello.")[:, 2].tolist()
        [0, 1, 0, 1, 0]
    """
    marked = np.zeros((len(offsets), 3), np.int32)
    marked[:, :2] = offsets
    for place, (start, end) in enumerate(offsets):
        meets = place > 0 and start == offsets[place - 1, 1] > offsets[place - 1, 0]
        goes_on = meets and text[start].isalnum() and text[start - 1].isalnum()
        marked[place, 2] = end > start and not goes_on
    return marked
