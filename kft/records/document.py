"""Documents: frozen dataclasses to JSON files and back; each file is checked when it is read.

A document's keys are the fields of its dataclass, in their order. What differs stands with the class: ``KEYS`` names
fields and properties in the order of the file; kft/records/fields.py has what is said of a single field. Keys that a
class does not know are passed over, so a new key needs no new version; ``SCHEMA_VERSION`` goes up where the meaning of
a key changes.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from kft.errors import RunError
from kft.records.files import write_file

SCHEMA_VERSION = 1
"""Written as the first key of each JSON document. Those of the kft before it have no such key, and still read."""

T = TypeVar("T")


def as_document(record: Any, without: tuple[str, ...] = ()) -> dict[str, Any]:
    """Returns a record as plain JSON, without the version: what ``--json`` prints.

    Args:
        record: A frozen dataclass.
        without: Keys that are left out, at any depth.

    Example:
        >>> from kft.records.fields import absent, rounded
        >>> @dataclasses.dataclass(frozen=True)
        ... class Part:
        ...     share: float = rounded(2)
        ...     why: str = absent("")
        >>> as_document(Part(0.123)), as_document(Part(0.5, "so"))
        ({'share': 0.12}, {'share': 0.5, 'why': 'so'})
    """
    fields = {each.name: each for each in dataclasses.fields(record)}
    values: dict[str, Any] = {}
    for name in getattr(record, "KEYS", fields):
        value, about = getattr(record, name), fields[name].metadata if name in fields else {}
        if name in without or "unwritten" in about or ("absent" in about and value == fields[name].default):
            continue
        value = round(float(value), about["digits"]) if "digits" in about and value is not None else value
        values[name] = plain(value, (*without, *about.get("without", ())))
    return values


def plain(value: Any, without: tuple[str, ...] = ()) -> Any:
    """Returns plain JSON: records as documents, paths and times as text; see ``as_document``."""
    if dataclasses.is_dataclass(value):
        return as_document(value, without)
    if isinstance(value, Mapping):
        return {key: plain(each, without) for key, each in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [plain(each, without) for each in value]
    if isinstance(value, datetime):
        return value.isoformat(timespec="seconds")
    return str(value) if isinstance(value, Path) else value


def document_text(record: Any) -> str:
    """Returns the content of a record's file."""
    return json.dumps({"schema_version": SCHEMA_VERSION, **as_document(record)}, indent=2, ensure_ascii=False) + "\n"


def document_digest(record: Any) -> str:
    """Returns the sha256 of a document's text."""
    return hashlib.sha256(document_text(record).encode()).hexdigest()


def write_document(path: Path, record: Any, **advice: str) -> None:
    """Writes a record's file, whole or not at all; see ``write_file``."""
    write_file(path, document_text(record), **advice)


def read_document(kind: type[T], path: Path, *, next_step: str = "") -> T:
    """Reads and checks a JSON document of a run folder.

    Args:
        kind: Its dataclass.
        path: The file.
        next_step: What to do where it cannot be read; default: what mends a run folder.

    Raises:
        RunError: It is missing, damaged, or was written by a newer kft; the message names the file and the key.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise _damaged(path, next_step, f"the run folder has no {path.name}", received="no such file") from None
    except OSError as error:
        raise _unreadable(path, next_step, error) from None
    return document_from(kind, content, path, next_step=next_step)


def document_from(kind: type[T], content: bytes, path: Path, *, next_step: str = "") -> T:
    """Reads and checks what a JSON document holds, wherever that lies; see ``read_document``.

    Raises:
        RunError: It is damaged, or was written by a newer kft.
    """
    try:
        text = content.decode()
        values = json.loads(text)
    except ValueError as error:
        raise _unreadable(path, next_step, error) from None
    _require_known(values, path, next_step)
    return parse(kind, text, path, next_step=next_step)


def _unreadable(path: Path, next_step: str, error: Exception) -> RunError:
    return _damaged(path, next_step, f"{path.name} cannot be read: {error}", received=str(error))


def _require_known(values: Any, path: Path, next_step: str) -> None:
    """Refuses a document of a newer kft."""
    version = values.get("schema_version", SCHEMA_VERSION) if isinstance(values, dict) else SCHEMA_VERSION
    if type(version) is not int:
        raise _damaged(
            path,
            next_step,
            f"{path.name} is damaged",
            where=f"{path}, schema_version",
            received=json.dumps(version)[:80],
            expected="a valid integer",
        )
    if version > SCHEMA_VERSION:
        raise RunError(
            f"{path.name} was written by a newer kft",
            where=f"{path}, schema_version",
            received=str(version),
            expected=f"at most {SCHEMA_VERSION}",
            next_step="install the kft that wrote it, or a newer one; versions in receipt.json names it",
        )


def read_if_there(kind: type[T], path: Path) -> T | None:
    """Reads a document that need not be there; see ``read_document``."""
    return read_document(kind, path) if path.is_file() else None


def parse(kind: Any, text: str, path: Path, place: str = "", *, next_step: str = "") -> Any:
    """Returns a record from its JSON.

    Args:
        kind: Its dataclass, or a union of several.
        text: The JSON.
        path: The file it comes from, in a run folder.
        place: Where in the file, such as a line.
        next_step: As for ``read_document``.

    Raises:
        RunError: It is no JSON, or does not fit; the message names the key.
    """
    try:
        return _adapter(kind).validate_json(text, strict=True)
    except ValidationError as failed:
        first = failed.errors(include_url=False)[0]
    key = ".".join(str(part) for part in first["loc"])
    missing = first["type"] == "missing"
    raise _damaged(
        path,
        next_step,
        f"{path.name} is damaged",
        where=", ".join(part for part in (str(path), place, key) if part),
        received="no such key" if missing else json.dumps(first["input"], ensure_ascii=False, default=str)[:80],
        expected="a value" if missing else first["msg"].removeprefix("Input should be "),
    )


@cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


def _damaged(path: Path, next_step: str, problem: str, **found: str) -> RunError:
    expected = "the file as kft wrote it" if next_step else "the folder of a finished run"
    about = {"where": str(path.parent), "expected": expected} | found
    mend = next_step or f"kft evaluate {path.parent} if training was cut short, else train again"
    return RunError(problem, **about, next_step=mend)
