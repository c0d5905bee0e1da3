"""What the server's recorder keeps of what is seen, and a folder of its files read back, block by block.

A line holds what is seen of one input beside the input itself, from which personal data are gone: the gauges were read
before. So a row needs no second answer, and an image no second look.
"""

from __future__ import annotations

import hashlib
import json
import re
from base64 import b64decode, b64encode
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kft.errors import DataError
from kft.monitor.reference import Reference
from kft.monitor.seen import NO_ROWS, WITHIN, Seen, copies

NAME = re.compile(r"sample-(\d{6})\.jsonl")
MOST_ROWS = 4096
"""Rows of a block."""
LATEST = 253_402_300_799
"""The end of the year 9999, in seconds since 1970."""


@dataclass(frozen=True, eq=False)
class Recorded:
    """Some lines of a server's records, in the order in which they were written.

    Attributes:
        seen: What is seen of each.
        at: ``float64[rows]``: when it was asked, in seconds since 1970 (UTC). Later lines may have been asked earlier.
        places: ``int64[rows, 2]``: number of the file and of the line, from 1, which only grow.
        inputs: As they are kept: texts without personal data; of an image its hash.
        answers: As they were given.
        passed: Lines that were passed over before and among these, by why.
        line: sha256 of the last of these lines; empty where there is none.
    """

    seen: Seen
    at: np.ndarray
    places: np.ndarray
    inputs: list[Any]
    answers: list[dict[str, Any]]
    passed: Mapping[str, int]
    line: str


def as_line(seen: Seen, secret: bytes) -> dict[str, Any]:
    """Returns what is seen of one row, as JSON.

    Args:
        seen: Of the row.
        secret: Up to 64 bytes that nobody keeps: without it, a short text could be found by hashing all that it may be.
    """
    values = {name: float(each[0]) for name, each in seen.values.items() if name != "copy" and not np.isnan(each[0])}
    line: dict[str, Any] = {
        "values": values,
        "key": hashlib.blake2b(seen.keys[:1].tobytes(), digest_size=8, key=secret).hexdigest(),
    }
    if seen.label is not None:
        line["label"] = int(seen.label[0])
    if seen.vectors is not None:
        most = float(np.finfo(np.float16).max)
        line["vector"] = b64encode(np.clip(seen.vectors[0], -most, most).astype("<f2").tobytes()).decode()
    return line


def holds_records(folder: Path) -> bool:
    """Whether a folder holds files of the server's recorder."""
    return folder.is_dir() and bool(_numbers(folder))


def files_missed(folder: Path, after: tuple[int, int], line: str) -> int:
    """Returns how many files the server gave up before they were read.

    Args:
        folder: That ``kft serve --record`` writes.
        after: Number of the file and of the line that was counted last; zeros: none was.
        line: sha256 of that line; empty where it is not known.

    Raises:
        DataError: The records were begun anew: their first lines would be taken for those that were counted.
    """
    if after == (0, 0):
        return 0
    numbers = _numbers(folder)
    newest = numbers[-1]
    at = min(after[0], newest)
    try:
        lines = _path(folder, at).read_bytes().split(b"\n")[:-1]
    except FileNotFoundError:
        return len(set(range(after[0] + 1, newest)) - set(numbers))
    if newest < after[0] or len(lines) < after[1]:
        received, expected = (
            f"file {at} ends with line {len(lines)}",
            f"file {after[0]}, line {after[1]}, or later ones",
        )
        raise _begun_anew(folder, "end before what was counted of them", received, expected)
    if line and _digest(lines[after[1] - 1] + b"\n") != line:
        received = f"another line in file {after[0]}, line {after[1]}"
        raise _begun_anew(folder, "are not those that were counted", received, "the line that was counted there")
    return len(set(range(after[0] + 1, newest)) - set(numbers))


def _begun_anew(folder: Path, what: str, received: str, expected: str) -> DataError:
    return DataError(
        f"these records {what}: they were begun anew",
        where=str(folder),
        received=received,
        expected=expected,
        next_step="--state NEW_FOLDER begins anew",
    )


def _numbers(folder: Path) -> list[int]:
    """Returns the numbers of the files that are there, in order."""
    return sorted(int(found.group(1)) for path in folder.iterdir() if (found := NAME.fullmatch(path.name)))


def _path(folder: Path, number: int) -> Path:
    return folder / f"sample-{number:06d}.jsonl"


def _digest(line: bytes) -> str:
    return hashlib.sha256(line).hexdigest()


def read_records(
    folder: Path, reference: Reference, version: str, after: tuple[int, int] = (0, 0)
) -> Iterator[Recorded]:
    """Yields what a server has recorded of one version of a model, at most 4,096 rows at a time.

    Lines of other versions, lines that were written without a look at the row, and a line that was cut short when the
    server was killed are passed over, and counted.

    Args:
        folder: That ``kft serve --record`` writes.
        reference: Of the artifact.
        version: Of the artifact.
        after: Number of a file and of a line in it: what comes behind them is read.

    Raises:
        DataError: A line is none of the recorder's; names it.
    """
    keys, passed = NO_ROWS, Counter[str]()
    rows: list[_Row] = []
    for place, text in _lines(folder, after):
        try:
            row = _read(text, reference, version, place)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise _wrong(folder, place, error) from None
        if isinstance(row, str):
            passed[row] += 1
        else:
            rows.append(row)
        if len(rows) == MOST_ROWS:
            yield (block := _block(rows, reference, keys, passed))
            keys = np.concatenate([keys, block.seen.keys])[-WITHIN:]
            rows, passed = [], Counter()
    if rows or passed:
        yield _block(rows, reference, keys, passed)


