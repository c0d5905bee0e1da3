"""Rows that were answered already: a table with columns ``label``, ``confidence``, ``abstain`` and ``probabilities``.

It is what ``kft predict -o`` writes, and what a service may log. It is read in batches, by Arrow, so that memory does
not grow with its rows. Only gauges of answers apply to it.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv as arrow_csv
from pyarrow import json as arrow_json
from pyarrow.parquet import ParquetFile

from kft.data.labelling import FIELDS
from kft.data.reading import require_different
from kft.errors import DataError
from kft.monitor.gauges.answers import measure_class
from kft.monitor.seen import Seen
from kft.records.csv_file import original
from kft.registry import nearest

"""Columns of a table of answers."""
BATCH_ROWS = 65_536
BLOCK_BYTES = 2**24
"""Of lines of JSON, read at once."""
CSV_BLOCK_BYTES = 2**22
"""Of a csv file, read at once. Arrow reads many blocks ahead of who takes them, so memory grows with this; and no row
may be longer."""
NEAR_ONE = 0.02
"""How far the sum of a row's probabilities may be from 1: they are rounded in a table."""
EMPTY = pa.array([""])[0]


@dataclass(frozen=True, eq=False)
class Chunk:
    """Some rows.

    Attributes:
        seen: What is seen of them; in rows that cannot be answered it is NaN but for ``unusable``.
        times: The cells of the column of times; None: there is none.
        truth: Those of the column of labels; None: there is none.
    """

    seen: Seen
    times: Any = None
    truth: Any = None


@dataclass(frozen=True)
class ScoredSpec:
    """What is read of a table.

    Attributes:
        labels: Of the artifact, in its order.
        time: A column of times.
        truth: A column of labels.
    """

    labels: tuple[str, ...]
    time: str | None = None
    truth: str | None = None

    @property
    def more(self) -> tuple[str, ...]:
        return tuple(name for name in (self.time, self.truth) if name is not None)


def columns_of(source: Path | pd.DataFrame) -> tuple[str, ...]:
    """Returns the names of a table's columns; none where it is no table that is read in batches."""
    if isinstance(source, pd.DataFrame):
        return tuple(map(str, source.columns))
    try:
        if source.suffix.lower() == ".parquet":
            return tuple(ParquetFile(source).schema_arrow.names)
        if source.suffix.lower() == ".csv":
            with arrow_csv.open_csv(source, arrow_csv.ReadOptions(block_size=CSV_BLOCK_BYTES)) as reader:
                return tuple(reader.schema.names)
        if source.suffix.lower() == ".jsonl":
            first = next((block for block in _blocks(source) if block.strip()), b"")
            line = next((line for line in first.split(b"\n") if line.strip() not in (b"", b"null")), b"{}")
            return tuple(arrow_json.read_json(io.BytesIO(line)).column_names)
    except (pa.ArrowException, OSError, ValueError):
        pass  # whatever else reads it says what is wrong
    return ()


def is_scored(columns: Sequence[str]) -> bool:
    """Whether a table holds answers: each of ``FIELDS``."""
    return set(FIELDS) <= set(columns)


def read_scored(source: Path | pd.DataFrame, spec: ScoredSpec, skip: int = 0) -> Iterator[Chunk]:
    """Yields the rows of a scored table.

    Args:
        source: A csv, jsonl or parquet file, or a DataFrame.
        spec: What is read of it.
        skip: Rows at its beginning that are left out.

    Raises:
        DataError: It cannot be read, holds a label that the artifact does not know, or what is no probability.
    """
    where = "the DataFrame" if isinstance(source, pd.DataFrame) else str(source)
    columns = columns_of(source)
    require_columns(columns, spec.more, where)
    require_different([name for name in columns if name in (*FIELDS, *spec.more)], where)
    before = 0
    with _arrow_errors(where):
        for table in _tables(source, spec):
            left = max(0, skip - before)
            if left < len(table):
                yield _chunk(table.slice(left), spec, where, before + left)
            before += len(table)


