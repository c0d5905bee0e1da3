"""The other splits that lie beside a file or folder called train, where they can be read like it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from kft.data.class_folders import splits_beside
from kft.data.columns import guess_columns
from kft.data.examples import Columns
from kft.data.parts import SourceTable, name_parts, parts_to_examples, read_parts
from kft.data.split_names import Role, read_name, same_series
from kft.errors import DataError
from kft.recipe.schema import DataSpec
from kft.tasks.task import Task


@dataclass(frozen=True)
class OtherSplits:
    """Other splits.

    Attributes:
        valid: A file or folder that is plainly the valid split.
        test: Likewise.
        reasons: Of their rows that cannot be used.
        notes: Why others are not used.
    """

    valid: Path | None = None
    test: Path | None = None
    reasons: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Train:
    """What was looked at: the split of train.

    Attributes:
        path: Its file or folder.
        spec: How it is read.
        task: What is learnt.
        columns: Of inputs and labels.
        labels: Their names; empty for numbers.
        opened: How many images are opened to see whether they can be.
    """

    path: Path
    spec: DataSpec
    task: Task
    columns: Columns
    labels: Sequence[str] = field(default=())
    opened: int | None = None


def find_beside(train: Train) -> OtherSplits:
    """Finds valid and test beside a file or folder that is called train, and reads them."""
    if train.path.is_dir():
        found, notes = splits_beside(train.path)
    else:
        found, notes = _files_beside(train.path), []
    kept: dict[Role, Path] = {}
    reasons: list[str] = []
    for role, path in found.items():
        try:
            reasons += _read(path, train)
        except DataError as error:
            notes.append(f"{path.name} beside it is not used as {role}: {error.problem}")
        else:
            kept[role] = path
    return OtherSplits(kept.get("valid"), kept.get("test"), tuple(reasons), tuple(notes))


def _files_beside(path: Path) -> dict[Role, Path]:
    own = read_name(path.stem)
    if own is None or own.role != "train":
        return {}
    found: dict[Role, list[Path]] = {"valid": [], "test": []}
    for entry in sorted(path.parent.iterdir()):
        other = read_name(entry.stem) if entry.suffix == path.suffix and entry.is_file() else None
        if other is not None and other.role in found and same_series([own, other]):
            found[other.role].append(entry)
    return {role: paths[0] for role, paths in found.items() if len(paths) == 1}


def _read(path: Path, train: Train) -> list[str]:
    """Reads another split as training will; returns why rows of it cannot be used.

    Raises:
        DataError: It cannot be read so, or has labels that train does not have.
    """
    parts = (SourceTable(path, path),)
    rows = read_parts(parts, name_parts(parts), train.spec, task=train.task, base=path.parent)
    guess_columns(rows[0].frame, train.columns, where=path.name, task=train.task)
    examples, rejected = parts_to_examples(
        rows, train.spec, task=train.task, columns=train.columns, opened=train.opened
    )
    if examples.labels is None or not len(examples):
        raise DataError("no row of it can be used", where=path.name)
    named = {name for label in examples.labels for name in train.task.kind.labels.names(label)}
    if train.labels and not named <= set(train.labels):
        unknown = sorted(named - set(train.labels))[:3]
        raise DataError(f"it has labels that train does not have: {', '.join(map(repr, unknown))}", where=path.name)
    return [row.reason for row in rejected]
