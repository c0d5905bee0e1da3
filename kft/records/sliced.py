"""Slices of the rows that came, and rows of theirs that a person may look at: parts of monitor.json."""

from __future__ import annotations

import math
from dataclasses import dataclass

from kft.records.fields import absent


@dataclass(frozen=True)
class ShareChange:
    """A share now and among the test rows.

    Attributes:
        before: Of the test rows.
        now: Of the rows that came.
        low: Where the difference, now less before, begins. This interval and those of all other slices hold together,
            at every look, with a chance of 1 - alpha.
        high: Where it ends.
    """

    before: float
    now: float
    low: float
    high: float

    @property
    def moved(self) -> bool:
        """Whether no difference lies outside the interval."""
        return self.low > 0 or self.high < 0

    @property
    def change(self) -> float:
        return self.now - self.before

    @property
    def difference(self) -> str:
        """The interval of the difference, in percentage points.

        Example:
            >>> ShareChange(0.1, 0.32, 0.17, 0.28).difference
            '+17.0 to +28.0 points'
        """
        return f"{100 * self.low:+.1f} to {100 * self.high:+.1f} points"


@dataclass(frozen=True)
class SliceSeen:
    """One slice.

    Attributes:
        by: How rows are cut: ``answer``, ``length``, ``script`` ..., or a column.
        value: What its rows have in common.
        rows: That came into it.
        test_rows: Test rows in it.
        share: Of all rows.
        unsure: Of its rows, those that are less sure than ``SlicesSeen.unsure_below``; None where there are none.
        withheld: Of its rows, those whose answer is withheld; None where none ever is, or there are no rows.
        confidence: The mean now; None where there is none. It is told alone; ``unsure`` is what is compared.
        confidence_before: Of the test rows.
    """

    by: str
    value: str
    rows: int
    test_rows: int
    share: ShareChange
    unsure: ShareChange | None = absent()
    withheld: ShareChange | None = absent()
    confidence: float | None = absent()
    confidence_before: float | None = absent()

    KEYS = (
        *("by", "value", "rows", "test_rows", "moved", "share", "unsure", "withheld"),
        *("confidence", "confidence_before"),
    )

    @property
    def moved(self) -> tuple[str, ...]:
        """What of it is otherwise: ``share``, ``unsure``, ``withheld``."""
        compared = {"share": self.share, "unsure": self.unsure, "withheld": self.withheld}
        return tuple(name for name, each in compared.items() if each is not None and each.moved)

    @property
    def name(self) -> str:
        return f"{self.by} {self.value}"


@dataclass(frozen=True)
class SlicesSeen:
    """All slices, those that moved first.

    Attributes:
        since: The window from which on rows are compared.
        rows: That came since.
        unsure_below: A row that is less sure counts as unsure; None where answers have no confidence.
        every: Of them.
        unknown: Columns that rows would be cut by, and that were not there.
        refused: Why nothing can be said; empty where something is.
    """

    since: str = absent("")
    rows: int = absent(0)
    unsure_below: float | None = absent()
    every: tuple[SliceSeen, ...] = ()
    unknown: tuple[str, ...] = absent(())
    refused: str = absent("")

    @property
    def called_unsure(self) -> str:
        """What a table calls the share of unsure rows: a bound near 1 has the digits that tell it from 1.

        Example:
            >>> SlicesSeen(unsure_below=0.9996).called_unsure
            'less sure than 0.9996'
        """
        bound = self.unsure_below or 0.0
        digits = max(2, math.ceil(-math.log10(1 - bound))) if bound < 1 else 2
        return f"less sure than {bound:.{digits}f}"

    @property
    def moved(self) -> tuple[SliceSeen, ...]:
        return tuple(each for each in self.every if each.moved)


@dataclass(frozen=True)
class ExampleSeen:
    """A row that a person may look at.

    Attributes:
        text: Of it, shortened, without personal data; empty for an image.
        file: Of an image.
        answer: In words.
        confidence: Of the answer; None where it has none.
        window: Into which it fell; empty for a test row.
        why: What it has that speaks for a change, the most telling first.
    """

    text: str = absent("")
    file: str = absent("")
    answer: str = ""
    confidence: float | None = absent()
    window: str = absent("")
    why: tuple[str, ...] = absent(())


@dataclass(frozen=True)
class ExamplesSeen:
    """Rows that a person may look at.

    Attributes:
        by: What they were chosen by, in words.
        came: Of those that came.
        test: Of the test rows, for comparison, where the artifact carries some.
        refused: Why there are none; empty where there are some.
    """

    by: str = absent("")
    came: tuple[ExampleSeen, ...] = absent(())
    test: tuple[ExampleSeen, ...] = absent(())
    refused: str = absent("")
