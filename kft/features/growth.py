"""How a probe gets better with more examples: right or wrong for each held-out example, at growing training sizes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kft.features.folds import FOLDS, Projected, assign_folds
from kft.runtime import one_blas_thread

SHARES = tuple(2.0 ** (-step / 2) for step in range(7, -1, -1))
"""Of the training rows: eight sizes, each 1.4 times the one before."""
FEWEST_ROWS = 20
FOLDS_USED = 3
"""Three of the five folds say enough, in three fifths of the time."""


@dataclass(frozen=True)
class Growth:
    """Points of a learning curve.

    Attributes:
        sizes: ``int[points]``: rows that were learned from, rising.
        right: ``bool[m, points]``: whether each held-out example was answered right.
        held_out: ``int[m]``: which examples these are.
    """

    sizes: np.ndarray
    right: np.ndarray
    held_out: np.ndarray


def grow(
    data: Projected, groups: np.ndarray | None, strength: float, *, folds_used: int = FOLDS_USED, seed: int = 0
) -> Growth:
    """Trains on nested, stratified parts of the data and answers the same held-out rows each time.

    Each solution is the start of the next one, which has seen the same rows and more: no held-out row gets known.

    Args:
        data: Labelled examples.
        groups: What must not be parted; None where each row stands alone.
        strength: Inverse penalty C.
        folds_used: How many of the folds are held out in turn.
        seed: Of folds and parts.
    """
    fold_of = assign_folds(data.targets, groups, FOLDS, seed)
    rng = np.random.default_rng(seed)
    whole = int(min((fold_of != fold).sum() for fold in range(folds_used)))
    fewest = max(FEWEST_ROWS, 2 * data.classes)
    sizes = np.unique([round(share * whole) for share in SHARES if share * whole >= fewest]).astype(int)
    right, held_out = [], []
    with one_blas_thread():
        for fold in range(folds_used):
            train, test = np.flatnonzero(fold_of != fold), np.flatnonzero(fold_of == fold)
            train = train[nested(data.targets[train], None if groups is None else groups[train], rng)]
            solution, columns = None, []
            for size in sizes:
                solution = data.solve(train[:size], strength, solution)
                columns.append(data.logits(test, solution).argmax(axis=1) == data.targets[test])
            right.append(np.array(columns).reshape(len(sizes), len(test)).T)
            held_out.append(test)
    return Growth(sizes, np.concatenate(right), np.concatenate(held_out))


def nested(targets: np.ndarray, groups: np.ndarray | None, rng: np.random.Generator) -> np.ndarray:
    """Returns an order of rows of which every beginning has each class's share, and whole groups but for the last.

    A group counts to the class of its first row.
    """
    _, first, group_of = np.unique(
        np.arange(len(targets)) if groups is None else groups, return_index=True, return_inverse=True
    )
    label_of = targets[first]
    shuffled = rng.permutation(len(first))
    by_label = shuffled[np.argsort(label_of[shuffled], kind="stable")]
    counts = np.bincount(label_of)
    starts = np.cumsum(counts) - counts
    place = np.arange(len(first)) - starts[label_of[by_label]]
    key = np.empty(len(first))
    key[by_label] = (place + rng.random(len(first))) / counts[label_of[by_label]]
    return np.argsort(key[group_of], kind="stable")
