"""Which rows are worth a label, and with what chance each was drawn: so that labels stand for all rows.

Rows are drawn, never picked: each has a chance above 0 that is written down, and one over it is how many rows a drawn
one stands for (Horvitz and Thompson, 1952). A share of the labels is spread over all rows alike; the rest is given to
rows in proportion to how unsure, how foreign and how near to known mistakes they are. Copies share one chance. Rows
that look alike lie side by side while a systematic sample steps over them (Madow, 1949): few are drawn together.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kft.metrics.neighbours import unit_rows

RANDOM_SHARE = 0.3
LEAST_RANDOM = 0.05
"""Of the labels that are spread over all rows: with less, a row could stand for thousands."""
UNSURE, FOREIGN, MISTAKES, RANDOM = "unsure", "foreign", "near mistakes", "random"
PARTS = {UNSURE: 0.7, MISTAKES: 0.1, FOREIGN: 0.2}
"""How the rest is given out; what cannot be told of these rows leaves its part to the others."""
REACH = 1.0
"""The least sure rows that share the part for unsure ones: about so many times the labels."""
TYPICAL = 0.9
"""Rows that lie nearer than so many test rows do are not foreign."""
NEIGHBOURS = 10
"""Test rows that say whether mistakes are made here."""
LEAF = 4
"""Rows that are not told apart further when like rows are laid side by side."""
AT_ONCE = 2048


@dataclass(frozen=True, eq=False)
class Worth:
    """What is known of rows that may be labelled; each ``float[n]``, or None where it cannot be told.

    Attributes:
        unsure: More is less sure; only its order counts.
        foreign: The share of test rows that lie nearer to valid than this row does.
        mistakes: The share of the nearest test rows that were answered wrongly.
    """

    unsure: np.ndarray | None = None
    foreign: np.ndarray | None = None
    mistakes: np.ndarray | None = None


@dataclass(frozen=True, eq=False)
class Drawn:
    """What was drawn.

    Attributes:
        places: ``int64[n]``: which rows, in random order: whoever labels the first half has labelled a fair half.
        chance: ``float64[n]``: of each to be drawn.
        why: What most of its chance is for, one of ``UNSURE``, ``FOREIGN``, ``MISTAKES``, ``RANDOM``.
        least: The least chance that any row had.
    """

    places: np.ndarray
    chance: np.ndarray
    why: tuple[str, ...]
    least: float


def least_sure(probabilities: np.ndarray) -> np.ndarray:
    """Returns ``float[n]``: how near the second class is to the first.

    Args:
        probabilities: ``float[n, classes]``, rows that sum to 1.

    Example:
        >>> least_sure(np.array([[0.5, 0.4, 0.1], [0.9, 0.1, 0.0]])).round(1).tolist()
        [0.9, 0.2]
    """
    if probabilities.shape[1] < 2:
        return np.zeros(len(probabilities))
    top = np.partition(np.asarray(probabilities, np.float64), -2, axis=1)
    return 1 - (top[:, -1] - top[:, -2])


def farness(vectors: np.ndarray, valid: np.ndarray, test: np.ndarray) -> np.ndarray:
    """Returns ``float64[n]``: the share of test rows that lie nearer to a row of valid than each row does, by angle.

    Args:
        vectors: ``float[n, width]``.
        valid: ``float[m, width]``: of valid rows.
        test: ``float[k, width]``: of test rows.

    Example:
        >>> farness(np.array([[1.0, 0.0], [-1.0, 0.0]]), np.eye(2), np.array([[1.0, 1.0], [2.0, 1.0]])).tolist()
        [0.0, 1.0]
    """
    known = _unit(valid)

    def nearest(rows: np.ndarray) -> np.ndarray:
        parts = [(_unit(rows[at : at + AT_ONCE]) @ known.T).max(axis=1) for at in range(0, len(rows), AT_ONCE)]
        return np.concatenate([*parts, np.zeros(0, np.float32)])

    return np.searchsorted(np.sort(-nearest(test)), -nearest(vectors)) / len(test)


def mistakes_nearby(vectors: np.ndarray, known: np.ndarray, wrong: np.ndarray) -> np.ndarray | None:
    """Returns ``float64[n]``: the share of the nearest test rows, by angle, that were answered wrongly.

    Args:
        vectors: ``float[n, width]``.
        known: ``float[m, width]``: of test rows.
        wrong: ``bool[m]``.

    Returns:
        None where no test row is wrong, or there are too few to say where.

    Example:
        >>> known = np.repeat(np.eye(2), 20, axis=0)
        >>> mistakes_nearby(np.eye(2), known, np.arange(40) < 20).tolist()
        [1.0, 0.0]
    """
    if not wrong.any() or len(known) < 2 * NEIGHBOURS:
        return None
    test = _unit(known)
    found = np.empty(len(vectors))
    for start in range(0, len(vectors), AT_ONCE):
        alike = _unit(vectors[start : start + AT_ONCE]) @ test.T
        nearest = np.argpartition(-alike, NEIGHBOURS - 1, axis=1)[:, :NEIGHBOURS]
        found[start : start + AT_ONCE] = wrong[nearest].mean(axis=1)
    return found


def shares_of(worth: Worth, rows: int, n: int) -> dict[str, np.ndarray]:
    """Returns what each row gets of the labels that are not spread alike, by what for; all of it sums to 1.

    Args:
        worth: What is known of the rows.
        rows: How many there are.
        n: Labels.

    Example:
        >>> shares = shares_of(Worth(unsure=np.arange(100)), 100, 5)
        >>> shares["unsure"][[49, 89, 99]].round(4).tolist()
        [0.0, 0.0245, 0.1813]
    """
    found: dict[str, np.ndarray] = {}
    if worth.unsure is not None and np.ptp(worth.unsure) > 0:
        # To the power k, a rank from 0 to 1 is worth as if the first in k + 1 had it all.
        found[UNSURE] = _ranks(worth.unsure) ** max(1.0, rows / (REACH * n) - 1)
    if worth.mistakes is not None:
        found[MISTAKES] = np.asarray(worth.mistakes, np.float64)
    if worth.foreign is not None:
        found[FOREIGN] = np.clip((np.asarray(worth.foreign, np.float64) - TYPICAL) / (1 - TYPICAL), 0, 1)
    found = {name: each for name, each in found.items() if each.sum() > 0}
    if not found:
        return {RANDOM: np.full(rows, 1 / rows)}
    whole = sum(PARTS[name] for name in found)
    return {name: each / each.sum() * PARTS[name] / whole for name, each in found.items()}


def chances(interest: np.ndarray, copies: np.ndarray, n: int, random_share: float) -> np.ndarray:
    """Returns ``float64[rows]``: the chance of each row to be drawn, at most 1, ``n`` together.

    Args:
        interest: ``float64[rows]``: what each gets of the labels that are not spread alike; it sums to 1.
        copies: ``int[rows]``: how many rows each stands for.
        n: Labels; at most ``rows``.
        random_share: Of them that are spread alike over all that the rows stand for.

    Example:
        >>> chances(np.array([0.97, 0.01, 0.01, 0.01]), np.ones(4), 2, 0.5).round(3).tolist()
        [1.0, 0.333, 0.333, 0.333]
    """
    wanted = n * (random_share * copies / copies.sum() + (1 - random_share) * interest)
    found = np.minimum(wanted, 1)
    # What is above 1 is given to the others, in proportion; each round some more come to 1.
    while (found.sum() < n - 1e-9) and (found < 1).any():
        free = found < 1
        found[free] = np.minimum(found[free] * (n - (~free).sum()) / found[free].sum(), 1)
    return found


def side_by_side(vectors: np.ndarray) -> np.ndarray:
    """Returns an order of rows in which those that look alike lie near each other.

    Rows are parted along their main direction, at the widest gap around the middle, again and again.

    Args:
        vectors: ``float[n, width]``.

    Example:
        >>> order = side_by_side(np.array([[1, 0], [0, 1], [1, 0.1], [0.1, 1], [1, 0.2], [0.2, 1]]))
        >>> sorted(order[:3].tolist()) in ([0, 2, 4], [1, 3, 5])
        True
    """
    unit = _unit(vectors)
    order, waiting = [], [np.arange(len(unit))]
    while waiting:
        rows = waiting.pop()
        if len(rows) <= LEAF:
            order.append(rows)
            continue
        part = unit[rows]
        centred = part - part.mean(axis=0)
        direction = centred[np.argmax((centred**2).sum(axis=1))]
        for _ in range(3):  # of the power method: nearly the main direction will do
            direction = centred.T @ (centred @ direction)
            direction = direction / max(float(np.linalg.norm(direction)), 1e-12)
        along = centred @ direction
        line = np.argsort(along, kind="stable")
        quarter = len(rows) // 4
        gaps = np.diff(along[line])[quarter : len(rows) - quarter]
        cut = quarter + int(gaps.argmax()) + 1
        waiting += [rows[line[cut:]], rows[line[:cut]]]
    return np.concatenate(order) if order else np.zeros(0, np.int64)


def step_over(chance: np.ndarray, order: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Draws rows with exactly the given chances, as many as these sum to: a systematic sample along an order.

    Args:
        chance: ``float64[rows]``, each at most 1; they sum to a whole number.
        order: Of the rows.
        rng: Draws the first step.

    Returns:
        ``int64[n]``: the places, along the order.
    """
    total = np.cumsum(chance[order])
    n = round(float(total[-1]))
    total *= n / total[-1]  # the sum of thousands of fractions is a whole number but for rounding
    steps = np.floor(total - rng.random())
    return order[np.diff(steps, prepend=-1.0) > 0]


