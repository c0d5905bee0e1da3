"""JSON that is no table of one object a line: arrays of objects, spaCy's pairs; and files that are not read."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from kft.errors import DataError

NOT_READ: Mapping[str, tuple[str, str]] = {
    ".spacy": ("spaCy's binary DocBin", "in spaCy, write one JSON object a document: doc.to_json()"),
    ".ann": (
        "brat's stand-off file",
        "write jsonl with text and spans: the offsets in .ann are start and end in the .txt",
    ),
    ".xmi": ("a UIMA document", "export it as CoNLL 2002, or as jsonl with text and spans"),
    ".xml": ("an XML document", "export it as CoNLL 2002, or as jsonl with text and spans"),
    ".jsonld": ("a linked-data document", "export it as jsonl with text and spans"),
    ".tagtog": ("a tagtog project", "export it as jsonl with text and spans"),
}
"""Endings of what tools write and kft does not read: what it is, and what to do."""


def refuse_unread(path: Path) -> None:
    """Refuses files of annotation tools that kft knows and does not read.

    Raises:
        DataError: Says what the file is and how to export another form.
    """
    known = NOT_READ.get(path.suffix.lower())
    if known is not None:
        raise DataError(
            f"{known[0]} is not read",
            where=str(path),
            received=path.name,
            expected="csv, tsv, json, jsonl or parquet with a text and its label, or CoNLL",
            next_step=known[1],
        )


def read_json(text: str, path: Path) -> pd.DataFrame:
    """Reads a JSON array of objects, or of spaCy's pairs, as a table; also one such array a line.

    Args:
        text: What the file holds.
        path: For its ending, and for messages.

    Raises:
        DataError: It is no JSON, or holds something else.

    Example:
        >>> read_json('[["Ada left", {"entities": [[0, 3, "PER"]]}]]', Path("a.json")).to_dict("records")
        [{'text': 'Ada left', 'entities': [['0', '3', 'PER']]}]
    """
    if path.suffix.lower() == ".jsonl":
        values = [_parsed(line, path, number) for number, line in enumerate(text.split("\n"), 1) if line.strip()]
    else:
        try:
            values = _parsed(text, path, 1)
        except DataError:
            lines = [line for line in text.split("\n") if line.strip()]
            if len(lines) < 2 or not lines[0].lstrip().startswith(("{", "[")):
                raise
            values = [_parsed(line, path, number) for number, line in enumerate(text.split("\n"), 1) if line.strip()]
    if isinstance(values, Mapping):
        values = _inside(values, path)
    rows = [_as_row(value, path, number) for number, value in enumerate(values, 1)]
    if not rows:
        raise DataError("there are no rows", where=str(path), received="an empty list", expected="a list of objects")
    names = list(dict.fromkeys(name for row in rows for name in row))
    cells = [[json_cell(row.get(name, "")) for name in names] for row in rows]
    return pd.DataFrame(cells, columns=pd.Index(names, dtype=object), dtype=object)


def _parsed(text: str, path: Path, line: int) -> Any:
    try:
        found = json.loads(text, parse_int=str, parse_float=str, parse_constant=lambda name: None)
        text.encode()
        if "\\u" in text:
            json.dumps(found, ensure_ascii=False).encode()  # refuses half a surrogate pair
    except (ValueError, RecursionError) as error:
        half = isinstance(error, UnicodeEncodeError)
        raise DataError(
            "the file is not JSON",
            where=f"{path}, line {line + getattr(error, 'lineno', 1) - 1}",
            received="half a surrogate pair, which is not a character" if half else str(error)[:80],
            expected="a list of objects: [{...}, {...}], or one object a line",
            next_step="export it again, whole and as UTF-8",
        ) from None
    return found


def _inside(values: Mapping[str, Any], path: Path) -> Any:
    """Returns the list inside an object that holds nothing else of weight."""
    lists = {key: value for key, value in values.items() if isinstance(value, list) and len(value)}
    wanted = [key for key in ("annotations", "data", "rows", "examples", "documents", "records") if key in lists]
    nested = [key for key in wanted if isinstance(lists[key][0], (list, Mapping))]
    if len(nested) != 1:
        raise DataError(
            "the file is one object, and not a list of them",
            where=str(path),
            received="the keys " + ", ".join(map(repr, list(values)[:8])),
            expected="a list of objects: [{...}, {...}], or one object a line",
            next_step="export it as jsonl with a text and its label in each line",
        )
    return lists[nested[0]]


def _as_row(value: Any, path: Path, number: int) -> Mapping[str, Any]:
    if isinstance(value, Mapping):
        return value
    pair = isinstance(value, list) and len(value) == 2 and isinstance(value[0], str)
    if pair and isinstance(value[1], Mapping):  # spaCy: [text, {"entities": [...], "cats": {...}}]
        return {"text": value[0], **value[1]}
    if pair and isinstance(value[1], list):
        return {"text": value[0], "entities": value[1]}
    raise DataError(
        "a row is neither an object nor a pair of a text and its annotations",
        where=f"{path}, row {number}",
        received=json.dumps(value, ensure_ascii=False)[:80],
        expected='{"text": "...", "label": ...}, or ["...", {"entities": [[0, 3, "PER"]]}]',
        next_step="export it as jsonl",
    )


def json_cell(value: Any) -> Any:
    """Returns a value as a cell of a table holds it: null is empty, true is the word."""
    return "" if value is None else str(value).lower() if isinstance(value, bool) else value
