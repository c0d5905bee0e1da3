"""Sources to tables: several files, globs, tensorflow-datasets and object stores come down to files and rows."""

from __future__ import annotations

import glob
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from kft.data.class_folders import shared_folders
from kft.data.dialects import DELIMITED, WORDS, dialect_of, shown
from kft.data.dialogues import open_dialogues
from kft.data.documents import DOCUMENT, open_documents
from kft.data.examples import Columns, Examples, RejectedRow
from kft.data.remote import fetch_remote
from kft.data.soft_columns import Joiner, find_joiner
from kft.data.tables import IMAGE, Rows, image_folder, read_source, refuse_repeated, to_examples
from kft.errors import DataError
from kft.recipe.schema import DataSpec
from kft.recipe.sources import TFDS, URL, is_glob
from kft.registry import Registry
from kft.tasks.task import LabelColumn, Task

Locate = Callable[[str, Path], Path]


@dataclass(frozen=True)
class SourceTable:
    """One table of a source.

    Attributes:
        place: Where it lies; its last parts name it in ids.
        table: A file, a folder of images, or rows.
        images: Where the paths of images start in rows that tensorflow-datasets has; None for all others.
    """

    place: Path
    table: Path | pd.DataFrame
    images: Path | None = None


@dataclass(frozen=True)
class SourceKind:
    """A kind of source.

    Attributes:
        fits: (source, the recipe's folder) to whether it is of this kind.
        open: Likewise to its tables.
    """

    fits: Callable[[str, Path], bool]
    open: Callable[[str, Path], list[SourceTable]]


def open_source(source: str | Sequence[str], base: Path, locate: Locate) -> tuple[SourceTable, ...]:
    """Finds the tables of a source: one, or several for a list, a glob, or splits of tensorflow-datasets in a sum.

    Args:
        source: As a recipe writes it.
        base: Where relative paths start.
        locate: Turns a path or ``package:NAME`` into a local file; ``kft.assets.locate``.

    Raises:
        DataError: There is no such file, or a glob matches none.
        AssetError: An object store does not answer.

    Example:
        >>> open_source(["a.csv", "b.csv"], Path("/data"), lambda source, base: base / source)[1].place
        PosixPath('/data/b.csv')
    """
    several = (source,) if isinstance(source, str) else source
    if any("\0" in one for one in several):
        raise DataError(
            "the name of a file holds a NUL",
            where="data.train, data.valid or data.test",
            received=", ".join(map(repr, several)),
            expected="names of files",
            next_step="mend the name",
        )
    parts = tuple(part for one in several for part in _open_one(one, base, locate))
    files = [part.table.resolve() for part in parts if isinstance(part.table, Path)]
    repeated = next((path for path in files if files.count(path) > 1), None)
    if repeated is not None:
        raise DataError(
            "one file is in a list twice",
            where=str(repeated),
            received=", ".join(several),
            expected="each file once",
            next_step="take it out, or write a glob that does not match it",
        )
    return parts


def _open_one(source: str, base: Path, locate: Locate) -> list[SourceTable]:
    kind = next((kind for kind in SOURCES if kind.fits(source, base)), None)
    if kind is not None:
        return kind.open(source, base)
    path = locate(source, base)
    return [SourceTable(path, path)]


def _open_tfds(source: str, base: Path) -> list[SourceTable]:
    from kft.data.tfds import images_folder, read_tfds

    return [SourceTable(place, frame, images_folder()) for place, frame in read_tfds(source, base)]


def _open_url(source: str, base: Path) -> list[SourceTable]:
    path = fetch_remote(source)
    return [SourceTable(path, path)]


def _open_glob(pattern: str, base: Path) -> list[SourceTable]:
    asked = pattern
    base, pattern = _without_folders(pattern, base)
    found = sorted(glob.glob(pattern, root_dir=base, recursive=True))
    if found:
        return [SourceTable(base / name, base / name) for name in found]
    folder = base / pattern
    while not os.path.isdir(folder):
        folder = folder.parent
    beside = sorted(entry.name for entry in folder.iterdir() if not entry.name.startswith("."))
    raise DataError(
        f"no file matches {asked!r}",
        where=str(folder),
        received=", ".join(beside[:10]) + (f" and {len(beside) - 10:,} more" if len(beside) > 10 else "")
        if beside
        else "an empty folder",
        expected="at least one file; * stands for any part of a name, ** for any folders",
        next_step="mend data.train, data.valid or data.test in the recipe",
    )


