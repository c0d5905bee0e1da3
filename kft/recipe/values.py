"""Single values of a recipe: durations, files, names, comparisons."""

from __future__ import annotations

import codecs
import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo, WithJsonSchema
from pydantic_core import PydanticKnownError

from kft.recipe.durations import parse_duration, parse_interval, parse_size
from kft.recipe.schedules import SCHEDULES
from kft.recipe.separators import SEPARATORS
from kft.recipe.sources import parse_share


def _duration(text: str) -> str:
    parse_duration(text)
    return text


def _interval(text: str) -> str:
    parse_interval(text)
    return text


def _size(text: str) -> str:
    parse_size(text)
    return text


def _sources(value: Any) -> Any:
    """One source or several; a list is checked here, so that one message says what is wanted."""
    several = [value] if isinstance(value, str) else value
    if not isinstance(several, (list, tuple)) or not several or not all(isinstance(one, str) for one in several):
        raise ValueError("a file, or a list of files")
    return value if isinstance(value, str) else tuple(value)


def _label_columns(value: Any) -> Any:
    """One column or several; one message says what is wanted."""
    if isinstance(value, str):
        return value
    several = list(value) if isinstance(value, (list, tuple)) else []
    if len(several) < 2 or not all(isinstance(one, str) for one in several) or len(set(several)) < len(several):
        raise ValueError("the name of a column, or a list of two or more different ones")
    return tuple(several)


def _shares_or_sources(value: Any) -> Any:
    fraction = parse_share(_sources(value))
    if fraction is not None and not 0 < fraction < 1:
        raise ValueError("a share between 0% and 100%, or a file")
    return value if isinstance(value, str) else tuple(value)


NO_FILES = ("unicode-escape", "raw-unicode-escape", "idna", "punycode", "undefined")
"""Codecs of Python's that no file is written in."""


def known_encoding(name: str) -> str:
    """Returns the name of an encoding of text.

    Raises:
        ValueError: Python knows none of that name.

    Example:
        >>> known_encoding("windows-1252")
        'windows-1252'
    """
    try:
        "".encode(name)  # tells codecs of text from those of bytes, such as zlib
        if codecs.lookup(name).name in NO_FILES:
            raise LookupError
    except (LookupError, ValueError):
        raise ValueError("an encoding that Python knows, such as windows-1252, latin-1, shift_jis") from None
    return name


def _gate(text: str) -> str:
    if not re.fullmatch(r"(>=|<=|>|<)\s*-?\d+(\.\d+)?([eE]-?\d+)?", text.strip()):
        raise ValueError("a comparison such as '>= 0.85'")
    return text


Duration = Annotated[str, AfterValidator(_duration)]
Interval = Annotated[str, AfterValidator(_interval)]
Size = Annotated[str, AfterValidator(_size)]
LabelColumns = Annotated[str | tuple[str, ...], BeforeValidator(_label_columns)]
Sources = Annotated[str | tuple[str, ...], BeforeValidator(_sources)]
SharesOrSources = Annotated[str | tuple[str, ...], BeforeValidator(_shares_or_sources)]


def _separator(value: Any) -> Any:
    return (SEPARATORS | {"\t": "tab"}).get(value, value) if isinstance(value, str) else value


Separator = Annotated[Literal[",", ";", "tab", "|"], BeforeValidator(_separator)]
Encoding = Annotated[str, AfterValidator(known_encoding)]
Gate = Annotated[str, AfterValidator(_gate)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
NAMES = "x-names"
"""Stands in the schema where names go that later rooms know; see ``kft.recipe.load.Rules``."""
EDGE_CASES = "edge_cases."
"""Begins a gate on one check of ``evaluate.suite``, such as ``edge_cases.typos``."""


def _known(what: str, prefix: str | None = None) -> Any:
    """A name among those that are known when a recipe is read: tasks can be added (docs/extending.md).

    Args:
        what: Which names, as in ``kft.recipe.load.Rules``, which is the context of validation; without one any will do.
        prefix: Begins names that are looked up later.
    """

    def check(value: str, info: ValidationInfo) -> str:
        names = list((info.context or {}).get(what, (value,)))
        return value if prefix and value.startswith(prefix) else _among(value, names)

    return AfterValidator(check)


def _among(value: str, names: list[str]) -> str:
    if value not in names:
        listed = ", ".join(f"'{name}'" for name in names[:-1]) + f" or '{names[-1]}'"
        raise PydanticKnownError("literal_error", {"expected": listed})
    return value


def _schedule(value: str) -> str:
    return _among(value, list(SCHEDULES.names()))


ScheduleName = Annotated[
    str, AfterValidator(_schedule), WithJsonSchema({"type": "string", "enum": list(SCHEDULES.names())})
]
TaskName = Annotated[str, _known("task"), WithJsonSchema({"type": "string", NAMES: "task"})]
GateName = Annotated[
    str,
    _known("gate", EDGE_CASES),
    WithJsonSchema({"anyOf": [{NAMES: "gate"}, {"pattern": "^edge_cases[.]."}]}),
]
Monitor = Annotated[str, _known("monitor"), WithJsonSchema({"type": "string", NAMES: "monitor"})]
