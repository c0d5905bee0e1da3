"""Corrections applied to copies of the data's files."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kft import assets
from kft.characters import several
from kft.curate.corrections import ACTIONS, SPELLING, Correction
from kft.curate.known_again import is_another
from kft.curate.rewriting import Edit, write_rows
from kft.data.documents import DOCUMENT
from kft.data.label_columns import written_marks
from kft.data.parts import SourceTable
from kft.data.tables import Rows, row_ids
from kft.errors import DataError, UsageError
from kft.recipe.schema import DataSpec
from kft.split.sources import Sources, read_sources
from kft.tasks.task import LabelColumn, Task

SHOWN = 10
"""How many mistakes in a table of corrections an error names."""


@dataclass(frozen=True)
class CorrectionsResult:
    """What was done.

    Attributes:
        files: Each written file, and the name of what it was made from.
        dropped: Rows left out.
        relabelled: Rows with another label.
        kept: Rows of the table that were left alone.
        notes: What to change in the recipe.
    """

    files: Mapping[str, str]
    dropped: int
    relabelled: int
    kept: int
    notes: tuple[str, ...] = ()


def apply_corrections(
    spec: DataSpec,
    corrections: Sequence[Correction],
    output: Path,
    *,
    task: Task,
    base: Path,
    title: str = "the table of corrections",
) -> CorrectionsResult:
    """Writes corrected copies of the files that a recipe reads; the files themselves stay as they are.

    Args:
        spec: The recipe's data part.
        corrections: What to do.
        output: A file that does not exist, of the kind of the source; a folder where several files change. A folder of
            images becomes a csv of paths and labels.
        task: Says what a label is.
        base: Where relative paths start.
        title: What the table of corrections is called.

    Raises:
        DataError: Ids, actions or labels that are none; all of them at once.
        UsageError: The output exists, or is of another kind than the source.
    """
    sources = read_sources(spec, task=task, base=base, locate=assets.locate)
    tables = [
        _Table(part, rows, _ids_of(rows, spec, task, sources))
        for key, parts in sources.parts.items()
        for part, rows in zip(parts, sources.rows[key], strict=True)
    ]
    labels = _Labels(spec, task, sources, tables)
    _refuse_mistakes(corrections, tables, labels, title)
    by_id = {correction.id: correction for correction in corrections if correction.action != "keep"}
    to_classes = any(labels.needs_classes(change) for change in by_id.values())
    touched = [table for table in tables if to_classes or any(identifier in by_id for identifier in table.ids)]
    if not touched:
        raise UsageError(
            "no row is to be dropped or relabelled",
            received=f"{len(corrections)} rows, all of them `keep`" if corrections else "an empty table",
            expected="drop or relabel in the column action",
            next_step="edit the table first: every row is a proposal",
        )
    targets = _targets(touched, output)
    for table, target in zip(touched, targets, strict=True):
        _write(table, target, by_id, labels, to_classes=to_classes)
    counts = {action: sum(change.action == action for change in corrections) for action in ACTIONS}
    moved = "" if spec.id else ": row numbers move"
    notes = [
        f"name {_from_recipe(target, base)} in the recipe instead of {table.rows.name}, and kft check again{moved}"
        for table, target in zip(touched, targets, strict=True)
    ]
    kept = [change.check for change in corrections if change.action == "keep" and change.label and change.check]
    left = Counter("label-noise" if "label-noise" in check else check for check in kept)
    notes += [
        f"{several(count, 'suggestion')} of {check} {'was' if count == 1 else 'were'} not taken: read them, and write "
        f"relabel in the rows to change{'; --accept label-noise takes all' if check == 'label-noise' else ''}"
        for check, count in left.most_common()
    ]
    notes += _emptied(tables, labels, by_id)
    if to_classes:
        notes.append("take data.bins out of the recipe: labels are names of classes now")
    return CorrectionsResult(
        {str(target): table.rows.name for table, target in zip(touched, targets, strict=True)},
        counts["drop"],
        counts["relabel"],
        counts["keep"],
        tuple(notes),
    )


def _from_recipe(target: Path, base: Path) -> str:
    """Returns a path as a recipe in ``base`` has to write it."""
    return str(target) if target.is_absolute() else os.path.relpath(target, base)


@dataclass(frozen=True)
class _Table:
    part: SourceTable
    rows: Rows
    ids: list[str]

    @property
    def suffix(self) -> str:
        """Of the file that is written: that of the source; csv for folders and for what is no file."""
        table = self.part.table
        if self.rows.form:
            return ".jsonl"  # what was taken out of another form is written as rows of its own
        return table.suffix.lower() if isinstance(table, Path) and not table.is_dir() else ".csv"


@dataclass(frozen=True)
class _Labels:
    """What may stand in the label column."""

    spec: DataSpec
    task: Task
    sources: Sources
    tables: Sequence[_Table]
    known: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        for table in self.tables:
            for label in self.parsed(table):
                self.known.update(self.task.kind.labels.names(label) if label is not None else ())

    def parsed(self, table: _Table) -> list[Any]:
        """Returns each row's label; None where it has none."""
        columns, frame = self.sources.columns, table.rows.frame
        cells = list(frame[columns.label])
        settled = self.task.kind.labels.settle(
            LabelColumn(cells, list(frame[columns.text]), table.rows.name), self.spec
        )
        found = [self.task.kind.labels.parse(c, t, settled) for c, t in zip(cells, frame[columns.text], strict=True)]
        return [None if problem else label for label, problem in found]

    def needs_classes(self, change: Correction) -> bool:
        """Whether a new label names a class, where the column holds the ratings that bins turn into classes."""
        bins = self.spec.bins
        return bins is not None and change.action == "relabel" and change.label in bins.labels

    def problem(self, change: Correction) -> str:
        """Says why a new label is none; empty where it is one."""
        if self.needs_classes(change):
            return ""
        if self.task.kind.learning.per_token:
            return "spans cannot be relabelled in a table: drop the row, or mend it in the data"
        if self.sources.columns.holds in ("shares", "votes"):
            return "a soft label is not one name: drop the row, or mend its shares or votes in the data"
        label, problem = self._parsed(change)
        unknown = [] if problem else [name for name in self.task.kind.labels.names(label) if name not in self.known]
        return problem or (f"no label {unknown[0]!r}" if unknown else "")

    def _parsed(self, change: Correction) -> tuple[Any, str]:
        settled = self.task.kind.labels.settle(LabelColumn([change.label], [""], "the corrections"), self.spec)
        return self.task.kind.labels.parse(change.label, "", settled)

    def respelled(self, table: _Table) -> dict[int, dict[str, Any]]:
        """Returns the cells of classes that are not written as they are read."""
        if not self.task.kind.one_class or self.spec.label_columns or self.spec.bins is not None:
            return {}
        column, labels = self.sources.columns.label, self.parsed(table)
        cells = zip(table.rows.frame[column], labels, strict=True)
        return {
            row: {column: label}
            for row, (cell, label) in enumerate(cells)
            if isinstance(cell, str) and label is not None and cell != label
        }

    def given(self, change: Correction) -> Sequence[str]:
        """Returns the names that a row gets."""
        return (change.label,) if self.needs_classes(change) else self.task.kind.labels.names(self._parsed(change)[0])

    def cells(self, change: Correction, table: _Table) -> dict[str, Any]:
        """Returns the new cells of a row that gets another label, by their columns."""
        frame, column = table.rows.frame, self.sources.columns.label
        if self.needs_classes(change):
            return {column: change.label}
        if self.spec.label_columns:
            return written_marks(frame, self.spec.label_columns, self.given(change))
        if any(isinstance(cell, (list, tuple)) for cell in frame[column]):
            return {column: list(self.given(change))}  # parquet keeps lists apart from texts
        return {column: change.label}


