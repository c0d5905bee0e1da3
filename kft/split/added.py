"""Rows that were labelled after a run was trained: split by themselves; what was train, valid and test stays so.

Each file of ``data.added`` is a round. Of its rows, what copies an older row, or belongs to a group of test, is left
out; what is nearly a copy of a row of train or valid, or of its group, joins it there; the others are shared out,
groups and near-copies whole. A later round cannot change an earlier one: it is divided as if there were none later.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from kft.data.columns import guess_columns
from kft.data.dialects import DELIMITED, dialect_of, first_cells
from kft.data.examples import Columns, Examples, NamedColumns, RejectedRow
from kft.data.headers import refuse_row_as_header
from kft.data.labelling import ADDED, FIELDS, INCLUSION, MODEL
from kft.data.parts import SourceTable, open_source, parts_to_examples, read_parts
from kft.data.reading import load_text
from kft.data.tables import Rows, refuse_rejected
from kft.errors import DataError
from kft.recipe.schema import DataSpec
from kft.registry import nearest
from kft.split.assign import SPLITS, split_rows
from kft.split.labels import named_in, strata_of
from kft.split.near import groups_of, join_groups
from kft.split.together import find_copies
from kft.tasks.cells import as_objects, as_text
from kft.tasks.spelling import respelled
from kft.tasks.task import Task

VALID_SHARE, TEST_SHARE = 0.15, 0.3
"""Of the new rows that are free to go anywhere: what choices look at, and what nothing looks at before the end."""
LEAST_TEST = 20
"""New test rows: with fewer, hardly any difference between two models is beyond chance."""
TOOLS = ("Label Studio", "Argilla", "Prodigy", "spaCy")
"""Whose exports have numbers of their own where a person's data have ids."""
LEAST_OF_LABEL = 10
"""Rows that a new label has: with fewer, it would be learned from a handful and tested on one or two."""


@dataclass(frozen=True)
class AddedRound:
    """What became of the rows of one round.

    Attributes:
        name: What the file is called in ids.
        places: Split to the ids of its new rows.
        rows: How many rows the file has.
        unlabelled: How many of them have no label yet.
        copies: Left out: copies of an older row, or of an earlier one of this file.
        relabelled: How many of these say another label than the older row does.
        contradictory: Left out: texts that stand there with two labels.
        of_test: Left out: near-copies of test rows, and rows of their groups.
        beside: Rows that went where their near-copies or their group are, in train or valid.
        new_labels: Labels that no older row of train has.
        notes: What was guessed in reading the file, one sentence each.
    """

    name: str
    places: Mapping[str, tuple[str, ...]]
    rows: int
    unlabelled: int
    copies: int
    relabelled: int
    contradictory: int
    of_test: int
    beside: int
    new_labels: tuple[str, ...]
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        shares = ", ".join(f"{len(self.places[key]):,} {key}" for key in SPLITS)
        left = [
            (self.unlabelled, "without a label"),
            (self.copies, "copies"),
            (self.contradictory, "with two labels"),
            (self.of_test, "near to test rows or of their groups"),
        ]
        said = ", ".join(f"{count:,} {what}" for count, what in left if count)
        return f"{self.name}: {shares}" + (f"; left out {said}" if said else "")


@dataclass(frozen=True)
class RoundSpec:
    """What the files of later rounds are read by.

    Attributes:
        spec: The recipe's data part.
        task: Says what an input and a label are.
        columns: Those that train is read by.
        base: Where relative paths start.
        locate: Turns a source into a local file.
    """

    spec: DataSpec
    task: Task
    columns: Columns
    base: Path
    locate: Callable[[str, Path], Path]


