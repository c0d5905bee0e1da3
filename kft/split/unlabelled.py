"""What may be learned from rows without labels: none that valid or test is made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kft.data.examples import Columns, Examples, RejectedRow
from kft.data.parts import SourceTable
from kft.data.unlabelled import read_unlabelled
from kft.errors import DataError
from kft.recipe.schema import DataSpec
from kft.split.near import groups_of
from kft.split.together import find_copies
from kft.tasks.task import Task


@dataclass(frozen=True)
class Unlabelled:
    """Rows without labels that training may see.

    Attributes:
        examples: The rows.
        rejected: Those that cannot be used.
        how: What was left out, in words; empty where nothing was.
    """

    examples: Examples
    rejected: tuple[RejectedRow, ...]
    how: str


def find_unlabelled(
    parts: tuple[SourceTable, ...],
    places: Mapping[Path, str],
    spec: DataSpec,
    task: Task,
    columns: Columns,
    held: Mapping[str, Examples],
) -> Unlabelled:
    """Reads the rows and leaves out those that valid or test holds: copies, near-copies, and rows of their groups.

    Args:
        parts: The tables of ``data.unlabelled``.
        places: What each is called.
        spec: The recipe's data part.
        task: Says what an input is.
        columns: Those that train is read by.
        held: Name to examples of each split, train among them: their ids may not come again.

    Raises:
        DataError: The rows cannot be read, an id is one of another split's, or none is left.
    """
    found, rejected = read_unlabelled(parts, places, spec, task=task, columns=columns)
    _require_new_ids(found, held)
    sealed = [held[name] for name in ("valid", "test")]
    copies, grouped = _copies_of(found, sealed), _grouped_with(found, sealed)
    kept = np.flatnonzero(~(copies | grouped))
    if not len(kept):
        raise DataError(
            "no unlabelled row is left to learn from",
            where="data.unlabelled",
            received=f"{len(found):,} rows, {int(copies.sum()):,} of them copies of valid or test rows, "
            f"{int(grouped.sum()):,} of their groups; {len(rejected):,} more cannot be used",
            expected="rows that valid and test do not hold",
            next_step="name other rows in data.unlabelled, or leave it out",
        )
    return Unlabelled(found.take(kept), rejected, _in_words(copies, grouped))


def _copies_of(found: Examples, sealed: list[Examples]) -> np.ndarray:
    """Returns ``bool[n]``: the rows that are joined by copies to a held-out one, directly or through others."""
    inputs = [given for part in sealed for given in part.inputs]
    held = len(inputs)
    inputs += found.inputs
    joined = groups_of(find_copies(inputs, np.arange(len(inputs)) >= held).pairs, len(inputs))
    return np.isin(joined[held:], joined[:held])


def _grouped_with(found: Examples, sealed: list[Examples]) -> np.ndarray:
    if found.groups is None:
        return np.zeros(len(found), bool)
    held = {str(group) for part in sealed if part.groups is not None for group in part.groups}
    return np.array([str(group) in held for group in found.groups], bool)


def _require_new_ids(found: Examples, held: Mapping[str, Examples]) -> None:
    ids = set(map(str, found.ids))
    for name, part in held.items():
        again = next((str(each) for each in part.ids if str(each) in ids), None)
        if again is not None:
            raise DataError(
                "one id is in two splits",
                where=f"{name} and unlabelled",
                received=again,
                expected="ids that are unique over all files",
                next_step="mend the ids, or leave data.id out to use file and row number",
            )


def _in_words(copies: np.ndarray, grouped: np.ndarray) -> str:
    said = []
    if copies.any():
        said.append(f"{int(copies.sum()):,} copies or near-copies of valid or test rows")
    if (grouped & ~copies).any():
        said.append(f"{int((grouped & ~copies).sum()):,} rows of their groups")
    return " and ".join(said)
