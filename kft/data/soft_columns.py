"""Several columns that hold one label: yes and no a class, shares or counts of votes a class, or annotators' votes.

``data.label`` names them, for tasks of one class of many. What they hold is found where it can be one thing only;
``data.label_columns_hold`` says it where it can be several.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd

from kft.data.columns import require_column
from kft.data.label_columns import UNKNOWN, join_columns
from kft.errors import DataError
from kft.recipe.schema import DataSpec
from kft.tasks.cells import Unreadable, as_objects, kind_problem
from kft.tasks.decimals import as_number
from kft.tasks.judgements import Judgements
from kft.tasks.marks import is_mark, read_mark
from kft.tasks.spelling import spelled
from kft.tasks.task import LabelColumn, Labelling

Held = Literal["marks", "shares", "votes"]
SAID: dict[str, str] = {
    "marks": "columns of yes and no, one a label",
    "shares": "shares of classes or votes for them, a column a class",
    "votes": "annotators' votes, a column each",
}
"""What columns of labels hold, for people."""
Frames = Sequence[tuple[str, pd.DataFrame]]
"""Tables, each with its name."""
OFF = 0.02
"""So far from 1 may rounded shares of a row add up to; so far from 100 per cent ten times that."""
KEY = "--set data.label_columns_hold"
CHOICES = f"{KEY}=votes (a column an annotator), =shares (a column a class: shares or counts) or =marks (yes and no)"


@dataclass(frozen=True)
class Holding:
    """What columns of labels hold.

    Attributes:
        what: ``marks``: yes and no, of each class; ``shares``: of each class a share of the label, or votes for it;
            ``votes``: of each annotator the name of a class.
        whole: What the shares of a row add up to, but for rounding: 1, or 100; 0 for counts of votes.
        blank: Whether an empty cell among shares says 0: no cell of these columns does.
    """

    what: Held
    whole: int = 1
    blank: bool = False

    def described(self, columns: Sequence[str]) -> str:
        """Returns what was found, for people."""
        amounts = {0: "counts of votes", 1: "shares", 100: "percentages"}[self.whole]
        what = f"{amounts}, a column a class" if self.what == "shares" else SAID[self.what]
        return f"{', '.join(map(repr, columns[:5]))}{' ...' if len(columns) > 5 else ''}: read as {what}"


def find_holding(frames: Frames, spec: DataSpec, labelling: Labelling) -> Holding:
    """Finds what the columns of ``data.label`` hold, over all tables together.

    Args:
        frames: The tables.
        spec: Names the columns, and perhaps what they hold.
        labelling: What a label is.

    Raises:
        DataError: A column is missing, or the cells can be several things.

    Example:
        >>> from kft.tasks.registry import TASKS
        >>> frame = pd.DataFrame({"one": ["good", "bad"], "two": ["good", ""]})
        >>> spec = DataSpec(train="a.csv", label=["one", "two"])
        >>> find_holding([("a.csv", frame)], spec, TASKS.get("text-classification").kind.labels).what
        'votes'
    """
    columns = spec.label_columns
    for name, frame in frames:
        for column in columns:
            require_column(frame, column, "data.label", name, expected="a column for each label, or each annotator")
    if labelling.form != "class":
        return Holding("marks")
    rows = [row for _, frame in frames for row in zip(*(frame[column] for column in columns), strict=True)]
    what = spec.label_columns_hold or _found(rows, frames, columns)
    if what != "shares":
        return Holding(what)
    numbers = [[_number(cell) for cell in row] for row in rows]
    blank = not any(number == 0 for row in numbers for number in row)
    return Holding("shares", _whole(numbers), blank)


def _found(rows: Sequence[Sequence[Any]], frames: Frames, columns: Sequence[str]) -> Held:
    cells = [cell for row in rows for cell in row if spelled(cell)]
    if all(is_mark(cell) or spelled(cell) == UNKNOWN for cell in cells):
        several = next((place for place, row in enumerate(rows) if sum(map(_says_yes, row)) > 1), None)
        if several is not None:
            raise _ambiguous("yes and no, and some rows have more than one yes", rows[several], frames, columns)
        return "marks"
    finite = [math.isfinite(_number(cell)) for cell in cells]
    if not any(finite):
        return "votes"
    row = next(row for row in rows if any(map(_is_telling, row)))
    if not all(finite):
        raise _ambiguous("numbers and words", row, frames, columns)
    numbers = [[_number(cell) for cell in row] for row in rows if any(map(spelled, row))]
    sums = {round(sum(number for number in row if number == number), 6) for row in numbers}
    zeros = any(number == 0 for row in numbers for number in row)
    if any(not number.is_integer() for row in numbers for number in row if number == number):
        return "shares"
    if len(sums) == 1 and zeros and min(sums) >= 2:
        return "shares"  # as many votes in each row
    raise _ambiguous("whole numbers, which can be votes for each class or each annotator's class", row, frames, columns)


def _is_telling(cell: Any) -> bool:
    return bool(spelled(cell)) and not is_mark(cell)


def _says_yes(cell: Any) -> bool:
    try:
        return bool(read_mark(cell))
    except ValueError:
        return False


def _number(cell: Any) -> float:
    """Returns a cell's number; NaN where it is none, or empty."""
    return math.nan if kind_problem(cell, "share") else as_number(spelled(cell))