def add_rounds(
    parts: Mapping[str, Examples], reading: RoundSpec
) -> tuple[dict[str, Examples], tuple[AddedRound, ...], tuple[RejectedRow, ...]]:
    """Adds the rows of every file of ``data.added`` to the splits, one file after the other.

    Args:
        parts: Train, valid and test as they were.
        reading: How the files are read.

    Returns:
        The splits with the new rows after the old, what became of each file's rows, and rows that cannot be used.

    Raises:
        DataError: A file cannot be read, has labels that train does not have, or too few new rows.
    """
    made, rounds = dict(parts), []
    rejected: list[RejectedRow] = []
    for number, source in enumerate(reading.spec.added, 1):
        found = _read(source, number, reading)
        refuse_rejected(found.rejected, reading.spec, "mend these rows, or empty their labels: they are then left out")
        made, added = _divide(made, found, reading)
        rounds.append(added)
        rejected += found.rejected
    return made, tuple(rounds), tuple(rejected)


@dataclass(frozen=True)
class _Found:
    name: str
    examples: Examples
    rows: int
    unlabelled: int
    rejected: tuple[RejectedRow, ...]


def _read(source: str, number: int, reading: RoundSpec) -> _Found:
    task, spec = reading.task, reading.spec
    parts = open_source(source, reading.base, reading.locate)
    # Named by their number: what older rows are called must not hang on what the new file is called.
    names = {part.place: f"added-{number}" + (f"/{at}" if len(parts) > 1 else "") for at, part in enumerate(parts, 1)}
    spec = _fitting(parts, names, reading)
    tables = read_parts(parts, names, spec, task=task, base=reading.base, firm=False)
    title = f"{source} ({names[parts[0].place]})"
    _refuse_answers(tables[0].frame, title)
    columns = _columns(tables[0].frame, reading.columns, title, task)
    if spec.columns is None:
        refuse_row_as_header(tables, columns)
    labelled = [_labelled(rows, columns.label) for rows in tables]
    total, kept = (sum(len(rows.frame) for rows in each) for each in (tables, labelled))
    if not kept:
        raise DataError(
            "no row has a label yet",
            where=title,
            received=f"{total:,} rows, with nothing in the column {columns.label!r}",
            expected="labels in that column",
            next_step="label the rows, then run the command again",
        )
    examples, rejected = parts_to_examples(labelled, spec, task=task, columns=columns)
    if columns.guessed:
        taken = f"inputs from the column {columns.text!r}, labels from {columns.label!r}"
        examples = replace(examples, notes=(*examples.notes, f"{names[parts[0].place]}: {taken}"))
    for column in (*reading.spec.slices, *reading.spec.sensitive):
        if column not in examples.columns:
            empty = as_objects([""] * len(examples))
            examples = replace(examples, columns={**examples.columns, column: empty})
    return _Found(names[parts[0].place], examples, total, total - kept, rejected)


def _refuse_answers(frame: pd.DataFrame, where: str) -> None:
    """Refuses a table of answers: the model would learn what it has said itself.

    Raises:
        DataError: It is one.
    """
    if set(FIELDS) <= set(map(str, frame.columns)):
        raise DataError(
            "these labels are what a model has answered: it would learn from itself",
            where=where,
            received="columns " + ", ".join(FIELDS) + ", as kft predict writes them",
            expected="labels that somebody has given",
            next_step="where somebody has looked at each of them, take the column 'probabilities' out",
        )


def _fitting(parts: Sequence[SourceTable], names: Mapping[Path, str], reading: RoundSpec) -> DataSpec:
    """Returns the data part without columns of ids, groups and slices that a file of new rows need not have."""
    bare = {"label": None, "label_columns_hold": None} if not reading.spec.label_columns else {}
    headless = _is_headless(parts[0].table, reading)
    plain = reading.spec.model_copy(update={"columns": reading.spec.columns if headless else None, **bare})
    if reading.spec.label_columns and reading.columns.holds:
        plain = plain.model_copy(update={"label_columns_hold": reading.columns.holds})
    rows = read_parts(parts[:1], dict(names), plain, task=reading.task, base=reading.base, firm=False)
    has = set(map(str, rows[0].frame.columns))
    if rows[0].form in TOOLS:  # which number the rows itself
        has -= {plain.id or ""}
    changes: dict[str, object] = {key: tuple(set(getattr(plain, key)) & has) for key in ("slices", "sensitive")}
    changes |= {"id": None} if plain.id not in has else {}
    changes |= {"group": None} if plain.group is not None and plain.group.column not in has else {}
    return plain.model_copy(update=changes)


