"""Cells of dates or numbers, as points in time."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from kft.data.columns import require_column
from kft.data.examples import RejectedRow
from kft.errors import DataError
from kft.tasks.cells import as_text

CLOCKS = ("", " %H:%M", " %H:%M:%S")
DAYS = ("%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y", "%d-%m-%Y", "%m-%d-%Y", "%Y/%m/%d", "%d %b %Y", "%d %B %Y")
DAYS_IN_WORDS = ("%b %d, %Y", "%B %d, %Y", "%a, %d %b %Y")
FORMATS = ("ISO8601", *(day + clock for day in DAYS + DAYS_IN_WORDS for clock in CLOCKS), "%a, %d %b %Y %H:%M:%S %z")
"""What a column of dates is read as, all of it in one and the same way; a date without a zone counts as UTC."""
HEAD = 50
"""Cells that decide which formats are tried on the whole column."""
NEXT_STEP = "write dates as 2024-03-31 or 2024-03-31 14:05, in every row"


@dataclass(frozen=True)
class Times:
    """When the rows of a table were made.

    Attributes:
        column: Where that stands.
        values: ``float64[n]``: numbers as they are, dates as seconds since 1970.
        are_dates: Which of the two.
    """

    column: str
    values: np.ndarray
    are_dates: bool

    def described(self, splits: np.ndarray, names: Iterable[str]) -> str:
        """Says from when to when each split goes.

        Example:
            >>> times = Times("week", np.array([1.0, 2.0, 7.0]), False)
            >>> times.described(np.array(["train", "train", "test"]), ("train", "test"))
            "by time in 'week' (train 1 to 2, test 7 to 7)"
        """
        spans = []
        for name in names:
            own = self.values[splits == name]
            if own.size:
                first, last = (shown_time(time, self.are_dates) for time in (own.min(), own.max()))
                spans.append(f"{name} {first} to {last}")
        return f"by time in {self.column!r} ({', '.join(spans)})"


def read_times(
    tables: Sequence[tuple[str, pd.DataFrame]], column: str | None, title: str, rejected: Iterable[RejectedRow]
) -> Times | None:
    """Reads the times of the usable rows of a split; None without a column of them.

    Args:
        tables: The split's tables, each with its name.
        column: ``data.time``.
        title: What a person calls them together.
        rejected: Rows that are no examples, of these tables and perhaps of others.

    Raises:
        DataError: There is no such column, or a cell of it is no time.
    """
    if column is None:
        return None
    out = {(row.source, row.row) for row in rejected}
    rows, cells = [], []
    for name, frame in tables:
        require_column(frame, column, "data.time", name, expected="the column of times")
        kept = [(row, cell) for row, cell in enumerate(frame[column], start=1) if (name, row) not in out]
        rows += [f"{name}:{row}" if len(tables) > 1 else f"{row}" for row, _ in kept]
        cells += [cell for _, cell in kept]
    values, are_dates = parse_times(cells, rows, f"{title}, column {column!r}")
    return Times(column, values, are_dates)


def parse_times(cells: Sequence[Any], rows: Sequence[str], where: str) -> tuple[np.ndarray, bool]:
    """Reads a column of times: all numbers, or all dates of one format.

    Args:
        cells: The column.
        rows: What each cell's row is called, for messages.
        where: The table and the column.

    Returns:
        ``float64[n]``: the numbers, or seconds since 1970; and whether they are dates.

    Raises:
        DataError: Cells are no times, or the column can be read with the day first and with the month first.

    Example:
        >>> parse_times(["2024-03-31", "1970-01-02"], ["1", "2"], "a.csv, column 'day'")
        (array([1.7118432e+09, 8.6400000e+04]), True)
        >>> parse_times(["3", "1.5"], ["1", "2"], "a.csv, column 'week'")
        (array([3. , 1.5]), False)
    """
    texts = pd.Series([as_text(cell).strip() for cell in cells], dtype=object)
    numbers = pd.to_numeric(texts, errors="coerce").to_numpy(np.float64)
    if np.isfinite(numbers).all():
        return numbers, False
    fitting = {name: int(_as_dates(texts[:HEAD], name).notna().sum()) for name in FORMATS}
    read = {name: _as_dates(texts, name) for name in FORMATS if fitting[name] == max(fitting.values())}
    whole = {name: dates for name, dates in read.items() if dates.notna().all()}
    if not whole:
        best = max(read.values(), key=lambda dates: int(dates.notna().sum()))
        bad = np.flatnonzero(best.isna())
        raise DataError(
            f"{len(bad):,} of {len(texts):,} cells are not a time",
            where=f"{where}, row " + ", ".join(rows[index] for index in bad[:5]) + " ..." * (len(bad) > 5),
            received=", ".join(repr(texts[index])[:40] for index in bad[:3]),
            expected="numbers in every row, or dates of one format in every row",
            next_step=NEXT_STEP,
        )
    (name, dates), *others = whole.items()
    if any(not dates.equals(other) for _, other in others):
        raise DataError(
            "the dates can be read in two ways",
            where=where,
            received=f"{texts[0]!r}, which fits {name} and {others[0][0]}",
            expected="dates of which the day is told from the month",
            next_step=NEXT_STEP,
        )
    return (dates - pd.Timestamp(0, tz="UTC")).dt.total_seconds().to_numpy(np.float64), True


def shown_time(time: float, is_date: bool) -> str:
    """Returns a time as a person writes it.

    Example:
        >>> shown_time(1711843200.0, True), shown_time(1.5, False)
        ('2024-03-31', '1.5')
    """
    if not is_date:
        return f"{time:.15g}"
    moment = pd.Timestamp(time, unit="s")
    return moment.strftime("%Y-%m-%d" if moment == moment.normalize() else "%Y-%m-%d %H:%M:%S")


def _as_dates(texts: pd.Series, name: str) -> pd.Series:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of pandas, about what it guesses: what does not fit is told above
        return pd.to_datetime(texts, format=name, errors="coerce", utc=True)
