"""Reads GGUF files, in which llama.cpp keeps models: a header of named values, and tensors of few bits a weight.

The file is mapped, not read: its header of 262,144 tokens takes 0.4 s, where the reader of the `gguf` package takes
half a minute. What a tensor's bits mean is that package's knowledge. Nothing in the file runs.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from kft.errors import ModelError

MAGIC, VERSIONS = b"GGUF", (2, 3)
NUMBERS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
"""The file's types of numbers, as ``struct`` calls them."""
TEXT, ARRAY = 8, 9
DIMENSIONS = 4
LARGEST_HEADER = 1 << 28
"""No header of a text model comes near so many bytes."""
PART = 1 << 24
"""Weights that are unpacked at once: the package makes several copies of them."""
ROW = 1 << 14
"""Weights that the gguf package is given as one row, at most; it unpacks 16 rows at a time, and rows of 640 take four
times as long."""


@dataclass(frozen=True)
class StoredTensor:
    """Where a tensor lies, and how it is packed.

    Attributes:
        shape: As NumPy has it: the file counts dimensions from the inside.
        kind: The number of the packing.
        start: Of its first byte in the file.
    """

    shape: tuple[int, ...]
    kind: int
    start: int


@dataclass(frozen=True)
class GgufFile:
    """A GGUF file that is mapped into memory.

    Attributes:
        path: Where it lies.
        values: The header's values; texts as ``str``, arrays as lists or tuples.
        tensors: Where each tensor lies, by name.
        content: All bytes.
    """

    path: Path
    values: Mapping[str, Any]
    tensors: Mapping[str, StoredTensor]
    content: np.ndarray

    def tensor(self, name: str) -> np.ndarray:
        """Returns a tensor as float32.

        Raises:
            ModelError: It is packed in a way that cannot be read, or its bytes are not all there.
        """
        from gguf.quants import dequantize

        found = self.tensors[name]
        kind, weights, size = _packing(self.path, name, found)
        count = math.prod(found.shape)
        packed = self.content[found.start : found.start + count // weights * size]
        # Weights are packed in runs of `weights`; how many of these make a row does not matter for unpacking.
        runs = count // weights
        longer = math.gcd(runs, max(1, 1 << ((ROW // weights).bit_length() - 1)))
        rows, whole = packed.reshape(runs // longer, longer * size), np.empty((runs // longer, longer * weights), "f4")
        at_once = max(1, PART // (longer * weights))
        try:
            for start in range(0, len(rows), at_once):
                whole[start : start + at_once] = dequantize(rows[start : start + at_once], kind)
        except NotImplementedError:
            raise self.refused(f"{name} is packed as {kind.name}", "a packing that the gguf package unpacks") from None
        return whole.reshape(found.shape)

    def refused(self, received: str, expected: str, *, key: str | None = None) -> ModelError:
        """Returns the error for a file that asks for what kft does not do."""
        return ModelError(
            "this GGUF file cannot be loaded faithfully",
            where=f"{self.path}, {key}" if key else str(self.path),
            received=received,
            expected=expected,
            next_step="use the model's Hugging Face folder (config.json, model.safetensors), or see kft models",
        )


def open_gguf(path: Path) -> GgufFile:
    """Maps a GGUF file and reads its header; once per process, while the file stays as it is.

    Raises:
        ModelError: It is none, or is damaged.
    """
    try:
        about = path.stat()
        return _opened(str(path.resolve()), about.st_ino, about.st_size, about.st_mtime_ns)
    except OSError as error:
        raise _damaged(path, error.strerror or str(error)) from None


@lru_cache(maxsize=1)
def _opened(path: str, *state: Any) -> GgufFile:
    """Reads a file's header; ``state`` tells one content of it from the next."""
    file = Path(path)
    if file.stat().st_size < len(MAGIC):
        raise _damaged(file, "it is too short")
    content = np.memmap(file, mode="r")
    try:
        values, tensors = _Header(content).read()
    except (ValueError, struct.error, UnicodeDecodeError, RecursionError) as error:
        raise _damaged(file, str(error)) from None
    found = GgufFile(file, values, tensors, content)
    for name, tensor in tensors.items():
        _, weights, size = _packing(file, name, tensor)
        if tensor.start + math.prod(tensor.shape) // weights * size > len(content):
            raise _damaged(file, f"{name} reaches beyond its end")
    return found


def _packing(path: Path, name: str, tensor: StoredTensor) -> tuple[Any, int, int]:
    """Returns the kind of a packing, how many weights it puts together, and in how many bytes."""
    from gguf.constants import GGML_QUANT_SIZES, GGMLQuantizationType

    try:
        kind = GGMLQuantizationType(tensor.kind)
        weights, size = GGML_QUANT_SIZES[kind]
    except (ValueError, KeyError):
        raise _damaged(path, f"{name} is packed in an unknown way, number {tensor.kind}") from None
    if not tensor.shape or tensor.shape[-1] % weights:
        raise _damaged(path, f"{name} of shape {tensor.shape} is packed in runs of {weights} weights")
    return kind, weights, size


class _Header:
    """Goes through a header from its first byte to its last."""

    def __init__(self, content: np.ndarray) -> None:
        self.content = content.data[:LARGEST_HEADER]
        self.at = 0

    def read(self) -> tuple[dict[str, Any], dict[str, StoredTensor]]:
        if bytes(self.content[:4]) != MAGIC:
            raise ValueError("its first bytes are not GGUF")
        self.at = len(MAGIC)
        version = self.number("I")
        if version not in VERSIONS:
            raise ValueError(f"version {version} of the format; versions 2 and 3 are known")
        tensor_count, value_count = self.number("Q"), self.number("Q")
        values: dict[str, Any] = {}
        for _ in range(value_count):
            name = self.text()
            if name in values:
                raise ValueError(f"{name} is said twice")
            values[name] = self.value(self.number("I"))
        rows = [self.tensor() for _ in range(tensor_count)]
        tensors = dict(rows)
        if len(tensors) != len(rows):
            raise ValueError("two tensors have the same name")
        align = values.get("general.alignment", 32)
        if not isinstance(align, int) or align < 1:
            raise ValueError(f"general.alignment is {align!r}")
        first = -(-self.at // align) * align
        return values, {
            name: StoredTensor(tensor.shape, tensor.kind, first + tensor.start) for name, tensor in tensors.items()
        }

    def tensor(self) -> tuple[str, StoredTensor]:
        name, dimensions = self.text(), self.number("I")
        if dimensions > DIMENSIONS:
            raise ValueError(f"{name} has {dimensions:,} dimensions")
        shape = tuple(self.number("Q") for _ in range(dimensions))[::-1]
        return name, StoredTensor(shape, self.number("I"), self.number("Q"))

    def value(self, kind: int) -> Any:
        if kind == TEXT:
            return self.text()
        if kind in NUMBERS:
            return self.number(NUMBERS[kind])
        if kind != ARRAY:
            raise ValueError(f"a value of an unknown type, {kind}, at byte {self.at:,}")
        inner, count = self.number("I"), self.number("Q")
        if count > len(self.content) - self.at:  # before any memory is taken for it
            raise ValueError(f"a list of {count:,} values at byte {self.at:,}")
        if inner in NUMBERS:
            return self.numbers(f"<{count}{NUMBERS[inner]}")
        return [self.value(inner) for _ in range(count)]

    def number(self, kind: str) -> Any:
        return self.numbers(f"<{kind}")[0]

    def numbers(self, form: str) -> tuple[Any, ...]:
        found = struct.unpack_from(form, self.content, self.at)
        self.at += struct.calcsize(form)
        return found

    def text(self) -> str:
        size = self.number("Q")
        if size > len(self.content) - self.at:
            raise ValueError(f"a text of {size:,} bytes at byte {self.at:,}")
        self.at += size
        return bytes(self.content[self.at - size : self.at]).decode("utf-8")


def _damaged(path: Path, received: str) -> ModelError:
    return ModelError(
        "this is no GGUF file that kft can read, or it is damaged",
        where=str(path),
        received=received,
        expected="a whole file, as llama.cpp writes it",
        next_step="fetch the file again (kft cache verify looks at those that kft has fetched)",
    )
