"""Retrieval: the labels of the nearest training examples, by the frozen backbone's vectors; nothing is trained."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from kft.compare.setting import Setting
from kft.compare.solution import Solution
from kft.metrics.classification import METRICS
from kft.metrics.neighbours import cosines, unit_rows

NEIGHBOURS = (1, 3, 5, 10, 20, 50)
WIDTHS = (0.02, 0.05, 0.1, 0.3)
"""A neighbour counts ``exp(cosine / width)``: the smaller, the more the nearest decide."""
PRIOR = 0.05
"""Weight of the training split's shares beside the neighbours', so that no class is impossible."""


def fit(setting: Setting) -> Solution:
    """Chooses the number of neighbours and their width on valid: by the metric, ties by log loss."""
    known, valid = unit_rows(setting.vectors["train"]), setting.vectors["valid"]
    targets, valid_targets = setting.targets(setting.split.train), setting.targets(setting.split.valid)
    sign = -1 if setting.lower_is_better else 1
    found: list[tuple[tuple[float, float], int, float]] = []
    for k in NEIGHBOURS:
        for width in WIDTHS if k <= len(known) else ():
            answers = answerer(known, targets, setting.classes, k, width)(valid)
            value = sign * setting.metric.value(valid_targets, answers)
            found.append(((value, -METRICS["log_loss"].value(valid_targets, answers)), k, width))
    kept = known.nbytes + targets.nbytes
    _, k, width = max(found, key=lambda each: each[0])
    return Solution(
        answer=answerer(known, targets, setting.classes, k, width),
        trained=0,
        own_bytes=kept,
        whole_bytes=setting.backbone_bytes + kept,
        on_vectors=True,
        frozen_rows=len(known) + len(valid),
        remembers=True,
        chosen={"k": k, "width": width},
    )


def answerer(
    known: np.ndarray, targets: np.ndarray, classes: int, k: int, width: float
) -> Callable[[np.ndarray], np.ndarray]:
    """Returns what turns vectors into probabilities by their nearest neighbours.

    Args:
        known: ``float32[rows, width]`` of length 1: the training examples.
        targets: ``int[rows]``: their classes.
        classes: How many there are.
        k: Neighbours that count.
        width: How fast their weight falls with the cosine.

    Example:
        >>> answer = answerer(np.eye(2), np.array([0, 1]), 2, k=1, width=0.1)
        >>> answer(np.array([[0.9, 0.1]])).argmax(axis=1).tolist()
        [0]
    """
    shares = np.bincount(targets, minlength=classes) / len(targets)
    k = min(k, len(known))

    def answer(vectors: np.ndarray) -> np.ndarray:
        return np.concatenate([_vote(alike) for _, alike in cosines(unit_rows(vectors), known)])

    def _vote(alike: np.ndarray) -> np.ndarray:
        nearest = np.argpartition(-alike, k - 1, axis=1)[:, :k]
        near = np.take_along_axis(alike, nearest, axis=1).astype(np.float64)
        weights = np.exp((near - near.max(axis=1, keepdims=True)) / width)
        votes = np.zeros((len(alike), classes))
        np.add.at(votes, (np.arange(len(alike))[:, None], targets[nearest]), weights)
        return (votes / votes.sum(axis=1, keepdims=True) + PRIOR * shares) / (1 + PRIOR)

    return answer
