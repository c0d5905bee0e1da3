"""Numbers as people write them: with decimal points or commas, and refused where they can be two."""

from __future__ import annotations

import math
import re

from kft.errors import DataError
from kft.tasks.cells import as_text
from kft.tasks.task import LabelColumn

_DECIMAL = re.compile(r"[-+]?\d+,\d+")
_THOUSANDS = re.compile(r"[-+]?[1-9]\d{0,2},\d{3}")
_POINT_THOUSANDS = re.compile(r"[-+]?[1-9]\d{0,2}(\.\d{3})+")
_GERMAN = re.compile(r"[-+]?[1-9]\d{0,2}(\.\d{3})+,\d+")
_ENGLISH = re.compile(r"[-+]?[1-9]\d{0,2}(,\d{3})+\.\d+")


def as_number(text: str) -> float:
    """Returns a cell's number, NaN where it is none, or could be two.

    Example:
        >>> as_number("1.5"), as_number("1,5"), as_number("1.234,5"), as_number("1_000"), as_number("1,234")
        (1.5, 1.5, 1234.5, nan, nan)
    """
    text = text.strip()
    if _GERMAN.fullmatch(text):
        text = text.replace(".", "")
    elif _ENGLISH.fullmatch(text):
        text = text.replace(",", "")
    if _DECIMAL.fullmatch(text) and (_GERMAN.fullmatch(text) or not _THOUSANDS.fullmatch(text)):
        text = text.replace(",", ".")
    try:
        # Python reads 1_000 as a number; a table that holds it means something else.
        return math.nan if "_" in text else float(text)
    except ValueError:
        return math.nan


def number_problem(label: str, noun: str) -> str:
    """Returns why a cell is no number, or no single one.

    Example:
        >>> number_problem("1,234", "rating")
        "rating can be two numbers, 1.234 or 1234: '1,234'"
    """
    if _THOUSANDS.fullmatch(label):
        return f"{noun} can be two numbers, {label.replace(',', '.')} or {label.replace(',', '')}: {label[:20]!r}"
    return f"{noun} is not a finite number: {label[:20]!r}"


def require_one_comma(column: LabelColumn) -> None:
    """Refuses a column with decimal commas in which a point can part thousands: 3,5 beside 1.234.

    Raises:
        DataError: Names both.
    """
    cells = [as_text(cell).strip() for cell in column.cells if isinstance(cell, str)]
    comma = next((cell for cell in cells if _DECIMAL.fullmatch(cell) and not _THOUSANDS.fullmatch(cell)), None)
    point = next((cell for cell in cells if _POINT_THOUSANDS.fullmatch(cell)), None)
    if comma and point:
        raise DataError(
            "a number can be read in two ways",
            where=column.where,
            received=f"{point!r} beside {comma!r}",
            expected="decimal commas or decimal points, and nothing between thousands",
            next_step=f"write {point!r} without the point, or with a decimal comma",
        )


def comma_notes(column: LabelColumn) -> tuple[str, ...]:
    """Says that decimal commas were read, with how many and one of them."""
    found = [cell.strip() for cell in column.cells if isinstance(cell, str) and "," in cell]
    found = [cell for cell in found if math.isfinite(as_number(cell))]
    if not found:
        return ()
    return (f"{len(found):,} numbers have a comma: {found[0]!r} is read as {as_number(found[0]):g}",)
