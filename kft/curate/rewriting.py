"""A table written anew with some rows left out and some labels changed, such that it reads as before otherwise."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from kft.data.dialects import SIGNS, dialect_of, is_literal
from kft.data.parts import SourceTable
from kft.data.reading import read_text
from kft.data.tables import Rows
from kft.recipe.schema import DataSpec
from kft.records.files import write_file
from kft.tasks.cells import as_objects, as_text
from kft.tasks.spelling import spelled

ELSEWHERE = "choose another -o FILE"


@dataclass(frozen=True)
class Edit:
    """What changes in a table.

    Attributes:
        kept: Places of the rows that stay, in order.
        new: Place of a row to its new cells, by their columns.
        images: The column of image paths, which go on meaning the same files from the new table's folder.
        made: Columns of the rows that were read which their file does not have.
    """

    kept: Sequence[int]
    new: Mapping[int, Mapping[str, Any]]
    images: str | None = None
    made: Sequence[str] = ()


def write_rows(part: SourceTable, rows: Rows, target: Path, spec: DataSpec, edit: Edit) -> None:
    """Writes some rows of a table, in the form that the target's ending says, as UTF-8.

    Args:
        part: Where the table lies.
        rows: What was read of it.
        target: The new file; its folder is made.
        spec: The recipe's data part: whether the first line is a header, and the encoding.
        edit: What changes.

    Raises:
        StorageError: The file cannot be written.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    suffix = target.suffix.lower()
    if suffix == ".jsonl" and not rows.form:
        assert isinstance(part.table, Path)
        write_file(target, _json_lines(read_text(part.table, spec.encoding), edit), elsewhere=ELSEWHERE)
        return
    frame = rows.frame.iloc[list(edit.kept)].drop(columns=list(edit.made)).copy()
    for name in dict.fromkeys(name for cells in edit.new.values() for name in cells):
        cells = [edit.new.get(row, {}).get(name, cell) for row, cell in zip(edit.kept, frame[name], strict=True)]
        frame[name] = as_objects(_of_one_kind(cells) if suffix == ".parquet" else cells)
    if edit.images is not None:
        frame[edit.images] = [_seen_from(target.parent, rows.folder, as_text(path)) for path in frame[edit.images]]
    if suffix == ".jsonl":
        lines = (json.dumps(row, ensure_ascii=False, default=as_text) + "\n" for row in frame.to_dict("records"))
        write_file(target, "".join(lines), elsewhere=ELSEWHERE)
    elif suffix == ".parquet":
        out = io.BytesIO()
        frame.to_parquet(out, index=False)
        write_file(target, out.getvalue(), elsewhere=ELSEWHERE)
    else:
        write_file(target, _delimited(frame, target, spec), elsewhere=ELSEWHERE)


def _of_one_kind(cells: Sequence[Any]) -> Sequence[Any]:
    """Cells as parquet keeps them in one column: texts, where a new label stands beside numbers or booleans."""
    kinds = {type(cell) for cell in cells if as_text(cell)}
    return cells if len(kinds) < 2 else [spelled(cell) if as_text(cell) else None for cell in cells]


def _seen_from(place: Path, folder: Path, path: str) -> str:
    return path if Path(path).is_absolute() else Path(os.path.relpath(folder / path, place)).as_posix()


def _json_lines(text: str, edit: Edit) -> str:
    """Returns the lines that stay; those whose label stays too are the same to the letter."""
    lines = [line.rstrip("\r") for line in text.split("\n") if line.strip()]
    for row, cells in edit.new.items():
        lines[row] = json.dumps(json.loads(lines[row]) | dict(cells), ensure_ascii=False)
    return "".join(lines[row] + "\n" for row in edit.kept)


def _delimited(frame: pd.DataFrame, target: Path, spec: DataSpec) -> str:
    """Returns a table as ``open_table`` reads it with this recipe."""
    out = io.StringIO(newline="")
    rows = [list(map(str, frame.columns))] if spec.columns is None else []
    rows += [[as_text(cell) for cell in row] for row in frame.itertuples(index=False, name=None)]
    usual = "," if target.suffix.lower() == ".csv" else "\t"
    separator = SIGNS[spec.separator] if spec.separator else usual
    if is_literal(target, separator, dialect_of(spec)):
        out.writelines(separator.join(row) + "\n" for row in rows)
    else:
        csv.writer(out, delimiter=separator, lineterminator="\n").writerows(rows)
    return out.getvalue()
