"""`kft monitor`: whether what an artifact is asked and answers is still like its test rows."""

from __future__ import annotations

import json
import time as clocks
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from kft.api.next_steps import next_steps
from kft.api.telling import NOBODY, tell, who_is_told
from kft.api.watched_rows import RowStream, WatchRequest, as_path, open_rows
from kft.data.labelling import INCLUSION
from kft.deploy.load import Shipped, open_artifact
from kft.deploy.lookup import resolve
from kft.errors import DataError, UsageError
from kft.monitor.clock import Clock
from kft.monitor.estimating import estimate, read_chances, read_truth, refuse_unknown
from kft.monitor.examples import Pool, of_test
from kft.monitor.explain import look
from kft.monitor.latest import Latest
from kft.monitor.moved import compare_slices, first_of
from kft.monitor.records import holds_records
from kft.monitor.reference import NAME as REFERENCE
from kft.monitor.reference import load_reference
from kft.monitor.scored import columns_of
from kft.monitor.state import Bound, State, hold_state, new_state, read_state, write_state
from kft.monitor.watch import RowBatch, finish, require_few, take
from kft.monitor.windows import WindowSpec, parse_window
from kft.records.estimated import AccuracyEstimate, ClassShares
from kft.records.monitored import MonitorResult, RowCounts
from kft.records.shipped import EXAMPLES

if TYPE_CHECKING:
    import pandas as pd

ALPHA = 0.01
FEW_EXAMPLES, MOST_EXAMPLES = 6, 100
"""Rows to look at: where nobody says how many, and at most."""
MOST_LABELLED = 200_000
"""Rows of a call with labels that are kept for the estimate."""


@dataclass(frozen=True)
class _Wish:
    alpha: float
    cut: WindowSpec
    time: str | None
    labels: str | None
    keep_examples: int | None = None


def monitor(
    artifact: str | Path,
    data: str | Path | pd.DataFrame,
    *,
    labels: str | None = None,
    time: str | None = None,
    window: str | int | None = None,
    state: str | Path | None = None,
    alpha: float = ALPHA,
    output: str | Path | None = None,
    webhook: str | None = None,
    textfile: str | Path | None = None,
    keep_examples: int | None = None,
) -> MonitorResult:
    """Looks at what an artifact is asked and answers, and says whether anything has changed since its test rows.

    Args:
        artifact: A folder from ``kft export``, or a version on a shelf (``shelf/tickets@champion``).
        data: A table, a .txt file or a folder of images, which the artifact answers; a table that it has answered
            already (columns label, confidence, abstain and probabilities); the folder of a server's records; a
            DataFrame; or ``-`` for JSON lines on standard input.
        labels: A column of true labels, where some rows have one: accuracy is then estimated with them.
        time: A column of times, in ISO 8601 or as seconds since 1970.
        window: ``1h``, ``1d`` or ``1w`` cuts by time, a number by rows. Default: days with ``time``, else one window a
            call.
        state: A folder in which counts are kept between calls. Rows that were counted are not counted again.
        alpha: Where nothing has changed, the chance that an alarm is ever raised is at most this, over all calls.
        output: A folder for monitor.json, and report.html: the same as a page.
        webhook: An address to which an alarm is posted as JSON: https, or http to this machine. Where it cannot be, a
            note of the result says so.
        textfile: A file that ends in .prom, for Prometheus's node exporter; likewise.
        keep_examples: So many rows of this call go into the result and onto the page, those that speak most for a
            change, shortened and without personal data; 0: none. Default: a few of a server's records, or where the
            artifact was exported with examples; else none.

    Raises:
        DataError: The data cannot be read.
        RunError: There is no such artifact, it has nothing to hold rows against, or the state is that of another.
        UsageError: An argument is not valid, or the state was begun with another.

    Example:
        >>> import kft
        >>> kft.monitor("shelf/tickets", "today.csv", state="watch").drift  # doctest: +SKIP
        False
    """
    wish = replace(_wish(alpha, window, time, labels), keep_examples=_few(keep_examples))
    told = who_is_told(output, textfile, webhook)
    place = resolve(artifact)
    load_reference(place / REFERENCE)  # where there is none, says so before the model is opened
    shipped = open_artifact(place)
    bound = Bound(shipped.about.name, shipped.about.version, shipped.about.files[REFERENCE])
    folder = None if state is None else Path(state).expanduser()
    with _state(folder, bound, shipped, wish) as kept, ExitStack() as opened:
        given = opened.enter_context(as_path(data)) if isinstance(data, (str, Path)) else data
        _require_files(shipped, str(data), given)
        clock = None if _is_recorded(given) and not wish.time else _clock(wish, kept)
        source = open_rows(shipped, given, WatchRequest(wish.labels, clock, kept.counted))
        if source.drawn:
            if told != NOBODY:
                raise UsageError(
                    "rows that were drawn for a label are no stream: there is no alarm to tell of, and no page",
                    received=", ".join(option for option, given in _options(output, webhook, textfile) if given),
                    expected="--labels alone",
                    next_step="leave these options out; monitor the rows that they were drawn from with them",
                )
            return _of_drawn(kept, source, wish, shipped, data)
        pool = _pool(shipped, given, wish)
        after, taken, latest = _count(kept, source, (wish, clock), pool)
        if taken.rows and folder is not None:
            write_state(folder, after)
        named = str(data) if isinstance(data, (str, Path)) else "a DataFrame"
        result = _result(after, taken, named, (*source.notes(), *_unknown(latest, shipped.about.labels, wish.labels)))
        accuracy, shares = _estimate(shipped, latest) if taken.rows else (None, None)
        result = replace(result, accuracy=accuracy, shares=shares)
        if result.rows:
            result = _explained(result, after, pool, shipped)
        result = replace(result, next_steps=next_steps(result, str(artifact), shipped.about))
        result, posted = tell(result, told, shipped.about.labels, after.posted)
        if posted != after.posted and folder is not None:
            write_state(folder, replace(after, posted=posted))
    return result


