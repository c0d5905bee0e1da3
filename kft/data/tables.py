"""Tables of labelled text: reading them, finding their columns, turning rows into examples."""

from __future__ import annotations

import bisect
import csv
import io
import json
import math
import re
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from kft.errors import DataError
from kft.recipe.schema import DataSpec, GroupSpec
from kft.registry import nearest

TEXT_NAMES = [
    "text",
    "body",
    "sentence",
    "content",
    "review",
    "question",
    "message",
    "comment",
    "description",
    "utterance",
    "query",
    "ticket",
    "document",
    "note",
    "abstract",
    "tweet",
    "prompt",
    "input",
]
LABEL_NAMES = [
    "label",
    "labels",
    "category",
    "class",
    "target",
    "intent",
    "queue",
    "sentiment",
    "topic",
    "tag",
    "rating",
    "score",
    "stars",
    "department",
    "outcome",
]
SUFFIXES = (".csv", ".tsv", ".txt", ".jsonl")


@dataclass(frozen=True)
class Columns:
    """Which columns are read, and which of them were guessed."""

    text: str
    label: str
    guessed: tuple[str, ...] = ()


@dataclass(frozen=True)
class RejectedRow:
    """A row that cannot be used."""

    id: str
    source: str
    row: int
    reason: str


@dataclass(frozen=True)
class Examples:
    """Labelled texts.

    Attributes:
        ids: ``str[n]``, unique.
        texts: The texts.
        labels: ``str[n]``.
        groups: ``str[n]``, or None where each example stands alone.
    """

    ids: np.ndarray
    texts: list[str]
    labels: np.ndarray
    groups: np.ndarray | None

    def __len__(self) -> int:
        return len(self.texts)

    def take(self, rows: np.ndarray) -> Examples:
        """Returns the examples at these positions."""
        groups = None if self.groups is None else self.groups[rows]
        return Examples(self.ids[rows], [self.texts[row] for row in rows], self.labels[rows], groups)


def read_table(source: Path | pd.DataFrame, *, columns: Sequence[str] | None = None) -> pd.DataFrame:
    """Reads a table; every cell is text, a missing one is empty, and "NA" is a text like any other.

    Args:
        source: A csv (RFC 4180 quoting), tsv, jsonl, or tab-separated txt file in UTF-8, or a DataFrame.
        columns: Column names of a file without a header; such a tab-separated file is read without quoting,
            so that a quotation mark is only a character.

    Raises:
        DataError: The file is missing, empty, not UTF-8, or not a table; says where.
    """
    if isinstance(source, pd.DataFrame):
        frame = source.copy()
        frame.columns = [str(name) for name in frame.columns]
        _require_rows(frame, "the DataFrame")
        return frame
    text = _read_text(source)
    suffix = source.suffix.lower()
    if suffix == ".jsonl":
        frame = _parse_json_lines(text, source)
    elif suffix in SUFFIXES:
        frame = _parse_delimited(text, source, columns)
    else:
        raise DataError(
            f"files of the kind {suffix or 'without an ending'!r} are not read",
            where=str(source),
            expected="a file that ends in " + ", ".join(SUFFIXES),
            next_step="save the table as csv in UTF-8",
        )
    _require_rows(frame, str(source))
    return frame


def _read_text(path: Path) -> str:
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise DataError("the file cannot be read", where=str(path), received=str(error.strerror)) from None
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        return raw.decode("utf-16")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise DataError(
            "the file is not UTF-8",
            where=f"{path}, line {line}, byte {error.start}",
            received=f"byte 0x{raw[error.start]:02x}",
            expected="text in UTF-8",
            next_step=f"iconv -f WINDOWS-1252 -t UTF-8 {path.name} > utf8-{path.name}",
        ) from None


