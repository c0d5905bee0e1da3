"""Files of rows to a DataFrame: csv, tsv, tab-separated txt, jsonl, parquet and xlsx."""

from __future__ import annotations

import csv
import json
from array import array
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from kft.data.dialects import LINE, PLAIN, Dialect, empty_columns, find_cut, is_literal, shown
from kft.data.encodings import WINDOWS, decode
from kft.data.hub_names import class_names, name_cells
from kft.errors import DataError
from kft.tasks.cells import as_objects

SPREADSHEET = ".xlsx"
SUFFIXES = (".csv", ".tsv", ".txt", ".jsonl", ".parquet", SPREADSHEET)
LARGEST_CELL = 2**31 - 1
BINARIES = {
    b"PK\x03\x04": "a spreadsheet (xlsx, ods) or a zip archive",
    b"\xd0\xcf\x11\xe0": "an old Excel file",
    b"\x1f\x8b": "a gzip archive",
    b"PAR1": "a parquet file",
    b"SQLite format 3\0": "a SQLite database",
    b"%PDF-": "a PDF",
    b"\x89PNG": "an image",
    b"\xff\xd8\xff": "an image",
}
"""How files begin that are often taken for a table."""
SHOWN = 80
"""How many characters of somebody's data an error shows."""


@dataclass(frozen=True)
class Table:
    """A table that was read.

    Attributes:
        frame: Its rows.
        notes: What was guessed of how it is written, and what was left out; one sentence each.
        encoding: The one that was guessed, or empty.
        separator: What parts its columns in the file; empty where nothing does.
    """

    frame: pd.DataFrame
    notes: tuple[str, ...] = ()
    encoding: str = ""
    separator: str = ""


@dataclass(frozen=True)
class LoadedText:
    """A file's text.

    Attributes:
        text: Without a byte order mark.
        note: A sentence where its encoding was guessed.
    """

    text: str
    note: str = ""


def read_table(
    source: Path | pd.DataFrame,
    *,
    columns: Sequence[str] | None = None,
    encoding: str | None = None,
    separator: str | None = None,
) -> pd.DataFrame:
    """Returns the rows of ``open_table``.

    Args:
        source: As there.
        columns: Column names of a csv, tsv or txt file without a header.
        encoding: Of a file that is not UTF-8.
        separator: A key of ``kft.data.dialects.SIGNS``; default: found.

    Raises:
        DataError: As there.

    Example:
        >>> read_table(pd.DataFrame({"text": ["fine", "NA"], 0: [1, 2]})).columns.tolist()
        ['text', '0']
    """
    return open_table(source, Dialect(tuple(columns) if columns else None, encoding, separator)).frame


def open_table(source: Path | pd.DataFrame, dialect: Dialect = PLAIN) -> Table:
    """Reads a table; a file's cells are text, missing ones are empty, and "NA" is a text like others.

    Files are UTF-8, with or without a byte order mark, UTF-16 with one, or windows-1252, which is said; what is none of
    these is read in the encoding that is named. In csv and tsv a field may stand in double quotes (RFC 4180). In txt,
    and in a tsv without a header, a quotation mark is only a character. In jsonl numbers keep the digits they were
    written with, and lists and objects stay what they are; so do all values of a parquet file.

    Args:
        source: A csv, tsv, jsonl, parquet, xlsx or txt file, or a DataFrame, whose cells are left alone.
        dialect: What is known of how a file is written.

    Raises:
        DataError: The file is missing, empty, in another encoding, or not a table; says where.
    """
    if isinstance(source, pd.DataFrame):
        frame = source.reset_index(drop=True)
        frame.columns = pd.Index([str(name) for name in source.columns], dtype=object)
        require_different(list(frame.columns), "the DataFrame")
        _require_rows(frame, "the DataFrame", "a DataFrame without rows")
        return Table(frame)
    suffix = source.suffix.lower()
    if suffix not in SUFFIXES:
        raise DataError(
            f"files of the kind {suffix or 'without an ending'!r} are not read",
            where=str(source),
            received=source.name,
            expected="a file that ends in " + ", ".join(SUFFIXES),
            next_step="rename it to .tsv, if tabs part its columns"
            if suffix == ".tab"
            else "save the table as csv in UTF-8",
        )
    if suffix in (".parquet", SPREADSHEET):
        frame = _read_parquet(source) if suffix == ".parquet" else _read_sheet(source)
        _require_rows(frame, str(source), "columns and no row")
        return Table(frame)
    loaded = load_text(source, dialect.encoding)
    text = loaded.text
    table = Table(_parse_json_lines(text, source)) if suffix == ".jsonl" else _parse_delimited(text, source, dialect)
    _require_rows(table.frame, str(source), "a header and nothing else" if text.strip() else "an empty file")
    if loaded.note:
        return replace(table, notes=(loaded.note, *table.notes), encoding=WINDOWS)
    return table