def _options(*given: object) -> Iterator[tuple[str, object]]:
    return zip(("--output", "--webhook", "--textfile"), given, strict=True)


def _estimate(shipped: Shipped, latest: Latest) -> tuple[AccuracyEstimate | None, ClassShares | None]:
    """Returns what can be said of the latest rows, beside what the artifact reached on its test rows."""
    found, shares = estimate(shipped.reference, latest.columns())
    if found is not None and found.estimate is not None and found.reference is None:
        found = replace(found, reference=shipped.about.metrics.get(found.metric))
    return found, shares


def _wish(alpha: float, window: str | int | None, time: str | None, labels: str | None) -> _Wish:
    if not 0 < alpha <= 0.5:
        raise UsageError(
            "alpha is the chance of a false alarm",
            received=f"{alpha:g}",
            expected="more than 0, at most 0.5; 0.01 is usual",
        )
    cut = parse_window("1d" if window is None and time else None if window is None else str(window))
    if time and not cut.seconds:
        raise UsageError(
            "a column of times cuts by time",
            where="--window",
            received=f"--time {time} --window {cut.text}",
            expected="--window 1h, 1d or 1w; or no --time",
            next_step=f"leave one of both out: --window {cut.text} cuts rows in their order",
        )
    return _Wish(alpha, cut, time, labels)


@contextmanager
def _state(folder: Path | None, bound: Bound, shipped: Shipped, wish: _Wish) -> Iterator[State]:
    """Yields what was kept; another process waits outside until it is written."""
    if folder is None:
        yield new_state(bound, shipped.reference, wish.alpha, wish.cut)
        return
    with hold_state(folder):
        yield read_state(folder, bound, shipped.reference, wish.alpha, wish.cut)