def require_columns(columns: Sequence[str], wanted: Sequence[str], where: str) -> None:
    """Refuses a table without a column that is asked for.

    Raises:
        DataError: It has none of that name; says which it has.
    """
    for name in wanted:
        if name not in columns:
            hint = nearest(name, list(columns))
            raise DataError(
                f"there is no column {name!r}" + (f"; did you mean {hint!r}?" if hint else ""),
                where=where,
                received="columns " + ", ".join(columns[:20]),
                expected=f"a column {name!r}",
                next_step="--time and --labels name columns of the table",
            )


def _tables(source: Path | pd.DataFrame, spec: ScoredSpec) -> Iterator[pa.Table]:
    names = list(dict.fromkeys((*FIELDS, *spec.more)))
    if isinstance(source, pd.DataFrame):
        for start in range(0, len(source), BATCH_ROWS):
            yield pa.Table.from_pandas(source[names].iloc[start : start + BATCH_ROWS], preserve_index=False)
    elif source.suffix.lower() == ".parquet":
        with ParquetFile(source, pre_buffer=False) as file:  # else the whole file is read ahead and kept
            for batch in file.iter_batches(BATCH_ROWS, columns=names):
                yield pa.Table.from_batches([batch])
    elif source.suffix.lower() == ".csv":
        convert = arrow_csv.ConvertOptions(
            include_columns=names, column_types={name: pa.string() for name in names}, strings_can_be_null=False
        )
        parse = arrow_csv.ParseOptions(newlines_in_values=True)
        read = arrow_csv.ReadOptions(block_size=CSV_BLOCK_BYTES)
        with arrow_csv.open_csv(source, read, parse, convert) as reader:
            for batch in reader:
                yield pa.Table.from_batches([batch])
    else:
        read_block = _json_reader(spec)
        for block in _blocks(source):
            yield read_block(block)


def _blocks(path: Path) -> Iterator[bytes]:
    """Yields whole lines, some megabytes at once."""
    with path.open("rb") as file:
        rest = b""
        while piece := file.read(BLOCK_BYTES):
            whole, end, rest = (rest + piece).rpartition(b"\n")
            if end:
                yield whole + end
            else:
                rest = whole + rest
        if rest.strip():
            yield rest


def _json_reader(spec: ScoredSpec) -> Callable[[bytes], pa.Table]:
    fields: dict[str, Any] = {
        "label": pa.string(),
        "confidence": pa.float64(),
        "abstain": pa.bool_(),
        "probabilities": pa.struct([(name, pa.float64()) for name in spec.labels]),
    }
    fields |= {name: pa.string() for name in spec.more}
    kinds = [pa.string(), pa.float64()]  # of a column of times

    def read(block: bytes) -> pa.Table:
        lines = [line for line in block.split(b"\n") if line.strip()]
        kept = [line for line in lines if line.strip() != b"null"]
        empty = pa.table({name: pa.nulls(len(lines) - len(kept), kind) for name, kind in fields.items()})
        if not kept:
            return empty
        while True:
            options = arrow_json.ParseOptions(explicit_schema=pa.schema(fields), unexpected_field_behavior="ignore")
            try:
                found = arrow_json.read_json(io.BytesIO(b"\n".join(kept)), parse_options=options)
                break
            except pa.ArrowInvalid:
                kinds.pop(0)
                if spec.time is None or not kinds:
                    raise
                fields[spec.time] = kinds[0]
        found = found.select(list(fields))
        if not len(empty):
            return found
        there = np.array([line.strip() != b"null" for line in lines])
        order = np.where(there, np.cumsum(there) - 1, len(kept) + np.cumsum(~there) - 1)
        return pa.concat_tables([found, empty.cast(found.schema)]).take(pa.array(order))

    return read