def load_text(path: Path, encoding: str | None = None) -> LoadedText:
    """Returns a file's text, without a byte order mark, and what was guessed of its encoding.

    Args:
        path: The file.
        encoding: Of a file that is not UTF-8. One that is, and holds more than ASCII, hardly is so by accident; one of
            ASCII bytes alone can be in either (UTF-16 without a mark, ISO-2022-JP), and is read in the one named.

    Raises:
        DataError: It cannot be read, is no text, or is in another encoding; says where.
    """
    with _reading(path):
        raw = path.read_bytes()
    _refuse_binary(raw, path)
    name, text, note = decode(raw, path, encoding)
    if "\0" in text:
        raise DataError(
            "the file holds NUL characters",
            where=f"{path}, line {text[: text.index(chr(0))].count(chr(10)) + 1}",
            received="a character with the code 0",
            expected=f"text in {name}",
            next_step="save it again as UTF-8: it may be UTF-16 or UTF-32, or no text at all",
        )
    return LoadedText(text, note)


def read_text(path: Path, encoding: str | None = None) -> str:
    """Returns the text of ``load_text``."""
    return load_text(path, encoding).text


def _refuse_binary(raw: bytes, path: Path) -> None:
    kind = next((kind for start, kind in BINARIES.items() if raw.startswith(start)), None)
    if kind is not None:
        raise DataError(
            "the file is not text, whatever its name says",
            where=str(path),
            received=f"the first bytes of {kind}",
            expected="a table as text: csv, tsv or jsonl",
            next_step="open it in the program that wrote it, and save or export it as csv in UTF-8",
        )


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise DataError(
            "the file cannot be read",
            where=str(path),
            received=error.strerror or str(error),
            expected="a file that exists and may be read",
            next_step="check the path; a relative one starts at the recipe's own folder",
        ) from None


def _read_parquet(path: Path) -> pd.DataFrame:
    import pyarrow as pa
    from pyarrow.parquet import ParquetFile

    with _reading(path), path.open("rb") as file:
        try:
            # Not pandas: it would turn whole numbers beside an empty cell into fractions, and lists into arrays.
            table = ParquetFile(file).read()
            require_different(table.column_names, f"{path}, its schema")
            lists = {name: table[name].to_pylist() for name in table.column_names}
        except (pa.ArrowException, OSError, ValueError, OverflowError) as error:
            raise DataError(
                "the file is not a whole parquet file",
                where=str(path),
                received=str(error).strip().split("\n")[0].split(". ")[0][:200] or type(error).__name__,
                expected="a parquet file, written to its end",
                next_step="write or fetch it again",
            ) from None
    for name, names in class_names(table.schema.metadata).items():
        if name in lists:
            lists[name] = name_cells(lists[name], names, path, name)
    cells = {name: as_objects(values) for name, values in lists.items()}
    return pd.DataFrame(cells, columns=pd.Index(table.column_names, dtype=object), dtype=object)


def _read_sheet(path: Path) -> pd.DataFrame:
    from kft.data.spreadsheets import read_spreadsheet

    frame = read_spreadsheet(path)
    require_different(list(frame.columns), f"{path}, row 1")
    return frame


def _parse_delimited(text: str, path: Path, dialect: Dialect) -> Table:
    suffix, columns = path.suffix.lower(), dialect.columns
    cut = find_cut(text, path, dialect)
    first = text[cut.start :].lstrip("\r\n").split("\n", 1)[0]
    if suffix == ".txt" and columns is None and cut.separator not in first and text.strip():
        raise DataError(
            "the first line holds no tab",
            where=f"{path}, line 1",
            received=first[:SHOWN],
            expected="columns separated by tabs",
            next_step="save the table as csv",
        )
    skipped = int(cut.start > 0)
    literal = is_literal(path, cut.separator, dialect)
    limit = csv.field_size_limit(LARGEST_CELL)
    try:
        records = _records(text[cut.start :], path, delimiter=cut.separator, literal=literal)
        names = list(columns) if columns else [name.strip() for name in next(records, (1, []))[1]]
        if "" not in names:
            require_different(names, f"{path}, line 1")
        rows, lines = [], array("q")
        for line, row in records:
            rows.append(row)
            lines.append(line)
    finally:
        csv.field_size_limit(limit)
    if columns and rows:
        # A spreadsheet ends each row with the separators of its empty columns.
        names += [""] * (min(map(len, rows)) - len(names))
        if any(cell.strip() for row in rows for cell in row[len(columns) :]):
            names = names[: len(columns)]
    empty = empty_columns(names, rows) if len(names) > 1 else []
    if len(empty) < names.count(""):
        _require_named(names, empty, rows, path)
    for line, row in zip(lines, rows, strict=True):
        if len(row) != len(names):
            raise _other_width(row, names, f"{path}, line {line + skipped}", cut.separator)
    notes: tuple[str, ...] = (cut.note,) if cut.note else ()
    if empty:
        gone = set(empty)
        rows = [[cell for place, cell in enumerate(row) if place not in gone] for row in rows]
        names = [name for place, name in enumerate(names) if place not in gone]
        notes += (f"{path.name}: {len(gone)} columns without a name and without values are left out",)
    require_different(names, f"{path}, line 1")
    frame = pd.DataFrame(rows, columns=pd.Index(names, dtype=object), dtype=object)
    return Table(frame, notes, separator=cut.separator)