def is_pattern(source: str, base: Path) -> bool:
    """Whether a source stands for all files that match it, and is not itself the name of one.

    Example:
        >>> is_pattern("parts/*.csv", Path("/data"))
        True
    """
    return is_glob(source) and not os.path.exists(base / Path(source).expanduser())


def _without_folders(pattern: str, base: Path) -> tuple[Path, str]:
    """Takes folders that are there off the front of a pattern: their brackets are no pattern."""
    path = base / Path(pattern).expanduser()
    rest = list(path.parts[1:])
    folder = Path(path.anchor)
    while len(rest) > 1 and ".." not in rest[:1] and os.path.isdir(folder / rest[0]):
        folder /= rest.pop(0)
    return folder, str(Path(*rest))


SOURCES: Registry[SourceKind] = Registry("kind of source")
"""What a recipe can name beside a path or a package, in the order in which they are tried."""
SOURCES.register("tfds", SourceKind(lambda source, base: source.startswith(TFDS), _open_tfds))
SOURCES.register("url", SourceKind(lambda source, base: bool(URL.match(source)), _open_url))
SOURCES.register(
    "glob",
    SourceKind(lambda source, base: is_pattern(source, base), _open_glob),
)


def name_parts(parts: Sequence[SourceTable]) -> dict[Path, str]:
    """Names each place for ids: as few of its last parts as tell all of them apart.

    Example:
        >>> paths = [Path("/data/a/rows.csv"), Path("/data/b/rows.csv")]
        >>> list(name_parts([SourceTable(path, path) for path in paths]).values())
        ['a/rows.csv', 'b/rows.csv']
    """
    places = dict.fromkeys(part.place for part in parts)
    for length in range(1, max((len(place.parts) for place in places), default=0) + 1):
        short = {place: "/".join(place.parts[-length:]) for place in places}
        if len(set(short.values())) == len(short):
            return short
    return {place: str(place) for place in places}


def read_parts(
    parts: Sequence[SourceTable], names: dict[Path, str], spec: DataSpec, *, task: Task, base: Path, firm: bool = True
) -> tuple[Rows, ...]:
    """Reads the tables of a source, which must all have the same columns, and makes their column of labels.

    Args:
        parts: From ``open_source``.
        names: From ``name_parts``.
        spec: The recipe's data part, for columns and encoding.
        task: What is read.
        base: Where a DataFrame's relative paths of images start.
        firm: Whether a file with another separator than the recipe's is refused; else it is read, and that is said.

    Raises:
        DataError: One cannot be read, or has other columns than the first.
    """
    read = read_tables(parts, names, spec, task=task, base=base, firm=firm)
    return with_labels({"": read}, spec, task)[""]


def read_tables(
    parts: Sequence[SourceTable], names: dict[Path, str], spec: DataSpec, *, task: Task, base: Path, firm: bool = True
) -> tuple[Rows, ...]:
    """Reads the tables of a source as they are; see ``read_parts``."""
    read = tuple(_read(part, names[part.place], spec, task, base, firm) for part in parts)
    first = read[0]
    _require_one_separator(read)
    for other in read[1:]:
        if set(other.frame.columns) != set(first.frame.columns):
            lacking = [name for name in first.frame.columns if name not in other.frame.columns]
            added = [name for name in other.frame.columns if name not in first.frame.columns]
            raise DataError(
                "the files of one split have different columns",
                where=f"{first.name} and {other.name}",
                received=f"{other.name}"
                + (f" lacks {', '.join(map(repr, lacking))}" if lacking else "")
                + (" and" if lacking and added else "")
                + (f" has {', '.join(map(repr, added))} besides" if added else ""),
                expected="the same columns in each: " + ", ".join(map(str, first.frame.columns)),
                next_step="rename the columns, or take the file out of the list",
            )
    return read


def require_separated(parts: Sequence[SourceTable], spec: DataSpec) -> None:
    """Refuses ``data.separator`` where it would say nothing: no file of these is text with separators.

    Raises:
        DataError: It is named, and there is no such file.
    """
    places = [part.place for part in parts]
    tables = [part.table for part in parts]
    if spec.separator is None or any(
        isinstance(table, Path) and table.suffix.lower() in DELIMITED and not table.is_dir() for table in tables
    ):
        return
    raise DataError(
        "a separator is named, and no file has one",
        where="data.separator",
        received=f"{spec.separator!r}, for {', '.join(place.name for place in places[:3])}",
        expected="a csv, tsv or txt file among the data",
        next_step="leave data.separator (kft init --separator) out",
    )


