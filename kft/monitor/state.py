"""What is kept between calls of ``kft monitor``: one file, replaced whole, and bound to one artifact.

It holds what was counted and which rows that were, so that a call that was killed, or made twice, counts no row twice:
the file is as it was before the call, or as it is after it. No row is in it.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np

from kft.errors import RunError, UsageError
from kft.monitor import wealth as wealths
from kft.monitor.counted import Counted, Mark
from kft.monitor.learned import from_text
from kft.monitor.reference import Reference
from kft.monitor.slices import as_counts
from kft.monitor.watch import Tally, Watch, Watched, begin, counts_of, with_learned
from kft.monitor.windows import WindowSpec
from kft.records.document import document_digest, document_text, read_document
from kft.records.fields import absent
from kft.records.files import require_writable, storage_errors, write_file
from kft.records.lock import hold
from kft.records.monitored import SliceCounts, WindowSeen
from kft.records.run_folder import RunFolder

NAME = "monitor-state.json"
ANOTHER = "--state NEW_FOLDER begins anew; the old one stays as it is"


@dataclass(frozen=True)
class Bound:
    """Which artifact a state belongs to.

    Attributes:
        name: Of the artifact.
        version: Of it.
        reference: sha256 of what its rows are held against.
    """

    name: str
    version: str
    reference: str


@dataclass(frozen=True, eq=False)
class State:
    """What is kept.

    Attributes:
        bound: Of which artifact.
        watch: All that came.
        counted: Which rows that were.
        calls: That counted rows.
        posted: A hash of the alarm that was posted last and of its address; empty: none was.
    """

    bound: Bound
    watch: Watch
    counted: Counted = field(default_factory=Counted)
    calls: int = 0
    posted: str = ""


def new_state(bound: Bound, reference: Reference, alpha: float, cut: WindowSpec) -> State:
    """Returns a state in which nothing has come."""
    return State(bound, begin(reference, alpha, cut))


@dataclass(frozen=True)
class _Gauge:
    wealth: Mapping[str, Any]
    alarm: str = absent("")
    windows: int = absent(0)
    direction: str = absent("")


@dataclass(frozen=True)
class _Tally:
    key: int
    rows: int
    cells: Mapping[str, tuple[int, ...]]
    sums: Mapping[str, tuple[float, float, float]]
    labels: tuple[int, ...] = ()
    first: float | None = None
    last: float | None = None
    slices: tuple[SliceCounts, ...] = absent(())


@dataclass(frozen=True)
class _Kept:
    artifact: Bound
    alpha: float
    window: str
    rows: int
    closed: int
    calls: int
    until: float | None
    gauges: Mapping[str, _Gauge]
    open: tuple[_Tally, ...]
    history: tuple[WindowSeen, ...]
    vectors: str
    n_vectors: int
    marks: tuple[Mark, ...]
    images: tuple[str, ...]
    record: tuple[int, int]
    record_line: str = absent("")
    posted: str = absent("")
    digest: str = absent("")


@contextmanager
def hold_state(folder: Path, note: Callable[[str], None] = lambda line: None) -> Iterator[None]:
    """Holds a state for this process while the body runs; the folder is made where it is missing.

    Raises:
        RunError: Another process holds it.
        StorageError: The folder cannot be written.
    """
    if folder.exists() and not folder.is_dir():
        raise UsageError(
            "the state is kept in a folder",
            where="--state",
            received=f"{folder}, which is a file",
            expected="a folder, or a new name",
            next_step="--state FOLDER",
        )
    require_writable(folder)
    with storage_errors(folder, ANOTHER):
        folder.mkdir(parents=True, exist_ok=True)
    with hold(RunFolder(folder), note, what="state"):
        yield


def write_state(folder: Path, state: State) -> None:
    """Replaces the file of a state, whole or not at all.

    Raises:
        StorageError: The disk is full or the folder cannot be written.
    """
    watch, counted = state.watch, state.counted
    kept = _Kept(
        artifact=state.bound,
        alpha=watch.alpha,
        window=watch.cut.text,
        rows=watch.rows,
        closed=watch.closed,
        calls=state.calls,
        until=counted.until if isfinite(counted.until) else None,
        gauges={name: _written_gauge(each) for name, each in watch.gauges.items()},
        open=tuple(_written_tally(key, each) for key, each in sorted(watch.open.items())),
        history=watch.history,
        vectors=base64.b64encode(watch.vectors.astype("<f8").tobytes()).decode(),
        n_vectors=watch.n_vectors,
        marks=counted.marks,
        images=tuple(sorted(counted.images)),
        record=counted.record,
        record_line=counted.line,
        posted=state.posted,
    )
    write_file(folder / NAME, document_text(replace(kept, digest=document_digest(kept))), elsewhere=ANOTHER)


def read_state(folder: Path, bound: Bound, reference: Reference, alpha: float, cut: WindowSpec) -> State:
    """Reads a state; one in which nothing has come where the folder has none yet.

    Args:
        folder: Of the state.
        bound: The artifact that is watched.
        reference: Of it.
        alpha: As it is asked for now.
        cut: Likewise.

    Raises:
        RunError: It is that of another artifact, or is damaged.
        UsageError: It was begun with another alpha or other windows.
    """
    path = folder / NAME
    if not path.exists():
        return new_state(bound, reference, alpha, cut)
    kept = read_document(_Kept, path, next_step=ANOTHER)
    if kept.digest != document_digest(replace(kept, digest="")):
        raise _damaged(path, "its digest is that of other content")
    _require_same(folder, kept, bound, alpha, cut)
    try:
        watch = _read_watch(kept, begin(reference, alpha, cut))
    except (KeyError, TypeError, ValueError) as error:
        raise _damaged(path, f"{type(error).__name__}: {error}") from None
    until = -np.inf if kept.until is None else kept.until
    counted = Counted(kept.marks, frozenset(kept.images), kept.record, until, kept.record_line)
    return State(bound, watch, counted, kept.calls, kept.posted)


def _require_same(folder: Path, kept: _Kept, bound: Bound, alpha: float, cut: WindowSpec) -> None:
    if kept.artifact != bound:
        was, now = kept.artifact, bound
        other = was.name != now.name or was.version != now.version
        raise RunError(
            "this state was kept for another artifact" if other else "this state was kept for another reference",
            where=str(folder),
            received=f"{now.name}, version {now.version}" + ("" if other else f", reference {now.reference[:12]}"),
            expected=f"{was.name}, version {was.version}" + ("" if other else f", reference {was.reference[:12]}"),
            next_step=ANOTHER,
        )
    for option, was_, now_ in (("--alpha", f"{kept.alpha:g}", f"{alpha:g}"), ("--window", kept.window, cut.text)):
        if was_ != now_:
            raise UsageError(
                f"this state was begun with another {option}",
                where=str(folder),
                received=f"{option} {now_}" if now_ else f"no {option}",
                expected=f"{option} {was_}" if was_ else f"no {option}",
                next_step=(f"{option} {was_}" if was_ else f"leave {option} out") + f"; or {ANOTHER}",
            )


def _written_gauge(each: Watched) -> _Gauge:
    learned = each.learned
    at = (learned.windows, learned.as_text()) if learned else (0, "")
    return _Gauge(each.wealth.as_document(), each.alarm, *at)


def _written_tally(key: int, tally: Tally) -> _Tally:
    return _Tally(
        key,
        tally.rows,
        {name: tuple(cells.tolist()) for name, cells in tally.cells.items()},
        {name: tuple(sums.tolist()) for name, sums in tally.sums.items()},
        tuple(tally.labels.tolist()),
        tally.first if isfinite(tally.first) else None,
        tally.last if isfinite(tally.last) else None,
        counts_of(tally.slices),
    )


def _read_watch(kept: _Kept, watch: Watch) -> Watch:
    for written in kept.gauges.values():
        if written.direction:
            watch = with_learned(watch, from_text(written.windows, written.direction))
    if set(kept.gauges) != set(watch.gauges):
        raise ValueError("its gauges are not those of the artifact")
    gauges = {}
    for name, each in watch.gauges.items():
        wealth = wealths.from_document(each.edges.gaps, kept.gauges[name].wealth)
        if any(len(counts) != each.edges.cells for counts in (wealth.counts, *(game.before for game in wealth.games))):
            raise ValueError(f"the counts of {name} are not those of its cells")
        gauges[name] = replace(each, wealth=wealth, alarm=kept.gauges[name].alarm)
    return replace(
        watch,
        gauges=gauges,
        open={each.key: _read_tally(each, watch.reference) for each in kept.open},
        history=kept.history,
        rows=kept.rows,
        closed=kept.closed,
        vectors=np.frombuffer(base64.b64decode(kept.vectors, validate=True), "<f8").astype(np.float64),
        n_vectors=kept.n_vectors,
    )


def _read_tally(kept: _Tally, reference: Reference) -> Tally:
    return Tally(
        kept.rows,
        {name: np.array(cells, np.int64) for name, cells in kept.cells.items()},
        {name: np.array(sums) for name, sums in kept.sums.items()},
        np.array(kept.labels, np.int64),
        np.inf if kept.first is None else kept.first,
        -np.inf if kept.last is None else kept.last,
        {} if reference.slices is None else as_counts(reference.slices, kept.slices),
    )


def _damaged(path: Path, received: str) -> RunError:
    return RunError(f"{path.name} is damaged", where=str(path), received=received, next_step=ANOTHER)
