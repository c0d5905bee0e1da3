"""Holds slices of what came against the test rows: how much of it they are, how many of their rows are unsure.

Slices explain an alarm, and raise none. What is said of them still holds together: with a chance of 1 - alpha no
interval, of any slice, from any window on, at any look, ever misses the difference that it is of. It is that of the
gauges: rows are from one source, each independently of the others, among the test rows and since that window.

Let s of n new rows and k of m test rows have something. For shares p and q, the probability of these counts where a
share may be anything (Jeffreys' prior), over that under p and q, is a test martingale in the new rows: the chance that
it ever reaches w is at most 1 / w (Ville, 1939; Robbins, 1970). The interval holds each difference p - q that some p
and q have for which it is below w. The error is spent over ways to cut rows, over slices, over what is compared, and
over the windows from which rows are compared as the bets of ``wealth`` spend theirs.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import log

import numpy as np
from scipy.special import betaln, xlog1py, xlogy

from kft.monitor.slices import Slices, Slicing, as_counts
from kft.monitor.watch import Watch
from kft.monitor.wealth import stake_of
from kft.records.monitored import GaugeSeen, WindowSeen
from kft.records.sliced import ShareChange, SliceSeen, SlicesSeen

STEPS = 24
"""Halvings of an interval: to a ten-millionth."""
EARLIER = "the artifact was exported by an earlier kft, which kept nothing of slices: export the run again"


def compare_slices(watch: Watch, windows: Sequence[WindowSeen], gauges: Sequence[GaugeSeen]) -> SlicesSeen:
    """Returns the slices, those that moved first.

    Args:
        watch: After all rows.
        windows: From ``kft.monitor.explain.look``.
        gauges: Likewise. Rows count since the first of those that raised an alarm is otherwise; where none did, all.
    """
    slices = watch.reference.slices
    if slices is None:
        return SlicesSeen(refused=EARLIER)
    if not windows:
        return SlicesSeen(refused="no row has come yet")
    at = first_of(windows, gauges)
    late = windows[at:]
    counts = as_counts(slices, (each for window in late for each in window.slices))
    remembered = len(windows) - (1 if windows[-1].open else 0)
    level = log(max(1, len(slices.every)) / (watch.alpha * stake_of(watch.closed - remembered + at)))
    found = [each for way in slices.every if way.by in counts for each in _of_way(way, slices, counts[way.by], level)]
    return SlicesSeen(
        since=windows[at].name,
        rows=sum(window.rows for window in late),
        unsure_below=slices.unsure,
        every=tuple(sorted(found, key=lambda each: (not each.moved, -_beyond(each)))),
        unknown=tuple(each.column for each in slices.every if each.column and each.by not in counts),
        refused="" if found else "nothing that these rows have is cut into slices",
    )


def first_of(windows: Sequence[WindowSeen], gauges: Sequence[GaugeSeen]) -> int:
    """Returns the window since when it is otherwise, by the gauge that raised an alarm with the most evidence.

    Args:
        windows: Oldest first.
        gauges: Those that raised an alarm first, then by evidence.
    """
    since = next((gauge.since for gauge in gauges if gauge.alarm), "")
    return next((at for at, window in enumerate(windows) if window.name == since), 0)


def _of_way(way: Slicing, slices: Slices, counts: np.ndarray, level: float) -> list[SliceSeen]:
    """Returns the slices of one way to cut rows; those that nobody is in, now or before, are left out."""
    before, whole = way.test, (way.test[:, 0].sum(), counts[:, 0].sum())
    asked = 1 + (slices.unsure is not None) + slices.withholds
    level += log(len(way.names) * asked)
    shares = differences((before[:, 0], whole[0]), (counts[:, 0], whole[1]), level)
    unsure, withheld = (
        differences((before[:, at], before[:, 0]), (counts[:, at], counts[:, 0]), level) for at in (2, 3)
    )
    found = []
    for place in np.flatnonzero(before[:, 0] + counts[:, 0]).tolist():
        rows, tested = counts[place, 0], before[place, 0]
        both = rows > 0 and tested > 0
        found.append(
            SliceSeen(
                by=way.by,
                value=way.names[place],
                rows=int(rows),
                test_rows=int(tested),
                share=_compared(shares, place),
                unsure=_compared(unsure, place) if both and slices.unsure is not None else None,
                withheld=_compared(withheld, place) if both and slices.withholds else None,
                confidence=float(counts[place, 1] / rows) if rows and slices.unsure is not None else None,
                confidence_before=float(before[place, 1] / tested) if tested and slices.unsure is not None else None,
            )
        )
    return found


def _compared(found: np.ndarray, place: int) -> ShareChange:
    return ShareChange(*(round(float(number), 5) for number in found[place]))


def _beyond(each: SliceSeen) -> float:
    """Returns by how much the farthest of its differences lies beyond 0, as a part of its interval."""
    compared = [found for found in (each.share, each.unsure, each.withheld) if found is not None]
    return max(max(found.low, -found.high) / max(found.high - found.low, 1e-9) for found in compared)


def differences(
    before: tuple[np.ndarray, np.ndarray | float], now: tuple[np.ndarray, np.ndarray | float], level: float
) -> np.ndarray:
    """Returns shares before and now, and the interval of their difference: ``float64[slices, 4]``.

    Args:
        before: Rows that have it, ``float64[slices]``, and all rows.
        now: Likewise.
        level: The logarithm of one over the error that each interval may spend.

    Example:
        >>> found = differences((np.array([100.0]), 1000.0), (np.array([300.0]), 1000.0), np.log(100))
        >>> found.round(2).tolist()
        [[0.1, 0.3, 0.12, 0.29]]
    """
    (k, m), (s, n) = ([np.asarray(each, np.float64) for each in np.broadcast_arrays(*pair)] for pair in (before, now))
    # How probable the counts are where each share may be anything: what the best pair of shares is held against.
    bar = _free(k, m) + _free(s, n) - level
    share, shares = k / np.maximum(m, 1), s / np.maximum(n, 1)
    ends = []
    for end in (-1.0, 1.0):
        inside, outside = shares - share, np.full(len(k), end)
        for _ in range(STEPS):
            middle = (inside + outside) / 2
            holds = _likeliest((k, m), (s, n), middle) >= bar
            inside, outside = np.where(holds, middle, inside), np.where(holds, outside, middle)
        ends.append(inside)
    return np.stack([share, shares, *ends], axis=1)


def _free(some: np.ndarray, of: np.ndarray) -> np.ndarray:
    return np.asarray(betaln(some + 0.5, of - some + 0.5) - betaln(0.5, 0.5))


Pair = tuple[np.ndarray, np.ndarray]


def _likeliest(before: Pair, now: Pair, difference: np.ndarray) -> np.ndarray:
    """Returns how probable counts are under the likeliest pair of shares with this difference; its logarithm."""
    (k, m), (s, n) = before, now
    low, high = np.maximum(0.0, -difference), np.minimum(1.0, 1.0 - difference)

    def likely(p: np.ndarray) -> np.ndarray:
        q = np.clip(p + difference, 0.0, 1.0)
        return np.asarray(xlogy(k, p) + xlog1py(m - k, -p) + xlogy(s, q) + xlog1py(n - s, -q))

    with np.errstate(divide="ignore", invalid="ignore"):
        for _ in range(STEPS):  # the slope only falls, from one end to the other
            p = (low + high) / 2
            q = p + difference
            slope = _over(k, p) - _over(m - k, 1 - p) + _over(s, q) - _over(n - s, 1 - q)
            low, high = np.where(slope > 0, p, low), np.where(slope > 0, high, p)
        return np.maximum.reduce([likely(low), likely((low + high) / 2), likely(high)])


def _over(count: np.ndarray, share: np.ndarray) -> np.ndarray:
    return np.where(count > 0, count / np.maximum(share, 1e-300), 0.0)
