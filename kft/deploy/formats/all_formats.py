"""The formats, by name, and those that there are not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kft.deploy.formats.format import Format
from kft.deploy.formats.language import KERAS_HUB, LANGUAGE_FORMATS, LanguageFormat
from kft.deploy.formats.litert import LITERT
from kft.deploy.formats.onnx import ONNX
from kft.deploy.formats.openvino import OPENVINO
from kft.deploy.formats.saved_model import SAVED_MODEL
from kft.errors import UsageError
from kft.registry import Registry

if TYPE_CHECKING:
    from kft.tasks.task import Task

FORMATS: Registry[Format] = Registry("format", "kft export --help lists them")
for _format in (ONNX, OPENVINO, LITERT, SAVED_MODEL):
    FORMATS.register(_format.name, _format)
REFUSED = {
    "keras": "a .keras file holds no code; its layers' classes, of kft and keras-hub, would have to be where it answers"
}
"""Formats that people ask for, and why there is none: what ships answers without kft."""


def choose_format(name: str) -> Format:
    """Returns a format by its name, once all that writes it is installed.

    Raises:
        UsageError: It is unknown or refused, or a package is missing.
    """
    if name in REFUSED:
        raise UsageError(
            f"there is no format {name}: {REFUSED[name]}",
            where="--format",
            received=name,
            expected="one of " + ", ".join(FORMATS.names()),
            next_step=f"--format {SAVED_MODEL.name} is what TensorFlow loads without any class",
        )
    chosen = FORMATS.get(name)
    chosen.require()
    return chosen


def require_format_of(task: Task, name: str, place: str) -> Format | LanguageFormat:
    """Returns the format that a run is written in.

    Args:
        task: The run's.
        name: As ``--format`` has it; empty: what is usual for the task.
        place: The run's folder, for messages.

    Raises:
        UsageError: Models of this task are not written so.
    """
    own, others = (LANGUAGE_FORMATS, FORMATS) if task.kind.writes else (FORMATS, LANGUAGE_FORMATS)
    usual = KERAS_HUB.name if task.kind.writes else ONNX.name
    if name in others.names():
        raise UsageError(
            f"a model of {task.name} is not written as {name}",
            where="--format",
            received=name,
            expected="one of " + ", ".join(own.names()),
            next_step=f"kft export {place} DEST --format {usual}",
        )
    return own.get(name or usual) if task.kind.writes else choose_format(name or usual)