@contextmanager
def _arrow_errors(where: str) -> Iterator[None]:
    try:
        yield
    except (pa.ArrowException, OSError) as error:
        raise DataError(
            "the table of answers cannot be read",
            where=where,
            received=str(error).strip().split("\n")[0][:200],
            expected="what kft predict -o wrote: a label, a confidence, abstain and probabilities in each row",
            next_step="write it again; or hand over the inputs themselves",
        ) from None


def _chunk(table: pa.Table, spec: ScoredSpec, where: str, before: int) -> Chunk:
    label = _text(table["label"])
    unusable = pc.fill_null(pc.equal(label, ""), True).to_numpy(zero_copy_only=False)
    places = np.flatnonzero(~unusable)
    kept = table.take(pa.array(places)) if unusable.any() else table
    rows = places + before
    n = len(table)
    if not len(kept):
        values = {"unusable": np.ones(n)}
        seen = Seen(values, np.zeros(n, np.uint64), label=np.full(n, -1, np.int32))
        return Chunk(seen, *(_cells(table, name) for name in (spec.time, spec.truth)))
    labels = _places(_text(kept["label"]), spec.labels, where, rows)
    probabilities = _probabilities(kept["probabilities"], spec.labels, where, rows)
    confidence = _numbers(kept["confidence"])
    wrong = ~((confidence >= 0) & (confidence <= 1 + NEAR_ONE))
    if wrong.any():
        raise _bad("a confidence is not between 0 and 1", where, rows[wrong][0], str(confidence[wrong][0]))
    abstain = _truths(kept["abstain"], where, rows)
    outputs = {"confidence": confidence, "probabilities": probabilities, "label": labels, "abstain": abstain}
    values = {name: np.asarray(each, np.float64) for name, each in measure_class(outputs, (), True).items()}
    seen = Seen(
        {**values, "unusable": np.zeros(len(kept))},
        np.zeros(len(kept), np.uint64),
        probabilities.astype(np.float32),
        labels.astype(np.int32),
        confidence.astype(np.float32),
        abstain,
    )
    whole = seen if not unusable.any() else spread(seen, places, n)
    return Chunk(whole, *(_cells(table, name) for name in (spec.time, spec.truth)))


def spread(seen: Seen, places: np.ndarray, n: int) -> Seen:
    """Returns what is seen of ``n`` rows, of which some are unusable.

    Args:
        seen: Of the rows that are not.
        places: Of these among all.
        n: All rows.
    """

    def wide(part: np.ndarray | None, fill: Any) -> np.ndarray | None:
        if part is None:
            return None
        found = np.full((n, *part.shape[1:]), fill, part.dtype)
        found[places] = part
        return found

    values = {name: wide(each, np.nan) for name, each in seen.values.items() if name != "unusable"}
    unusable = np.ones(n)
    unusable[places] = 0.0
    return Seen(
        {**values, "unusable": unusable},  # type: ignore[dict-item]
        wide(seen.keys, 0),  # type: ignore[arg-type]
        wide(seen.probabilities, np.nan),
        wide(seen.label, -1),
        wide(seen.confidence, np.nan),
        wide(seen.abstain, False),
        wide(seen.vectors, np.nan),
    )


def _cells(table: pa.Table, name: str | None) -> Any:
    return None if name is None else table[name].to_pandas()


def _text(column: pa.ChunkedArray) -> pa.Array:
    whole = column.combine_chunks()
    return whole if pa.types.is_string(whole.type) else whole.cast(pa.string())


def _numbers(column: pa.ChunkedArray) -> np.ndarray:
    return np.asarray(column.cast(pa.float64()).to_numpy(), np.float64)


