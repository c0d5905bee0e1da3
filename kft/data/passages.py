"""Passages that prompts are answered from: a column of the data, or what an index finds."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import replace

from kft.data.examples import Examples
from kft.tasks.cells import as_objects, as_text


def passages_of(cell: str) -> tuple[str, ...]:
    """Returns the passages of a cell: a text is one; a JSON list of texts, or a list in jsonl, is as many.

    Example:
        >>> passages_of("One."), passages_of('["One.", "Two."]'), passages_of(" "), passages_of("[1] is a footnote")
        (('One.',), ('One.', 'Two.'), (), ('[1] is a footnote',))
    """
    try:
        found = json.loads(cell) if cell.lstrip().startswith("[") else None
    except (ValueError, RecursionError):
        found = None
    texts = found if isinstance(found, list) and all(isinstance(each, str) for each in found) else [cell]
    return tuple(text.strip() for text in texts if text.strip())


def as_passages(cell: object) -> str:
    """Returns a cell of passages as text; a list, which jsonl can hold, as JSON."""
    return json.dumps(cell, ensure_ascii=False) if isinstance(cell, list) else as_text(cell)


def take_column(part: Examples, column: str) -> Examples:
    """Returns the same with passages in place of the column that holds them."""
    columns = {name: values for name, values in part.columns.items() if name != column}
    return replace(part, columns=columns, passages=as_objects([passages_of(cell) for cell in part.columns[column]]))


def with_passages_hashed(data_hash: str, parts: Sequence[Examples]) -> str:
    """Returns a hash of data and of the passages of every example: other passages are other data."""
    rows = [
        (str(name), list(own))
        for part in parts
        if part.passages is not None
        for name, own in zip(part.ids, part.passages, strict=True)
    ]
    return hashlib.sha256(json.dumps([data_hash, sorted(rows)]).encode()).hexdigest()
