"""What `kft monitor` looks at: inputs that the artifact answers, a table of answers, or a server's records."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import time as clocks
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kft.data.labelling import FIELDS, INCLUSION
from kft.errors import DataError, UsageError
from kft.monitor.clock import Clock
from kft.monitor.counted import Counted, image_key, look_at, look_at_rows
from kft.monitor.estimating import read_chances
from kft.monitor.records import files_missed, holds_records, read_records
from kft.monitor.scored import ScoredSpec, columns_of, is_scored, read_scored, require_columns, spread
from kft.monitor.seen import NO_ROWS, WITHIN, Seen
from kft.monitor.windows import AHEAD, fill_times
from kft.records.files import reading_errors
from kft.registry import nearest

if TYPE_CHECKING:
    import pandas as pd

    from kft.deploy.load import Shipped

CHUNK_ROWS = 2_048
"""Inputs that are answered before the next ones are: memory does not grow with the answers."""


@dataclass(frozen=True, eq=False)
class Came:
    """Some rows.

    Attributes:
        seen: What is seen of them.
        times: ``float64[rows]``, in seconds since 1970; None where they bear none.
        truth: Cells of the column of labels; None where none was named.
        inclusion: Cells of the chance with which a row was drawn for a label; None where there are none.
        inputs: Of each row, raw, or as a server has kept it; None where they are not at hand.
        answers: Likewise; None in a row that cannot be answered.
        columns: Cells of the columns that rows are cut by, where they are there.
    """

    seen: Seen
    times: np.ndarray | None = None
    truth: Sequence[Any] | None = None
    inclusion: Sequence[Any] | None = None
    inputs: Sequence[Any] | None = None
    answers: Sequence[Any] | None = None
    columns: Mapping[str, np.ndarray] = field(default_factory=dict)


@dataclass(frozen=True)
class WatchRequest:
    """What is asked for.

    Attributes:
        labels: A column of labels.
        clock: Reads times; None where windows need none.
        counted: What was counted before.
    """

    labels: str | None
    clock: Clock | None
    counted: Counted


@dataclass(frozen=True, eq=False)
class RowStream:
    """Rows to look at.

    Attributes:
        rows: Them, as they come.
        counted: Returns what is counted then; to be asked after the last row.
        ordered: Whether they come in the order of their windows.
        known: Rows that were counted in an earlier call; they are left out.
        notes: Returns what a person should know of the reading, one sentence each; likewise.
        drawn: Whether all of them are rows that ``kft queue`` has drawn, the others not being at hand.
    """

    rows: Iterator[Came]
    counted: Callable[[], Counted]
    ordered: bool
    known: int = 0
    notes: Callable[[], tuple[str, ...]] = tuple
    drawn: bool = False


def open_rows(shipped: Shipped, data: Path | pd.DataFrame, asked: WatchRequest) -> RowStream:
    """Returns the rows of a table, a folder or a DataFrame.

    Raises:
        DataError: It cannot be read, or has no such column.
    """
    if isinstance(data, Path) and holds_records(data):
        return _recorded(shipped, data, asked)
    if isinstance(data, Path) and data.is_dir() and not any(not each.name.startswith(".") for each in data.iterdir()):
        raise DataError(
            "the folder is empty",
            where=str(data),
            expected="images, documents, or what kft serve --record has kept: nothing, before it was asked something",
            next_step="run the command again once the server has answered something",
        )
    if asked.clock is not None:
        asked.clock.proven = _goes_on(data, asked.counted)
    if is_scored(columns_of(data)):
        return _scored(shipped, data, asked)
    return _answered(shipped, data, asked)


def _scored(shipped: Shipped, data: Path | pd.DataFrame, asked: WatchRequest) -> RowStream:
    about, clock = shipped.about, asked.clock
    if about.answers != "class":
        raise DataError(
            "a table of answers is watched only where an answer is one class of many",
            where=_where(data),
            received=about.task,
            expected="text-classification, image-classification or the like",
            next_step="hand over the inputs: a table without the columns confidence and probabilities",
        )
    for option, column in (("--labels", asked.labels), ("--time", clock and clock.column)):
        if column in FIELDS:
            raise DataError(
                f"{option} names a column of answers",
                where=_where(data),
                received=f"{option} {column}",
                expected="a column of what is true, or of times; kft predict calls a label of its input input_label",
                next_step=f"{option} input_{column}, where the table has it",
            )
    mark, before = _look(data, asked.counted)
    skip = before.rows if before else 0
    spec = ScoredSpec(about.labels, clock.column if clock else None, asked.labels)
    n = skip

    def rows() -> Iterator[Came]:
        nonlocal n
        for chunk in read_scored(data, spec, skip):
            n += len(chunk.seen)
            came = Came(chunk.seen, truth=None if chunk.truth is None else chunk.truth.tolist())
            if clock is not None:
                times, new = clock.read(chunk.times)
                came = _only(replace(came, times=times), new)
            yield came

    def then() -> Counted:
        return asked.counted.with_mark(replace(mark, rows=n))

    note = "a table of answers: what the inputs look like is not looked at; hand over the inputs for that"
    return RowStream(rows(), then, clock is None, skip, lambda: (note,))


def _recorded(shipped: Shipped, folder: Path, asked: WatchRequest) -> RowStream:
    about, counted = shipped.about, asked.counted
    for option, column in (("--labels", asked.labels), ("--time", asked.clock and asked.clock.column)):
        if column:
            raise UsageError(
                f"{option} is for a table: a server's records bear their times, and no labels",
                where=str(folder),
                received=f"{option} {column}",
                next_step=f"leave {option} out",
            )
    last, line, until = counted.record, counted.line, counted.until
    passed: Counter[str] = Counter()
    rows_read = early = 0
    now = clocks.time()

    def rows() -> Iterator[Came]:
        nonlocal last, line, until, rows_read, early
        for block in read_records(folder, shipped.reference, about.version, counted.record):
            passed.update(block.passed)
            if not len(block.seen):
                continue
            # What was asked a little before the row above it goes into the window of that row.
            ahead = block.at > now + AHEAD  # of a clock that was wrong: all that come later would be late
            early += int(ahead.sum())
            at = fill_times(np.where(ahead, np.nan, block.at), until if np.isfinite(until) else np.nan)
            times = np.maximum(np.maximum.accumulate(np.where(np.isnan(at), now, at)), until)
            last, until = (int(block.places[-1, 0]), int(block.places[-1, 1])), float(times[-1])
            line = block.line
            rows_read += len(block.seen)
            values = {**block.seen.values, "unusable": np.zeros(len(block.seen))}
            seen = replace(block.seen, values=values)
            yield Came(seen, times, inputs=block.inputs, answers=block.answers)
        if passed and not rows_read and counted.record == (0, 0):
            raise DataError(
                "no line of these records can be counted",
                where=str(folder),
                received=", ".join(f"{count:,} lines: {why}" for why, count in passed.most_common()),
                expected=f"lines of {about.name}, version {about.version}",
                next_step="name the artifact that the server answers with",
            )

    def then() -> Counted:
        return replace(counted, record=last, line=line, until=until)

    def notes() -> tuple[str, ...]:
        over = (f"{count:,} lines of the records were passed over: {why}" for why, count in passed.most_common())
        gone = f"{missed:,} files of the records were gone before they were read; their rows are not counted"
        wrong = f"{early:,} lines bear a time more than a day ahead of this clock: counted with the line before them"
        quiet = [] if rows_read or counted.record == (0, 0) else [_quiet(counted.until)]
        return (*over, *([gone] if missed else []), *([wrong] if early else []), *quiet)

    missed = files_missed(folder, counted.record, counted.line)
    return RowStream(rows(), then, True, notes=notes)


def _quiet(until: float) -> str:
    """Returns what is said where nothing came since the last call: a server that keeps nothing shows no drift."""
    last = datetime.fromtimestamp(until, UTC).isoformat(timespec="seconds")
    return f"no line of this version is newer than what was counted, the last of {last}: does the server record it?"


def _only(came: Came, new: np.ndarray) -> Came:
    if new.all():
        return came
    places = np.flatnonzero(new)
    cells = (came.truth, came.inclusion)
    truth, inclusion = (None if each is None else [each[at] for at in places.tolist()] for each in cells)
    return Came(came.seen.take(places), None if came.times is None else came.times[places], truth, inclusion)


def _answered(shipped: Shipped, data: Path | pd.DataFrame, asked: WatchRequest) -> RowStream:
    from kft.api.answering import reading_of

    given = reading_of(shipped).of_table(data, unusable="keep")
    where, clock = _where(data), asked.clock
    columns = list(map(str, given.table.columns))
    require_columns(columns, [name for name in (clock and clock.column, asked.labels) if name], where)
    n, drawn = len(given.inputs), _all_drawn(given.table)
    if isinstance(data, Path) and data.is_dir():
        counted, places, known = _new_files(data, given.table.iloc[:, 0].tolist(), asked.counted)
    else:
        mark, before = _look(data, asked.counted)
        known = min(n, before.rows) if before else 0
        counted, places = asked.counted.with_mark(replace(mark, rows=n)), np.arange(known, n)
    times = None
    if clock is not None and not drawn:  # their labels stand for rows of any time
        times, new = clock.read(given.table[clock.column].iloc[places])
        places, times = places[new], times[new]
        order = np.argsort(times, kind="stable")
        places, times = places[order], times[order]
    truth = given.table[asked.labels].tolist() if asked.labels else None
    inclusion = given.table[INCLUSION].tolist() if asked.labels and INCLUSION in columns else None
    cut_by = () if shipped.reference.slices is None else shipped.reference.slices.columns
    cells = {name: given.table[name].to_numpy(object) for name in cut_by if name in columns}

    def rows() -> Iterator[Came]:
        before = NO_ROWS
        for start in range(0, len(places), CHUNK_ROWS):
            part = places[start : start + CHUNK_ROWS]
            inputs = [given.inputs[at] for at in part]
            usable = shipped.see_usable(inputs, before)
            before = np.concatenate([before, usable.seen.keys])[-WITHIN:]
            answered = dict(zip(usable.places.tolist(), usable.answers, strict=True))
            yield Came(
                spread(usable.seen, usable.places, len(part)),
                None if times is None else times[start : start + CHUNK_ROWS],
                None if truth is None else [truth[at] for at in part],
                None if inclusion is None else [inclusion[at] for at in part],
                inputs,
                [answered.get(at) for at in range(len(part))],
                {name: each[part] for name, each in cells.items()},
            )

    return RowStream(rows(), lambda: counted, True, known, lambda: given.notes, drawn)


def _all_drawn(table: pd.DataFrame) -> bool:
    """Whether every row has the chance with which it was drawn.

    Raises:
        DataError: A chance is no number; or most have it, and some have not: these are neither what came nor what was
            drawn of it.
    """
    if INCLUSION not in table.columns or not len(table):
        return False
    drawn = np.isfinite(read_chances(table[INCLUSION].tolist(), INCLUSION))
    if len(drawn) / 2 < drawn.sum() < len(drawn):
        raise DataError(
            "most rows were drawn by kft queue, and some were not",
            where=f"column {INCLUSION!r}, row {int(np.flatnonzero(~drawn)[0]) + 1:,}",
            received=f"{int((~drawn).sum()):,} of {len(drawn):,} rows without a chance",
            expected="the file of kft queue as it is, or all rows that came with the chances of those that were drawn",
            next_step="take the rows out that were added, or their chances were lost",
        )
    return bool(drawn.all())


def _new_files(folder: Path, names: Sequence[str], counted: Counted) -> tuple[Counted, np.ndarray, int]:
    """Returns what is counted then, the places of files that were not, and how many were."""
    keys = [image_key(name, folder / name) for name in names]
    places = np.array([at for at, key in enumerate(keys) if key not in counted.images], np.int64)
    return replace(counted, images=counted.images | set(keys)), places, len(keys) - len(places)


def _look(data: Path | pd.DataFrame, counted: Counted) -> tuple[Any, Any]:
    if isinstance(data, Path):
        return look_at(data, counted.marks)
    import pandas as pd

    content = pd.DataFrame({str(at): list(map(str, data.iloc[:, at])) for at in range(data.shape[1])})
    return look_at_rows(pd.util.hash_pandas_object(content, index=False).to_numpy(), counted.marks)


def _goes_on(data: Path | pd.DataFrame, counted: Counted) -> bool:
    """Whether these rows begin with what was counted last: those behind it came since, whatever times they bear."""
    if not counted.marks or (isinstance(data, Path) and data.is_dir()):
        return False
    return bool(_look(data, counted)[1] == counted.marks[-1])


def _where(data: Path | pd.DataFrame) -> str:
    return str(data) if isinstance(data, Path) else "the DataFrame"


@contextmanager
def as_path(data: str | Path) -> Iterator[Path]:
    """Yields what was named as a path; ``-`` is standard input, which is kept in a file while the body runs.

    Raises:
        DataError: There is no such file.
    """
    if str(data) != "-":
        path = Path(data).expanduser()
        with reading_errors(path):
            there = path.exists()
        if not there:
            hint = nearest(str(path), [str(each) for each in path.parent.iterdir()] if path.parent.is_dir() else [])
            raise DataError(
                f"no file or folder at {path}" + (f"; did you mean {hint}?" if hint else ""),
                received=str(path),
                expected="a table, a .txt file, a folder of images or documents, a server's records, or - for lines",
                next_step="check the path",
            )
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="kft-monitor-") as folder:
        path = Path(folder) / "standard-input.jsonl"
        with path.open("wb") as file:
            shutil.copyfileobj(sys.stdin.buffer, file)
        if not os.path.getsize(path):
            raise DataError(
                "standard input is empty", expected="one JSON object a line", next_step="kft monitor --help"
            )
        yield path
