"""How a table is written as text: what parts its columns, and which of them are a spreadsheet's empty ones."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from kft.errors import DataError
from kft.recipe.schema import DataSpec

SIGNS = {",": ",", ";": ";", "tab": "\t", "|": "|"}
"""What ``data.separator`` can be, and the character it stands for."""
WORDS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "pipe"}
"""What the separators are called on a command line."""
DELIMITED = (".csv", ".tsv", ".txt")
HEAD = 2**18
"""So many characters tell what parts the columns."""
_EXCEL = re.compile(r"sep=(.)\r?\n", re.IGNORECASE)
_DECIMAL = re.compile(r"\s*[-+]?\d+,\d+\s*")
LINE = re.compile(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+")


@dataclass(frozen=True)
class Dialect:
    """How a recipe says that its tables are written; what it leaves out is found in each file.

    Attributes:
        columns: Column names of a file without a header.
        encoding: Of a file that is not UTF-8.
        separator: A key of ``SIGNS``.
        firm: Whether a file that is parted by another separator is refused; else that one is taken, and said.
    """

    columns: tuple[str, ...] | None = None
    encoding: str | None = None
    separator: str | None = None
    firm: bool = True


PLAIN = Dialect()


def dialect_of(spec: DataSpec, *, firm: bool = True) -> Dialect:
    """Returns what a recipe says of its tables.

    Example:
        >>> dialect_of(DataSpec(train="a.csv", separator=";")).separator
        ';'
    """
    return Dialect(spec.columns, spec.encoding, spec.separator, firm)


@dataclass(frozen=True)
class TableLayout:
    """How a file's lines become cells.

    Attributes:
        separator: The character.
        start: Where the table begins: behind a line ``sep=;``, which Excel writes and reads.
        note: A sentence where the separator was guessed.
    """

    separator: str
    start: int = 0
    note: str = ""


def shown(separator: str) -> str:
    r"""Returns a separator for people.

    Example:
        >>> shown(";"), shown("\t")
        ("';'", 'a tab')
    """
    return "a tab" if separator == "\t" else repr(separator)


def find_cut(text: str, path: Path, dialect: Dialect) -> TableLayout:
    r"""Finds what parts the columns of a table.

    The file's ending says what is usual: a comma, or a tab. Another one is taken where the usual one does not part all
    rows alike and the other does.

    Args:
        text: The table, or its beginning.
        path: For its ending, and for messages.
        dialect: What the recipe says.

    Raises:
        DataError: Two separators fit, or the one that the recipe names does not.

    Example:
        >>> find_cut("text;label\nSehr gut, ja;5\nNein;1\n", Path("a.csv"), PLAIN).separator
        ';'
    """
    usual = "," if path.suffix.lower() == ".csv" else "\t"
    excel = _EXCEL.match(text)
    if excel and excel.group(1) in WORDS:
        named = excel.group(1)
        return TableLayout(
            named, excel.end(), f"{path.name}: its first line says that columns are separated by {shown(named)}"
        )
    asked = SIGNS[dialect.separator] if dialect.separator else None
    head, whole = text[:HEAD], len(text) <= HEAD
    plain = is_literal(path, "\t", dialect)
    widths = {sign: _width(head, sign, dialect.columns, whole=whole, literal=plain and sign == "\t") for sign in WORDS}
    fitting = [sign for sign in WORDS if widths[sign] > 1]
    if asked is not None:
        return _as_asked(asked, fitting, _first(head, asked), path, dialect)
    if usual in fitting:
        rivals = [sign for sign in fitting if sign != usual and _doubtful(head, usual, sign, dialect, whole)]
        if rivals:
            raise _ambiguous([usual, *rivals], path, head)
        return TableLayout(usual)
    if len(fitting) > 1:
        raise _ambiguous(fitting, path, head)
    if not fitting and len(_first(head, usual)) == 1 and dialect.columns is None:
        # No separator fits every row: the one that the header has lets the error name the row.
        fitting = [sign for sign in WORDS if sign != usual and len(_first(head, sign)) > 1][:1]
    if not fitting:
        return TableLayout(usual)
    (found,) = fitting
    return TableLayout(
        found, 0, f"{path.name}: columns are separated by {shown(found)} (data.separator: {WORDS[found]})"
    )


def first_cells(text: str, path: Path, dialect: Dialect) -> list[str]:
    r"""Returns the cells of a table's first line, be they names or values.

    Example:
        >>> first_cells("text,label\na,b\n", Path("a.csv"), Dialect(columns=("text", "label")))
        ['text', 'label']
    """
    cut = find_cut(text, path, dialect)
    return [cell.strip() for cell in _first(text[cut.start :][:HEAD], cut.separator)]


def _as_asked(asked: str, fitting: Sequence[str], first: Sequence[str], path: Path, dialect: Dialect) -> TableLayout:
    others = [sign for sign in fitting if sign != asked]
    if asked in fitting or len(first) > 1 or len(others) != 1:
        return TableLayout(asked)
    (other,) = others
    if not dialect.firm:
        return TableLayout(
            other, 0, f"{path.name}: columns are separated by {shown(other)}, not by {shown(asked)} as in training"
        )
    raise DataError(
        "the table has another separator than the recipe says",
        where=str(path),
        received=f"{shown(other)} in every row",
        expected=f"{shown(asked)}, as data.separator says; one for all files",
        next_step=f"--set data.separator={WORDS[other]}, or save all files alike",
    )


def _doubtful(head: str, usual: str, other: str, dialect: Dialect, whole: bool) -> bool:
    """Whether the other separator fits as well, and the usual one may be part of the cells."""
    if dialect.columns is None:
        return True  # both stand in the header
    if usual != ",":
        return False
    cells = [cell for row in _rows(head, other, whole=whole) for cell in row if "," in cell]
    return bool(cells) and all(_DECIMAL.fullmatch(cell) for cell in cells)


def _ambiguous(signs: Sequence[str], path: Path, head: str) -> DataError:
    line = next((line.strip() for line in head.split("\n") if line.strip()), "")
    either = " or ".join(f"data.separator={WORDS[sign]}" for sign in signs)
    return DataError(
        "the columns can be separated in two ways",
        where=f"{path}, line 1",
        received=line[:80],
        expected=f"one separator; {' and '.join(map(shown, signs))} stand alike in every row",
        next_step=f"--set {either} (kft init --separator)",
    )


def _first(head: str, sign: str) -> list[str]:
    return next(_rows(head, sign, whole=False), [])


def _width(head: str, sign: str, columns: Sequence[str] | None, *, whole: bool, literal: bool) -> int:
    """How many columns each row has; 0 where they differ, or are others than those that were named."""
    widths: set[int] = set()
    try:
        for row in _rows(head, sign, whole=whole, literal=literal):
            widths.add(len(row))
            if len(widths) > 1:
                return 0
    except csv.Error:
        return 0
    found = widths.pop() if widths else 0
    return 0 if columns is not None and found < len(columns) else found


def _rows(head: str, sign: str, *, whole: bool, literal: bool = False) -> Iterator[list[str]]:
    """Yields the rows of a beginning; the last one may be cut, and is left out then."""
    limit = csv.field_size_limit(2**31 - 1)
    try:
        held: list[str] | None = None
        lines = (match.group() for match in LINE.finditer(head))
        for row in csv.reader(lines, delimiter=sign, strict=whole, quoting=csv.QUOTE_NONE if literal else 0):
            if held:
                yield held
            held = row
        if held and (whole or "\n" not in head):
            yield held
    finally:
        csv.field_size_limit(limit)


def is_literal(path: Path, separator: str, dialect: Dialect) -> bool:
    r"""Whether a quotation mark is only a character: between tabs, in txt and in tsv without a header.

    Example:
        >>> is_literal(Path("a.txt"), "\t", PLAIN), is_literal(Path("a.tsv"), "\t", PLAIN)
        (True, False)
    """
    suffix = path.suffix.lower()
    return separator == "\t" and (suffix == ".txt" or (suffix == ".tsv" and dialect.columns is not None))


def empty_columns(names: Sequence[str], rows: Sequence[Sequence[str]]) -> list[int]:
    """Returns the places of columns without a name and without a value: a spreadsheet writes them.

    Example:
        >>> empty_columns(["v1", "v2", "", ""], [["a", "b", "", "c"]])
        [2]
    """
    nameless = [place for place, name in enumerate(names) if not name.strip()]
    return [place for place in nameless if not any(row[place].strip() for row in rows if place < len(row))]
