"""Rows without labels, as a recipe's ``data.unlabelled`` names them; labels that stand beside them are never read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd

from kft.data.examples import Columns, Examples, RejectedRow
from kft.data.inputs import find_unusable, read_inputs
from kft.data.parts import SourceTable
from kft.data.tables import Rows, refuse_repeated, row_groups, row_ids
from kft.recipe.schema import DataSpec
from kft.tasks.cells import as_objects
from kft.tasks.task import Task


def read_unlabelled(
    parts: Sequence[SourceTable], names: Mapping[Path, str], spec: DataSpec, *, task: Task, columns: Columns
) -> tuple[Examples, tuple[RejectedRow, ...]]:
    """Reads tables, text files of one text a line, or folders of images.

    Args:
        parts: From ``open_source``.
        names: What each place is called in ids.
        spec: The recipe's data part, for ids, groups and how texts are cleaned.
        task: Says what an input is.
        columns: Those that train is read by.

    Returns:
        The rows that can be used, without labels, and those that cannot.

    Raises:
        DataError: One cannot be read, lacks a column, or an id stands for two rows.
    """
    found, rejected = [], []
    for part in parts:
        examples, bad = _read_one(part, names[part.place], spec, task, columns)
        found.append(examples)
        rejected.extend(bad)
    every = Examples.concatenate(found)
    if len(found) > 1:
        refuse_repeated(list(every.ids), "data.unlabelled", spec)
    return every, tuple(rejected)


def _read_one(
    part: SourceTable, name: str, spec: DataSpec, task: Task, columns: Columns
) -> tuple[Examples, list[RejectedRow]]:
    given = read_inputs(_with_paths(part, columns), task, spec, column=columns.text, pair=columns.pair, unusable="keep")
    rows = Rows(name, given.table, numbered=part.images is not None)
    ids = row_ids(rows, spec, task=task, columns=_as_found(columns, given.table, task))
    groups = row_groups(given.table, spec.group, name)
    problems = find_unusable(given.inputs, task)
    kept = [row for row in range(len(ids)) if row + 1 not in problems]
    rejected = [RejectedRow(ids[row - 1], name, row, problem) for row, problem in problems.items()]
    examples = Examples(
        ids=as_objects([ids[row] for row in kept]),
        inputs=[given.inputs[row] for row in kept],
        labels=None,
        groups=None if groups is None else as_objects([groups[row] for row in kept]),
        notes=given.notes,
    )
    return examples, rejected


def _with_paths(part: SourceTable, columns: Columns) -> Path | pd.DataFrame:
    """Returns a table as it is; of images that tensorflow-datasets has, with paths that mean the same anywhere."""
    if part.images is None or not isinstance(part.table, pd.DataFrame):
        return part.table
    paths = [str(part.images / str(path)) for path in part.table[columns.text]]
    return part.table.assign(**{columns.text: paths})


def _as_found(columns: Columns, table: pd.DataFrame, task: Task) -> Columns:
    """Returns the columns with the name that the inputs have here: a folder's images, or a table's only column."""
    named = columns.text if columns.text in table.columns else str(table.columns[0])
    return replace(columns, text=named) if task.reads.files else columns
