"""Says in words what moved: before and now, with an interval, and since when."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from kft.monitor.edges import Edges
from kft.monitor.reference import Reference
from kft.monitor.watch import Watch, Watched, open_window
from kft.monitor.wealth import Wealth, last_began
from kft.records.monitored import Change, GaugeSeen, Moments, WindowSeen, moments

NORMAL = 1.96
"""Half the width of a 95 % interval, in standard errors."""
MOST_CLASSES = 3
"""Classes that are named on either side."""
YES_OR_NO = "0 or 1"
"""The unit of what a row is or is not."""
NOTICED = 3.0
"""Standard errors from which on a share is worth a word."""


def look(watch: Watch) -> tuple[tuple[WindowSeen, ...], tuple[GaugeSeen, ...]]:
    """Returns the windows, oldest first, and the gauges: those that raised an alarm first, then by evidence.

    A window that more rows may come into is the last one, with the evidence that it has so far.
    """
    opened = open_window(watch)
    windows = watch.history if opened is None else (*watch.history, opened[0])
    gauges = watch.gauges if opened is None else opened[1]
    found = [_seen(watch, each, windows) for each in gauges.values()]
    return windows, tuple(sorted(found, key=lambda each: (not each.alarm, -each.strength, each.name)))


def _seen(watch: Watch, each: Watched, windows: Sequence[WindowSeen]) -> GaugeSeen:
    gauge, wealth = each.gauge, each.wealth
    seen = GaugeSeen(
        gauge.name, gauge.kind, gauge.about, gauge.unit, wealth.log, each.threshold(watch.alpha), each.alarm
    )
    before = before_of(watch.reference, each)
    at = _since(wealth, [window.moments.get(gauge.name) for window in windows])
    if at is None:
        return replace(seen, before=before)
    late = windows[at:]
    now = pooled([window.moments[gauge.name] for window in late if gauge.name in window.moments])
    if each.learned is not None and before is not None:  # its zero says nothing
        now, before = replace(now, mean=now.mean - before.mean), replace(before, mean=0.0)
    seen = replace(seen, since=windows[at].name, before=before, now=now)
    if gauge.codes:
        return replace(seen, said=_classes(watch.reference, late)) if each.alarm else seen
    change = None if before is None else change_of(before, now)
    seen = replace(seen, change=change)
    return replace(seen, said=_said(seen, each.edges, wealth)) if each.alarm else seen


def before_of(reference: Reference, each: Watched) -> Moments | None:
    """Returns what the test rows have of a gauge."""
    if each.learned is None:
        return reference.moments.get(each.gauge.name)
    assert reference.vectors is not None
    return moments(each.learned.score(reference.vectors))


def pooled(parts: Sequence[Moments]) -> Moments:
    """Returns the moments of rows that came in several windows.

    Example:
        >>> pooled([Moments(1, 0.0, 0.0), Moments(1, 2.0, 0.0)])
        Moments(n=2, mean=1.0, sd=1.0)
    """
    n = sum(part.n for part in parts)
    mean = sum(part.n * part.mean for part in parts) / n
    square = sum(part.n * (part.sd**2 + (part.mean - mean) ** 2) for part in parts) / n
    return Moments(n, mean, square**0.5)


def change_of(before: Moments, now: Moments) -> Change:
    """Returns the difference of two means, with the interval of Welch (1947)."""
    value = now.mean - before.mean
    half = NORMAL * (before.variance_of_mean + now.variance_of_mean) ** 0.5
    return Change(value, value - half, value + half)


def _since(wealth: Wealth, windows: Sequence[Moments | None]) -> int | None:
    """Returns the window in which the bets that have won most were laid; None where nothing came in these windows."""
    places = [at for at, each in enumerate(windows) if each is not None]
    if not places or not wealth.games:
        return None
    left = int(wealth.counts.sum() - last_began(wealth).sum())
    for at in reversed(places):
        left -= windows[at].n  # type: ignore[union-attr]
        if left <= 0:
            return at
    return places[0]


def _said(seen: GaugeSeen, edges: Edges, wealth: Wealth) -> str:
    moved = _cells(edges, wealth)
    if seen.before is None or seen.now is None or seen.change is None:
        return moved
    change = seen.change
    more = "more" if change.value > 0 else "less"
    if seen.unit == YES_OR_NO:
        return f"{seen.now.mean:.1%} of all rows, {seen.before.mean:.1%} before"
    unit = "" if seen.unit == "share" or seen.unit[0].isdigit() else f" {seen.unit}"
    means = f"{amount(seen.now.mean)}{unit} now, {amount(seen.before.mean)} before"
    if change.low <= 0 <= change.high:
        return f"the mean hardly moves ({means}), the spread does; {moved}"
    low, high = sorted((abs(change.low), abs(change.high)))
    return f"{means} ({amount(low)} to {amount(high)} {more}); {moved}"


def _cells(edges: Edges, wealth: Wealth) -> str:
    """Says which cell has grown most beyond chance."""
    n, whole = wealth.counts.sum(), edges.gaps.sum()
    usual, now = edges.gaps / whole, wealth.counts / max(1, n)
    at = int(((now - usual) / np.sqrt(usual * (1 - usual) * (1 / max(1, n) + 1 / whole))).argmax())
    share = f"{now[at]:.1%} of all rows, {usual[at]:.1%} before"
    if at == 0:
        return f"what has grown most is below all test rows (under {amount(edges.values[0])}): {share}"
    if at == edges.cells - 1:
        return f"what has grown most is above all test rows (over {amount(edges.values[-1])}): {share}"
    if edges.values[at - 1] == edges.values[at]:
        return f"what has grown most is {amount(edges.values[at])}: {share}"
    return f"what has grown most is {amount(edges.values[at - 1])} to {amount(edges.values[at])}: {share}"


def _classes(reference: Reference, windows: Sequence[WindowSeen]) -> str:
    """Says which answers have grown, and which have shrunk."""
    if reference.scores is None:
        return "other answers are given than before"
    now = np.zeros(len(reference.labels))
    for window in windows:
        for place, count in window.labels.items():
            now[int(place)] += count
    before = np.bincount(reference.scores.label, minlength=len(reference.labels)).astype(float)
    parts = moved_classes(reference.labels, before, now)
    return "; ".join(parts) or "several answers have moved a little"


def moved_classes(labels: Sequence[str], before: np.ndarray, now: np.ndarray) -> list[str]:
    """Returns the answers that have moved beyond chance, those that grew first.

    Args:
        labels: Their names.
        before: Answers of each, of the test rows.
        now: Of the rows that came.

    Example:
        >>> moved_classes(("a", "b"), np.array([50.0, 50.0]), np.array([90.0, 10.0]))
        ["more 'a': 90.0 % of answers, 50.0 % before", "less 'b': 10.0 % of answers, 50.0 % before"]
    """
    n, m = max(1.0, now.sum()), max(1.0, before.sum())
    share, usual, pool = now / n, before / m, (now + before) / (n + m)
    z = (share - usual) / np.sqrt(np.maximum(pool * (1 - pool), 1e-12) * (1 / n + 1 / m))
    order = np.argsort(-z, kind="stable")
    grown = [at for at in order[:MOST_CLASSES] if z[at] > NOTICED]
    shrunk = [at for at in order[::-1][:MOST_CLASSES] if z[at] < -NOTICED]
    named: Mapping[str, list[int]] = {"more": grown, "less": shrunk}
    return [
        f"{word} {labels[at]!r}: {100 * share[at]:.1f} % of answers, {100 * usual[at]:.1f} % before"
        for word, places in named.items()
        for at in places
    ]


def amount(value: float) -> str:
    """Returns a number as people read it.

    Example:
        >>> amount(12.345), amount(0.00123), amount(123456.0)
        ('12.3', '0.00123', '123,456')
    """
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