def _truths(column: pa.ChunkedArray, where: str, rows: np.ndarray) -> np.ndarray:
    if pa.types.is_string(column.type):
        lower = pc.fill_null(pc.utf8_lower(column), "")
        wrong = ~pc.is_in(lower, pa.array(["true", "false", ""])).to_numpy()
        if wrong.any():
            at = int(np.flatnonzero(wrong)[0])
            raise DataError(
                "whether an answer was withheld is neither true nor false",
                where=f"{where}, row {rows[at] + 1:,}",
                received=f"abstain {str(column[at])[:40]!r}",
                expected="true or false, as kft predict -o writes them",
                next_step="save the file without changing that column: a spreadsheet may write another word for it",
            )
        return np.asarray(pc.equal(lower, "true").to_numpy(), bool)
    return np.asarray(pc.fill_null(column.cast(pa.bool_()), False).to_numpy(), bool)


def _places(column: pa.Array, labels: Sequence[str], where: str, rows: np.ndarray) -> np.ndarray:
    coded = column.dictionary_encode()
    known = {name: at for at, name in enumerate(labels)}
    found = [known.get(name, known.get(original(name), -1)) for name in coded.dictionary.to_pylist()]
    places = np.array(found, np.int64)[coded.indices.to_numpy()]
    if (places < 0).any():
        first = int(np.flatnonzero(places < 0)[0])
        name = column[first].as_py()
        hint = nearest(name, list(labels))
        raise DataError(
            f"an answer is none of the artifact's: {name!r}" + (f"; did you mean {hint!r}?" if hint else ""),
            where=f"{where}, row {rows[first] + 1:,}",
            received=name,
            expected="one of " + ", ".join(labels[:10]) + (" ..." if len(labels) > 10 else ""),
            next_step="hand over answers of this artifact; those of another are watched with that one",
        )
    return places


def _probabilities(column: pa.ChunkedArray, labels: Sequence[str], where: str, rows: np.ndarray) -> np.ndarray:
    """Returns ``float64[rows, classes]`` from a struct, a map, or JSON in a text."""
    whole = column.combine_chunks()
    if pa.types.is_map(whole.type):
        whole = pa.array(
            [dict(each or ()) for each in whole.to_pylist()], pa.struct([(n, pa.float64()) for n in labels])
        )
    if pa.types.is_string(whole.type) or pa.types.is_large_string(whole.type):
        parts = _from_json(whole.cast(pa.string()), labels)
    else:
        missing = [name for name in labels if whole.type.get_field_index(name) < 0]
        if missing:
            raise _bad(f"there is no probability of {missing[0]!r}", where, rows[0], str(whole[0].as_py())[:80])
        parts = [whole.field(name) for name in labels]
    found = np.column_stack([np.asarray(part.cast(pa.float64()).to_numpy(zero_copy_only=False)) for part in parts])
    wrong = np.isnan(found).any(axis=1) | (np.abs(found.sum(axis=1) - 1) > NEAR_ONE) | (found < 0).any(axis=1)
    if wrong.any():
        at = int(np.flatnonzero(wrong)[0])
        raise _bad(
            "the probabilities of a row are not those of the artifact's labels", where, rows[at], str(whole[at])[:80]
        )
    return found


def _from_json(texts: pa.Array, labels: Sequence[str]) -> list[pa.Array]:
    lines = pc.binary_join_element_wise(texts, EMPTY, "\n")
    offsets = np.frombuffer(lines.buffers()[1], np.int32)[lines.offset : lines.offset + len(lines) + 1]
    content = lines.buffers()[2].slice(int(offsets[0]), int(offsets[-1] - offsets[0]))
    schema = pa.schema([(name, pa.float64()) for name in labels])
    options = arrow_json.ParseOptions(explicit_schema=schema, unexpected_field_behavior="error")
    table = arrow_json.read_json(pa.BufferReader(content), parse_options=options)
    if len(table) != len(texts):
        raise pa.ArrowInvalid("probabilities are not one JSON object a row")
    return [table[name].combine_chunks() for name in labels]


def _bad(problem: str, where: str, row: int, received: str) -> DataError:
    return DataError(
        problem,
        where=f"{where}, row {row + 1:,}",
        received=received,
        expected="a probability for each label of the artifact; together they are 1",
        next_step="kft predict ARTIFACT INPUT -o FILE writes such a table",
    )
