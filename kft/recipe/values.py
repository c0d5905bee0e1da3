"""Single values of a recipe: durations, files, names, comparisons; and what names of metrics and gates there are."""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable, Iterable
from typing import Annotated, Any, Literal, get_args

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema
from pydantic_core import PydanticKnownError

from kft.recipe.durations import parse_duration, parse_interval, parse_size
from kft.recipe.schedules import SCHEDULES
from kft.recipe.sources import parse_share

PersonalKind = Literal["email", "phone", "iban", "card", "national-id", "ip", "login"]
PERSONAL_KINDS: tuple[PersonalKind, ...] = get_args(PersonalKind)
"""Personal data that are recognised in texts (kft/data/personal.py)."""


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
Sources = Annotated[str | tuple[str, ...], BeforeValidator(_sources)]
SharesOrSources = Annotated[str | tuple[str, ...], BeforeValidator(_shares_or_sources)]
Encoding = Annotated[str, AfterValidator(known_encoding)]
Gate = Annotated[str, AfterValidator(_gate)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
CLASS_METRICS = ("accuracy", "macro_f1", "log_loss", "ece")
CLASS_GATES = (
    "slices.worst.accuracy",
    "slices.worst.log_loss",
    "calibration.brier",
    "selective.coverage",
    "selective.error",
    "selective.aurc",
    "edge_cases.pass_rate",
)
"""What else a gate can ask of tasks with one class of many: where it stands in metrics.json."""
RUN_GATES = ("forgetting.retained",)
"""What a gate can ask of a run of any task; likewise."""
LABEL_METRICS = ("micro_f1", "macro_f1", "average_precision")
TASK_METRICS: dict[str, tuple[str, ...]] = {
    "text-classification": CLASS_METRICS,
    "text-multi-label": LABEL_METRICS,
    "text-pairs": CLASS_METRICS,
    "text-regression": ("mae", "rmse", "pearson_r", "r2"),
    "token-tagging": ("entity_f1", "entity_precision", "entity_recall"),
    "image-classification": CLASS_METRICS,
    "image-multi-label": LABEL_METRICS,
}
"""What is reported of each task; the first one is also what a run is chosen by, unless `train.best` says otherwise."""
LOWER_IS_BETTER = {"valid_loss", "valid_mae", "valid_rmse"}


EDGE_CASES = "edge_cases."
"""Begins a gate on one check of ``evaluate.suite``, such as ``edge_cases.typos``."""


def _one_of(known: Callable[[], Iterable[str]], prefix: str | None = None) -> Any:
    """A name among those that are known when a recipe is read: tasks can be added (docs/extending.md).

    Args:
        known: Returns them.
        prefix: Begins names that are looked up later.
    """

    def check(value: str) -> str:
        names = list(dict.fromkeys(known()))
        if value not in names and not (prefix and value.startswith(prefix)):
            listed = ", ".join(f"'{name}'" for name in names[:-1]) + f" or '{names[-1]}'"
            raise PydanticKnownError("literal_error", {"expected": listed})
        return value

    return AfterValidator(check)


def _metrics() -> list[str]:
    return [name for names in TASK_METRICS.values() for name in names]


def _gate_names() -> list[str]:
    return [*_metrics(), *CLASS_GATES, *RUN_GATES]


def _monitors() -> list[str]:
    return ["valid_loss", *(f"valid_{name}" for name in _metrics())]


def _enum(names: Iterable[str]) -> Any:
    return WithJsonSchema({"type": "string", "enum": list(dict.fromkeys(names))})


ScheduleName = Annotated[str, _one_of(SCHEDULES.names), _enum(SCHEDULES.names())]
TaskName = Annotated[str, _one_of(lambda: TASK_METRICS), _enum(TASK_METRICS)]
GateName = Annotated[
    str,
    _one_of(_gate_names, EDGE_CASES),
    WithJsonSchema({"anyOf": [{"enum": _gate_names()}, {"pattern": "^edge_cases[.]."}]}),
]
Monitor = Annotated[str, _one_of(_monitors), _enum(_monitors())]
