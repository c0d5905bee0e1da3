r"""Tables for people: every csv that kft writes to be looked at, such that a spreadsheet takes no cell for a formula.

A cell that would begin a formula (``=``, ``+``, ``-``, ``@``, also full-width, after spaces, tabs or quotes) gets a
``'`` in front, in its first place and behind a ``;``, a tab or a line break inside it, where a spreadsheet set to
another separator begins a cell. A cell that is a number stays one. ``read_rows`` takes exactly these quotes away again:
what was written comes back, whatever it was.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import IO, Any

from kft.errors import RunError
from kft.records.files import write_file

_SIGNS = "=+@\uff1d\uff0b\uff0d\uff20\u2212-"
_FIRST, _LATER = (rf"'*[ \u00a0\u3000\ufeff]*[{tabs}{_SIGNS}]" for tabs in ("\t\r", ""))
_BEGINS = re.compile(rf"\A(?={_FIRST})|(?<=[;\t\r\n])(?={_LATER})")
_NEUTRAL = re.compile(rf"\A'(?={_FIRST})|(?<=[;\t\r\n])'(?={_LATER})")
_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)


def neutral(cell: str) -> str:
    """Returns a cell that no spreadsheet takes for a formula.

    Example:
        >>> neutral("=1+1"), neutral("-0.5"), neutral("a-b"), neutral("'=1"), neutral("x;=1")
        ("'=1+1", '-0.5', 'a-b', "''=1", "x;'=1")
    """
    return cell if _NUMBER.fullmatch(cell) else _BEGINS.sub("'", cell)


def original(cell: str) -> str:
    """Returns the cell that ``neutral`` was given.

    Example:
        >>> original("'=1+1"), original("-0.5"), original("'tis"), original("''=1")
        ('=1+1', '-0.5', "'tis", "'=1")
    """
    return _NEUTRAL.sub("", cell)


def row_writer(text: IO[str]) -> Callable[[Iterable[Any]], None]:
    """Returns what writes one row of a table for people after another: texts are made ``neutral``.

    Args:
        text: Opened with ``newline=""``.
    """

    def write(row: Iterable[Any]) -> None:
        line = io.StringIO(newline="")
        # Python quotes what its own end of a line holds: with "\n" alone, a "\r" in a cell would end the row.
        writer = csv.writer(line, lineterminator="\r\n")
        writer.writerow([neutral(value) if isinstance(value, str) else value for value in row])
        text.write(line.getvalue().removesuffix("\r\n") + "\n")

    return write


def as_csv(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    r"""Returns a table for people.

    Args:
        header: Titles of the columns.
        rows: One value a column; what is no text is written as Python writes it.

    Example:
        >>> as_csv(["id", "label"], [("a.csv:3", "@home")])
        "id,label\na.csv:3,'@home\n"
    """
    text = io.StringIO(newline="")
    write = row_writer(text)
    for row in (header, *rows):
        write(row)
    return text.getvalue()


def write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Writes a table for people, whole or not at all; see ``as_csv``."""
    write_file(path, as_csv(header, rows))


def read_rows(path: Path) -> list[list[str]]:
    """Returns the header and the rows of a table that ``write_csv`` wrote, every cell as it was before.

    Raises:
        RunError: It is no such table, or was cut short; names file and line.
    """
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = [[original(cell) for cell in row] for row in csv.reader(file)]
    except (ValueError, csv.Error) as error:
        raise damaged(path, str(error)) from None
    if not rows:
        raise damaged(path, "an empty file")
    for line, row in enumerate(rows, start=1):
        if len(row) != len(rows[0]):
            raise damaged(f"{path}, row {line}", f"{len(row)} cells, and {len(rows[0])} in the first row")
    return rows


def read_table(path: Path) -> list[dict[str, str]]:
    """Returns the rows of a table that ``write_csv`` wrote, by column; see ``read_rows``."""
    header, *rows = read_rows(path)
    return [dict(zip(header, row, strict=True)) for row in rows]


def damaged(where: Path | str, received: str) -> RunError:
    """Returns the error of a table that is not as it was written."""
    path = Path(str(where).partition(", row ")[0])
    return RunError(
        f"{path.name} is damaged",
        where=str(where),
        received=received,
        expected="the table as kft wrote it",
        next_step=f"kft evaluate {path.parent} writes it again",
    )