def _require_files(shipped: Shipped, data: str, given: Path | pd.DataFrame) -> None:
    """Refuses paths of documents on standard input: nothing says where they begin."""
    column = shipped.about.reader.path_column
    if data == "-" and column and column in columns_of(given):
        raise DataError(
            "lines on standard input name documents by their paths, and nothing says where these begin",
            where="-",
            received=f"column {column!r}",
            expected=f"texts, as {shipped.about.receipt.text_column!r}; or a file beside the documents",
            next_step="kft monitor ARTIFACT TABLE, or the folder of the documents",
        )


def _is_recorded(given: Path | pd.DataFrame) -> bool:
    """Whether rows come from a server's records, which have their times with them."""
    return isinstance(given, Path) and holds_records(given)


def _clock(wish: _Wish, kept: State) -> Clock | None:
    if not wish.cut.seconds:
        return None
    if wish.time is None:
        raise UsageError(
            "windows of time need the times of rows",
            where="--window",
            received=wish.cut.text,
            expected="--time COLUMN",
            next_step="--time COLUMN, or --window 1000 for rows in their order",
        )
    return Clock(wish.time, clocks.time(), kept.counted.until)


def _few(keep_examples: int | None) -> int | None:
    if keep_examples is not None and not 0 <= keep_examples <= MOST_EXAMPLES:
        raise UsageError(
            "so many rows are not for people to look at",
            where="--keep-examples",
            received=f"{keep_examples:,}",
            expected=f"0 to {MOST_EXAMPLES}",
        )
    return keep_examples


def _pool(shipped: Shipped, given: Path | pd.DataFrame, wish: _Wish) -> Pool:
    """Returns what collects rows to look at; whoever keeps records, or exports with examples, has allowed it."""
    allowed = EXAMPLES in shipped.about.files or _is_recorded(given)
    return Pool((FEW_EXAMPLES if allowed else 0) if wish.keep_examples is None else wish.keep_examples)


def _explained(result: MonitorResult, kept: State, pool: Pool, shipped: Shipped) -> MonitorResult:
    """Returns the result with slices, and rows to look at."""
    slices = compare_slices(kept.watch, result.windows, result.gauges)
    since = result.windows[first_of(result.windows, result.gauges)].name
    examples = pool.choose(kept.watch, since, slices)
    if examples.came and EXAMPLES in shipped.about.files:
        lines = (shipped.folder / EXAMPLES).read_text(encoding="utf-8").splitlines()
        examples = replace(examples, test=of_test(map(json.loads, lines)))
    return replace(result, slices=slices, examples=examples)


def _count(
    kept: State, source: RowStream, asked: tuple[_Wish, Clock | None], pool: Pool
) -> tuple[State, RowCounts, Latest]:
    wish, clock = asked
    watch, before, unusable = kept.watch, kept.watch.rows, 0
    latest = Latest(MOST_LABELLED) if wish.labels else Latest()
    for came in source.rows:
        if not len(came.seen):
            continue
        keys = watch.cut.keys(came.times, watch.rows, kept.calls, len(came.seen))
        require_few(watch.closed - kept.watch.closed + len(set(watch.open) | set(keys.tolist())), watch.cut.text)
        watch = take(watch, RowBatch(came.seen, keys, came.times, came.columns), ordered=source.ordered)
        pool.add(keys, came.seen, came.inputs, came.answers)
        unusable += int(np.nansum(came.seen.values["unusable"]))
        if came.truth is None:
            latest.add(keys, came.seen, {})
        else:
            # What is labelled is drawn from all rows of a call, and so stands for all of them.
            more = {"truth": read_truth(came.truth, watch.reference, wish.labels or "")}
            if came.inclusion is not None:
                more["inclusion"] = read_chances(came.inclusion, INCLUSION)
            latest.add(np.zeros(len(keys), np.int64), came.seen, more)
    taken = RowCounts(watch.rows - before, source.known, unusable=unusable)
    counted = source.counted()
    if clock is not None:
        clock.require()
        taken = replace(taken, late=clock.late, untimed=clock.untimed.all)
        counted = replace(counted, until=max(counted.until, clock.latest))
        _refuse_old(taken, clock)
    _unknown(latest, watch.reference.labels, wish.labels)
    if not taken.rows:
        return kept, taken, latest
    return replace(kept, watch=finish(watch), counted=counted, calls=kept.calls + 1), taken, latest


