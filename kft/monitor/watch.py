"""Counts what comes, window by window, and weighs it against "nothing has changed".

A ``Watch`` never changes: what comes gives another one. It holds counts alone, so its size does not grow with the rows.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from math import log

import numpy as np

from kft.errors import UsageError
from kft.monitor import wealth as wealths
from kft.monitor.edges import Edges
from kft.monitor.gauges.all_gauges import GAUGES, shares_of_error
from kft.monitor.gauges.gauge import Gauge
from kft.monitor.learned import SHARE, Learned, learn
from kft.monitor.reference import Reference
from kft.monitor.seen import Seen
from kft.monitor.wealth import Wealth
from kft.monitor.windows import MOST_WINDOWS, WindowSpec
from kft.records.monitored import Moments, SliceCounts, WindowSeen

MOST_HISTORY = 1_000
"""Windows that are remembered one by one; older ones stay in the counts."""


@dataclass(frozen=True, eq=False)
class Watched:
    """A gauge under watch.

    Attributes:
        gauge: What it is.
        edges: How the test rows lie.
        share: Its part of the error; 0: it never raises an alarm.
        wealth: After all windows that are closed.
        alarm: The window in which it first raised one; empty: none.
        learned: Where it scores vectors.
    """

    gauge: Gauge
    edges: Edges
    share: float
    wealth: Wealth
    alarm: str = ""
    learned: Learned | None = None

    def threshold(self, alpha: float) -> float | None:
        """Returns the evidence at which it raises an alarm; None: at none."""
        return log(1 / (alpha * self.share)) if self.share else None

    def raising(self, alpha: float, window: str) -> Watched:
        """Returns it with an alarm in a window, where its evidence is enough and it has raised none yet."""
        threshold = self.threshold(alpha)
        over = threshold is not None and self.wealth.log >= threshold
        return replace(self, alarm=window) if over and not self.alarm else self


@dataclass(frozen=True, eq=False)
class Tally:
    """What came in one window.

    Attributes:
        rows: How many.
        cells: ``int64[cells]`` of each gauge.
        sums: ``float64[3]`` of each gauge: rows that have it, their sum, and that of their squares.
        labels: ``int64[classes]``: answers.
        slices: ``float64[slices, 4]`` of each way to cut rows; see ``kft.monitor.slices``.
        first: Time of the first row, in seconds since 1970; infinite where none bears one.
        last: Of the last.
    """

    rows: int = 0
    cells: Mapping[str, np.ndarray] = field(default_factory=dict)
    sums: Mapping[str, np.ndarray] = field(default_factory=dict)
    labels: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    first: float = np.inf
    last: float = -np.inf
    slices: Mapping[str, np.ndarray] = field(default_factory=dict)

    def plus(self, other: Tally) -> Tally:
        """Returns both together."""
        return Tally(
            self.rows + other.rows,
            _added(self.cells, other.cells),
            _added(self.sums, other.sums),
            self.labels + other.labels
            if len(self.labels) == len(other.labels)
            else max(self.labels, other.labels, key=len),
            min(self.first, other.first),
            max(self.last, other.last),
            _added(self.slices, other.slices),
        )


def _added(one: Mapping[str, np.ndarray], other: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {**one, **{name: one[name] + each if name in one else each for name, each in other.items()}}


@dataclass(frozen=True, eq=False)
class RowBatch:
    """Some rows that came.

    Attributes:
        seen: What is seen of them.
        keys: ``int64[rows]``: the number of the window of each.
        times: ``float64[rows]``, in seconds since 1970; None where they bear none.
        columns: ``object[rows]``: cells of the columns that rows are cut by, where they are there.
    """

    seen: Seen
    keys: np.ndarray
    times: np.ndarray | None = None
    columns: Mapping[str, np.ndarray] = field(default_factory=dict)

    def take(self, places: np.ndarray) -> RowBatch:
        """Returns some of the rows, in the order of ``places``."""
        times = None if self.times is None else self.times[places]
        columns = {name: cells[places] for name, cells in self.columns.items()}
        return RowBatch(self.seen.take(places), self.keys[places], times, columns)


@dataclass(frozen=True, eq=False)
class Watch:
    """All that is known of what came.

    Attributes:
        reference: What it is held against.
        alpha: The chance that an alarm is ever raised where nothing has changed is at most this.
        cut: How rows are cut into windows.
        gauges: Under watch, by name.
        open: What came in windows that are not closed, by number.
        history: The latest closed windows, oldest first.
        rows: That came.
        closed: Windows that were closed.
        vectors: ``float64[width]``: the sum of the vectors since the last gauge was learned.
        n_vectors: How many these are.
    """

    reference: Reference
    alpha: float
    cut: WindowSpec
    gauges: Mapping[str, Watched]
    open: Mapping[int, Tally] = field(default_factory=dict)
    history: tuple[WindowSeen, ...] = ()
    rows: int = 0
    closed: int = 0
    vectors: np.ndarray = field(default_factory=lambda: np.zeros(0))
    n_vectors: int = 0


def begin(reference: Reference, alpha: float, cut: WindowSpec) -> Watch:
    """Returns a watch to which nothing has come.

    Args:
        reference: Of the artifact.
        alpha: The chance of any false alarm ever.
        cut: How rows are cut into windows.
    """
    left = 1 - SHARE if reference.vectors is not None and reference.known.vectors is not None else 1.0
    shares = shares_of_error(reference.gauges)
    gauges = {
        name: Watched(GAUGES[name], edges, left * shares.get(name, 0.0), wealths.start(edges.gaps))
        for name, edges in reference.edges.items()
    }
    return Watch(reference, alpha, cut, gauges)


def take(watch: Watch, block: RowBatch, *, ordered: bool) -> Watch:
    """Returns the watch after some rows.

    Args:
        watch: Before.
        block: The rows.
        ordered: Whether no row of an earlier window comes after this block: those windows are closed at once, and what
            is learned from them is used on the rows after them. Without, all windows stay open until ``close``.
    """
    keys = np.unique(block.keys)
    for key in keys.tolist():
        part = block.take(np.flatnonzero(block.keys == key)) if len(keys) > 1 else block
        if ordered:
            watch = close(watch, key)
        tally = watch.open.get(key, Tally()).plus(_count(watch, part, key))
        watch = replace(watch, open={**watch.open, key: tally}, rows=watch.rows + len(part.seen))
        if ordered and part.seen.vectors is not None:
            watch = _remember(watch, part.seen.vectors)
    return watch


def _count(watch: Watch, block: RowBatch, key: int) -> Tally:
    seen, times = block.seen, block.times
    cells, sums = {}, {}
    for name, each in watch.gauges.items():
        if each.learned is None:
            values = seen.values.get(name)
        else:
            values = None if seen.vectors is None else each.learned.score(seen.vectors)
        if values is None:
            continue
        known = values[~np.isnan(values)]
        # The same rows after the same state give the same counts, also where equal values are put in order by chance.
        rng = np.random.default_rng([zlib.crc32(name.encode()), watch.rows, abs(key)])
        cells[name] = each.edges.count(known, rng)
        sums[name] = np.array([len(known), known.sum(), np.square(known).sum()])
    labels = np.zeros(0, np.int64)
    if seen.label is not None:
        labels = np.bincount(seen.label[seen.label >= 0], minlength=len(watch.reference.labels))
    slices = {} if watch.reference.slices is None else watch.reference.slices.count(seen, block.columns)
    ends = (np.inf, -np.inf) if times is None or not len(times) else (float(times.min()), float(times.max()))
    return Tally(len(seen), cells, sums, labels, *ends, slices)


def _remember(watch: Watch, vectors: np.ndarray) -> Watch:
    known = vectors[~np.isnan(vectors).any(axis=1)].astype(np.float64)
    total = known.sum(axis=0) if len(known) else np.zeros(vectors.shape[1])
    return replace(
        watch,
        vectors=total if not len(watch.vectors) else watch.vectors + total,
        n_vectors=watch.n_vectors + len(known),
    )


def close(watch: Watch, before: int) -> Watch:
    """Closes, in their order, the open windows whose number is less than ``before``."""
    for key in sorted(watch.open):
        if key < before:
            watch = _close_one(watch, key)
    return watch


def finish(watch: Watch) -> Watch:
    """Closes the windows that no more rows can come into, and lets the one that stays open raise alarms, too.

    Evidence may be looked at after any row, so that nobody waits for the end of a week to be told.
    """
    if not watch.open:
        return watch
    latest = max(watch.open)
    watch = close(watch, latest)
    if watch.cut.is_full(watch.open[latest].rows):
        return close(watch, latest + 1)
    peeked = _weighed(watch, watch.open[latest], watch.cut.name(latest))
    return replace(watch, gauges={name: replace(each, alarm=peeked[name].alarm) for name, each in watch.gauges.items()})


def open_window(watch: Watch) -> tuple[WindowSeen, Mapping[str, Watched]] | None:
    """Returns the window that more rows may come into, and the gauges after its rows; None: there is none."""
    if not watch.open:
        return None
    key, tally = max(watch.open.items())
    gauges = _weighed(watch, tally, watch.cut.name(key))
    return replace(_seen_window(watch, key, tally, gauges), open=True), gauges


def _close_one(watch: Watch, key: int) -> Watch:
    tally = watch.open[key]
    gauges = _weighed(watch, tally, watch.cut.name(key))
    window = _seen_window(watch, key, tally, gauges)
    watch = replace(
        watch,
        gauges=gauges,
        open={number: each for number, each in watch.open.items() if number != key},
        history=(*watch.history, window)[-MOST_HISTORY:],
        closed=watch.closed + 1,
    )
    return _learn(watch) if watch.n_vectors and watch.closed & (watch.closed - 1) == 0 else watch


def _weighed(watch: Watch, tally: Tally, window: str) -> dict[str, Watched]:
    """Returns the gauges after the rows of a window."""
    found = {}
    for name, each in watch.gauges.items():
        came = tally.cells.get(name)
        after = each if came is None else replace(each, wealth=each.wealth.after(came))
        found[name] = after.raising(watch.alpha, window)
    return found


def _learn(watch: Watch) -> Watch:
    """Begins a gauge that is learned from the windows since the one before it."""
    found = learn(watch.reference, watch.vectors, watch.n_vectors, watch.closed)
    watch = replace(watch, vectors=np.zeros(0), n_vectors=0)
    return watch if found is None else with_learned(watch, found)


def with_learned(watch: Watch, found: Learned) -> Watch:
    """Returns the watch with one more gauge, which has seen nothing yet."""
    edges = found.edges(watch.reference)
    added = Watched(found.gauge, edges, found.share, wealths.start(edges.gaps), learned=found)
    return replace(watch, gauges={**watch.gauges, found.gauge.name: added})


def _seen_window(watch: Watch, key: int, tally: Tally, gauges: Mapping[str, Watched]) -> WindowSeen:
    return WindowSeen(
        name=watch.cut.name(key),
        rows=tally.rows,
        start=_stamp(tally.first),
        end=_stamp(tally.last),
        evidence={name: round(each.wealth.log, 3) for name, each in gauges.items()},
        moments={name: moments_of(sums) for name, sums in tally.sums.items() if sums[0]},
        labels={str(place): int(tally.labels[place]) for place in np.flatnonzero(tally.labels).tolist()},
        slices=counts_of(tally.slices),
    )


def counts_of(slices: Mapping[str, np.ndarray]) -> tuple[SliceCounts, ...]:
    """Returns the counts of slices, each with its place, as a document holds them; those without rows are left out."""
    return tuple(
        (by, place, *(round(float(number), 3) for number in counts[place]))  # type: ignore[misc]
        for by, counts in slices.items()
        for place in np.flatnonzero(counts[:, 0]).tolist()
    )


def _stamp(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds") if np.isfinite(seconds) else ""


def moments_of(sums: np.ndarray) -> Moments:
    """Returns mean and standard deviation from a count, a sum, and a sum of squares.

    Example:
        >>> moments_of(np.array([2.0, 6.0, 20.0]))
        Moments(n=2, mean=3.0, sd=1.0)
    """
    n, total, squares = map(float, sums)
    mean = total / n
    return Moments(int(n), mean, max(0.0, squares / n - mean**2) ** 0.5)


def require_few(windows: int, asked: str) -> None:
    """Refuses windows so small that there are too many.

    Args:
        windows: Of one call.
        asked: ``--window``.

    Raises:
        UsageError: There are more than ``MOST_WINDOWS``.
    """
    if windows > MOST_WINDOWS:
        raise UsageError(
            f"these are more than {MOST_WINDOWS:,} windows",
            where="--window",
            received=asked,
            expected="windows of some hundred rows or more",
            next_step="--window 1d, or a larger number of rows",
        )
