"""Files of rows to a DataFrame: csv, tsv, tab-separated txt, jsonl and parquet."""

from __future__ import annotations

import codecs
import csv
import json
import re
import shlex
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd

from kft.data.hub_names import class_names, name_cells
from kft.errors import DataError
from kft.tasks.cells import as_objects

SUFFIXES = (".csv", ".tsv", ".txt", ".jsonl", ".parquet")
LARGEST_CELL = 2**31 - 1
LINE = re.compile(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+")
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


def read_table(
    source: Path | pd.DataFrame, *, columns: Sequence[str] | None = None, encoding: str | None = None
) -> pd.DataFrame:
    """Reads a table; a file's cells are text, missing ones are empty, and "NA" is a text like others.

    Files are UTF-8, with or without a byte order mark, or UTF-16 with one; what is neither is read in the encoding
    that is named. In csv and tsv a field may stand in double quotes (RFC 4180). In txt, and in a tsv without a
    header, a quotation mark is only a character. In jsonl numbers keep the digits they were written with, and lists
    and objects stay what they are; so do all values of a parquet file.

    Args:
        source: A csv, tsv, jsonl, parquet or tab-separated txt file, or a DataFrame, whose cells are left alone.
        columns: Column names of a csv, tsv or txt file without a header.
        encoding: Of a file that is not UTF-8.

    Raises:
        DataError: The file is missing, empty, in another encoding, or not a table; says where.

    Example:
        >>> read_table(pd.DataFrame({"text": ["fine", "NA"], 0: [1, 2]})).columns.tolist()
        ['text', '0']
    """
    if isinstance(source, pd.DataFrame):
        frame = source.reset_index(drop=True)
        frame.columns = pd.Index([str(name) for name in source.columns], dtype=object)
        _require_different(list(frame.columns), "the DataFrame")
        _require_rows(frame, "the DataFrame", "a DataFrame without rows")
        return frame
    suffix = source.suffix.lower()
    if suffix not in SUFFIXES:
        raise DataError(
            f"files of the kind {suffix or 'without an ending'!r} are not read",
            where=str(source),
            received=source.name,
            expected="a file that ends in " + ", ".join(SUFFIXES),
            next_step="save the table as csv in UTF-8",
        )
    if suffix == ".parquet":
        frame = _read_parquet(source)
        _require_rows(frame, str(source), "columns and no row")
        return frame
    text = read_text(source, encoding)
    frame = _parse_json_lines(text, source) if suffix == ".jsonl" else _parse_delimited(text, source, columns)
    _require_rows(frame, str(source), "a header and nothing else" if text.strip() else "an empty file")
    return frame


def read_text(path: Path, encoding: str | None = None) -> str:
    """Returns a file's text, without a byte order mark.

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
    name, text = _decode(raw, path, encoding)
    if "\0" in text:
        raise DataError(
            "the file holds NUL characters",
            where=f"{path}, line {text[: text.index(chr(0))].count(chr(10)) + 1}",
            received="a character with the code 0",
            expected=f"text in {name}",
            next_step="save it again as UTF-8: it may be UTF-16 or UTF-32, or no text at all",
        )
    return text


def _refuse_binary(raw: bytes, path: Path) -> None:
    kind = next((kind for start, kind in BINARIES.items() if raw.startswith(start)), None)
    if kind is not None:
        raise DataError(
            "the file is no text, whatever its name says",
            where=str(path),
            received=f"the first bytes of {kind}",
            expected="a table as text: csv, tsv or jsonl",
            next_step="open it in the program that wrote it, and save or export it as csv in UTF-8",
        )


def _decode(raw: bytes, path: Path, encoding: str | None) -> tuple[str, str]:
    """Returns the encoding that was found, as people write it, and the text."""
    utf16 = raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    name = "UTF-16" if utf16 else "UTF-8"
    try:
        if utf16 or encoding is None or raw.startswith(codecs.BOM_UTF8) or not raw.isascii():
            return name, raw.decode("utf-16" if utf16 else "utf-8-sig")
    except UnicodeError as error:
        if utf16 or encoding is None:
            raise _undecodable(raw, path, name, error) from None
    try:
        return encoding, raw.decode(encoding)
    except UnicodeError as error:
        raise _undecodable(raw, path, encoding, error) from None


def _undecodable(raw: bytes, path: Path, name: str, error: UnicodeError) -> DataError:
    # The decoder counts from behind a byte order mark. Some codecs say nothing of the place.
    position = error.start + len(raw) - len(error.object) if isinstance(error, UnicodeDecodeError) else 0
    before = raw[:position].decode("utf-16", "ignore") if name == "UTF-16" else raw[:position].decode("latin-1")
    line = before.count("\n") + 1
    old, new = shlex.quote(path.name), shlex.quote("utf8-" + path.name)
    mend = f"iconv -f {'UTF-16' if name == 'UTF-16' else 'WINDOWS-1252'} -t UTF-8 {old} > {new}"
    steps = {
        "UTF-16": f"{mend}, or save it as UTF-8 where it was made",
        "UTF-8": f"--set data.encoding=windows-1252 (kft init --encoding), or what it was written in; or {mend}",
    }
    return DataError(
        f"the file is not {name}",
        where=f"{path}, line {line}, byte {position}",
        received=f"byte 0x{raw[position]:02x}",
        expected=f"text in {name}" + (", as its byte order mark says" if name == "UTF-16" else ""),
        next_step=steps.get(name, "name another data.encoding, or save it as UTF-8 where it was made"),
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
            _require_different(table.column_names, f"{path}, its schema")
            lists = {name: table[name].to_pylist() for name in table.column_names}
        except (pa.ArrowException, OSError, ValueError, OverflowError) as error:
            raise DataError(
                "the file is no whole parquet file",
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


def _parse_delimited(text: str, path: Path, columns: Sequence[str] | None) -> pd.DataFrame:
    suffix = path.suffix.lower()
    first = text.lstrip("\r\n").split("\n", 1)[0]
    if suffix == ".txt" and columns is None and "\t" not in first and text.strip():
        raise DataError(
            "the first line holds no tab",
            where=f"{path}, line 1",
            received=first[:SHOWN],
            expected="columns separated by tabs",
            next_step="save the table as csv",
        )
    literal = suffix == ".txt" or (suffix == ".tsv" and columns is not None)
    limit = csv.field_size_limit(LARGEST_CELL)
    try:
        records = _records(text, path, delimiter="," if suffix == ".csv" else "\t", literal=literal)
        names = list(columns) if columns else [name.strip() for name in next(records, (1, []))[1]]
        _require_different(names, f"{path}, line 1")
        rows = [_require_width(row, names, f"{path}, line {line}", literal) for line, row in records]
    finally:
        csv.field_size_limit(limit)
    return pd.DataFrame(rows, columns=pd.Index(names, dtype=object), dtype=object)


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


def _require_width(row: list[str], names: list[str], where: str, literal: bool) -> list[str]:
    if len(row) != len(names):
        raise DataError(
            "a row has another number of fields than there are columns",
            where=where,
            received=f"{len(row)} fields: {' | '.join(row)[:SHOWN]}",
            expected=f"{len(names)}: {', '.join(names)}",
            next_step="check data.columns, and that no text holds a tab or a line break"
            if literal
            else "save the table with commas, or as tsv with tabs: its columns are parted by semicolons"
            if len(names) == 1 and ";" in names[0]
            else "put texts that hold a separator or a line break in double quotes",
        )
    return row


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
        raise ValueError(f"the key {name!r} stands there twice")
    return found


def _cell(value: object) -> object:
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else value


def _shown_problem(error: Exception) -> str:
    if isinstance(error, UnicodeEncodeError):
        return "it holds half a surrogate pair, which is no character"
    return "it is nested too deeply" if isinstance(error, RecursionError) else str(error)


def _require_different(names: list[str], where: str) -> None:
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
