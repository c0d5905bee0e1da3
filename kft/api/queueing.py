"""`kft queue`: the rows that are worth a label, drawn such that their labels stand for all rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from kft.api.answering import InputSpec, reading_of
from kft.api.reading import progress_for
from kft.data.documents import DOCUMENT
from kft.data.labelling import ENDINGS, INCLUSION, TOOLS, Waiting, write_waiting
from kft.deploy.load import Shipped, open_artifact
from kft.deploy.lookup import resolve
from kft.errors import DataError, UsageError
from kft.monitor.estimating import read_chances
from kft.monitor.queueing import (
    LEAST_RANDOM,
    RANDOM_SHARE,
    Worth,
    draw,
    farness,
    least_sure,
    mistakes_nearby,
)
from kft.monitor.records import holds_records, read_records
from kft.monitor.reference import Reference
from kft.monitor.seen import NO_ROWS, WITHIN, Seen
from kft.notebook import Line, Piece, shows
from kft.tasks.cells import as_text
from kft.tasks.registry import TASKS
from kft.tasks.task import require_command

if TYPE_CHECKING:
    import pandas as pd

    from kft.data.inputs import RawInputs
    from kft.train.progress import Progress

CHUNK_ROWS = 2_048
"""Rows that are answered before the next ones are."""


@shows
@dataclass(frozen=True)
class QueueResult:
    """What was drawn.

    Attributes:
        files: That were written.
        n: Rows that were drawn.
        of: Rows that they stand for.
        unusable: Rows that cannot be answered, such as empty texts; they are left out.
        labelled: Rows that have a label already; likewise.
        why: How many were drawn for what, mostly.
        least_chance: The least chance that any row had.
        random_share: Of the labels that are spread over all rows alike.
    """

    files: tuple[Path, ...]
    n: int
    of: int
    unusable: int
    labelled: int
    why: Mapping[str, int]
    least_chance: float
    random_share: float

    def shown(self) -> Iterator[Piece]:
        yield Line(self.files[0], f"{self.n:,} of {self.of:,} rows", *(f"{n:,} {why}" for why, n in self.why.items()))


def queue(
    artifact: str | Path,
    data: str | Path | pd.DataFrame,
    output: str | Path,
    *,
    n: int = 100,
    random_share: float = RANDOM_SHARE,
    tool: Literal["table", "label-studio", "argilla"] = "table",
    seed: int = 0,
    quiet: bool = False,
) -> QueueResult:
    """Draws the rows that are worth a label and writes them to a file: unsure, foreign, near mistakes, and some of all.

    Each row has a chance above 0 to be drawn, which is written beside it. So the labels stand for all rows of the data,
    by ``kft.monitor``; and go into ``kft.retrain`` as they are.

    Args:
        artifact: A folder, or ``SHELF/NAME``.
        data: A table, a folder of images or a DataFrame, as ``kft.predict`` takes it; or the folder of a server's
            records of texts.
        output: The file: .csv or .jsonl; .json for a tool.
        n: How many are drawn.
        random_share: Of them that are spread over all rows alike, from 0.05 to 1.
        tool: Whose form the file has.
        seed: The same seed draws the same rows.
        quiet: Prints no progress.

    Raises:
        DataError: The data cannot be read, hold no row without a label that can be answered, or were drawn already.
        RunError: The artifact has nothing that rows can be held against.
        UsageError: The file is there already or its ending is another, or a number is out of range.

    Example:
        >>> import kft
        >>> result = kft.queue("shelf/tickets", "week.csv", "label.csv", n=200)  # doctest: +SKIP
        >>> result.n, result.of  # doctest: +SKIP
        (200, 8121)
    """
    path = Path(output).expanduser()
    _require_usable(path, n, random_share, tool)
    shipped = open_artifact(resolve(artifact))
    require_command(TASKS.get(shipped.about.task), "queue")
    reference = shipped.reference
    reading = reading_of(shipped)
    _require_texts(shipped, tool)
    progress = progress_for(quiet)
    source = Path(data).expanduser() if isinstance(data, str) else data
    if isinstance(source, Path) and holds_records(source):
        source = recorded_table(source, shipped)
    given = reading.of_table(source, unusable="keep")
    given = _with_texts(given, reading, source.parent if isinstance(source, Path) else Path.cwd())
    for note in given.notes:
        progress.note(f"read       {note}")
    label = _label_column(shipped)
    waiting = _without_label(given, label)
    _refuse_drawn(given, waiting, str(data) if isinstance(data, (str, Path)) else "the DataFrame")
    seen, places, answers = _answer(shipped, [given.inputs[place] for place in waiting], progress)
    if not len(places):
        raise DataError(
            "no row is left that could be labelled",
            where=str(data) if isinstance(data, (str, Path)) else "the DataFrame",
            received=f"{len(given.inputs):,} rows, {len(given.inputs) - len(waiting):,} of them with a label",
            expected="rows without a label that can be answered",
            next_step=None
            if len(waiting)
            else "rows that have labels need no queue: kft monitor ARTIFACT DATA --labels COLUMN says what is right of "
            "them, kft retrain RUN --with DATA learns from them",
        )
    worth = worth_of(seen, reference)
    drawn = draw(worth, seen.keys, seen.vectors, n, random_share=random_share, seed=seed)
    rows, column = waiting[places[drawn.places]], _text_column(given, reading.column)
    files = write_waiting(
        path,
        Waiting(
            table=_table(given, rows, column, files=reading.task.reads.files),
            text=column,
            label=label,
            answers=[answers[place] for place in drawn.places],
            chance=drawn.chance,
            why=drawn.why,
            labels=shipped.about.labels,
            form=shipped.about.answers,
            model=f"{shipped.about.name} {shipped.about.version}",
            pair=reading.pair,
        ),
        tool,
    )
    return QueueResult(
        files=files,
        n=len(rows),
        of=len(places),
        unusable=len(waiting) - len(places),
        labelled=len(given.inputs) - len(waiting),
        why=dict(Counter(drawn.why).most_common()),
        least_chance=float(drawn.least),
        random_share=random_share,
    )


def _with_texts(given: RawInputs, reading: InputSpec, base: Path) -> RawInputs:
    """Returns rows with what a person needs to label documents: their whole paths, and their texts."""
    paths = reading.spec.document
    if paths is not None and paths in given.table.columns:
        # The file may be read from another folder than the table was.
        absolute = [str((base / as_text(cell).strip()).resolve()) for cell in given.table[paths]]
        given = replace(given, table=given.table.assign(**{paths: absolute}))
    if DOCUMENT in given.table.columns and reading.column not in given.table.columns:
        # Who labels a document reads its text; and so it comes back.
        given = replace(given, table=given.table.assign(**{reading.column: list(map(as_text, given.inputs))}))
    return given


def worth_of(seen: Seen, reference: Reference) -> Worth:
    """Returns what is known of how much rows are worth a label.

    Args:
        seen: The rows.
        reference: The artifact's.
    """
    unsure = None
    if seen.probabilities is not None and seen.label is not None:
        unsure = least_sure(seen.probabilities)
    elif seen.confidence is not None:
        unsure = 1 - np.nan_to_num(np.asarray(seen.confidence, np.float64), nan=1.0)
    foreign = mistakes = None
    known, test = reference.known.vectors, reference.vectors
    if seen.vectors is not None and known is not None and test is not None and len(known) and len(test):
        foreign = farness(seen.vectors, known, test)
        if reference.scores is not None:
            scores = reference.scores
            wrong = (scores.truth != scores.label)[: len(test)]  # vectors are those of the first of them
            mistakes = mistakes_nearby(seen.vectors, test, wrong)
    return Worth(unsure, foreign, mistakes)


def recorded_table(folder: Path, shipped: Shipped) -> pd.DataFrame:
    """Returns the texts that a server has recorded, as a table with the columns of training.

    Args:
        folder: That ``kft serve --record`` writes.
        shipped: The artifact that has answered.

    Raises:
        DataError: Nothing of images is kept that could be labelled, or no line is of this version.
    """
    import pandas as pd

    about = shipped.about
    if about.reader.kind == "image":
        raise DataError(
            "a server's records keep nothing of an image but its hash: nobody can label that",
            where=str(folder),
            received=about.task,
            expected="records of texts",
            next_step="name the folder of the images themselves",
        )
    inputs = [each for block in read_records(folder, shipped.reference, about.version) for each in block.inputs]
    if not inputs:
        raise DataError(
            "no line of these records can be labelled",
            where=str(folder),
            received="lines of other versions",
            expected=f"lines of {about.name}, version {about.version}",
            next_step="name the artifact that the server answers with",
        )
    names = [about.receipt.text_column, *filter(None, [about.receipt.pair_column])]
    return pd.DataFrame([[each] if isinstance(each, str) else list(each) for each in inputs], columns=pd.Index(names))


def _require_usable(path: Path, n: int, random_share: float, tool: str) -> None:
    if tool not in TOOLS:
        raise UsageError(f"unknown tool {tool!r}", where="--for", received=tool, expected=", ".join(TOOLS))
    if n < 1:
        raise UsageError("at least one row is drawn", where="-n", received=str(n), expected="1 or more")
    if not LEAST_RANDOM <= random_share <= 1:
        raise UsageError(
            "without a random part, the labels would stand for nothing but the rows that have them",
            where="--random-share",
            received=f"{random_share:g}",
            expected=f"from {LEAST_RANDOM:g} to 1",
        )
    there = next((each for each in (path, path.with_suffix(".xml")) if each.exists()), None)
    if path.exists() or (there is not None and tool == "label-studio"):
        raise UsageError(
            "the file is there already, perhaps with labels in it",
            where=str(there),
            expected="a new file",
            next_step="choose another -o FILE",
        )
    if path.suffix.lower() not in ENDINGS[tool]:
        raise UsageError(
            f"for {tool} the file has another ending",
            where=f"-o {path}",
            received=path.suffix or "none",
            expected=" or ".join(ENDINGS[tool]),
            next_step=f"-o {path.with_suffix(ENDINGS[tool][0])}",
        )


def _require_texts(shipped: Shipped, tool: str) -> None:
    kind = shipped.about.reader.kind
    if tool != "table" and kind != "text":
        raise UsageError(
            f"a file for {tool} is written for single texts alone",
            where=f"--for {tool}",
            received=kind,
            expected="a model that reads one text a row",
            next_step="leave --for out: a csv has every column",
        )


def _label_column(shipped: Shipped) -> str:
    """Returns what the column of labels is called in training, where one column holds them."""
    receipt = shipped.about.receipt
    return "label" if receipt.label_columns_hold else receipt.label_column


def _text_column(given: RawInputs, column: str) -> str:
    names = [str(name) for name in given.table.columns]
    return column if column in names else names[0]


def _table(given: RawInputs, rows: np.ndarray, column: str, *, files: bool) -> pd.DataFrame:
    """Returns the columns of some rows; paths of images such that they mean the same from anywhere."""
    table = given.table.iloc[rows]
    if not files:
        return table
    return table.assign(**{column: [str(Path(given.inputs[row]).resolve()) for row in rows]})


def _without_label(given: RawInputs, label: str) -> np.ndarray:
    """Returns the places of rows that have no label yet."""
    if label not in given.table.columns:
        return np.arange(len(given.inputs))
    cells = list(given.table[label])
    return np.array(
        [
            place
            for place, cell in enumerate(cells)
            if cell is None or (not isinstance(cell, (list, tuple)) and not as_text(cell).strip())
        ],
        np.int64,
    )


def _refuse_drawn(given: RawInputs, waiting: np.ndarray, where: str) -> None:
    """Refuses rows that an earlier queue has drawn: what is drawn of them would stand for them alone.

    Raises:
        DataError: Some of those that wait for a label bear the chance with which they were drawn.
    """
    if INCLUSION not in given.table.columns:
        return
    drawn = int(np.isfinite(read_chances(given.table[INCLUSION].iloc[waiting].tolist(), INCLUSION)).sum())
    if drawn:
        raise DataError(
            "rows were drawn for a label already: drawn once more, they would stand for one another, not for all rows",
            where=where,
            received=f"{drawn:,} of {len(waiting):,} rows without a label have a chance, column {INCLUSION!r}",
            expected="the rows that came; kft queue draws from all of them",
            next_step="label on in that file: its rows are in random order, so that any beginning of it is a fair part",
        )


def _answer(
    shipped: Shipped, inputs: Sequence[Any], progress: Progress
) -> tuple[Seen, np.ndarray, list[dict[str, Any]]]:
    """Returns what is seen of the inputs that can be answered, which these are, and the answers."""
    parts, places, answers = [], [], []
    before = NO_ROWS
    with progress.task("answers", len(inputs)) as tick:
        for start in range(0, len(inputs), CHUNK_ROWS):
            found = shipped.see_usable(inputs[start : start + CHUNK_ROWS], before)
            before = np.concatenate([before, found.seen.keys])[-WITHIN:]
            parts.append(found.seen)
            places.append(start + found.places)
            answers += found.answers
            tick(min(CHUNK_ROWS, len(inputs) - start))
    return Seen.join(parts), np.concatenate([*places, np.zeros(0, np.int64)]).astype(np.int64), answers
