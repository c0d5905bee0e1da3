"""The formats, by name, and those that there are not."""

from __future__ import annotations

from kft.deploy.formats.format import Format
from kft.deploy.formats.litert import LITERT
from kft.deploy.formats.onnx import ONNX
from kft.deploy.formats.openvino import OPENVINO
from kft.deploy.formats.saved_model import SAVED_MODEL
from kft.errors import UsageError
from kft.registry import Registry

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