def _of_drawn(
    kept: State, source: RowStream, wish: _Wish, shipped: Shipped, data: str | Path | pd.DataFrame
) -> MonitorResult:
    """Returns what the labels of rows that ``kft queue`` has drawn say of all; they are no stream, and not counted.

    Raises:
        DataError: No column of labels is named: as they are, these rows would look like drift.
    """
    named = str(data) if isinstance(data, (str, Path)) else "a DataFrame"
    if wish.labels is None:
        raise DataError(
            "these rows were drawn for a label, the unsure and the foreign first: they are no sample of what is asked",
            where=named,
            received=f"a chance in every row, column {INCLUSION!r}",
            expected="--labels COLUMN: what is labelled then stands for all rows",
            next_step="look for drift in the rows that they were drawn from",
        )
    labels, latest = kept.watch.reference.labels, Latest(MOST_LABELLED)
    for came in source.rows:
        assert came.truth is not None and came.inclusion is not None  # both columns are there
        chance = read_chances(came.inclusion, INCLUSION)
        more = {"truth": read_truth(came.truth, kept.watch.reference, wish.labels), "inclusion": chance}
        latest.add(np.zeros(len(came.seen), np.int64), came.seen, more)
    unknown = _unknown(latest, labels, wish.labels)
    note = "rows that kft queue has drawn: their labels stand for those that they were drawn from; nothing is counted"
    result = _result(kept, RowCounts(0), named, (note, *source.notes(), *unknown))
    return replace(result, accuracy=_estimate(shipped, latest)[0])


def _unknown(latest: Latest, labels: tuple[str, ...], column: str | None) -> tuple[str, ...]:
    """Returns what is to be said of labels that the artifact does not know; see ``refuse_unknown``."""
    columns = latest.columns() if column else {}
    return tuple(filter(None, [refuse_unknown(columns["truth"], labels, column or "")])) if "truth" in columns else ()


def _refuse_old(taken: RowCounts, clock: Clock) -> None:
    """Refuses rows none of which is newer than what was counted, and of which none is known to have been counted."""
    if taken.late and not taken.rows and not taken.known:
        until = np.datetime64(int(clock.until), "s")
        raise DataError(
            "no row is newer than what was counted in earlier calls",
            where=f"column {clock.column!r}",
            received=f"{taken.late:,} rows, none of them after {until}",
            expected="rows that came since",
            next_step="hand over newer rows; or --state NEW_FOLDER to begin anew",
        )


def _result(kept: State, taken: RowCounts, data: str, notes: tuple[str, ...]) -> MonitorResult:
    windows, gauges = look(kept.watch)
    return MonitorResult(
        name=kept.bound.name,
        version=kept.bound.version,
        data=data,
        alpha=kept.watch.alpha,
        taken=taken,
        rows=kept.watch.rows,
        calls=kept.calls,
        windows=windows,
        gauges=gauges,
        notes=(*_said(taken), *notes),
    )


def _said(taken: RowCounts) -> Iterator[str]:
    if taken.known:
        rest = "" if taken.rows or taken.late else "; nothing here is new"
        yield f"{taken.known:,} rows were counted in an earlier call, and are not counted again{rest}"
    if taken.late:
        yield f"{taken.late:,} rows are no newer than what was counted in earlier calls: left out"
    if taken.untimed:
        yield f"{taken.untimed:,} rows have no time that can be used: counted with the row before them"
    if taken.unusable:
        rows = "1 row" if taken.unusable == 1 else f"{taken.unusable:,} rows"
        yield f"{rows} cannot be answered (empty, or not readable): counted as such"
