"""monitor.json: what came in each window, how much speaks against "nothing has changed", and what moved."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np

from kft.notebook import Line, Piece, ShownTable, shows
from kft.records.estimated import AccuracyEstimate, ClassShares
from kft.records.fields import absent, rounded
from kft.records.sliced import ExamplesSeen, SlicesSeen

NAME = "monitor.json"
SliceCounts = tuple[str, int, float, float, float, float]
"""How rows are cut, the place of the slice, and what is counted of it: rows, the sum of their confidences, those that
are unsure, those withheld."""
MOST_SHARES = 6
"""Class shares that are told; all of them stand in the file."""


@dataclass(frozen=True)
class Moments:
    """What is known of a number that many rows have.

    Attributes:
        n: Rows that have it.
        mean: Over them.
        sd: Standard deviation.
    """

    n: int
    mean: float
    sd: float

    @property
    def variance_of_mean(self) -> float:
        return self.sd**2 / self.n if self.n else math.inf


def moments(values: np.ndarray) -> Moments:
    """Returns number, mean and standard deviation of values, without those that are NaN."""
    known = values[~np.isnan(values)]
    return Moments(len(known), float(known.mean()), float(known.std())) if len(known) else Moments(0, 0.0, 0.0)


@dataclass(frozen=True)
class WindowSeen:
    """One window.

    Attributes:
        name: A day, an hour, a week, or which rows or call it is.
        rows: In it.
        start: Time of its first row, in ISO 8601; empty where rows bear none.
        end: Of its last row.
        open: Whether more rows may come into it: its evidence counts already, and is weighed anew when they do.
        evidence: Natural logarithm of what the bets on each gauge are worth after this window.
        moments: Of each gauge, in this window.
        labels: Answers by place of the class; those that nobody got are left out.
        slices: Counts of each slice; those without rows are left out.
    """

    name: str
    rows: int
    start: str = absent("")
    end: str = absent("")
    open: bool = absent(False)
    evidence: Mapping[str, float] = field(default_factory=dict)
    moments: Mapping[str, Moments] = field(default_factory=dict)
    labels: Mapping[str, int] = field(default_factory=dict)
    slices: tuple[SliceCounts, ...] = absent(())


@dataclass(frozen=True)
class Change:
    """A difference of two means.

    Attributes:
        value: Now less before.
        low: End of its 95 % interval.
        high: The other end.
    """

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class GaugeSeen:
    """One gauge, over all windows.

    Attributes:
        name: Of it.
        kind: What it tells: ``input``, ``vocabulary``, ``scores``, ``classes``, ``foreign`` or ``broken``.
        about: What is measured, in words.
        unit: Of the number.
        evidence: Natural logarithm of what the bets on it are worth now.
        threshold: Where it raises an alarm, on the same scale; None: it never does.
        alarm: The window in which it first did; empty: none.
        since: The window from which on the bets have won most: since then it may be otherwise.
        before: Of the test rows; None where unknown.
        now: Since then.
        change: Of the mean; None for codes.
        said: What moved, in words.
    """

    name: str
    kind: str
    about: str
    unit: str
    evidence: float = rounded(3)
    threshold: float | None = None
    alarm: str = absent("")
    since: str = absent("")
    before: Moments | None = absent()
    now: Moments | None = absent()
    change: Change | None = absent()
    said: str = absent("")

    @property
    def strength(self) -> float:
        """Evidence as a part of what raises an alarm; 1 and more: it does."""
        return max(0.0, self.evidence) / self.threshold if self.threshold else 0.0


def times(evidence: float) -> str:
    """Returns evidence, a natural logarithm, as people read it: how many times likelier it is that something changed.

    Example:
        >>> times(0.0), times(7.6), times(100.0)
        ('1.0', '1,998', '10^43')
    """
    if evidence > math.log(1e6):
        return f"10^{evidence / math.log(10):.0f}"
    value = math.exp(evidence)
    return f"{value:,.0f}" if value >= 10 else f"{value:.1f}" if value >= 0.05 else "0"


@dataclass(frozen=True)
class RowCounts:
    """What became of the rows of one call.

    Attributes:
        rows: That were counted.
        known: That had been counted in an earlier call.
        late: That are no newer than what was counted in an earlier call; left out.
        untimed: Whose time could not be read; counted with the row before them.
        unusable: That cannot be answered: empty texts, images that cannot be read. Counted, as a gauge.
    """

    rows: int
    known: int = 0
    late: int = 0
    untimed: int = 0
    unusable: int = 0


@shows
@dataclass(frozen=True)
class MonitorResult:
    """What was seen of a model's rows.

    Attributes:
        name: Of the artifact.
        version: Of it.
        data: What was looked at last.
        alpha: The chance that an alarm is ever raised where nothing has changed is at most this.
        taken: What became of the rows of this call.
        rows: Counted in all calls.
        calls: That were counted.
        windows: The latest, oldest first.
        gauges: Those that raised an alarm first, then by evidence.
        accuracy: Of the latest rows, as it is estimated; None where none came.
        shares: Of the classes in them; None where an answer is not one class of many.
        slices: Parts of the rows, those that moved first; None where no row came.
        examples: Rows to look at; likewise.
        notes: What a person should know of the reading; one sentence each.
        next_steps: Commands and changes to try, the first one first.
    """

    name: str
    version: str
    data: str
    alpha: float
    taken: RowCounts
    rows: int
    calls: int
    windows: tuple[WindowSeen, ...]
    gauges: tuple[GaugeSeen, ...]
    accuracy: AccuracyEstimate | None = absent()
    shares: ClassShares | None = absent()
    slices: SlicesSeen | None = absent()
    examples: ExamplesSeen | None = absent()
    notes: tuple[str, ...] = ()
    next_steps: tuple[str, ...] = ()

    KEYS = (
        "name",
        "version",
        "data",
        "alpha",
        "drift",
        "alarms",
        "taken",
        "rows",
        "calls",
        "gauges",
        "accuracy",
        "shares",
        "slices",
        "examples",
        "notes",
        "next_steps",
        "windows",
    )

    @property
    def alarms(self) -> tuple[str, ...]:
        """Names of the gauges that raised an alarm, in this call or before."""
        return tuple(gauge.name for gauge in self.gauges if gauge.alarm)

    @property
    def drift(self) -> bool:
        """Whether any did."""
        return bool(self.alarms)

    @property
    def estimates(self) -> tuple[str, ...]:
        """What is estimated of the latest rows, in words."""
        found = () if self.accuracy is None else (self.accuracy.line,)
        if self.shares is None:
            return found
        if self.shares.refused:
            return (*found, f"class shares not estimated: {'; '.join(self.shares.refused)}")
        moved = sorted((each for each in self.shares.shares if each.moved), key=lambda each: -abs(each.change))
        more = (f"{len(moved) - MOST_SHARES} more class shares that moved",) if len(moved) > MOST_SHARES else ()
        return (*found, *(f"class share {each}" for each in moved[:MOST_SHARES]), *more)

    def shown(self) -> Iterator[Piece]:
        state = f"drift: {', '.join(self.alarms)}" if self.drift else "no drift"
        yield Line(self.name, f"{self.rows:,} rows", f"{len(self.windows):,} windows", state)
        rows = [
            (each.name, each.about, f"{each.evidence:.1f}", each.threshold and f"{each.threshold:.1f}", each.alarm)
            for each in self.gauges
        ]
        for line in self.estimates:
            yield Line(line)
        yield ShownTable(("gauge", "what it is", "evidence", "alarm at", "first alarm"), rows)