def _is_headless(table: Path | pd.DataFrame, reading: RoundSpec) -> bool:
    """Whether a file has no header, as those of a recipe that names the columns have none."""
    dialect = dialect_of(reading.spec, firm=False)
    if dialect.columns is None or not isinstance(table, Path) or table.suffix.lower() not in DELIMITED:
        return False
    return reading.columns.text not in first_cells(load_text(table, reading.spec.encoding).text, table, dialect)


def _columns(frame: pd.DataFrame, known: Columns, where: str, task: Task) -> Columns:
    """Returns the columns that train is read by; where a file has others, as an annotation tool, the usual ones."""
    names = set(map(str, frame.columns))

    def here(column: str | None) -> str | None:
        return column if column in names else None

    wanted = NamedColumns(here(known.text), here(known.label), here(known.pair))
    # What kft queue says of the model is no label, where the column of labels is gone or has another name.
    besides = (*ADDED, *(f"{MODEL}{name}" for name in ADDED)) if INCLUSION in names else ()
    found = guess_columns(frame, wanted, where=where, task=task, besides=besides)
    return replace(found, holds=known.holds)


def _labelled(rows: Rows, label: str) -> Rows:
    """Returns the rows that have something in the column of labels."""
    cells = list(rows.frame[label])
    kept = [not (cell is None or (not isinstance(cell, (list, tuple)) and not as_text(cell).strip())) for cell in cells]
    return replace(rows, frame=rows.frame[kept])


def _divide(parts: Mapping[str, Examples], found: _Found, reading: RoundSpec) -> tuple[dict[str, Examples], AddedRound]:
    new, kind = found.examples, reading.task.kind
    old = Examples.concatenate([_bare(parts[key]) for key in SPLITS])
    side = np.repeat(np.arange(len(SPLITS)), [len(parts[key]) for key in SPLITS])
    new_labels = _new_labels(parts["train"], found, reading)
    inputs, held = [*old.inputs, *new.inputs], len(old)
    copies = find_copies(inputs, np.arange(len(inputs)) < held)
    written = _written(old, kind.labels.written) + _written(new, kind.labels.written)
    first = copies.first
    repeats = first[held:] < np.arange(held, len(inputs))
    torn = _contradictory(first, written, held)
    together = join_groups(groups_of(copies.pairs, len(inputs)), _own_groups(old, new))
    assert together is not None
    beside = np.stack([np.isin(together[held:], together[:held][side == place]) for place in range(len(SPLITS))])
    out = repeats | torn
    of_test = ~out & (beside[2] | (beside[0] & beside[1]))
    out = out | of_test
    places = np.full(len(new), -1)
    places[~out & beside[0]], places[~out & beside[1]] = 0, 1
    free = np.flatnonzero(~out & (places < 0))
    chosen = _share_out(new.take(free), together[held:][free], reading)
    places[free] = [SPLITS.index(name) for name in chosen]
    made = {key: new.take(np.flatnonzero(places == place)) for place, key in enumerate(SPLITS)}
    added = AddedRound(
        name=found.name,
        places={key: tuple(map(str, made[key].ids)) for key in SPLITS},
        rows=found.rows,
        unlabelled=found.unlabelled,
        copies=int((repeats & ~torn).sum()),
        relabelled=sum(written[held + row] != written[first[held + row]] for row in np.flatnonzero(repeats & ~torn)),
        contradictory=int(torn.sum()),
        of_test=int(of_test.sum()),
        beside=int((~out).sum()) - len(free),
        new_labels=new_labels,
        notes=new.notes,
    )
    _require_enough(added, made, new_labels, reading)
    return {key: Examples.concatenate([parts[key], _alike(made[key], parts[key])]) for key in SPLITS}, added


def _bare(examples: Examples) -> Examples:
    return Examples(examples.ids, examples.inputs, examples.labels, examples.groups, shares=examples.shares)


def _alike(new: Examples, old: Examples) -> Examples:
    """Gives new rows groups where the old ones have some: those without a group of their own stand alone."""
    groups = new.groups if old.groups is None or new.groups is not None else as_objects([str(name) for name in new.ids])
    return replace(new, groups=None if old.groups is None else groups)


