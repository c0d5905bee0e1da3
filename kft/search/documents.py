"""The documents of an index, and labelled queries: from a table, a folder of files, or a DataFrame."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from kft.data.below import files_below
from kft.data.documents import ALONE, DOCUMENTS, read_document
from kft.data.reading import open_table
from kft.errors import DataError
from kft.records.index import LeftOut
from kft.tasks.cells import Unreadable, as_text, text_problem
from kft.tasks.inputs import TEXT_NAMES

ID = "id"
QUERY, DOCUMENT = "query", "document"
SHOWN = 5


@dataclass(frozen=True)
class Documents:
    """Documents that were named, each with an id of its own; those of a folder are read one by one.

    Attributes:
        where: As they were named.
        ids: One each.
        cells: One each: its text, or the file that holds it.
        notes: What was guessed in reading a table; one sentence each.
    """

    where: str
    ids: list[str]
    cells: Sequence[object]
    notes: tuple[str, ...] = ()

    def texts(self) -> Iterator[tuple[str, str, str]]:
        """Yields the id of each document, its text, and what is wrong with it; one of the two is empty."""
        for name, cell in zip(self.ids, self.cells, strict=True):
            text = read_document(cell) if isinstance(cell, Path) else cell
            problem = text.reason if isinstance(text, Unreadable) else text_problem(text)
            yield name, "" if problem else as_text(text), problem


def find_documents(source: Path | pd.DataFrame, text: str | None = None, id_: str | None = None) -> Documents:
    """Returns the documents of a table, or of a folder: those have their paths for ids.

    Args:
        source: A table with a column of ids and one of texts, a folder, or one .pdf, .html or .md file.
        text: The column of texts; default: one with a usual name.
        id_: The column of ids; default: ``id``.

    Raises:
        DataError: There is none, a column is missing, or ids are empty or repeat.
    """
    if isinstance(source, Path) and (source.is_dir() or source.suffix.lower() in ALONE):
        return _files(source)
    where = str(source) if isinstance(source, Path) else "the DataFrame"
    table = open_table(source)
    frame, notes = table.frame, table.notes
    names = [text] if text else [name for name in TEXT_NAMES if name in frame.columns]
    _require(frame, id_ or ID, where, "a column of ids: an id says which document is which when it changes", "--id")
    _require(frame, names[0] if names else "text", where, "a column of texts", "--text")
    ids = [as_text(cell).strip() for cell in frame[id_ or ID]]
    _refuse_bad_ids(ids, f"{where}, column {id_ or ID!r}")
    if len(names) > 1:
        others = ", ".join(map(repr, names[1:]))
        notes += (f"texts are the column {names[0]!r}; {others} could be meant too: --text names the column",)
    return Documents(where, ids, list(frame[names[0]]), notes)


def _files(source: Path) -> Documents:
    paths, notes = files_below(source, DOCUMENTS) if source.is_dir() else ([source], ())
    folder = source if source.is_dir() else source.parent
    if not paths:
        raise DataError(
            "there is no document",
            where=str(source),
            received="a folder without one",
            expected="files that end in " + ", ".join(DOCUMENTS.suffixes),
            next_step="name a folder of documents, or a table with the columns id and text",
        )
    ids = [path.relative_to(folder).as_posix() for path in paths]
    _refuse_bad_ids(ids, str(source))
    return Documents(str(source), ids, paths, notes)


def refuse_unusable(left_out: Sequence[LeftOut], where: str) -> None:
    """Stops at documents that cannot be used.

    Raises:
        DataError: Counts them, and names the first five with what is wrong.
    """
    if left_out:
        more = f"; and {len(left_out) - SHOWN:,} more" if len(left_out) > SHOWN else ""
        raise DataError(
            f"{len(left_out):,} document{'s' if len(left_out) > 1 else ''} cannot be used",
            where=where,
            received="; ".join(f"{each.document}: {each.why}" for each in left_out[:SHOWN]) + more,
            expected="documents that hold text",
            next_step="mend them, or --skip-unusable leaves them out, listed in index.json",
        )


def read_queries(source: Path | pd.DataFrame, known: Sequence[str]) -> dict[str, list[str]]:
    """Returns the documents that answer each query.

    Args:
        source: A table with the columns query and document: an id; a query may stand in several rows.
        known: The ids that there are.

    Raises:
        DataError: A column is missing, a query is empty, or a document is not in the index.
    """
    where = str(source) if isinstance(source, Path) else "the DataFrame"
    frame = open_table(source).frame
    for column in (QUERY, DOCUMENT):
        _require(frame, column, where, "the columns query and document: the id of one that answers it", "")
    found: dict[str, list[str]] = {}
    there, lost = set(known), []
    for row, (query, document) in enumerate(zip(frame[QUERY], frame[DOCUMENT], strict=True), 1):
        name = as_text(document).strip()
        if problem := text_problem(query):
            raise DataError(
                problem.replace("text", "query"), where=f"{where}, row {row}", expected="a query in every row"
            )
        if name not in there:
            lost.append(f"{name!r} (row {row})")
        elif name not in (several := found.setdefault(as_text(query).strip(), [])):
            several.append(name)
    if lost:
        raise DataError(
            f"{len(lost):,} of {len(frame):,} queries name a document that is not in the index",
            where=where,
            received=", ".join(lost[:SHOWN]) + (" ..." if len(lost) > SHOWN else ""),
            expected="ids of its documents",
            next_step="take these rows out, or index the documents too",
        )
    return found


def _require(frame: pd.DataFrame, column: str, where: str, expected: str, option: str) -> None:
    if column not in frame.columns:
        raise DataError(
            f"no column {column!r}",
            where=where,
            received="columns " + ", ".join(map(str, frame.columns)),
            expected=expected,
            next_step=f"name it with {option} COLUMN" if option else "name the columns so in the first line",
        )


def _refuse_bad_ids(ids: Sequence[str], where: str) -> None:
    seen: set[str] = set()
    for row, name in enumerate(ids, 1):
        if not name or not name.isprintable() or name in seen:
            problem = "an id is empty" if not name else "an id stands for two documents"
            raise DataError(
                problem if name.isprintable() else "an id holds a character that cannot be printed",
                where=f"{where}, row {row}",
                received=repr(name)[:80],
                expected="one id a document, without tabs and line breaks",
                next_step="mend the ids",
            )
        seen.add(name)
