"""What the page of a monitor shows of slices, and of rows to look at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kft.records.sliced import ExampleSeen, ExamplesSeen, ShareChange, SliceSeen, SlicesSeen
from kft.report.html import Thumbnails, number, shorten

AT_ONCE = 12
"""Slices that moved and are seen at once; the others are behind a click."""
MOST_SLICES = 120
"""Of a table."""


@dataclass(frozen=True)
class Cell:
    """A figure then and now, as the page shows it.

    Attributes:
        figure: Both.
        interval: Of the difference; empty where there is none.
        moved: Whether it is otherwise beyond chance.
    """

    figure: str
    interval: str = ""
    moved: bool = False


@dataclass(frozen=True)
class SliceRow:
    """A slice, or a row to look at.

    Attributes:
        name: What it is.
        moved: Whether anything of the slice is otherwise.
        cells: Its figures, by their titles.
    """

    name: str
    moved: bool
    cells: dict[str, Cell]


def slice_rows(found: SlicesSeen | None) -> dict[str, Any] | None:
    """Returns slices as the page shows them; None where no row has come."""
    if found is None:
        return None
    moved = [_row(each, found) for each in found.moved]
    rest = [_row(each, found) for each in found.every if not each.moved]
    shown, others = moved[:AT_ONCE], [*moved[AT_ONCE:], *rest]
    return {
        "found": found,
        "moved": shown,
        "rest": others[:MOST_SLICES],
        "left_out": max(0, len(others) - MOST_SLICES),
    }


def _row(each: SliceSeen, found: SlicesSeen) -> SliceRow:
    cells = {"share of rows": _cell(each.share)}
    if found.unsure_below is not None:
        cells[found.called_unsure] = _cell(each.unsure)
    if any(other.withheld is not None for other in found.every):
        cells["withheld"] = _cell(each.withheld)
    if found.unsure_below is not None:
        cells["mean confidence"] = Cell(f"{number(each.confidence_before)} → {number(each.confidence)}")
    cells["rows"] = Cell(f"{each.rows:,}, {each.test_rows:,} of test")
    return SliceRow(shorten(each.name, 80), bool(each.moved), cells)


def _cell(found: ShareChange | None) -> Cell:
    if found is None:
        return Cell("-")
    return Cell(f"{100 * found.before:.1f} % → {100 * found.now:.1f} %", found.difference, found.moved)


def example_rows(found: ExamplesSeen | None) -> dict[str, Any] | None:
    """Returns rows to look at as the page shows them; None where no row has come."""
    if found is None:
        return None
    thumbnails = Thumbnails()
    return {
        "found": found,
        "came": [_example(each, thumbnails) for each in found.came],
        "test": [_example(each, thumbnails) for each in found.test],
        "images": any(each.file for each in found.came),
    }


def _example(each: ExampleSeen, thumbnails: Thumbnails) -> dict[str, Any]:
    return {
        "text": shorten(each.text, 400) if each.text else "" if each.file else "(an image, of which nothing is kept)",
        "file": Path(each.file).name,
        "image": thumbnails.of(Path(each.file)) if each.file else None,
        "answer": shorten(each.answer, 120),
        "confidence": "" if each.confidence is None else f"{each.confidence:.2f}",
        "window": each.window,
        "why": _listed(each.why),
    }


def _listed(why: Sequence[str]) -> str:
    return "; ".join(shorten(each, 120) for each in why)
