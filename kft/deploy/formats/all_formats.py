"""The formats, by name."""

from __future__ import annotations

from kft.deploy.formats.format import Format
from kft.deploy.formats.onnx import ONNX
from kft.registry import Registry

FORMATS: Registry[Format] = Registry("format", "kft export --help lists them")
for _format in (ONNX,):
    FORMATS.register(_format.name, _format)