def _whole(numbers: Sequence[Sequence[float]]) -> int:
    """Returns what the shares of each row add up to: 1 or 100; 0 for counts."""
    known = [[number for number in row if math.isfinite(number)] for row in numbers]
    sums = [sum(row) for row in known if row]
    if sums and all(abs(total - 100) <= 10 * OFF for total in sums):
        return 100
    fractions = any(not number.is_integer() for row in known for number in row)
    return 1 if fractions or all(total <= 1 for total in sums) else 0


def _ambiguous(what: str, row: Sequence[Any], frames: Frames, columns: Sequence[str]) -> DataError:
    shown = ", ".join(f"{column} {spelled(cell)!r}" for column, cell in zip(columns, row, strict=True))
    return DataError(
        f"the columns of data.label hold {what}",
        where=", ".join(name for name, _ in frames[:3]) + ", data.label",
        received=f"a row with {shown[:160]}",
        expected="what they hold: votes, shares or marks",
        next_step=CHOICES,
    )


def join_labels(
    frame: pd.DataFrame, spec: DataSpec, labelling: Labelling, holding: Holding, where: str
) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Returns a table with the column of labels that several columns make, and what was found in making it.

    Args:
        frame: The table.
        spec: Names the columns.
        labelling: What a label is.
        holding: What they hold.
        where: The table, for messages.

    Example:
        >>> from kft.tasks.registry import TASKS
        >>> frame = pd.DataFrame({"good": ["2", "0"], "bad": ["1", "3"]})
        >>> spec = DataSpec(train="a.csv", label=["good", "bad"])
        >>> labels = TASKS.get("text-classification").kind.labels
        >>> made, said = join_labels(frame, spec, labels, Holding("shares", 0), "a.csv")
        >>> made["good + bad"].tolist()[0]
        Judgements(names=('good', 'bad'), amounts=(2.0, 1.0), votes=3)
    """
    columns, made = spec.label_columns, str(spec.label_column)
    if holding.what == "marks":
        frame = join_columns(frame, columns, made, where)
        seen = {name for names in frame[made] if isinstance(names, list) for name in names}
        never = [name for name in columns if name not in seen]
        return frame, (f"no row of {where} has the label {', '.join(map(repr, never))}",) if never else ()
    rows = list(zip(*(frame[column] for column in columns), strict=True))
    if holding.what == "shares":
        read, notes = _read_shares(rows, columns, holding, where)
    else:
        read, notes = _read_votes(rows, spec, labelling, where)
    guessed = () if spec.label_columns_hold else (holding.described(columns),)
    return frame.assign(**{made: as_objects(read)}), (*guessed, *notes)


def _read_votes(
    rows: Sequence[Sequence[Any]], spec: DataSpec, labelling: Labelling, where: str
) -> tuple[list[Judgements | Unreadable], list[str]]:
    cells = [cell for row in rows for cell in row]
    column = LabelColumn(cells, [""] * len(cells), f"{where}, {spec.label_column}")
    settled = labelling.settle(column, spec)
    found: list[Judgements | Unreadable] = []
    for row in rows:
        votes = [labelling.parse(cell, "", settled) for cell in row if kind_problem(cell, "") or spelled(cell)]
        problem = next((reason for _, reason in votes if reason), "" if votes else "missing label: nobody voted")
        found.append(Unreadable(problem) if problem else Judgements.of_votes(name for name, _ in votes))
    counts = [judged.votes for judged in found if isinstance(judged, Judgements)]
    said = f"votes of {where}: {np.mean(counts):.3g} a row, of {len(spec.label_columns)} annotators" if counts else ""
    return found, [*([said] if said else []), *labelling.notes(column, settled)]


def _read_shares(
    rows: Sequence[Sequence[Any]], columns: Sequence[str], holding: Holding, where: str
) -> tuple[list[Judgements | Unreadable], list[str]]:
    names = tuple(map(spelled, columns))
    found = [_amounts(row, columns, names, holding) for row in rows]
    usable = [judged for judged in found if isinstance(judged, Judgements)]
    rounded = sum(abs(sum(judged.amounts) - holding.whole) > 1e-3 for judged in usable) if holding.whole else 0
    said = [f"the shares of {rounded:,} rows of {where} do not quite add up to 1, and are scaled"] if rounded else []
    totals = np.sum([judged.amounts for judged in usable], axis=0) if usable else np.zeros(len(names))
    never = [name for name, total in zip(names, totals, strict=True) if total == 0]
    if never:
        said.append(f"no row of {where} has a share of {', '.join(map(repr, never))}")
    return found, said


def _amounts(
    row: Sequence[Any], columns: Sequence[str], names: tuple[str, ...], holding: Holding
) -> Judgements | Unreadable:
    problem = next(_problems(row, columns, blank=holding.blank), "")
    if problem:
        return Unreadable(problem)
    amounts = tuple(0.0 if not spelled(cell) else _number(cell) for cell in row)
    total = sum(amounts)
    if total == 0:
        return Unreadable("missing label: no class has a share")
    if holding.whole and abs(total / holding.whole - 1) > OFF:
        return Unreadable(f"shares add up to neither 1 nor whole counts: {total:g}")
    return Judgements(names, amounts, 0 if holding.whole else round(total))


def _problems(row: Sequence[Any], columns: Sequence[str], *, blank: bool) -> Iterator[str]:
    """Yields why a row's cells are no shares."""
    if not any(kind_problem(cell, "share") or spelled(cell) for cell in row):
        yield "missing label: all shares are empty"
    for column, cell in zip(columns, row, strict=True):
        number = _number(cell)
        if not kind_problem(cell, "share") and not spelled(cell):
            if not blank:
                yield f"a share is empty where others say 0: {column!r}"
        elif not math.isfinite(number):
            yield f"a share is no number: {column!r} holds {spelled(cell)[:20]!r}"
        elif number < 0:
            yield f"a share is negative: {column!r} holds {number:g}"


@dataclass(frozen=True)
class Joiner:
    """Makes the column of labels of one table after another, as all of them together say; see ``join_labels``.

    Attributes:
        holding: What the columns hold.
        join: From a table and its name to the table with its labels, and what was found.
    """

    holding: Holding
    join: Callable[[pd.DataFrame, str], tuple[pd.DataFrame, tuple[str, ...]]]


def find_joiner(frames: Frames, spec: DataSpec, labelling: Labelling) -> Joiner:
    """Finds what the columns of labels hold.

    Raises:
        DataError: See ``find_holding``; or two columns of classes have names that are spelled alike.
    """
    holding = find_holding(frames, spec, labelling)
    if holding.what == "shares":
        _require_different(spec.label_columns)
    return Joiner(holding, lambda frame, name: join_labels(frame, spec, labelling, holding, name))


def _require_different(columns: Sequence[str]) -> None:
    by_name: dict[str, list[str]] = {}
    for name in columns:
        by_name.setdefault(spelled(name), []).append(name)
    for alike in by_name.values():
        if len(alike) > 1:
            raise DataError(
                "two columns are of one class",
                where="data.label",
                received=", ".join(map(repr, alike)),
                expected="a column a class",
                next_step="rename one of them",
            )
