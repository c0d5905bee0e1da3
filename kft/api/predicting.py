"""`kft predict` of a file: row by row, in order, and from where a killed process had come to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kft import __version__
from kft.answer.artifact import say_withheld, why_withheld
from kft.api.answering import Predictor, load
from kft.api.answers_file import AnswerRows, keep_columns, require_ending, table_rows
from kft.api.reading import progress_for
from kft.data.inputs import RawInputs, first_problems, in_words, named_problems, refuse_unusable
from kft.data.pieces import NotInPieces, is_cut, pieces_of
from kft.deploy.runner.reading import say_cut
from kft.errors import DataError
from kft.records.files import sha256_of
from kft.records.partial import Partial, partial_file

if TYPE_CHECKING:
    import pandas as pd

    from kft.train.progress import Progress

CHUNK_ROWS = 4096
"""Rows of a file that are answered, written and kept before the next ones are: memory does not grow with their number,
and a kill costs no more than them."""
ELSEWHERE = "choose another -o FILE"


@dataclass(frozen=True)
class PredictFileResult:
    """What was written.

    Attributes:
        output: The file.
        n: Rows of the input.
        answered: Rows that have an answer; the others cannot be used.
    """

    output: Path
    n: int
    answered: int


@dataclass(frozen=True)
class PredictionInput:
    """What a file asks.

    Attributes:
        n: Rows.
        columns: Of the input, as they are kept beside the answers.
        problems: What is wrong with rows that cannot be answered, counted from 1.
        notes: What was guessed in reading; one sentence each.
        whole: All of it, where it was read whole.
        sizes: Rows of each piece, where it was not.
    """

    n: int
    columns: tuple[str, ...]
    problems: Mapping[int, str]
    notes: tuple[str, ...]
    whole: RawInputs | None = field(default=None, repr=False)
    sizes: tuple[int, ...] = field(default=(), repr=False)


def predict_file(
    run: str | Path,
    path: Path,
    output: Path,
    *,
    columns: Sequence[str] | None = None,
    skip_unusable: bool = False,
    devices: str = "auto",
) -> PredictFileResult:
    """Answers for every row of a table, every line of a txt file or every image of a folder, in order; see ``predict``.

    The file needs the columns the run was trained with; a .txt file holds one text a line. Answers are written
    as they come; the file appears when the last one is there. What a killed process had answered lies beside it, and
    the same call goes on from there. A large table is read in pieces.

    Args:
        run: The run folder.
        path: The file or folder.
        output: Where the answers go: JSON lines, or a table where the name ends in .csv; see ``AnswerRows``.
        columns: Those of the input that are kept beside the answers; default: all.
        skip_unusable: Answers the other rows where some cannot be used; else these are an error.
        devices: As for ``train``.

    Raises:
        DataError: The file cannot be read, has no such column, or an input cannot be used.
        StorageError: The answers cannot be written.
        UsageError: The output has the ending of another kind of table.
    """
    require_ending(output)
    predictor = load(run, devices=devices, warm=False)
    asked = look_at(predictor, path, columns)
    if not skip_unusable:
        refuse_unusable(asked.problems, asked.n, predictor.reading.task, str(path))
    progress = progress_for(quiet=False)
    for note in (predictor.note, *(f"read       {note}" for note in asked.notes)):
        if note:
            progress.note(note)
    key = {
        "kft": __version__,
        "model": predictor.digest,
        "input": sha256_of(path) if path.is_file() else _folder_digest(path),
        "columns": None if columns is None else list(columns),
        "rows": asked.n,
    }
    with partial_file(output, key, elsewhere=ELSEWHERE) as partial:
        if partial.rows:
            progress.note(f"resumed    {partial.rows:,} of {asked.n:,} rows had been answered")
        why, cut = _answer(predictor, path, asked, (partial, output), progress)
    answered = asked.n - len(asked.problems)
    if why:
        progress.note(say_withheld(why, answered))
    if said := say_cut(cut):
        progress.note(said)
    if asked.problems:
        rows = f"{len(asked.problems):,} of {asked.n:,} rows"
        which = f"row {in_words(asked.problems)} ({first_problems(asked.problems)})"
        progress.note(f"{rows} cannot be used and have no answer: {which}")
    return PredictFileResult(output, asked.n, answered)


def _folder_digest(folder: Path) -> str:
    """Returns what tells a folder from what it was: names, sizes and times of its files."""
    files = ((each, each.stat()) for each in sorted(folder.rglob("*")) if each.is_file())
    lines = [f"{each.relative_to(folder).as_posix()} {facts.st_size} {facts.st_mtime_ns}" for each, facts in files]
    return sha256("\n".join([str(folder.resolve()), *lines]).encode("utf-8", "surrogateescape")).hexdigest()


def look_at(predictor: Predictor, path: Path, columns: Sequence[str] | None) -> PredictionInput:
    """Reads all of a file once, before anything is answered: a large table in pieces, others whole.

    Raises:
        DataError: It cannot be read.
        UsageError: It has no such column.
    """
    reading = predictor.reading
    if is_cut(path, reading.task, reading.spec):
        try:
            return _in_pieces(predictor, path, columns)
        except (NotInPieces, DataError):
            pass  # whatever is to be said of it, reading it whole says where
    given = reading.of_table(path, unusable="keep")
    table = keep_columns(given.table, columns, str(path))
    names = tuple(map(str, table.columns))
    problems = named_problems(given.inputs, reading.task)
    return PredictionInput(len(given.inputs), names, problems, given.notes, RawInputs(given.inputs, table))


def _in_pieces(predictor: Predictor, path: Path, columns: Sequence[str] | None) -> PredictionInput:
    sizes: list[int] = []
    problems, notes, names = dict[int, str](), dict[str, None](), dict[str, None]()
    alone = None
    for given in _pieces(predictor, path):
        before, own = sum(sizes), [str(name) for name in given.table.columns]
        # In JSON lines a key may come late; a piece of one column could be read by another than all are.
        if given.form or (names and own != list(names) and path.suffix.lower() != ".jsonl"):
            raise NotInPieces
        alone = own[0] if len(own) == 1 else alone
        names |= dict.fromkeys(own)
        problems |= {row + before: said for row, said in named_problems(given.inputs, predictor.reading.task).items()}
        notes |= dict.fromkeys(given.notes)
        sizes.append(len(given.inputs))
    if not sizes or (alone is not None and len(names) > 1):
        raise NotInPieces
    kept = keep_columns(_no_rows(names), columns, str(path))
    return PredictionInput(sum(sizes), tuple(map(str, kept.columns)), problems, tuple(notes), sizes=tuple(sizes))


def _pieces(predictor: Predictor, path: Path) -> Iterator[RawInputs]:
    reading = predictor.reading
    for piece, spec in pieces_of(path, reading.spec):
        yield reading.of_table(piece, unusable="keep", spec=spec)


def _no_rows(names: Sequence[str] | Mapping[str, None]) -> pd.DataFrame:
    import pandas as pd

    return pd.DataFrame([], columns=pd.Index(list(names), dtype=object), dtype=object)


def _answer(
    predictor: Predictor, path: Path, asked: PredictionInput, to: tuple[Partial, Path], progress: Progress
) -> tuple[Counter[str], int]:
    """Answers what is not answered yet, and writes it.

    Returns:
        Why answers were withheld, and how often; how many texts are longer than what was read of them.
    """
    partial, output = to
    why: Counter[str] = Counter(partial.facts.get("why", {}))
    cut = int(partial.facts.get("cut", 0))
    rows = AnswerRows(partial.file, output, asked.columns, partial.facts.get("fields", ()))
    with progress.task("answers", asked.n) as tick:
        tick(partial.rows)
        for start, inputs, table in _chunks(predictor, path, asked, partial.rows):
            usable = [given for row, given in enumerate(inputs, start + 1) if row not in asked.problems]
            found = predictor.answers(usable)
            why.update(why_withheld(found))
            cut += predictor.cut(usable)
            answers = iter(found)
            rows.add(
                table_rows(table),
                (None if start + place in asked.problems else next(answers) for place in range(1, len(inputs) + 1)),
            )
            if rows.fields and start + len(inputs) < asked.n:
                partial.keep(start + len(inputs), {"fields": list(rows.fields), "why": dict(why), "cut": cut})
            tick(len(inputs))
        rows.end()
    return why, cut


def _chunks(
    predictor: Predictor, path: Path, asked: PredictionInput, done: int
) -> Iterator[tuple[int, Sequence[Any], pd.DataFrame]]:
    """Yields each chunk after ``done`` rows: the rows before it, its inputs, and its columns as they are kept.

    Raises:
        DataError: The file is not what it was when it was looked at.
    """
    start = 0
    for given in [asked.whole] if asked.whole is not None else _again(predictor, path, asked):
        for first in range(0, len(given.inputs), CHUNK_ROWS):
            chunk = slice(first, first + CHUNK_ROWS)
            if start + first >= done:
                yield start + first, given.inputs[chunk], given.table.iloc[chunk]
        start += len(given.inputs)


def _again(predictor: Predictor, path: Path, asked: PredictionInput) -> Iterator[RawInputs]:
    """Yields the pieces of a file a second time, with the columns that are kept."""
    try:
        for given, size in zip(_pieces(predictor, path), asked.sizes, strict=True):
            if len(given.inputs) != size:
                raise NotInPieces
            yield replace(given, table=given.table.reindex(columns=list(asked.columns), fill_value=""))
    except (NotInPieces, ValueError):
        raise DataError(
            "the file was changed while it was answered",
            where=str(path),
            expected="the same rows from beginning to end",
            next_step="answer it again once nobody writes it",
        ) from None