def _ids_of(rows: Rows, spec: DataSpec, task: Task, sources: Sources) -> list[str]:
    return row_ids(rows, spec, task=task, columns=sources.columns)


def _moved(corrections: Sequence[Correction], tables: Sequence[_Table], labels: _Labels) -> list[str]:
    """Returns what is wrong with rows that are known by a number, and hold another text than when they were checked."""
    if labels.spec.id is not None or labels.task.reads.files:
        return []
    shown = {change.id: change.text for change in corrections if change.action in ("drop", "relabel")}
    cells = {
        identifier: cell
        for table in tables
        if table.rows.form != DOCUMENT  # known by its path
        for identifier, cell in zip(table.ids, table.rows.frame[labels.sources.columns.text], strict=True)
    }
    return [
        f"{identifier}: not the text that was checked, {text[:30]!r}"
        for identifier, text in shown.items()
        if identifier in cells and is_another(text, cells[identifier], labels.spec)
    ]


def _refuse_mistakes(corrections: Sequence[Correction], tables: Sequence[_Table], labels: _Labels, title: str) -> None:
    ids = {identifier for table in tables for identifier in table.ids}
    first: dict[str, Correction] = {}
    mistakes = []
    for change in corrections:
        other = first.setdefault(change.id, change)
        if change.id not in ids:
            mistakes.append(f"no row {change.id!r}")
        if change.action not in ACTIONS:
            mistakes.append(f"{change.id}: unknown action {change.action!r}")
        if (other.action, other.label) != (change.action, change.label):
            mistakes.append(f"{change.id}: {other.action} and {change.action}")
        if change.action == "relabel":
            problem = labels.problem(change)
            mistakes += [f"{change.id}: {problem}"] if problem else []
    mistakes += _moved(corrections, tables, labels)
    if mistakes:
        more = f"; and {len(mistakes) - SHOWN} more" if len(mistakes) > SHOWN else ""
        some = sorted(labels.known)[:SHOWN]
        raise DataError(
            f"{len(mistakes)} mistake{'s' if len(mistakes) > 1 else ''} in the table of corrections",
            where=f"{title}, for the rows of {', '.join(table.rows.name for table in tables[:5])}",
            received="; ".join(mistakes[:SHOWN]) + more,
            expected="ids of the data, actions drop, relabel or keep"
            + (f", labels such as {', '.join(some)}" if some else ""),
            next_step=f"mend these rows of {title}; nothing was written. Ids are those of the data that were checked, "
            "with the same data.id: kft check again where rows have moved since",
        )


