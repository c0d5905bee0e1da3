"""What readers of annotation tools' exports have in common: rows in, a table of texts and labels out."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

import pandas as pd

from kft.data.json_rows import json_cell
from kft.errors import DataError
from kft.tasks.task import Task

TEXT, LABEL = "text", "label"
"""The columns of what was taken out of nested objects."""


@dataclass(frozen=True)
class Export:
    """What was taken out of an export.

    Attributes:
        frame: Its rows; the index is each row's number in the file, from 0.
        notes: What was left out, or chosen among several; one sentence each.
        tool: Whose it is.
    """

    frame: pd.DataFrame
    notes: tuple[str, ...]
    tool: str


@dataclass(frozen=True)
class AnnotationExport:
    """An export that is read: its rows, and for which task.

    Attributes:
        frame: The rows.
        task: Says which of several annotations is wanted.
        where: The file, for messages.
        unlabelled: Whether rows without an annotation stay.
    """

    frame: pd.DataFrame
    task: Task
    where: str
    unlabelled: bool

    @property
    def form(self) -> str:
        return self.task.kind.labels.form

    def made(self, tool: str, rows: Sequence[Mapping[str, Any] | None], notes: Sequence[str] = ()) -> Export:
        """Builds the table of the rows that have an annotation; None stands for one that has none."""
        kept = [place for place, row in enumerate(rows) if row is not None]
        found = [row for row in rows if row is not None]
        if not found:
            raise DataError(
                f"no row of {tool}'s export has an annotation",
                where=self.where,
                received=f"{len(rows):,} rows",
                expected=f"annotations for {self.task.name}",
                next_step="export what is annotated, or name another --task",
            )
        names = list(dict.fromkeys(name for row in found for name in row))
        cells = [[row.get(name, "") for name in names] for row in found]
        index = self.frame.index[kept]
        frame = pd.DataFrame(cells, columns=pd.Index(names, dtype=object), index=index, dtype=object)
        left = len(rows) - len(kept)
        if left:
            notes = (*notes, f"left out, without an annotation: {left:,} of {len(rows):,} rows of {tool}'s export")
        return Export(frame, (f"the file is read as {tool}'s export", *notes), tool)

    def refuse(self, tool: str, what: str, next_step: str) -> NoReturn:
        raise DataError(
            f"{what} of {tool} are not read for {self.task.name}",
            where=self.where,
            received=what,
            expected=f"annotations for {self.task.name}",
            next_step=next_step,
        )


def cells_of(frame: pd.DataFrame, name: str) -> list[Any]:
    """Returns the cells of a column; none where there is no such column."""
    return list(frame[name]) if name in frame.columns else []


def scalars(values: Mapping[str, Any], besides: Iterable[str] = ()) -> dict[str, Any]:
    """Returns what a nested object says of a row beside the annotation: names, dates, groups."""
    taken = {TEXT, LABEL, *besides}
    return {
        key: json_cell(v) for key, v in values.items() if not isinstance(v, (Mapping, list, tuple)) and key not in taken
    }


def is_spans(value: Any) -> bool:
    """Whether a value is a list of objects or of triples."""
    return isinstance(value, (list, tuple)) and bool(value) and all(isinstance(each, (Mapping, list)) for each in value)


def fits(value: Any, form: str) -> bool:
    """Whether an answer is of the form that a task's labels have."""
    if form == "spans":
        return is_spans(value) or value == []
    return not is_spans(value) and not isinstance(value, Mapping)


def single(value: Any) -> Any:
    """Returns the one name of a list of one; anything else as it is."""
    return value[0] if isinstance(value, (list, tuple)) and len(value) == 1 else value


def unpacked(cell: Any) -> Any:
    """Returns what JSON in a cell means; anything else as it is."""
    if isinstance(cell, str) and cell.lstrip()[:1] in ("[", "{"):
        try:
            return json.loads(cell, parse_int=str, parse_float=str)
        except (ValueError, RecursionError):
            return cell
    return cell


def text_key(data: Mapping[str, Any]) -> str:
    """Returns the key of the text among a row's data: its usual name, or that of the longest text."""
    if isinstance(data.get(TEXT), str):
        return TEXT
    texts = {key: value for key, value in data.items() if isinstance(value, str)}
    return max(texts, key=lambda key: len(texts[key]), default=TEXT)
