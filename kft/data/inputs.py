"""Data for a model that exists already: inputs to answer, and other labelled files to score."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from kft.data.below import files_below
from kft.data.class_folders import IMAGES
from kft.data.clean import clean_input
from kft.data.columns import guess_columns
from kft.data.dialects import DELIMITED, Dialect, dialect_of, first_cells
from kft.data.documents import ALONE, DOCUMENT, DOCUMENTS, open_documents, read_document
from kft.data.examples import Columns, Examples, Input
from kft.data.image_paths import find_files
from kft.data.images import SUFFIXES, check_images
from kft.data.parts import SourceTable, name_parts, parts_to_examples, read_parts, title
from kft.data.passages import as_passages, passages_of
from kft.data.reading import SUFFIXES as TABLES
from kft.data.reading import load_text
from kft.data.sentences import HEAD, holds_words
from kft.data.tables import image_folder, read_source, refuse_rejected, unusable
from kft.errors import DataError
from kft.recipe.schema import DataSpec
from kft.tasks.cells import Unreadable, as_text, kind_problem, text_problem
from kft.tasks.inputs import IMAGE_NAMES, TEXT, TEXT_NAMES
from kft.tasks.responses import Grounded
from kft.tasks.spans import joined
from kft.tasks.spelling import respelled
from kft.tasks.task import Task


@dataclass(frozen=True)
class RawInputs:
    """What is to be answered.

    Attributes:
        inputs: As the model reads them, in order.
        table: The columns they came with, one row an input: those of the table, or what a folder's images or a file's
            lines are called.
        notes: What was guessed in reading them, one sentence each.
        form: Empty where the rows are those of a table; else what it is; see ``kft.data.forms.FileContent``.
    """

    inputs: list[Input]
    table: pd.DataFrame
    notes: tuple[str, ...] = ()
    form: str = ""


def read_inputs(
    source: Path | pd.DataFrame,
    task: Task,
    spec: DataSpec,
    *,
    column: str,
    pair: str | None = None,
    unusable: Literal["error", "keep"] = "error",
) -> RawInputs:
    """Returns the inputs of a table or folder, in order.

    Args:
        source: A csv, tsv, jsonl, parquet or xlsx file, a .txt file with one text a line, a DataFrame; for images also
            a folder, or one image; for single texts also a folder of documents, or a .pdf, .html or .md file.
        task: What the model reads.
        spec: The data part of the model's recipe: texts are cleaned as those that it learned from.
        column: The column of texts or image paths the model was trained with; where there is one column, a usual
            name will do.
        pair: The column of second texts, where there is one.
        unusable: keep: inputs that cannot be used stay in their places, for ``find_unusable``.

    Raises:
        DataError: The file cannot be read, has no such column, or an input cannot be used.
    """
    where = str(source) if isinstance(source, Path) else "the DataFrame"
    raw, table, notes, form = _raw_inputs(source, task, spec, where, column, pair)
    if task.reads.files and not _is_image_source(source):
        found = find_files(raw, image_folder(source, Path.cwd()))
        raw, notes = found.paths, (*notes, *found.notes)
    return RawInputs(require_inputs(raw, task, where, spec, unusable), table, notes, form)


def _is_image_source(source: Path | pd.DataFrame) -> bool:
    """Whether a source is an image or a folder of them, and no table that names some."""
    return isinstance(source, Path) and (source.is_dir() or source.suffix.lower() in SUFFIXES)


def _raw_inputs(
    source: Path | pd.DataFrame, task: Task, spec: DataSpec, where: str, column: str, pair: str | None
) -> tuple[Sequence[Any], pd.DataFrame, tuple[str, ...], str]:
    if isinstance(source, Path) and task.reads.files and _is_image_source(source):
        paths, notes = files_below(source, IMAGES) if source.is_dir() else ([source], ())
        folder = image_folder(source, Path.cwd())
        return paths, _one_column(task, [os.path.relpath(path, folder) for path in paths]), notes, ""
    if isinstance(source, Path) and task.reads.files and source.suffix.lower() not in TABLES:
        raise DataError(
            f"files of the kind {source.suffix.lower() or 'without an ending'!r} are not read",
            where=str(source),
            expected="an image that ends in " + ", ".join(SUFFIXES) + "; a folder of such; or a table of their paths",
            next_step="convert it to JPEG or PNG",
        )
    if isinstance(source, Path) and task.reads is TEXT and (source.is_dir() or source.suffix.lower() in ALONE):
        return *_documents(source, where), ""
    if isinstance(source, Path) and source.suffix.lower() == ".txt" and not (task.reads.files or task.reads.pairs):
        loaded = load_text(source, spec.encoding)
        if not (task.kind.learning.per_token and holds_words(loaded.text[:HEAD], source)):
            lines = split_lines(loaded.text)
            if not (spec.columns and lines and len(lines[0].split("\t")) == len(spec.columns) > 1):
                return lines, _one_column(task, lines), (loaded.note,) if loaded.note else (), ""
    dialect, headed = _as_trained(source, spec, column)
    form = read_source(source, task, dialect=dialect, unlabelled=True)
    if spec.document not in form.frame.columns and column in form.frame.columns:
        spec = spec.model_copy(update={"document": None})  # the texts themselves, of documents that somebody has read
    frame, notes = open_documents(form.frame, spec, source, Path.cwd()), (*form.notes, *headed)
    only = str(frame.columns[0]) if len(frame.columns) == 1 and pair is None else None
    named = (
        only
        if only is not None and only.strip().lower() in (IMAGE_NAMES if task.reads.files else TEXT_NAMES)
        else column
    )
    for wanted in (named, pair):
        if wanted is not None and wanted not in frame.columns:
            raise DataError(
                f"no {task.reads.medium} column {wanted!r}",
                where=where,
                received="columns " + ", ".join(map(str, frame.columns)),
                expected=f"the column the model was trained with, {wanted!r}",
                next_step=f"name the column that holds them {wanted!r} in the first line",
            )
    if pair is not None:
        return list(zip(map(_text, frame[named]), map(_text, frame[pair]), strict=True)), frame, notes, form.name
    if task.reads.files:
        return as_texts(frame[named]), frame, notes, form.name
    texts = [value if isinstance(value, Unreadable) else _text(_joined(value)) for value in frame[named]]
    if spec.document is not None:
        frame = frame.drop(columns=[named])  # answers stand beside the paths
    return texts, frame, notes, form.name


def _joined(value: Any) -> Any:
    return joined(value) if isinstance(value, (list, tuple)) else value


def _text(value: Any) -> Any:
    """Returns a cell as text, or why it is none: the bytes b"fine" are not the text "b'fine'"."""
    problem = kind_problem(value, "text")
    return Unreadable(problem) if problem else as_text(value)


def _documents(source: Path, where: str) -> tuple[Sequence[Any], pd.DataFrame, tuple[str, ...]]:
    """Returns the text of one document, or of all below a folder, and their paths."""
    paths, notes = files_below(source, DOCUMENTS) if source.is_dir() else ([source], ())
    if not paths:
        raise DataError(
            "there is no document to answer",
            where=where,
            received="a folder without one",
            expected="files that end in " + ", ".join(DOCUMENTS.suffixes),
            next_step="name a table, or a folder of documents",
        )
    folder = source if source.is_dir() else source.parent
    table = pd.DataFrame({DOCUMENT: [path.relative_to(folder).as_posix() for path in paths]}, dtype=object)
    return [read_document(path) for path in paths], table, notes


def _as_trained(source: Path | pd.DataFrame, spec: DataSpec, column: str) -> tuple[Dialect, tuple[str, ...]]:
    """How a file to be answered is written: as the recipe says, but for a header where training had none."""
    dialect = dialect_of(spec, firm=False)
    if dialect.columns is None or not isinstance(source, Path) or source.suffix.lower() not in DELIMITED:
        return dialect, ()
    text = load_text(source, spec.encoding).text
    cells = first_cells(text, source, dialect)
    if column in cells:
        return replace(dialect, columns=None), (f"{source.name}: its first line holds the names of the columns",)
    return dialect, ()


def _one_column(task: Task, cells: Sequence[str]) -> pd.DataFrame:
    return pd.DataFrame({task.reads.columns[0]: list(cells)}, dtype=object)


def as_inputs(values: Any, task: Task, spec: DataSpec) -> list[Input]:
    """Returns what a person handed over in Python as inputs: one, or several in a list or a Series.

    Args:
        values: Texts, pairs of texts, or paths of images.
        task: What the model reads.
        spec: The data part of the model's recipe: texts are cleaned as those that it learned from.

    Raises:
        DataError: There is none, or one cannot be used.
        UsageError: A pair is wanted and one text given, or the reverse.
    """
    one = isinstance(values, (str, Path)) or (task.reads.pairs and isinstance(values, tuple))
    several = [values] if one else list(values)
    return require_inputs([task.reads.convert(value) for value in several], task, "the input", spec)


def as_texts(values: Iterable[object]) -> list[str]:
    """Returns values as texts; what is missing is empty.

    Example:
        >>> as_texts(["one", None, 2])
        ['one', '', '2']
    """
    return [as_text(value) for value in values]


def split_lines(text: str) -> list[str]:
    r"""Returns the lines of a text; only line breaks part them, not the other characters Python knows as such.

    Example:
        >>> split_lines("one\r\ntwo\x0cstill two\n")
        ['one', 'two\x0cstill two']
    """
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    return lines[:-1] if lines[-1] == "" else lines


def require_inputs(
    inputs: Sequence[Any], task: Task, where: str, spec: DataSpec, unusable: Literal["error", "keep"] = "error"
) -> list[Input]:
    """Returns inputs as the model reads them, or refuses them: an answer to nothing would look like any other.

    Raises:
        DataError: There is none at all, or one of them is empty or no image; names the first rows.
    """
    inputs = [clean_input(given, spec) for given in inputs]
    noun = f"{task.reads.medium}s"
    if not inputs:
        raise DataError("there is nothing to answer", where=where, expected=f"at least one {noun[:-1]}")
    if unusable == "error":
        refuse_unusable(named_problems(inputs, task), len(inputs), task, where)
    return inputs


def refuse_unusable(problems: Mapping[int, str], count: int, task: Task, where: str) -> None:
    """Refuses inputs of which some cannot be answered.

    Args:
        problems: From ``named_problems``.
        count: How many inputs there are.
        task: What the model reads.
        where: Where they come from.

    Raises:
        DataError: There are some; names the first rows.
    """
    if not problems:
        return
    noun = f"{task.reads.medium}s"
    state = "is empty" if len(problems) == 1 else "are empty"
    empty = all(problem.endswith("empty text") for problem in problems.values())
    raise DataError(
        f"{len(problems)} of {count} {noun} {state if empty else 'cannot be used'}",
        where=f"{where}, row {in_words(problems)}",
        received=None if empty else first_problems(problems),
        expected=f"{task.reads.one} in every row",
        next_step="leave these rows out; kft predict --skip-unusable answers the others of a file",
    )


def find_unusable(inputs: Sequence[Any], task: Task) -> dict[int, str]:
    """Returns what is wrong with the inputs that cannot be answered, by their rows, counted from 1.

    Example:
        >>> from kft.tasks.registry import TASKS
        >>> find_unusable(["fine", ""], TASKS.get("text-classification"))
        {2: 'empty text'}
    """
    found = check_images([Path(given) for given in inputs]) if task.reads.files else map(_problem, inputs)
    return {row: problem for row, problem in enumerate(found, start=1) if problem}


def named_problems(inputs: Sequence[Any], task: Task) -> dict[int, str]:
    """Returns what ``find_unusable`` does; files by their names, for nobody counts the rows of a folder."""
    problems = find_unusable(inputs, task)
    return {row: f"{inputs[row - 1]}: {said}" for row, said in problems.items()} if task.reads.files else problems


def first_problems(problems: Mapping[int, str], most: int = 3) -> str:
    """Returns the first different ones of what is wrong with rows.

    Example:
        >>> first_problems({2: "empty text", 5: "empty text"})
        'empty text'
    """
    different = list(dict.fromkeys(problems.values()))
    return "; ".join(different[:most]) + (f" and {len(different) - most:,} more" if len(different) > most else "")


def in_words(rows: Iterable[int], most: int = 20) -> str:
    """Returns the first rows of several.

    Example:
        >>> in_words([3, 5, 8], most=2)
        '3, 5 ...'
    """
    listed = [str(row) for row in rows]
    return ", ".join(listed[:most]) + (" ..." if len(listed) > most else "")


def with_passages(given: RawInputs, column: str, where: str) -> RawInputs:
    """Returns the same with each prompt's passages, which a column holds; see ``kft.data.passages``.

    Args:
        given: From a table.
        column: Of passages.
        where: The table, for the message.

    Raises:
        DataError: There is no such column.
    """
    if column not in given.table.columns:
        raise DataError(
            f"no column {column!r}, whose passages this run answers from",
            where=where,
            received="columns " + ", ".join(map(str, given.table.columns)),
            expected="a prompt and its passages in every row",
            next_step=f"name the column of passages {column!r}; kft generate RUN PROMPT --context TEXT asks of one",
        )
    cells = [passages_of(as_passages(cell)) for cell in given.table[column]]
    prompts: list[Any] = [Grounded(str(text), own) for text, own in zip(given.inputs, cells, strict=True)]
    return replace(given, inputs=prompts)


def _problem(given: Any) -> str:
    given = given.prompt if isinstance(given, Grounded) else given
    parts = given if isinstance(given, tuple) else (given,)
    return next((problem for problem in map(text_problem, parts) if problem), "")


def load_labelled(
    parts: Sequence[SourceTable],
    spec: DataSpec,
    task: Task,
    *,
    columns: Columns,
    labels: Sequence[str],
) -> tuple[Examples, str, tuple[str, ...]]:
    """Reads another labelled source with the columns a run was trained with.

    Args:
        parts: Its tables, from ``kft.data.parts.open_source``.
        spec: The recipe's data part, for bins, groups and the rule for unusable rows.
        task: What the model reads and answers.
        columns: Those the run was trained with.
        labels: The labels the model knows.

    Returns:
        The examples, what the table is called, and what a person should know of the reading.

    Raises:
        DataError: The table cannot be used, or holds labels the model does not know.
    """
    if spec.label_columns and columns.holds:
        spec = spec.model_copy(update={"label_columns_hold": columns.holds})
    rows = read_parts(parts, name_parts(parts), spec, task=task, base=Path.cwd(), firm=False)
    name, frame = title(rows), rows[0].frame
    columns = guess_columns(frame, columns, where=name, task=task)
    notes = []
    for key, column in (("id", spec.id), ("group", spec.group.column if spec.group else None)):
        if column is not None and column not in frame.columns:
            spec = spec.model_copy(update={key: None})
            lost = "intervals are not by group" if key == "group" else "rows are named by file and number"
            notes.append(f"note       {name} has no column {column!r}: {lost}")
    for key in ("slices", "sensitive"):
        lacking = [column for column in getattr(spec, key) if column not in frame.columns]
        if lacking:
            spec = spec.model_copy(update={key: tuple(set(getattr(spec, key)) - set(lacking))})
            notes.append(f"note       {name} has no column {', '.join(map(repr, lacking))}: no figures by it")
    examples, rejected = parts_to_examples(rows, spec, task=task, columns=columns)
    refuse_rejected(rejected, spec, "mend these rows, or take them out of this file")
    if not len(examples):
        step = "mend these rows, or name another file"
        if rejected:
            raise unusable("no row can be scored", rejected, step)
        raise DataError("no row can be scored", where=name, expected="rows with an input and a label", next_step=step)
    notes += [f"read       {note}" for note in examples.notes]
    if rejected:
        notes.append(f"left out   {len(rejected):,} rows that cannot be used, the first in row {rejected[0].row}")
    assert examples.labels is not None
    named = {known for given in examples.labels for known in task.kind.labels.names(given)}
    unknown = sorted((named | set(() if examples.shares is None else examples.shares.voted_for)) - set(labels))
    if unknown:
        raise DataError(
            "labels the model does not know",
            where=f"{name}, column {columns.label!r}",
            received=", ".join(map(repr, unknown[:5])) + respelled(unknown, labels),
            expected="one of " + ", ".join(labels[:10]) + (" ..." if len(labels) > 10 else ""),
            next_step="mend the labels, or train with examples of them",
        )
    return examples, name, tuple(notes)