def _require_one_separator(read: Sequence[Rows]) -> None:
    """Refuses files of one ending that are separated by different separators: one of them is hardly read as meant."""
    seen: dict[str, Rows] = {}
    for part in read:
        if part.table is None or not part.table.separator:
            continue
        first = seen.setdefault(Path(part.name).suffix.lower(), part)
        assert first.table is not None
        one, other = first.table.separator, part.table.separator
        if one != other:
            raise DataError(
                "the files of one source have different separators",
                where=f"{first.name} and {part.name}",
                received=f"{shown(one)} in {first.name}, {shown(other)} in {part.name}",
                expected="one separator for all",
                next_step=f"save them alike; --set data.separator={WORDS[one]} names one where it is not found",
            )


def _read(part: SourceTable, name: str, spec: DataSpec, task: Task, base: Path, firm: bool) -> Rows:
    if part.images is not None:
        assert isinstance(part.table, pd.DataFrame)
        return Rows(name, part.table, part.images, numbered=True)
    form = read_source(part.table, task, dialect=dialect_of(spec, firm=firm))
    folder = isinstance(part.table, Path) and part.table.is_dir()
    note = shared_folders(list(form.frame[IMAGE if task.reads.files else DOCUMENT])) if folder else ""
    notes = (*form.notes, *((note,) if note else ()))
    frame = open_dialogues(open_documents(form.frame, spec, part.table, base), spec, name)
    return Rows(name, frame, image_folder(part.table, base), notes=notes, form=form.name, table=form.table)


def with_labels(read: Mapping[str, tuple[Rows, ...]], spec: DataSpec, task: Task) -> dict[str, tuple[Rows, ...]]:
    """Adds the column of labels where ``data.label`` names several that make one, as all sources together say.

    Raises:
        DataError: A column is missing, or can be read in several ways.
    """
    if not spec.label_columns:
        return dict(read)
    frames = [(rows.name, rows.frame) for parts in read.values() for rows in parts]
    joiner = find_joiner(frames, spec, task.kind.labels)
    return {key: tuple(_joined(rows, joiner) for rows in parts) for key, parts in read.items()}


def _joined(rows: Rows, joiner: Joiner) -> Rows:
    frame, notes = joiner.join(rows.frame, rows.name)
    return replace(rows, frame=frame, notes=(*rows.notes, *notes), holds=joiner.holding.what)


def whole(rows: Sequence[Rows]) -> pd.DataFrame:
    """Returns the rows of all parts as one table; cells are shared, not copied."""
    if len(rows) == 1:
        return rows[0].frame
    return pd.concat([part.frame.astype(object) for part in rows], ignore_index=True)


def title(rows: Sequence[Rows]) -> str:
    """Returns what a person calls a source.

    Example:
        >>> frame = pd.DataFrame({"text": []})
        >>> title([Rows("a.csv", frame, Path()), Rows("b.csv", frame, Path())])
        'a.csv and 1 more'
    """
    return rows[0].name + (f" and {len(rows) - 1} more" if len(rows) > 1 else "")


def label_column(rows: Sequence[Rows], columns: Columns) -> LabelColumn:
    """Returns the labels of all parts, with what they are the labels of."""
    cells, texts = ([cell for part in rows for cell in part.frame[name]] for name in (columns.label, columns.text))
    return LabelColumn(cells, texts, f"{title(rows)}, column {columns.label!r}")


def parts_to_examples(
    rows: Sequence[Rows], spec: DataSpec, *, task: Task, columns: Columns, opened: int | None = None
) -> tuple[Examples, tuple[RejectedRow, ...]]:
    """Turns the rows of all parts of a split into examples; see ``to_examples``.

    Raises:
        DataError: Besides what ``to_examples`` refuses: one id is in two parts.
    """
    column = label_column(rows, columns)
    settled = task.kind.labels.settle(column, spec)
    made = [to_examples(part, settled, task=task, columns=columns, opened=opened) for part in rows]
    examples = Examples.concatenate([found for found, _ in made]) if len(made) > 1 else made[0][0]
    if len(made) > 1:
        refuse_repeated(list(examples.ids), title(rows), spec)
    examples = replace(examples, notes=(*examples.notes, *task.kind.labels.notes(column, spec)))
    return examples, tuple(row for _, rejected in made for row in rejected)