def _emptied(tables: Sequence[_Table], labels: _Labels, by_id: Mapping[str, Correction]) -> list[str]:
    """Names the classes that lose all rows: a class of few rows is one that no check understands."""
    before, after = Counter[str](), Counter[str]()
    for table in tables:
        for identifier, label in zip(table.ids, labels.parsed(table), strict=True):
            names = () if label is None else labels.task.kind.labels.names(label)
            before.update(names)
            change = by_id.get(identifier)
            if change is None or change.action == "relabel":
                after.update(names if change is None else labels.given(change))
    return [
        f"no row is called {name!r} any more, {before[name]:,} {'was' if before[name] == 1 else 'were'}: write keep in "
        "them if they are right"
        for name in sorted(before.keys() - after.keys())
    ]


def _targets(tables: Sequence[_Table], output: Path) -> list[Path]:
    """Returns where each corrected table goes; another name than the source's, whose row numbers no longer hold."""
    if output.suffix:
        targets = [output]
    else:
        stems = [Path(table.rows.name.replace("/", "-")).stem for table in tables]
        targets = [output / f"{stem}.corrected{table.suffix}" for stem, table in zip(stems, tables, strict=True)]
    if len(targets) != len(tables):
        raise UsageError(
            "several files are to be corrected",
            received=f"one file, {output}, for " + ", ".join(table.rows.name for table in tables),
            expected="a folder",
            next_step=f"-o {output.with_suffix('')}",
        )
    for table, target in zip(tables, targets, strict=True):
        if target.suffix.lower() != table.suffix:
            raise UsageError(
                "the corrected file is of another kind than its source",
                received=str(target),
                expected=f"a name that ends in {table.suffix}, as {table.rows.name} does"
                if table.rows.name.endswith(table.suffix)
                else f"a name that ends in {table.suffix}",
                next_step=f"-o {target.with_suffix(table.suffix)}",
            )
        if target.exists() or target.name == Path(table.rows.name).name:
            there = target.exists()
            raise UsageError(
                "there is a file of this name already" if there else "the corrected file has its source's name",
                received=str(target),
                expected="a new file; nothing is overwritten" if there else "another name, so that ids tell them apart",
                next_step=f"-o {target.with_name(f'{target.stem}-corrected{target.suffix}')}",
            )
    return targets


def _write(table: _Table, target: Path, by_id: Mapping[str, Correction], labels: _Labels, *, to_classes: bool) -> None:
    changes = [by_id.get(identifier) for identifier in table.ids]
    kept = [row for row, change in enumerate(changes) if change is None or change.action != "drop"]
    columns = labels.sources.columns
    new: dict[int, dict[str, Any]] = {}
    if to_classes:
        new = {row: {columns.label: label or ""} for row, label in enumerate(labels.parsed(table))}
    if any(SPELLING in change.check for change in by_id.values()):
        new |= labels.respelled(table)
    relabelled = {row: change for row, change in enumerate(changes) if change and change.action == "relabel"}
    new |= {row: labels.cells(change, table) for row, change in relabelled.items()}
    images = columns.text if labels.task.reads.files else None
    made = (columns.label,) if labels.spec.label_columns else ()
    write_rows(table.part, table.rows, target, labels.spec, Edit(kept, new, images, made))
