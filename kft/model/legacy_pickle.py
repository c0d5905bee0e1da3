"""Reads the tensors of a legacy torch weights file without torch, and without running anything the file says.

The file is five pickles (a magic number, a version, the writer's machine, the state dict, the storages' keys) and
then, for each key, an int64 count and the raw numbers. A pickle is a program: this reader lets it name four things,
and gives it harmless stand-ins of its own for them.
"""

from __future__ import annotations

import math
import os
import pickle
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

from kft.errors import AssetError

MAGIC = 0x1950A86A20F9469CFC6C
VERSION = 1001
STORAGES: dict[str, np.dtype] = {"FloatStorage": np.dtype("<f4"), "LongStorage": np.dtype("<i8")}


class _Refused(Exception):
    """What is wrong with the file."""


@dataclass(frozen=True)
class _StorageType:
    """Stands for torch.FloatStorage or torch.LongStorage."""

    dtype: np.dtype


@dataclass(frozen=True)
class _Storage:
    """Numbers that come later in the file."""

    key: str
    dtype: np.dtype
    count: int


@dataclass(frozen=True)
class _Tensor:
    """A window on a storage."""

    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def read_legacy_tensors(path: Path) -> dict[str, np.ndarray]:
    """Returns the tensors of a legacy torch file of weights, by name, in the file's order.

    Args:
        path: Written by ``torch.save(model.state_dict())`` of torch below 1.6, on a little-endian machine.

    Raises:
        AssetError: The file is cut short, has another layout, or names anything but tensors of float32 and int64.
            Nothing in it is ever run.

    Example:
        >>> tensors = read_legacy_tensors(Path("weights.pth"))  # doctest: +SKIP
        >>> tensors["_fc.weight"].shape  # doctest: +SKIP
        (1000, 1280)
    """
    try:
        with path.open("rb") as file:
            return _read(file)
    except OSError as error:
        received = error.strerror or str(error)
    except _Refused as error:
        received = str(error)
    except Exception as error:
        # A damaged pickle can fail in almost any way: KeyError, IndexError, UnicodeDecodeError, MemoryError ...
        received = f"no readable pickle ({type(error).__name__}: {error})"
    raise AssetError(
        "the weights file cannot be used; nothing in it was run",
        where=str(path),
        received=received,
        expected="a legacy torch file of float32 and int64 tensors, as torch.save wrote it before torch 1.6",
        next_step="kft cache verify, which fetches a damaged file again",
    )


def _read(file: IO[bytes]) -> dict[str, np.ndarray]:
    size = os.fstat(file.fileno()).st_size
    for wanted, what in ((MAGIC, "magic number"), (VERSION, "version of the layout")):
        found = _Unpickler(file).load()
        if found != wanted:
            raise _Refused(f"the {what} is {str(found)[:40]}, not {wanted}")
    machine = _Unpickler(file).load()
    if not isinstance(machine, dict) or machine.get("little_endian") is not True:
        raise _Refused("it was not written on a little-endian machine")
    state = _Unpickler(file).load()
    if not isinstance(state, OrderedDict) or not all(
        isinstance(name, str) and isinstance(tensor, _Tensor) for name, tensor in state.items()
    ):
        raise _Refused("its fourth pickle is no table of tensors")
    storages: dict[str, _Storage] = {}
    for tensor in state.values():
        if storages.setdefault(tensor.storage.key, tensor.storage) != tensor.storage:
            raise _Refused(f"storage {tensor.storage.key} is described in two ways")
    keys = _Unpickler(file).load()
    if not isinstance(keys, list) or len(keys) != len(storages) or set(keys) != set(storages):
        raise _Refused("its list of storages is not that of its tensors")
    values = {key: _read_numbers(file, storages[key], size) for key in keys}
    if file.tell() != size:
        raise _Refused(f"{size - file.tell():,} bytes are left over at its end")
    return {name: _view(values[tensor.storage.key], tensor) for name, tensor in state.items()}


def _view(values: np.ndarray, tensor: _Tensor) -> np.ndarray:
    """Returns a tensor; ``_rebuild`` has made sure that it lies inside its storage."""
    strides = [step * values.itemsize for step in tensor.strides]
    window = np.lib.stride_tricks.as_strided(values[tensor.offset :], tensor.shape, strides, writeable=False)
    return window.copy()


def _read_numbers(file: IO[bytes], storage: _Storage, size: int) -> np.ndarray:
    count = int.from_bytes(file.read(8), "little", signed=True)
    if count != storage.count:
        raise _Refused(f"storage {storage.key} has {count:,} numbers instead of {storage.count:,}")
    wanted = count * storage.dtype.itemsize
    if wanted > size - file.tell():  # before any memory is taken for it
        raise _Refused(f"it ends inside storage {storage.key}")
    return np.frombuffer(file.read(wanted), storage.dtype)


class _Unpickler(pickle.Unpickler):
    """Knows four names. Everything that a pickle can do to the outside goes through one of these two methods."""

    def find_class(self, module: str, name: str) -> Any:
        """Returns a stand-in for the four names that a file of weights needs."""
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _rebuild
        if module == "torch" and name in STORAGES:
            return _StorageType(STORAGES[name])
        raise _Refused(f"it names {module}.{name}, which a file of weights has no use for")

    def persistent_load(self, pid: Any) -> _Storage:
        match pid:
            case ("storage", _StorageType() as kind, str() as key, "cpu", int() as count, None) if count >= 0:
                return _Storage(key, kind.dtype, count)
        raise _Refused(f"it describes a storage as {str(pid)[:80]}")


def _rebuild(
    storage: Any, offset: Any, shape: Any, strides: Any, requires_grad: Any = False, hooks: Any = None
) -> _Tensor:
    """Stands for torch._utils._rebuild_tensor_v2: checks the window before anything is read through it."""
    if not isinstance(storage, _Storage) or not _are_counts((offset,)) or not _are_counts(shape):
        raise _Refused("it describes a tensor that is none")
    if not _are_counts(strides) or len(strides) != len(shape):
        raise _Refused(f"a tensor of shape {shape} has strides {str(strides)[:80]}")
    last = offset + sum((length - 1) * step for length, step in zip(shape, strides, strict=True))
    # No more elements than numbers: a stride of 0 could ask for a terabyte of one of them.
    if math.prod(shape) > storage.count or (math.prod(shape) and last >= storage.count):
        raise _Refused(f"a tensor of shape {shape} reaches beyond its storage of {storage.count:,} numbers")
    return _Tensor(storage, offset, shape, strides)


def _are_counts(values: Any) -> bool:
    return isinstance(values, tuple) and all(type(value) is int and value >= 0 for value in values)