@dataclass(frozen=True)
class _Row:
    """What one line holds."""

    place: tuple[int, int]
    text: str
    at: float
    given: Any
    answer: dict[str, Any]
    key: int
    values: Mapping[str, float]
    label: int | None
    confidence: float | None
    probabilities: list[float] | None
    vector: np.ndarray | None


def _lines(folder: Path, after: tuple[int, int]) -> Iterator[tuple[tuple[int, int], str]]:
    """Yields each line with its place; the file that the server gives up meanwhile is left out."""
    for number in _numbers(folder):
        if number < after[0]:
            continue
        try:
            file = _path(folder, number).open(encoding="utf-8", errors="surrogateescape", newline="\n")
        except FileNotFoundError:
            continue
        with file:
            for at, text in enumerate(file, 1):
                if (number, at) > after:
                    yield (number, at), text


def _read(text: str, reference: Reference, version: str, place: tuple[int, int]) -> _Row | str:
    """Returns what a line holds, or why it is passed over."""
    if not text.endswith("\n"):
        return "cut short"
    line = json.loads(text)
    if line["version"] != version:
        return f"version {line['version']}"
    if "seen" not in line:
        return "without a look at the row"
    seen, answer, vector = line["seen"], line["answer"], None
    if reference.vectors is not None:
        vector = np.frombuffer(b64decode(seen["vector"], validate=True), "<f2").astype(np.float32)
        if len(vector) != (width := reference.vectors.shape[1]):
            raise ValueError(f"a vector of {len(vector)} numbers instead of {width}")
    given, key, scored = line["input"], int(seen["key"], 16), reference.scores is not None
    confidence = _confidence(seen, answer)
    if not isinstance(given, (str, dict)) and not all(isinstance(part, str) for part in given):
        raise ValueError("an input that is neither a text, nor a pair, nor what is kept of an image")
    if key >> 64:
        raise ValueError(f"a key of more than 16 digits or below 0: {seen['key'][:40]}")
    probabilities = answer["probabilities"] if scored else answer.get("probabilities")
    return _Row(
        place=place,
        text=text,
        at=_within(line["at"], LATEST, "at"),
        given=given,
        answer=answer,
        key=key,
        values={name: float(seen["values"].get(name, np.nan)) for name in reference.gauges},
        label=int(_within(seen["label"], len(reference.labels) - 1, "label")) if scored else None,
        confidence=None if confidence is None else _within(confidence, 1, "confidence"),
        probabilities=[_within(probabilities[name], 1, name) for name in reference.labels]
        if scored or probabilities
        else None,
        vector=vector,
    )


def _within(number: Any, most: float, name: str) -> float:
    """Returns a number from 0 to ``most``; a little more is rounding."""
    if not 0 <= (found := float(number)) <= most + 1e-3:
        raise ValueError(f"{name} {found:g}, and from 0 to {most:g} is expected")
    return found


def _confidence(seen: Mapping[str, Any], answer: Mapping[str, Any]) -> float | None:
    """Returns how sure an answer is; of spans, whose answer says it of each, the gauge."""
    found = answer.get("confidence", seen["values"].get("confidence"))
    return None if found is None else float(found)


def _wrong(folder: Path, place: tuple[int, int], error: Exception) -> DataError:
    return DataError(
        "a line is none that kft serve --record writes",
        where=f"{_path(folder, place[0])}:{place[1]}",
        received=f"{type(error).__name__}: {error}",
        next_step="remove that line or file; the others are read",
    )


def _block(rows: Sequence[_Row], reference: Reference, before: np.ndarray, passed: Mapping[str, int]) -> Recorded:
    def stacked(name: str, kind: Any) -> np.ndarray | None:
        several = [getattr(row, name) for row in rows]
        return None if not rows or several[0] is None else np.array(several, kind)

    keys = np.array([row.key for row in rows], np.uint64)
    values = {name: np.array([row.values[name] for row in rows], np.float64) for name in reference.gauges}
    values["copy"] = copies(keys, before)
    withheld = [bool(row.answer.get("abstain")) for row in rows]
    seen = Seen(
        values=values,
        keys=keys,
        probabilities=stacked("probabilities", np.float32),
        label=stacked("label", np.int32),
        confidence=stacked("confidence", np.float32),
        abstain=np.array(withheld, np.bool_) if reference.scores is not None else None,
        vectors=stacked("vector", np.float32),
    )
    return Recorded(
        seen=seen,
        at=np.array([row.at for row in rows], np.float64),
        places=np.array([row.place for row in rows], np.int64).reshape(-1, 2),
        inputs=[row.given for row in rows],
        answers=[row.answer for row in rows],
        passed=dict(passed),
        line=_digest(rows[-1].text.encode("utf-8", "surrogateescape")) if rows else "",
    )