def _parse_delimited(text: str, path: Path, columns: Sequence[str] | None) -> pd.DataFrame:
    first = text.split("\n", 1)[0]
    tabs = path.suffix.lower() in (".tsv", ".txt")
    if tabs and "\t" not in first and text.strip():
        raise DataError(
            "the first line holds no tab",
            where=f"{path}, line 1",
            received=first[:80],
            expected="columns separated by tabs",
            next_step="save the table as csv",
        )
    quoting = csv.QUOTE_NONE if tabs and columns else csv.QUOTE_MINIMAL
    limit = csv.field_size_limit(sys.maxsize)
    try:
        reader = csv.reader(
            io.StringIO(text, newline=""), delimiter="\t" if tabs else ",", quoting=quoting, strict=False
        )
        names = list(columns) if columns else [name.strip() for name in next(reader, [])]
        repeated = [name for name, count in Counter(names).items() if count > 1]
        if repeated:
            raise DataError("two columns have the same name", where=f"{path}, line 1", received=", ".join(repeated))
        rows = []
        for row in reader:
            if not row:
                continue
            if len(row) != len(names):
                raise DataError(
                    "a row has another number of fields than there are columns",
                    where=f"{path}, line {reader.line_num}",
                    received=f"{len(row)} fields: {' | '.join(row)[:80]}",
                    expected=f"{len(names)}: {', '.join(names)}",
                    next_step="put texts that hold a comma or a line break in double quotes",
                )
            rows.append(row)
    except csv.Error as error:
        raise DataError("the file is not a table", where=str(path), received=str(error)) from None
    finally:
        csv.field_size_limit(limit)
    return pd.DataFrame(rows, columns=names, dtype=object)


def _parse_json_lines(text: str, path: Path) -> pd.DataFrame:
    rows = []
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as error:
            raise DataError(
                "a line is not JSON",
                where=f"{path}, line {number}",
                received=line[:80],
                expected=f"one JSON object a line ({error})",
            ) from None
        if not isinstance(row, dict):
            raise DataError(
                "a line is not a JSON object",
                where=f"{path}, line {number}",
                received=line[:80],
                expected='{"text": "...", "label": "..."}',
            )
        rows.append(row)
    return pd.DataFrame(rows, dtype=object)


def _require_rows(frame: pd.DataFrame, where: str) -> None:
    if len(frame) == 0:
        raise DataError(
            "there are no rows",
            where=where,
            received="a header and nothing else" if len(frame.columns) else "an empty file",
            expected="a header line and one labelled text a row",
            next_step="check that this is the right file",
        )


def guess_columns(frame: pd.DataFrame, *, text: str | None = None, label: str | None = None, where: str) -> Columns:
    """Finds the text and the label column.

    Named columns must be there. Otherwise usual names are looked for; then the column with the longest
    values is the text, and the one with the fewest different values the label.

    Raises:
        DataError: A named column is missing, or nothing can be guessed.
    """
    names = [str(name) for name in frame.columns]
    for key, wanted in (("text", text), ("label", label)):
        if wanted is not None and wanted not in names:
            hint = nearest(wanted, names)
            raise DataError(
                f"no column {wanted!r}" + (f"; did you mean {hint!r}?" if hint else ""),
                where=where,
                received="columns " + ", ".join(names),
                expected=f"the {key} column",
                next_step=f"--set data.{key}={hint or 'COLUMN'}, or mend data.{key} in the recipe",
            )
    if len(names) < 2:
        raise DataError(
            "one column is not enough",
            where=where,
            received="columns " + ", ".join(names),
            expected="a column of texts and a column of labels",
            next_step="check the separator: csv wants commas, tsv tabs",
        )
    guessed = tuple(key for key, wanted in (("text", text), ("label", label)) if wanted is None)
    text = text or _usual(names, TEXT_NAMES, besides=label) or _longest(frame, besides=label)
    label = label or _usual(names, LABEL_NAMES, besides=text) or _fewest_values(frame, besides=text)
    return Columns(text, label, guessed)


def _usual(names: list[str], usual: Sequence[str], *, besides: str | None) -> str | None:
    by_lower = {name.lower(): name for name in reversed(names) if name != besides}
    return next((by_lower[name] for name in usual if name in by_lower), None)


def _longest(frame: pd.DataFrame, *, besides: str | None) -> str:
    candidates = [name for name in frame.columns if name != besides]
    return max(candidates, key=lambda name: frame[name].astype(str).str.len().mean())


def _fewest_values(frame: pd.DataFrame, *, besides: str) -> str:
    candidates = [name for name in frame.columns if name != besides and frame[name].astype(str).nunique() > 1]
    if not candidates:
        raise DataError(
            "no column looks like a label",
            where="columns " + ", ".join(map(str, frame.columns)),
            expected="a column with at least two different values",
            next_step="--set data.label=COLUMN",
        )
    return min(candidates, key=lambda name: frame[name].astype(str).nunique())


