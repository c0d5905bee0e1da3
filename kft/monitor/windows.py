"""Cuts rows into windows: by the time that a row bears, by a number of rows, or one a call.

Which window a row falls into never hangs on what it holds, so that looking at windows costs no evidence.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pandas as pd

from kft.errors import DataError, UsageError

UNITS = {"h": 3_600, "d": 86_400, "w": 604_800}
"""Seconds of an hour, a day and a week."""
MONDAY = 4 * UNITS["d"]
"""1970 began on a Thursday; weeks begin on a Monday."""
MOST_WINDOWS = 10_000
"""In one call: each is weighed for every gauge."""
AHEAD = UNITS["d"]
"""Seconds that a clock may be ahead of ours. A row of the year 2099 would make every later row too old."""
EARLIEST = 1e8
"""Seconds since 1970: smaller numbers are no times. It is the year 1973."""
SHOWN = 60
"""Characters of a value that an error shows."""


@dataclass(frozen=True)
class WindowSpec:
    """How rows are cut into windows.

    Attributes:
        text: As it was asked for; empty: one window a call.
        rows: Of a window; 0 where time or the call decides.
        seconds: Of a window; 0 where rows or the call decide.
    """

    text: str = ""
    rows: int = 0
    seconds: int = 0

    def keys(self, times: np.ndarray | None, before: int, call: int, n: int) -> np.ndarray:
        """Returns the number of the window that each row falls into, ``int64[n]``; later windows have larger numbers.

        Args:
            times: ``float64[n]``, seconds since 1970, where time decides.
            before: Rows that were counted in earlier calls and blocks.
            call: How many calls there were before this one.
            n: How many rows there are.
        """
        if self.seconds:
            assert times is not None
            return np.floor((times - self._shift) / self.seconds).astype(np.int64)
        if self.rows:
            return (before + np.arange(n)) // self.rows
        return np.full(n, call, np.int64)

    def name(self, key: int) -> str:
        """Returns what people call a window.

        Example:
            >>> parse_window("1d").name(20_782), parse_window("1h").name(498_773), parse_window("1w").name(2_968)
            ('2026-11-25', '2026-11-25 05:00', 'week of 2026-11-23')
            >>> parse_window("500").name(2), WindowSpec().name(0)
            ('rows 1,001 to 1,500', 'call 1')
        """
        if self.rows:
            return f"rows {key * self.rows + 1:,} to {(key + 1) * self.rows:,}"
        if not self.seconds:
            return f"call {key + 1:,}"
        start = datetime.fromtimestamp(key * self.seconds + self._shift, UTC)
        if self.seconds == UNITS["w"]:
            return f"week of {start:%Y-%m-%d}"
        return f"{start:%Y-%m-%d}" if self.seconds % UNITS["d"] == 0 else f"{start:%Y-%m-%d %H:%M}"

    def is_full(self, rows: int) -> bool:
        """Whether no more rows can come into the latest window."""
        return not self.seconds and (not self.rows or rows >= self.rows)

    @property
    def _shift(self) -> int:
        return MONDAY if self.seconds % UNITS["w"] == 0 else 0


def parse_window(text: str | None) -> WindowSpec:
    """Reads ``--window``.

    Args:
        text: A number of rows, or of hours, days or weeks; None or empty: one window a call.

    Raises:
        UsageError: It is none of these.

    Example:
        >>> parse_window("6h").seconds, parse_window("1000").rows
        (21600, 1000)
    """
    if not text:
        return WindowSpec()
    found = re.fullmatch(r"(\d{1,9})([hdw]?)", text.strip().replace(",", "").replace("_", ""))
    if not found or not int(found.group(1)):
        raise UsageError(
            "this is no window",
            where="--window",
            received=text,
            expected="a number of rows, such as 1000, or a time: 1h, 1d or 1w",
            next_step="--window 1d cuts the days of --time COLUMN apart",
        )
    number, unit = int(found.group(1)), found.group(2)
    plain = f"{number}{unit}"
    return WindowSpec(plain, seconds=number * UNITS[unit]) if unit else WindowSpec(plain, rows=number)


@dataclass(frozen=True)
class Untimed:
    """Rows whose time could not be read.

    Attributes:
        rows: All that were looked at.
        missing: Empty cells.
        unreadable: No ISO 8601, and no seconds since 1970.
        future: More than a day ahead of this machine's clock.
        example: The first one that is not missing.
    """

    rows: int = 0
    missing: int = 0
    unreadable: int = 0
    future: int = 0
    example: str = ""

    @property
    def all(self) -> int:
        return self.missing + self.unreadable + self.future

    def plus(self, other: Untimed) -> Untimed:
        """Returns both together."""
        sums = {
            name: getattr(self, name) + getattr(other, name) for name in ("rows", "missing", "unreadable", "future")
        }
        return replace(self, **sums, example=self.example or other.example)

    def in_words(self) -> str:
        """Returns the reasons, each with its number.

        Example:
            >>> Untimed(9, missing=2, future=1).in_words()
            '2 missing, 1 in the future'
        """
        parts = ((self.missing, "missing"), (self.unreadable, "not readable"), (self.future, "in the future"))
        return ", ".join(f"{count:,} {what}" for count, what in parts if count)

    def refuse_most(self, column: str) -> None:
        """Refuses a column of which more than half cannot be read: it is another column, or written otherwise.

        Raises:
            DataError: It is; shows an example.
        """
        if self.all * 2 > self.rows:
            raise DataError(
                f"{self.all:,} of {self.rows:,} times cannot be used: {self.in_words()}",
                where=f"column {column!r}",
                received=self.example or "empty cells",
                expected="ISO 8601, such as 2026-11-25T14:30:00Z, or seconds since 1970",
                next_step="--time COLUMN names the column of times; day and month in any other order are not guessed",
            )


def read_times(values: Any, now: float) -> tuple[np.ndarray, Untimed]:
    """Returns times as seconds since 1970, ``float64[rows]``, NaN where there is none, and what could not be read.

    Times without a zone are UTC. Numbers are seconds, or milli-, micro- or nanoseconds where they are that large.

    Args:
        values: A column: of timestamps, of numbers, or of texts.
        now: This machine's clock.

    Example:
        >>> read_times(["1970-04-27", "1e9", "", "27/04/1970"], now=2e9)[0].tolist()
        [10022400.0, 1000000000.0, nan, nan]
    """
    series = pd.Series(values).reset_index(drop=True)
    given = series.notna().to_numpy()
    if pd.api.types.is_datetime64_any_dtype(series.dtype):
        found = _seconds(pd.to_datetime(series, utc=True))
    elif pd.api.types.is_numeric_dtype(series.dtype):
        found = _epoch(series.to_numpy(np.float64, na_value=np.nan))
        days = series.where(np.isnan(found)).map(lambda number: "" if number != number else f"{number:.0f}")
        found = np.where(np.isnan(found), _dates(days), found)
    else:
        texts = pd.Series(
            [str(cell).strip() if there else "" for cell, there in zip(series, given, strict=True)], dtype=str
        )
        given = (texts != "").to_numpy()
        found = _epoch(pd.to_numeric(texts, errors="coerce").to_numpy(np.float64))
        found = np.where(np.isnan(found), _dates(texts), found)
    future = found > now + AHEAD
    unread = given & np.isnan(found)
    bad = np.flatnonzero(unread | future)
    found[future] = np.nan
    example = str(series.iloc[bad[0]])[:SHOWN] if len(bad) else ""
    return found, Untimed(len(found), int((~given).sum()), int(unread.sum()), int(future.sum()), example)


def _dates(texts: pd.Series) -> np.ndarray:
    """Returns texts in ISO 8601 as seconds; a day has eight characters at least, so that 1000 is no year."""
    long = texts.where(texts.str.len() >= 8)
    seconds = _seconds(pd.to_datetime(long, format="ISO8601", utc=True, errors="coerce"))
    return np.where(seconds >= 0, seconds, np.nan)


def _seconds(stamps: pd.Series) -> np.ndarray:
    moments = stamps.dt.tz_localize(None).to_numpy("datetime64[us]")
    return np.where(np.isnat(moments), np.nan, moments.astype(np.int64) / 1e6)


def _epoch(numbers: np.ndarray) -> np.ndarray:
    """Returns numbers as seconds; NaN where they are too small for any time since 1973.

    Twelve digits are none: they may be milliseconds of before 2001, but rather are a date, as 202511251430.
    """
    found = numbers.astype(np.float64, copy=True)
    found[(found >= 1e11) & (found < 1e12)] = np.nan
    for unit in (1e17, 1e14, 1e11):
        found = np.where(found >= unit, found / (unit / 1e8), found)
    return np.where(found >= EARLIEST, found, np.nan)


def fill_times(times: np.ndarray, last: float = np.nan) -> np.ndarray:
    """Returns times without gaps: a row without one gets that of the row before it, or of the first that has one.

    A row is not left out because its time is missing: what breaks times may break the rest as well.

    Args:
        times: ``float64[rows]``, in the order of the file.
        last: Of the row before the first.

    Example:
        >>> fill_times(np.array([np.nan, 5.0, np.nan])).tolist(), fill_times(np.array([np.nan, 5.0]), 3.0).tolist()
        ([5.0, 5.0, 5.0], [3.0, 5.0])
    """
    known = ~np.isnan(times)
    if not known.any():
        return np.full(len(times), last)
    places = np.maximum.accumulate(np.where(known, np.arange(len(times)), -1))
    first = last if not np.isnan(last) else times[known][0]
    return np.where(places >= 0, times[np.maximum(places, 0)], first)
