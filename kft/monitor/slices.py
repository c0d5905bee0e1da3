"""Slices of what comes: rows by what they are answered, by length, script or light, or by a column of the recipe.

Where a slice ends, the valid rows say; how much lies in it, the test rows. So no limit hangs on a row that is counted,
and the test rows of a slice are a fair sample of those that are like them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any

import numpy as np

from kft.characters import visible
from kft.monitor.gauges.texts import SCRIPTS
from kft.monitor.seen import Seen
from kft.records.monitored import SliceCounts

NUMBERS = {
    "answer": (("value", ""), ("spans", " spans")),
    "length": (("characters", " characters"), ("tokens", " tokens")),
    "brightness": (("brightness", ""),),
    "sharpness": (("sharpness", ""),),
    "size": (("megapixels", " megapixels"),),
}
"""Gauges that are cut into thirds, with the unit of their limits; the first that the rows have."""
CODES = {"answer": "class", "script": "script"}
"""Gauges whose values are codes."""
MOST_ANSWERS = 50
"""Answers that are slices of their own, the most frequent; the others are one."""
MOST_VALUES = 20
"""Likewise of a column. A column of more different numbers is cut into thirds."""
LONGEST = 80
"""Characters of a value; rows with a longer one are among the others."""
FEWEST = 5
"""Valid rows of a slice of a column: what few have may point at a person, and is among the others."""
UNSURE = 0.25
"""The share of valid rows that count as unsure."""
COUNTS = 4
"""Numbers that are counted of a slice: rows, the sum of their confidences, those that are unsure, those withheld."""


@dataclass(frozen=True, eq=False)
class Slicing:
    """One way to cut rows into slices.

    Attributes:
        by: ``answer``, ``length``, ``script``, ``brightness``, ``sharpness``, ``size``, or a column.
        names: Of its slices, in their order.
        gauge: Whose value decides; empty: the cells of a column.
        column: That column.
        limits: The largest value of each slice but the last; empty where values are names or codes.
        values: Of each slice: a code, or a cell; of the rest that is one slice, nothing.
        test: ``float64[slices, 4]``: of the test rows; see ``COUNTS``.
    """

    by: str
    names: tuple[str, ...]
    gauge: str = ""
    column: str = ""
    limits: tuple[float, ...] = ()
    values: tuple[str, ...] = ()
    test: np.ndarray = field(default_factory=lambda: np.zeros((0, COUNTS)))

    def place(self, values: np.ndarray) -> np.ndarray:
        """Returns the slice of each row, ``int64[rows]``; -1: in none.

        Args:
            values: ``float64[rows]`` of the gauge, or ``object[rows]``: the cells of the column.

        Example:
            >>> cut = Slicing("length", ("up to 9", "over 9"), "tokens", limits=(9.0,))
            >>> cut.place(np.array([9.0, 10.0, np.nan])).tolist()
            [0, 1, -1]
            >>> cut = Slicing("region", ("north", "another"), column="region", values=("north",))
            >>> cut.place(np.array(["south", " north", " "], object)).tolist()
            [1, 0, -1]
        """
        from kft.tasks.cells import as_objects  # with pandas, which a server needs for no text
        from kft.tasks.spelling import spelled

        if self.limits:
            numbers = values if self.gauge else as_numbers(as_objects([spelled(cell) for cell in values]))
            return np.where(np.isnan(numbers), -1, np.searchsorted(self.limits, numbers))
        rest = len(self.values) if len(self.names) > len(self.values) else -1
        if self.gauge:
            known = ~np.isnan(values)
            codes = np.array([int(value) for value in self.values])
            table = np.full(int(max(codes.max(), values[known].max(initial=0))) + 1, rest)
            table[codes] = np.arange(len(codes))
            return np.where(known, table[np.where(known, values, 0).astype(np.int64)], -1)
        names = {value: place for place, value in enumerate(self.values)}
        return np.array([names.get(text, rest) if (text := spelled(cell)) else -1 for cell in values], np.int64)


@dataclass(frozen=True, eq=False)
class Slices:
    """All ways to cut rows of an artifact.

    Attributes:
        unsure: A row that is less sure than this counts as unsure; None where answers have no confidence.
        withholds: Whether answers are ever withheld.
        every: One for each way.
    """

    unsure: float | None = None
    withholds: bool = False
    every: tuple[Slicing, ...] = ()

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns that rows are cut by."""
        return tuple(each.column for each in self.every if each.column)

    def count(self, seen: Seen, columns: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Returns what is counted of each slice, ``float64[slices, 4]`` by the way that rows are cut.

        Args:
            seen: What is seen of the rows. Those that cannot be answered are in no slice.
            columns: ``object[rows]`` of each column that is there.
        """
        usable = seen.values["unusable"] == 0 if "unusable" in seen.values else np.ones(len(seen), bool)
        sure = np.zeros(len(seen)) if seen.confidence is None else np.nan_to_num(seen.confidence.astype(np.float64))
        unsure = sure < (self.unsure or 0.0)
        withheld = np.nan_to_num(seen.values.get("withheld", np.zeros(len(seen))))
        weights = (None, sure, unsure, withheld)
        found = {}
        for each in self.every:
            values = seen.values.get(each.gauge) if each.gauge else columns.get(each.column)
            if values is None:
                continue
            places = np.where(usable, each.place(values), -1) + 1
            counts = [np.bincount(places, weight, len(each.names) + 1)[1:] for weight in weights]
            found[each.by] = np.stack(counts, axis=1).astype(np.float64)
        return found


def fit_slices(
    valid: Seen, columns: Mapping[str, np.ndarray], labels: Sequence[str], *, withholds: bool = False
) -> Slices:
    """Returns how rows are cut, by the valid rows; nothing is counted yet.

    Args:
        valid: What is seen of them.
        columns: ``object[rows]`` of each column of ``data.slices``.
        labels: That can be answered.
        withholds: Whether answers are ever withheld.
    """
    every = []
    for by, gauges in NUMBERS.items():
        for gauge, unit in gauges:
            if gauge in valid.values:
                every += _thirds(by, valid.values[gauge], gauge, unit)
                break
    for by, gauge in CODES.items():
        if gauge in valid.values:
            every += _codes(by, valid.values[gauge], gauge, labels if by == "answer" else SCRIPTS)
    for name, cells in columns.items():
        # A column that is called as one of ours would be taken for it.
        every += _column(name, f"column {name}" if name in {*NUMBERS, *CODES} else name, cells)
    sure = None if valid.confidence is None else valid.confidence[~np.isnan(valid.confidence)]
    unsure = None if sure is None or not len(sure) else float(np.quantile(sure, UNSURE))
    return Slices(unsure, withholds, tuple(every))


def with_test(slices: Slices, test: Seen, columns: Mapping[str, np.ndarray]) -> Slices:
    """Returns the same with what the test rows have of each slice.

    Args:
        slices: From ``fit_slices``.
        test: What is seen of the test rows.
        columns: Theirs.
    """
    counts = slices.count(test, columns)
    every = (replace(each, test=counts[each.by]) for each in slices.every if each.by in counts)
    return replace(slices, every=tuple(each for each in every if each.test[:, 0].any()))


def _thirds(by: str, values: np.ndarray, gauge: str, unit: str) -> list[Slicing]:
    known = values[~np.isnan(values)]
    if not len(known):
        return []
    ends = np.unique(np.quantile(known, [1 / 3, 2 / 3], method="lower"))
    ends = ends[ends < known.max()]
    if not len(ends):
        return []
    shown = [f"{end:.6g}" for end in ends.tolist()]
    middle = [f"over {low}, up to {high}{unit}" for low, high in pairwise(shown)]
    names = (f"up to {shown[0]}{unit}", *middle, f"over {shown[-1]}{unit}")
    return [Slicing(by, names, gauge, limits=tuple(ends.tolist()))]


def _codes(by: str, values: np.ndarray, gauge: str, names: Sequence[str]) -> list[Slicing]:
    counts = np.bincount(values[~np.isnan(values)].astype(np.int64), minlength=len(names))
    whole = by == "answer" and len(names) <= MOST_ANSWERS
    codes = list(range(len(names))) if whole else np.argsort(-counts, kind="stable")[:MOST_ANSWERS].tolist()
    codes = codes if whole else [code for code in codes if counts[code]]
    if not codes:
        return []
    rest = () if whole else (f"another {by}",)
    return [Slicing(by, (*(names[code] for code in codes), *rest), gauge, values=tuple(map(str, codes)))]


def _column(column: str, by: str, cells: np.ndarray) -> list[Slicing]:
    from kft.tasks.spelling import spelled

    texts = np.array([spelled(cell) for cell in cells], object)
    numbers = as_numbers(texts)
    known = numbers[~np.isnan(numbers)]
    if len(known) > len(texts) / 2 and len(np.unique(known)) > MOST_VALUES:
        return [replace(each, column=column) for each in _thirds(by, numbers, "", "")]
    values, counts = np.unique(texts[texts != ""].astype(str), return_counts=True)
    kept = [str(values[at]) for at in np.argsort(-counts, kind="stable")[:MOST_VALUES] if counts[at] >= FEWEST]
    kept = [value for value in kept if len(value) <= LONGEST]
    names = (*map(visible, kept), "another value")
    return [Slicing(by, names, column=column, values=tuple(kept))] if kept else []


def as_numbers(cells: np.ndarray) -> np.ndarray:
    """Returns cells as numbers, ``float64[rows]``; NaN where one is none.

    Example:
        >>> as_numbers(np.array(["1.5", "", None, "north"], object)).tolist()
        [1.5, nan, nan, nan]
    """
    import pandas as pd

    return pd.to_numeric(pd.Series(cells, dtype=object), errors="coerce").to_numpy(np.float64)


def as_counts(slices: Slices, written: Iterable[SliceCounts]) -> dict[str, np.ndarray]:
    """Returns the sum of what windows have counted, ``float64[slices, 4]`` by the way that rows are cut.

    Args:
        slices: Of the reference.
        written: Counts, as ``WindowSeen`` holds them. A way that is in none of them is left out.
    """
    sizes = {each.by: len(each.names) for each in slices.every}
    found: dict[str, np.ndarray] = {}
    for by, place, *counts in written:
        found.setdefault(by, np.zeros((sizes[by], COUNTS)))[place] += counts
    return found


def as_header(slices: Slices) -> dict[str, Any]:
    """Returns what JSON can hold."""
    every = [{**vars(each), "test": each.test.round(4).tolist()} for each in slices.every]
    return {"unsure": slices.unsure, "withholds": slices.withholds, "every": every}


def from_header(found: Mapping[str, Any]) -> Slices:
    """Reads what ``as_header`` gave."""
    every = [
        Slicing(
            each["by"],
            tuple(each["names"]),
            each["gauge"],
            each["column"],
            tuple(each["limits"]),
            tuple(each["values"]),
            np.array(each["test"], np.float64).reshape(len(each["names"]), COUNTS),
        )
        for each in found["every"]
    ]
    return Slices(found["unsure"], found["withholds"], tuple(every))