def to_examples(
    frame: pd.DataFrame, spec: DataSpec, *, name: str, columns: Columns
) -> tuple[Examples, tuple[RejectedRow, ...]]:
    """Turns rows into examples; rows without a usable text or label are named instead.

    Args:
        frame: From ``read_table``.
        spec: Bins, id column, groups.
        name: What the table is called in ids: ``name:row``, rows counting from 1.
        columns: From ``guess_columns``.

    Raises:
        DataError: The id or group column is missing, ids repeat, or a group's pattern does not match.
    """
    texts = [_as_text(value) for value in frame[columns.text]]
    raw_labels = [_as_text(value).strip() for value in frame[columns.label]]
    ids = _ids(frame, spec, name)
    groups = _groups(frame, spec.group, name)
    kept, labels, rejected = [], [], []
    for row, (text, raw) in enumerate(zip(texts, raw_labels, strict=True)):
        label, reason = _label_of(raw, spec)
        if not text.strip():
            reason = "empty text"
        if reason:
            rejected.append(RejectedRow(ids[row], name, row + 1, reason))
        else:
            kept.append(row)
            labels.append(label)
    examples = Examples(
        ids=np.array(ids, dtype=object)[kept],
        texts=[texts[row] for row in kept],
        labels=np.array(labels, dtype=object),
        groups=None if groups is None else np.array(groups, dtype=object)[kept],
    )
    return examples, tuple(rejected)


def _as_text(value: object) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)) or value is pd.NA:
        return ""
    return value if isinstance(value, str) else str(value)


def _label_of(raw: str, spec: DataSpec) -> tuple[str, str]:
    """Returns the label and an empty reason, or a reason why there is none."""
    if not raw:
        return "", "missing label"
    if spec.bins is None:
        return raw, ""
    try:
        rating = float(raw)
    except ValueError:
        rating = math.nan
    if not math.isfinite(rating):
        return "", f"rating {raw[:20]!r} is no number"
    return spec.bins.labels[bisect.bisect_right(spec.bins.edges, rating)], ""


def _require_column(frame: pd.DataFrame, column: str, key: str, where: str) -> None:
    if column not in frame.columns:
        hint = nearest(column, map(str, frame.columns))
        raise DataError(
            f"no column {column!r}" + (f"; did you mean {hint!r}?" if hint else ""),
            where=where,
            received="columns " + ", ".join(map(str, frame.columns)),
            expected=f"the column that {key} names",
            next_step=f"mend {key} in the recipe",
        )


def _ids(frame: pd.DataFrame, spec: DataSpec, name: str) -> list[str]:
    if spec.id is None:
        return [f"{name}:{row + 1}" for row in range(len(frame))]
    _require_column(frame, spec.id, "data.id", name)
    ids = [_as_text(value).strip() for value in frame[spec.id]]
    bad = [value or "(empty)" for value, count in Counter(ids).items() if count > 1 or not value]
    if bad:
        raise DataError(
            "ids must be unique and not empty",
            where=f"{name}, column {spec.id!r}",
            received=", ".join(bad[:5]),
            expected="one id a row",
            next_step="mend the ids, or leave data.id out to use row numbers",
        )
    return ids


def _groups(frame: pd.DataFrame, group: GroupSpec | None, name: str) -> list[str] | None:
    if group is None:
        return None
    _require_column(frame, group.column, "data.group", name)
    values = [_as_text(value).strip() for value in frame[group.column]]
    if group.pattern is None:
        return values
    found = [re.search(group.pattern, value) for value in values]
    missed = [row for row, match in enumerate(found) if match is None]
    if missed:
        raise DataError(
            f"the group's pattern does not match {len(missed)} of {len(values)} rows",
            where=f"{name}, column {group.column!r}, row {missed[0] + 1}",
            received=repr(values[missed[0]])[:80],
            expected=f"a match of {group.pattern}",
            next_step="mend data.group.pattern in the recipe",
        )
    return [match.group(1) for match in found if match is not None]


def refuse_rejected(rejected: Sequence[RejectedRow], spec: DataSpec) -> None:
    """Stops at rows that cannot be used, unless the recipe says to leave them out.

    Raises:
        DataError: Counts them by reason and names the first.
    """
    if not rejected or spec.unusable_rows == "skip":
        return
    counts = Counter(row.reason for row in rejected)
    raise DataError(
        f"{len(rejected)} row{'s' if len(rejected) > 1 else ''} cannot be used: "
        + ", ".join(f"{reason} ({count})" for reason, count in counts.most_common(5)),
        where=", ".join(f"{row.source} row {row.row}" for row in rejected[:5]) + (" ..." if len(rejected) > 5 else ""),
        expected="a text and a label in every row",
        next_step="mend them, or --set data.unusable_rows=skip leaves them out and lists them in findings.json",
    )
