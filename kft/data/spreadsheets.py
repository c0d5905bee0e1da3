"""Excel's .xlsx to rows: one sheet, the values that its cells show, the first row as names."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from datetime import date, datetime, time
from pathlib import Path
from typing import Any

import pandas as pd

from kft.errors import DataError
from kft.extras import require
from kft.tasks.cells import Unreadable

NEXT = "open it in the program that wrote it, and save that sheet as csv in UTF-8"


def read_spreadsheet(path: Path) -> pd.DataFrame:
    """Returns the rows of a workbook's only sheet with values, every cell as text, as that of a csv is.

    Of a formula that is the value it had when the workbook was saved.

    Raises:
        DataError: It is damaged or encrypted, has several sheets with values or none, cells that are merged, a formula
            without a value, or a column without a name.
        UsageError: openpyxl is not installed.
    """
    require("documents", ["openpyxl"], "spreadsheets are read by openpyxl, which is not installed", where=str(path))
    sheet = _only_sheet(path, _open(path, values=True))
    merged = sheet.merged_cells.ranges
    if merged:
        raise _refused(
            "cells are merged: which rows they stand for is not said",
            f"{path}, sheet {sheet.title!r}",
            f"{len(merged):,} such, first {sorted(map(str, merged))[0]}",
        )
    rows = [list(row) for row in sheet.iter_rows()]
    _require_values(path, sheet, rows)
    while rows and not any(cell.value is not None for cell in rows[-1]):
        rows.pop()
    width = max((place for row in rows for place, cell in enumerate(row, 1) if cell.value is not None), default=0)
    names = [_shown(cell) for cell in rows[0][:width]]
    empty = next((place for place, name in enumerate(names) if not str(name).strip()), None)
    if empty is not None:
        raise _refused(
            "a column has values and no name",
            f"{path}, sheet {sheet.title!r}, column {empty + 1}",
            f"a first row of {' | '.join(map(str, names))[:80]}",
        )
    body = [[_shown(cell) for cell in row[:width]] for row in rows[1:] if any(cell.value is not None for cell in row)]
    return pd.DataFrame(body, columns=pd.Index([str(name).strip() for name in names], dtype=object), dtype=object)


def _open(path: Path, *, values: bool) -> Any:
    from openpyxl import load_workbook

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of styles and extensions, which are no values
            return load_workbook(path, data_only=values)
    except OSError as error:
        raise _refused("the file cannot be read", str(path), error.strerror or str(error)) from None
    except Exception as error:  # zip, XML, a missing part: a damaged file fails in many ways
        raise _refused(
            "the spreadsheet is damaged or encrypted", str(path), f"{type(error).__name__}: {str(error)[:100]}"
        ) from None


def _only_sheet(path: Path, book: Any) -> Any:
    filled = [sheet for sheet in book.worksheets if any(cell is not None for row in sheet.values for cell in row)]
    if len(filled) == 1:
        return filled[0]
    names = ", ".join(repr(sheet.title) for sheet in filled)
    raise _refused(
        "the workbook has several sheets with values" if filled else "the workbook holds no values",
        str(path),
        names or "empty sheets",
        "one sheet with a row of names and a row an example",
    )


def _require_values(path: Path, sheet: Any, rows: Sequence[Sequence[Any]]) -> None:
    """Refuses formulas that were saved without what they come to: another program has never computed them."""
    written = _open(path, values=False)[sheet.title]
    for row in rows:
        for cell in row:
            if cell.value is None and written[cell.coordinate].data_type == "f":
                raise _refused(
                    "a formula was saved without its value",
                    f"{path}, sheet {sheet.title!r}, cell {cell.coordinate}",
                    str(written[cell.coordinate].value)[:80],
                )


def _shown(cell: Any) -> str | Unreadable:
    value = cell.value
    if cell.data_type == "e":
        return Unreadable(f"the cell {cell.coordinate} holds the error {value}")
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, datetime) and value.time() == time():
        value = value.date()
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _refused(problem: str, where: str, received: str, expected: str = "a sheet of rows and columns") -> DataError:
    return DataError(problem, where=where, received=received, expected=expected, next_step=NEXT)
