"""A large table in pieces: each is a small file of the same kind, read like any other, so that memory does not grow.

What can only be said of a whole file (its encoding where it is not UTF-8, an export of an annotation tool, a table of
words) is not cut: ``NotInPieces``.
"""

from __future__ import annotations

import codecs
import csv
import tempfile
from collections.abc import Iterator
from pathlib import Path

from kft.data.dialects import dialect_of, find_cut, is_literal
from kft.data.sentences import SUFFIXES as SENTENCES
from kft.recipe.schema import DataSpec
from kft.tasks.task import Task

CUT = (".csv", ".tsv", ".txt", ".jsonl", ".parquet")
LARGE = 32 * 2**20
"""Smaller files are read whole."""
PIECE = 2 * 2**20
"""So many bytes a piece, rows not cut; more than tell what parts the columns."""
PIECE_ROWS = 16384
"""Of a parquet file, whose bytes say little."""
LONGEST_ROW = 2**26


class NotInPieces(Exception):
    """A file has to be read whole."""


def is_cut(path: Path, task: Task, spec: DataSpec) -> bool:
    """Whether a file is large, and of a kind that is read in pieces."""
    usual = spec.columns is None and spec.encoding is None and spec.document is None
    plain = not task.reads.files and not task.kind.learning.per_token and path.suffix.lower() not in SENTENCES
    return usual and plain and path.is_file() and path.suffix.lower() in CUT and path.stat().st_size >= LARGE


def pieces_of(path: Path, spec: DataSpec) -> Iterator[tuple[Path, DataSpec]]:
    """Yields the pieces of a table, in order, and how each is read; a piece is gone when the next one comes.

    Args:
        path: csv, tsv, txt, jsonl or parquet.
        spec: How it is read.

    Raises:
        NotInPieces: It has to be read whole.
    """
    with tempfile.TemporaryDirectory(prefix="kft-pieces-") as folder:
        piece = Path(folder) / path.name
        if path.suffix.lower() == ".parquet":
            yield from ((each, spec) for each in _parquet(path, piece))
            return
        header, separator, rows = _opened(path, spec)
        first = True
        for content in _packed(rows):
            piece.write_bytes(header + content)
            # The first piece tells what parts the columns; in a later one chance could say otherwise.
            yield piece, spec if first or not separator else spec.model_copy(update={"separator": separator})
            first = False


def _opened(path: Path, spec: DataSpec) -> tuple[bytes, str, Iterator[bytes]]:
    """Returns what stands before the rows of a text file, what parts its columns (empty: nothing), and its rows."""
    with path.open("rb") as file:
        head = file.read(PIECE)
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise NotInPieces
    suffix = path.suffix.lower()
    if suffix in (".txt", ".jsonl"):
        if suffix == ".jsonl" and head.removeprefix(codecs.BOM_UTF8).lstrip()[:1] == b"[":
            raise NotInPieces
        return b"", "", _lines(path)
    text = head.decode("utf-8-sig", "ignore")
    dialect = dialect_of(spec, firm=False)
    cut = find_cut(text, path, dialect)
    literal = is_literal(path, cut.separator, dialect)
    records = _records(_lines(path), cut.separator, literal=literal)
    header = b"".join(_until_named(records, 1 + (cut.start > 0)))
    return header, "tab" if cut.separator == "\t" else cut.separator, records


def _lines(path: Path) -> Iterator[bytes]:
    """Yields the lines of a file in UTF-8, with their ends."""
    with path.open("rb") as file:
        for line in iter(lambda: file.readline(LONGEST_ROW), b""):
            try:
                bad = b"\0" in line or (b"\r" in line and b"\r" in line.removesuffix(b"\n").removesuffix(b"\r"))
                line.decode()
            except UnicodeDecodeError:
                bad = True
            if bad or len(line) == LONGEST_ROW:
                raise NotInPieces
            yield line


def _records(lines: Iterator[bytes], separator: str, *, literal: bool) -> Iterator[bytes]:
    """Yields the rows of a table, of several lines where a cell holds line breaks, by the parser that reads them."""
    pulled: list[bytes] = []

    def decoded() -> Iterator[str]:
        for line in lines:
            pulled.append(line)
            yield line.decode("utf-8-sig" if line.startswith(codecs.BOM_UTF8) else "utf-8")

    reader = csv.reader(decoded(), delimiter=separator, strict=not literal, quoting=csv.QUOTE_NONE if literal else 0)
    limit = csv.field_size_limit(LONGEST_ROW)
    try:
        for _ in reader:
            yield b"".join(pulled)
            pulled.clear()
    except csv.Error:
        raise NotInPieces from None
    finally:
        csv.field_size_limit(limit)


def _until_named(records: Iterator[bytes], count: int) -> Iterator[bytes]:
    """Yields rows up to the one that names the columns: empty lines do not count."""
    for row in records:
        yield row
        count -= bool(row.strip())
        if not count:
            return


def _packed(rows: Iterator[bytes]) -> Iterator[bytes]:
    """Yields rows together, until they are long enough for a piece; what is left of blank lines joins the last one."""
    held: list[bytes] = []
    size = 0
    for row in rows:
        if size >= PIECE and row.strip():
            yield b"".join(held)
            held, size = [], 0
        held.append(row)
        size += len(row)
    if held:
        yield b"".join(held)


def _parquet(path: Path, piece: Path) -> Iterator[Path]:
    import pyarrow as pa
    from pyarrow.parquet import ParquetFile, write_table

    try:
        with ParquetFile(path) as file:
            for batch in file.iter_batches(PIECE_ROWS):
                write_table(pa.Table.from_batches([batch]), piece)
                yield piece
    except (pa.ArrowException, OSError, ValueError):
        raise NotInPieces from None
