"""What a recipe names as its data: read, its columns found, and not yet split."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from kft.data.columns import guess_columns
from kft.data.dialogues import PROMPT, RESPONSE
from kft.data.documents import TEXT
from kft.data.examples import Columns, NamedColumns
from kft.data.headers import refuse_row_as_header
from kft.data.parts import (
    SourceTable,
    name_parts,
    open_source,
    read_tables,
    require_separated,
    title,
    whole,
    with_labels,
)
from kft.data.tables import IMAGE, LABEL, Rows
from kft.errors import DataError
from kft.recipe.schema import DataSpec
from kft.recipe.sources import DATAFRAME, parse_share
from kft.split.assign import SPLITS, UNLABELLED
from kft.tasks.task import Task


@dataclass(frozen=True)
class Sources:
    """What a recipe names as its data, read and not yet split.

    Attributes:
        parts: Split to the tables that are given for it; a split that is a share of train has none.
        rows: Likewise, to their rows.
        columns: What is read of them.
        unlabelled: The tables of rows without labels.
        documents: What queries are answered with; none where labels hold it.
        places: What each table is called in ids.
    """

    parts: Mapping[str, tuple[SourceTable, ...]]
    rows: Mapping[str, tuple[Rows, ...]]
    columns: Columns
    unlabelled: tuple[SourceTable, ...]
    documents: tuple[Rows, ...]
    places: Mapping[Path, str]


def read_sources(
    spec: DataSpec,
    *,
    task: Task,
    base: Path,
    locate: Callable[[str, Path], Path],
    frames: Mapping[str, pd.DataFrame] | None = None,
) -> Sources:
    """Reads the tables of a recipe and finds their columns; see ``load_split``.

    Raises:
        DataError: A table cannot be read, or a column is missing.
    """
    tables = _tables(spec, base, locate, frames)
    every = [part for parts in tables.values() for part in parts]
    require_separated(every, spec)
    places = name_parts(every)
    unlabelled = tables.pop(UNLABELLED, ())
    read = {key: read_tables(parts, places, spec, task=task, base=base) for key, parts in tables.items()}
    read = with_labels(read, spec, task)
    folders = all(isinstance(part.table, Path) and part.table.is_dir() for part in tables["train"])
    columns = guess_columns(
        whole(read["train"]),
        NamedColumns(IMAGE if task.reads.files else TEXT, LABEL)
        if folders
        else NamedColumns(PROMPT, RESPONSE)
        if spec.messages is not None or spec.texts is not None
        else NamedColumns(getattr(spec, task.reads.columns[0]), spec.label_column, spec.text_pair),
        where=title(read["train"]),
        besides=[
            name for name in (spec.id, spec.group and spec.group.column, spec.time, spec.negative, spec.context) if name
        ],
        task=task,
    )
    if spec.columns is None:
        for rows in read.values():
            refuse_row_as_header(rows, columns)
    columns = replace(columns, holds=read["train"][0].holds)
    named = () if spec.documents is None else open_source(spec.documents, base, locate)
    documents = read_tables(named, name_parts(named), spec, task=task, base=base) if named else ()
    return Sources(tables, read, columns, unlabelled, documents, places)


def _tables(
    spec: DataSpec,
    base: Path,
    locate: Callable[[str, Path], Path],
    frames: Mapping[str, pd.DataFrame] | None,
) -> dict[str, tuple[SourceTable, ...]]:
    if frames is not None:
        unknown = sorted(set(frames) - {*SPLITS, UNLABELLED})
        if unknown or "train" not in frames:
            raise DataError(
                "the DataFrames are not named as splits",
                received=", ".join(map(str, frames)),
                expected="train, and perhaps valid, test and unlabelled",
                where="data=",
                next_step='kft.train(recipe, data={"train": frame})',
            )
    kept = frames or {}
    missing = [key for key in (*SPLITS, UNLABELLED) if getattr(spec, key) == DATAFRAME and key not in kept]
    if missing:
        raise DataError(
            "the run was trained on a DataFrame, which is not kept",
            where=", ".join(f"data.{key}" for key in missing),
            received=DATAFRAME,
            expected="the same DataFrame again",
            next_step="kft.evaluate(run, data=frame) in Python; kft evaluate RUN --data FILE scores another file",
        )
    tables: dict[str, tuple[SourceTable, ...]] = {}
    named = (("train", spec.train), ("valid", spec.valid), ("test", spec.test), (UNLABELLED, spec.unlabelled))
    for key, source in named:
        if frames is not None and key in frames:
            tables[key] = (SourceTable(Path(key), frames[key]),)
        elif source is not None and (key == "train" or parse_share(source) is None):
            tables[key] = open_source(source, base, locate)
    _require_different_files(tables)
    return tables


def _require_different_files(tables: Mapping[str, Sequence[SourceTable]]) -> None:
    seen: dict[Path, str] = {}
    for key, parts in tables.items():
        for table in [part.table for part in parts if isinstance(part.table, Path)]:
            first = seen.setdefault(table.resolve(), key)
            if first != key:
                raise DataError(
                    "two splits are the same file",
                    where=f"data.{first}, data.{key}",
                    received=str(table),
                    expected="another file, or a share such as 15%",
                    next_step=f"--set data.{key}=15% takes a share of train instead",
                )
