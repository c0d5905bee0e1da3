"""Which row goes to train, valid or test: seeded, stratified by label, groups kept whole."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

SPLITS = ("train", "valid", "test")
UNLABELLED = "unlabelled"
"""What rows without labels are called where splits stand side by side."""


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
        group_of = numbered(groups)
        chosen = _assign_groups(label_of, group_of, fractions, rng)[group_of]
    return np.array(SPLITS, dtype=object)[chosen]


def numbered(names: np.ndarray) -> np.ndarray:
    """Returns ``int64[n]``: the place of each name among the different ones, sorted as texts.

    Args:
        names: Texts, or whole numbers from 0 on, such as rows.

    Example:
        >>> numbered(np.array([10, 9, 1, 10])).tolist(), numbered(np.array(["b", "a"])).tolist()
        ([1, 2, 0, 1], [1, 0])
    """
    keys = names.astype(str) if names.dtype.kind not in "iu" else _in_text_order(names.astype(np.int64))
    return np.unique(keys, return_inverse=True)[1]


def _in_text_order(numbers: np.ndarray) -> np.ndarray:
    """Returns numbers that are sorted as the given ones are as texts: "10" between "1" and "2".

    Millions of texts of twenty characters take a hundred times the memory.
    """
    digits = np.ones(len(numbers), np.int64)
    most = len(str(numbers.max(initial=0)))
    for power in range(1, most):
        digits += numbers >= 10**power
    return numbers * 10 ** (most - digits) * (most + 1) + digits


def split_alike(
    labels: np.ndarray, groups: np.ndarray, *, valid_fraction: float, test_fraction: float, seed: int
) -> np.ndarray:
    """Assigns groups of rows that look alike, some of them as large as a class's share or larger.

    In random order, each goes to the split, valid or test, that lacks most of its labels and has room for all of it
    within its share of each; the others are train. So each class that has groups small enough is in every split, none
    fills a split alone, and valid and test may come out smaller than their shares. No group crosses. A class goes to
    train first, as in ``split_rows``.

    Args:
        labels: ``str[n]``.
        groups: ``[n]``.
        valid_fraction: Share of each class's rows; 0 gives none.
        test_fraction: Likewise.
        seed: The same seed gives the same split.

    Returns:
        ``str[n]``.

    Example:
        >>> groups = np.array([0, 0, 0, 0, 1, 2, 3, 3, 4, 4])
        >>> split_alike(np.array(["a"] * 10), groups, valid_fraction=0.2, test_fraction=0.2, seed=0).tolist()
        ['train', 'train', 'train', 'train', 'valid', 'valid', 'train', 'train', 'test', 'test']
    """
    rng = np.random.Generator(np.random.PCG64(seed))
    _, label_of = np.unique(labels.astype(str), return_inverse=True)
    group_of = numbered(groups)
    fractions = np.array([valid_fraction, test_fraction])
    room = fractions[:, None] * np.bincount(label_of) + 0.5
    room[fractions <= 0] = -1.0
    members = np.split(np.argsort(group_of, kind="stable"), np.cumsum(np.bincount(group_of))[:-1])
    found = np.full(len(labels), SPLITS[0], dtype=object)
    for group in rng.permutation(len(members)):
        own, counts = np.unique(label_of[members[group]], return_counts=True)
        left = (room[:, own] - counts).min(axis=1)
        best = int(left.argmax())
        if left[best] >= 0:
            room[best, own] -= counts
            found[members[group]] = SPLITS[1 + best]
    # As with rows alone: large shares can hold out all of a small class, whose first group is learned then.
    for label in np.setdiff1d(label_of, label_of[found == SPLITS[0]]):
        found[members[group_of[label_of == label][0]]] = SPLITS[0]
    return found


def split_by_time(
    times: np.ndarray, groups: np.ndarray | None, *, valid_fraction: float, test_fraction: float
) -> np.ndarray:
    """Assigns the newest rows to ``test``, those before them to ``valid``, and the oldest to ``train``.

    Each boundary lies between two different times, where it comes closest to the share: rows of one time stay on one
    side. A group counts as its newest row does, so that nothing of it is learned before what it is tested on.

    Args:
        times: ``float64[n]``.
        groups: ``str[n]`` or None.
        valid_fraction: Share of the rows; 0 gives none.
        test_fraction: Likewise.

    Returns:
        ``str[n]``; a split is empty only where there are fewer different times than splits.

    Example:
        >>> times = np.array([3.0, 1.0, 2.0, 4.0, 4.0])
        >>> split_by_time(times, None, valid_fraction=0.2, test_fraction=0.4).tolist()
        ['valid', 'train', 'train', 'test', 'test']
    """
    newest = times
    if groups is not None:
        group_of = numbered(groups)
        latest = np.full(int(group_of.max(initial=-1)) + 1, -np.inf)
        np.maximum.at(latest, group_of, times)
        newest = latest[group_of]
    found = np.full(len(times), SPLITS[0], dtype=object)
    moments, counts = np.unique(newest, return_counts=True)
    newer = np.cumsum(counts[::-1])[::-1]  # rows of each moment and after it
    stop, share = len(moments), 0.0
    later = [name for name, fraction in (("test", test_fraction), ("valid", valid_fraction)) if fraction]
    fractions = {"test": test_fraction, "valid": valid_fraction}
    for left, name in zip(range(len(later), 0, -1), later, strict=True):
        share += fractions[name]
        possible = np.arange(left, stop)  # a moment for each split that is still to come, and for train
        if not possible.size:
            break
        start = int(possible[np.abs(newer[possible] - share * len(times)).argmin()])
        found[(newest >= moments[start]) & (found == SPLITS[0])] = name
        stop = start
    return found


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
    starts = np.searchsorted(pairs, np.arange(int(group_of.max()) + 2) * classes).tolist()
    wanted = fractions[:, None] * np.bincount(label_of)
    have = np.zeros_like(wanted)
    sizes = np.bincount(group_of)
    room = (fractions * len(label_of)).tolist()
    closed = [False, *(fractions[1:] <= 0).tolist()]
    order = rng.permutation(len(sizes))
    chosen = np.zeros(len(sizes), dtype=np.int64)
    for group in order[np.argsort(-sizes[order], kind="stable")].tolist():
        start, stop = starts[group], starts[group + 1]
        own, count = pairs[start:stop] % classes, counts[start:stop]
        if stop - start == 1:  # as nearly all groups: numbers are ten times as fast as arrays of one
            best = _lacking_label(wanted, have, own.item(), count.item(), closed)
        else:
            best = _lacking_most(wanted, have, own, count, closed)
        chosen[group] = best
        have[best, own] += count
        room[best] -= sizes[group]
        # One row of slack: a share is seldom a whole number, and small groups still balance the labels.
        closed[best] = best > 0 and room[best] <= -1
    return chosen


def _lacking_most(
    wanted: np.ndarray, have: np.ndarray, own: np.ndarray, count: np.ndarray, closed: Sequence[bool]
) -> int:
    """Returns the split that lacks most of a group's labels, relative to its share of them; train if that has none.

    Args:
        wanted: ``float64[splits, classes]``: the rows of each class that a split is to have.
        have: Likewise: those that it has.
        own: The group's classes.
        count: How many rows of each.
        closed: Which splits take no more.
    """
    if (have[0, own] == 0).any():
        return 0
    target = wanted[:, own]
    lack = ((target - have[:, own]) * count).sum(axis=1) / np.maximum((target * count).sum(axis=1), 1e-9)
    lack[np.array(closed)] = -np.inf
    return int(lack.argmax())


def _lacking_label(wanted: np.ndarray, have: np.ndarray, own: int, count: int, closed: Sequence[bool]) -> int:
    """Returns what ``_lacking_most`` does, for a group of one class."""
    if have.item(0, own) == 0:
        return 0
    best, most = 0, -math.inf
    for split, shut in enumerate(closed):
        target = wanted.item(split, own)
        lack = (target - have.item(split, own)) * count / max(target * count, 1e-9)
        if not shut and lack > most:
            best, most = split, lack
    return best
