"""How much each example counts in the loss: ``train.class_weight``, of classes and of shares of them."""

from __future__ import annotations

from typing import Any

import numpy as np

from kft.recipe.training import TrainSpec


def class_weights(spec: TrainSpec, targets: Any, classes: int) -> np.ndarray | None:
    """Returns ``float64[classes]``, ``n / (classes * rows of the class)``; None where all classes count the same.

    King and Zeng, 2001: Logistic regression in rare events data.

    Args:
        spec: Says whether classes are balanced.
        targets: ``int[n]``, or shares ``float[n, classes]``: a share of a row is so much of a row.
        classes: How many there are.

    Example:
        >>> class_weights(TrainSpec(class_weight="balanced"), np.array([0, 0, 0, 0, 1]), 2).tolist()
        [0.625, 2.5]
    """
    if spec.class_weight == "none":
        return None
    counts = np.bincount(targets, minlength=classes) if targets.ndim == 1 else targets.sum(axis=0, dtype=np.float64)
    # A class of less than one row counts as if it had one: a thousandth of a vote does not outweigh a hundred rows.
    return np.asarray(len(targets) / (classes * np.maximum(counts, 1)))


def weigh(targets: Any, of_class: np.ndarray | None) -> tuple[Any, np.ndarray]:
    """Returns targets and ``float32[n]``, how much each counts, so that each class counts as it should.

    A row of several classes is as many rows, each of one class and counting its share: together the same loss as one
    row with tilted shares.

    Args:
        targets: ``int[n]``, or shares ``float32[n, classes]``; of tokens one array a text.
        of_class: From ``class_weights``.

    Example:
        >>> shares, weights = weigh(np.array([[0.5, 0.5]], np.float32), np.array([1.0, 3.0]))
        >>> shares.tolist(), weights.tolist()
        ([[0.25, 0.75]], [2.0])
    """
    if of_class is None:
        return targets, np.ones(len(targets), np.float32)
    if targets.ndim == 1:
        return targets, of_class[targets].astype(np.float32)
    counted = targets * of_class
    total = counted.sum(axis=1, keepdims=True)
    return (counted / total).astype(np.float32), total[:, 0].astype(np.float32)