def _require_named(names: list[str], empty: Sequence[int], rows: Sequence[Sequence[str]], path: Path) -> None:
    """Refuses several columns without a name of which one holds values: texts with separators spill into them."""
    filled = [place for place, name in enumerate(names) if not name and place not in empty]
    if names.count("") == 1:
        return
    place = filled[0]
    row = next(row for row in rows if place < len(row) and row[place].strip())
    raise DataError(
        "a column has values and no name",
        where=f"{path}, column {place + 1} of {len(names)}",
        received=f"{row[place].strip()[:SHOWN]!r}, in a row of {' | '.join(row)[:SHOWN]}",
        expected="a name for each column in the first line",
        next_step="name it there; or put texts that hold a separator in double quotes, and take the column out",
    )


def _records(text: str, path: Path, *, delimiter: str, literal: bool) -> Iterator[tuple[int, list[str]]]:
    """Yields each row with the number of its first line; empty lines are passed over."""
    # Line by line: io.StringIO would hold the whole text a second time, at four bytes a character.
    lines = (match.group() for match in LINE.finditer(text))
    if literal:
        reader = csv.reader(lines, delimiter=delimiter, quoting=csv.QUOTE_NONE)
    else:
        reader = csv.reader(lines, delimiter=delimiter, strict=True)
    line = 1
    other = ", or name the file .txt: there a quotation mark is only a character" if delimiter == "\t" else ""
    try:
        for row in reader:
            # Two lines that a stray quotation mark glued together would otherwise pass as one row.
            if delimiter == "\t" and any("\t" in cell and "\n" in cell for cell in row):
                raise csv.Error("a quotation mark opens here and closes only after a tab and a line break")
            if row:
                yield line, row
            line = reader.line_num + 1
    except csv.Error as error:
        raise DataError(
            "a row is not quoted as it should be",
            where=f"{path}, line {line}",
            received=str(error),
            expected="a field in double quotes ends with one; one inside it is doubled",
            next_step='write " inside a quoted field as ""' + other,
        ) from None


def _other_width(row: list[str], names: list[str], where: str, separator: str) -> DataError:
    return DataError(
        "a row has another number of fields than there are columns",
        where=where,
        received=f"{len(row)} fields: {' | '.join(row)[:SHOWN]}",
        expected=f"{len(names)}: {', '.join(names)}, separated by {shown(separator)}",
        next_step="put texts that hold a separator or a line break in double quotes; --set data.separator=semicolon"
        " (comma, tab, pipe) names another separator, data.columns the columns of a file without a header",
    )


def _parse_json_lines(text: str, path: Path) -> pd.DataFrame:
    rows = []
    # Not splitlines(): a line separator such as U+2028 may stand inside a JSON string as it is.
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(
                line,
                parse_int=str,
                parse_float=str,
                parse_constant=lambda name: None if name == "NaN" else name,
                object_pairs_hook=_object,
            )
            if not isinstance(row, dict):
                raise ValueError("this is none")
            if "\\u" in line:
                json.dumps(row, ensure_ascii=False).encode()  # refuses half a surrogate pair
        except (ValueError, RecursionError) as error:
            raise DataError(
                "a line is not a JSON object",
                where=f"{path}, line {number}",
                received=line[:SHOWN],
                expected='one object a line, such as {"text": "...", "label": "..."}',
                next_step=f"mend the line: {_shown_problem(error)}",
            ) from None
        rows.append({name: _cell(value) for name, value in row.items()})
    names = list(dict.fromkeys(name for row in rows for name in row))
    return pd.DataFrame([[row.get(name, "") for name in names] for row in rows], columns=names, dtype=object)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        name = next(name for name, count in Counter(name for name, _ in pairs).items() if count > 1)
        raise ValueError(f"the key {name!r} is there twice")
    return found


def _cell(value: object) -> object:
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else value


def _shown_problem(error: Exception) -> str:
    if isinstance(error, UnicodeEncodeError):
        return "it holds half a surrogate pair, which is not a character"
    return "it is nested too deeply" if isinstance(error, RecursionError) else str(error)


def require_different(names: Sequence[str], where: str) -> None:
    """Refuses a table two of whose columns have one name: nothing says which is meant.

    Raises:
        DataError: There are such; names them.
    """
    repeated = [name for name, count in Counter(names).items() if count > 1]
    if repeated:
        raise DataError(
            "two columns have the same name",
            where=where,
            received=", ".join(map(repr, repeated)),
            expected="column names that differ",
            next_step="rename one of them, or take it out",
        )


def _require_rows(frame: pd.DataFrame, where: str, received: str) -> None:
    if len(frame) == 0:
        raise DataError(
            "there are no rows",
            where=where,
            received=received,
            expected="a header line and one labelled text a row",
            next_step="check that this is the right file",
        )
