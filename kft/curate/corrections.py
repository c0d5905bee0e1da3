"""Corrections: a table that a person edits (drop this row, relabel that one); ``correcting`` applies it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Literal, get_args

import pandas as pd

from kft.data.reading import read_table
from kft.errors import DataError
from kft.records import csv_file
from kft.tasks.cells import as_text

Action = Literal["drop", "relabel", "keep"]
ACTIONS: tuple[Action, ...] = get_args(Action)
SPELLING = "label-spelling"
"""The check that proposes one spelling for each label."""


@dataclass(frozen=True)
class Correction:
    """What becomes of one row.

    Attributes:
        id: Of the example.
        action: ``drop`` it, ``relabel`` it, or ``keep`` it as it is, which also stands for undecided.
        label: The new label, as the data write labels; a suggestion where the action is ``keep``.
        reason: Why, for the person who decides.
        check: What found it.
        given: Its present label, for the person who decides; plays no part when corrections are applied.
        text: What it is, likewise.
    """

    id: str
    action: str
    label: str = ""
    reason: str = ""
    check: str = ""
    given: str = ""
    text: str = ""


def as_csv(corrections: Iterable[Correction]) -> str:
    r"""Returns a table of corrections as csv, for a person to edit.

    Example:
        >>> as_csv([Correction("a.csv:3", "drop")])
        'id,action,label,reason,check,given,text\na.csv:3,drop,,,,,\n'
    """
    names = [item.name for item in fields(Correction)]
    return csv_file.as_csv(names, ([getattr(correction, name) for name in names] for correction in corrections))


def read_corrections(table: Path | pd.DataFrame) -> list[Correction]:
    """Reads a table of corrections.

    Args:
        table: A csv, tsv or jsonl file, or a DataFrame, with the columns ``id`` and ``action``; ``label``, ``reason``
            and the others may be missing. In a csv or tsv file, a cell that was made neutral counts as it was
            (``kft.records.csv_file``).

    Raises:
        DataError: It cannot be read, or lacks a column.

    Example:
        >>> read_corrections(pd.DataFrame({"id": ["a.csv:3"], "action": ["drop"]}))[0].action
        'drop'
    """
    frame = read_table(table)
    lacking = [name for name in ("id", "action") if name not in frame.columns]
    if lacking:
        raise DataError(
            "this is not a table of corrections",
            where=str(table) if isinstance(table, Path) else "the DataFrame",
            received="columns " + ", ".join(map(str, frame.columns)),
            expected="id, action, label, reason, check",
            next_step="kft check RECIPE writes one, corrections.csv",
        )
    came = csv_file.original if isinstance(table, Path) and table.suffix.lower() in (".csv", ".tsv", ".txt") else str
    known = [item.name for item in fields(Correction) if item.name in frame.columns]
    return [
        Correction(**{name: came(as_text(cell)).strip() for name, cell in zip(known, cells, strict=True)})
        for cells in zip(*(frame[name] for name in known), strict=True)
    ]


def accepted(corrections: Sequence[Correction], checks: Sequence[str]) -> list[Correction]:
    """Returns corrections with the suggestions of some checks taken.

    Example:
        >>> accepted([Correction("a.csv:3", "keep", "x", check="label-noise")], ["label-noise"])[0].action
        'relabel'
    """
    return [
        replace(change, action="relabel")
        if change.action == "keep" and change.label and set(change.check.split(", ")) & set(checks)
        else change
        for change in corrections
    ]
