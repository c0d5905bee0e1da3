"""The formats, by name."""

from __future__ import annotations

from kft.deploy.formats.format import Format
from kft.deploy.formats.litert import LITERT
from kft.deploy.formats.onnx import ONNX
from kft.deploy.formats.openvino import OPENVINO
from kft.registry import Registry

FORMATS: Registry[Format] = Registry("format", "kft export --help lists them")
for _format in (ONNX, OPENVINO, LITERT):
    FORMATS.register(_format.name, _format)
