"""The times of rows, as they are read: which are new, which are late, and which cannot be read."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from kft.monitor.windows import Untimed, fill_times, read_times


@dataclass
class Clock:
    """Reads the times of one call.

    Attributes:
        column: That holds them.
        now: This machine's clock, in seconds since 1970.
        until: The latest time that was counted in an earlier call: rows that are no newer are late.
        proven: Whether rows are known to be new in another way. None is late then: one that bears an earlier time is
            counted as if it bore the latest, whose window is still open.
        untimed: What could not be read so far.
        late: Rows that are.
        latest: The latest time that was read.
    """

    column: str
    now: float
    until: float = -np.inf
    proven: bool = False
    untimed: Untimed = field(default_factory=Untimed)
    late: int = 0
    latest: float = -np.inf
    _last: float = np.nan

    def read(self, cells: Any) -> tuple[np.ndarray, np.ndarray]:
        """Returns the time of each row, without gaps, and which rows are new: ``float64[rows]`` and ``bool[rows]``.

        Args:
            cells: Of the column, in the order of the rows.

        Raises:
            DataError: None of these rows has a time.
        """
        found, untimed = read_times(cells, self.now)
        self.untimed = self.untimed.plus(untimed)
        if len(found) and np.isnan(found).all() and np.isnan(self._last):
            self.require()
        times = fill_times(found, self._last)
        if len(times):
            self._last = float(times[-1])
        if self.proven:
            times = np.maximum(times, self.until)
        new = (times > self.until) | self.proven
        self.late += int((~new).sum())
        if new.any():
            self.latest = max(self.latest, float(times[new].max()))
        return times, new

    def require(self) -> None:
        """Refuses a column of which most cannot be read; see ``Untimed.refuse_most``."""
        self.untimed.refuse_most(self.column)