def draw(
    worth: Worth, keys: np.ndarray, vectors: np.ndarray | None, n: int, *, random_share: float, seed: int
) -> Drawn:
    """Draws the rows that are to be labelled.

    Args:
        worth: What is known of the rows.
        keys: ``[rows]``: copies have the same.
        vectors: ``float[rows, width]``; None where there are none: rows are then stepped over in random order.
        n: How many are drawn; where there are fewer different rows, all of these.
        random_share: Of them that are spread over all rows alike, from ``LEAST_RANDOM`` to 1.
        seed: The same seed draws the same rows.

    Example:
        >>> unsure = np.linspace(0, 1, 100)
        >>> drawn = draw(Worth(unsure), np.arange(100), None, 10, random_share=0.3, seed=0)
        >>> len(drawn.places), bool((drawn.chance >= 0.03 - 1e-12).all())
        (10, True)
    """
    rng = np.random.default_rng(seed)
    mixed = rng.permutation(len(keys))  # which of several copies is drawn is left to chance
    _, first, copies = np.unique(keys[mixed], return_index=True, return_counts=True)
    one_each = mixed[first]
    n = min(n, len(one_each))
    mine = Worth(*(None if each is None else np.asarray(each)[one_each] for each in vars(worth).values()))
    shares = shares_of(mine, len(one_each), n)
    chance = chances(np.sum(list(shares.values()), axis=0), copies, n, random_share)
    order = rng.permutation(len(one_each)) if vectors is None else side_by_side(vectors[one_each])
    drawn = rng.permutation(step_over(chance, order, rng))
    parts = {name: (1 - random_share) * each[drawn] for name, each in shares.items() if name != RANDOM}
    alike = random_share * copies[drawn] / len(keys)
    names = [RANDOM, *parts]
    largest = np.stack([alike, *parts.values()]).argmax(axis=0)
    why = tuple(names[place] for place in largest)
    return Drawn(one_each[drawn], chance[drawn] / copies[drawn], why, float((chance / copies).min(initial=1.0)))


def _ranks(values: np.ndarray) -> np.ndarray:
    """Returns each value's rank among all, above 0 and at most 1; equal values have the same."""
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    return np.cumsum(counts)[place] / len(values)


def _unit(vectors: np.ndarray) -> np.ndarray:
    return unit_rows(np.asarray(vectors, np.float32))
