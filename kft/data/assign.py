"""Which row goes to train, valid or test: seeded, stratified by label, groups kept whole."""

from __future__ import annotations

import numpy as np

SPLITS = ("train", "valid", "test")


def split_rows(
    labels: np.ndarray, groups: np.ndarray | None, *, valid_fraction: float, test_fraction: float, seed: int
) -> np.ndarray:
    """Assigns every row to ``train``, ``valid`` or ``test``.

    Rows that stand alone: shuffled, laid end to end class by class (classes in random order), and every k-th
    is held out, then every m-th of those is test. So each split has its rounded share of all rows, and each
    class gives its share of them, rounded up or down, however small it is.

    Groups: shuffled, sorted from large to small, and given one by one to the split that lacks the most of
    the group's own labels, relative to its share of them; valid and test are closed once they are a row past
    their share of all rows. No group crosses.

    Either way a class goes to train first, so one with a single row (or group) is learned, not tested. The
    outcome hangs on the seed, the order of the rows, and which of them share a label or a group.

    Args:
        labels: ``str[n]``.
        groups: ``str[n]`` or None.
        valid_fraction: Share of the rows; 0 gives none.
        test_fraction: Likewise.
        seed: The same seed gives the same split.

    Returns:
        ``str[n]``.

    Example:
        >>> rows = split_rows(np.array(["a", "b"] * 10), None, valid_fraction=0.2, test_fraction=0.2, seed=0)
        >>> [rows.tolist().count(name) for name in SPLITS]
        [12, 4, 4]
    """
    if len(labels) == 0:
        return np.array([], dtype=object)
    rng = np.random.Generator(np.random.PCG64(seed))
    _, label_of = np.unique(labels.astype(str), return_inverse=True)
    fractions = np.array([1 - valid_fraction - test_fraction, valid_fraction, test_fraction])
    if groups is None:
        chosen = _assign_rows(label_of, fractions, rng)
    else:
        _, group_of = np.unique(groups.astype(str), return_inverse=True)
        chosen = _assign_groups(label_of, group_of, fractions, rng)[group_of]
    return np.array(SPLITS, dtype=object)[chosen]


def _assign_rows(label_of: np.ndarray, fractions: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    sizes = np.bincount(label_of)
    order = rng.permutation(len(label_of))
    order = order[np.argsort(rng.permutation(len(sizes))[label_of[order]], kind="stable")]
    order = order[sizes[label_of[order]] > 1]
    valid, test = (round(len(order) * float(fraction)) for fraction in fractions[1:])
    held = order[_every(len(order), min(valid + test, len(order)), rng)]
    chosen = np.zeros(len(label_of), dtype=np.int64)
    chosen[held] = 1
    chosen[held[_every(len(held), min(test, len(held)), rng)]] = 2
    # Large shares can hold out all of a small class: its first row is learned.
    learned = np.unique(label_of[chosen == 0])
    untaught, first = np.unique(label_of[order], return_index=True)
    chosen[order[first[~np.isin(untaught, learned)]]] = 0
    return chosen


def _every(rows: int, wanted: int, rng: np.random.Generator) -> np.ndarray:
    """Returns ``bool[rows]`` with ``wanted`` of them set, as evenly as whole numbers allow."""
    start = int(rng.integers(max(rows, 1)))
    return np.diff((np.arange(rows + 1) * wanted + start) // max(rows, 1)) > 0


def _assign_groups(
    label_of: np.ndarray, group_of: np.ndarray, fractions: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    classes = int(label_of.max()) + 1
    # (group, label) pairs and their counts, group by group: a dense table could take gigabytes.
    pairs, counts = np.unique(group_of * classes + label_of, return_counts=True)
    starts = np.searchsorted(pairs, np.arange(int(group_of.max()) + 2) * classes)
    wanted = fractions[:, None] * np.bincount(label_of)
    have = np.zeros_like(wanted)
    sizes = np.bincount(group_of)
    room = fractions * len(label_of)
    order = rng.permutation(len(sizes))
    chosen = np.zeros(len(sizes), dtype=np.int64)
    for group in order[np.argsort(-sizes[order], kind="stable")]:
        part = slice(starts[group], starts[group + 1])
        own, count = pairs[part] % classes, counts[part]
        target = wanted[:, own]
        lack = ((target - have[:, own]) * count).sum(axis=1) / np.maximum((target * count).sum(axis=1), 1e-9)
        # One row of slack: a share is seldom a whole number, and small groups still balance the labels.
        full = (fractions <= 0) | (room <= -1)
        lack[1:][full[1:]] = -np.inf
        unseen = (have[0, own] == 0).any()
        best = 0 if unseen else int(lack.argmax())
        chosen[group] = best
        have[best, own] += count
        room[best] -= sizes[group]
    return chosen