def _written(examples: Examples, written: Callable[[object], str]) -> list[str]:
    assert examples.labels is not None
    return examples.shares.written() if examples.shares is not None else list(map(written, examples.labels))


def _contradictory(first: np.ndarray, written: Sequence[str], held: int) -> np.ndarray:
    """Returns ``bool[new]``: rows of a text that no older row has, and that the file has with two labels."""
    said: dict[int, set[str]] = {}
    for row in range(held, len(first)):
        said.setdefault(int(first[row]), set()).add(written[row])
    return np.array([first[row] >= held and len(said[int(first[row])]) > 1 for row in range(held, len(first))], bool)


def _own_groups(old: Examples, new: Examples) -> np.ndarray | None:
    """Returns a person's own groups of all rows, as numbers; a row without one is a group of its own."""
    if old.groups is None or new.groups is None:
        return None
    return np.unique(np.concatenate([old.groups.astype(str), new.groups.astype(str)]), return_inverse=True)[1]


def _share_out(free: Examples, together: np.ndarray, reading: RoundSpec) -> np.ndarray:
    if not len(free):
        return np.array([], dtype=object)
    alone = len(np.unique(together)) == len(together)
    return split_rows(
        strata_of(free, reading.task.kind),
        None if alone else together,
        valid_fraction=VALID_SHARE,
        test_fraction=TEST_SHARE,
        seed=reading.spec.split_seed,
    )


def _new_labels(train: Examples, found: _Found, reading: RoundSpec) -> tuple[str, ...]:
    """Returns the labels that train does not have.

    Raises:
        DataError: There are some, and the recipe does not say that there may be; or one is known in another spelling,
            and would be learned beside itself.
    """
    labels = reading.task.kind.labels
    known = {name for label in named_in(train) for name in labels.names(label)}
    counts = Counter(name for label in named_in(found.examples) for name in labels.names(label) if name not in known)
    said = respelled(list(counts), sorted(known))
    if not counts or (reading.spec.new_labels and not said):
        return tuple(sorted(counts))
    hint = nearest(str(counts.most_common(1)[0][0]), known)
    raise DataError(
        "labels that the run does not know",
        where=f"{found.name}, column {reading.columns.label!r}",
        received=", ".join(f"{label!r} ({count})" for label, count in counts.most_common(5))
        + (said or (f"; did you mean {hint!r}?" if hint else "")),
        expected="one of " + ", ".join(sorted(known)[:10]) + (" ..." if len(known) > 10 else ""),
        next_step="mend the labels"
        + (
            ""
            if said
            else f"; or --new-labels (data.new_labels: true) learns labels that have {LEAST_OF_LABEL} rows or more"
        ),
    )


def _require_enough(
    added: AddedRound, made: Mapping[str, Examples], new_labels: Sequence[str], reading: RoundSpec
) -> None:
    """Refuses too few new rows, and new labels of too few.

    Raises:
        DataError: There are.
    """
    if len(made["test"]) < LEAST_TEST:
        free = sum(map(len, made.values())) - added.beside
        raise DataError(
            "too few new rows to tell a better model from a worse one",
            where=added.name,
            received=f"{added.rows:,} rows, of which {free:,} are labelled, new and near to no older row: "
            f"{len(made['test']):,} would be test rows ({added})",
            expected=f"at least {int(np.ceil(LEAST_TEST / TEST_SHARE)):,} such rows, {LEAST_TEST} of them for the test",
            next_step="label more rows: kft queue picks those that are worth it",
        )
    names = reading.task.kind.labels.names
    counts = Counter(name for part in made.values() for label in named_in(part) for name in names(label))
    few = [f"{label!r} ({counts[label]})" for label in new_labels if counts[label] < LEAST_OF_LABEL]
    if few:
        raise DataError(
            "new labels with too few rows to be learned and tested",
            where=added.name,
            received=", ".join(few[:5]),
            expected=f"{LEAST_OF_LABEL} rows or more of each new label",
            next_step="label more rows of them, or empty their labels: they are then left out",
        )
