"""Files mapped into memory without a descriptor each: a process may map many thousands, and open about a thousand."""

from __future__ import annotations

import ctypes
import functools
import os
import weakref
from pathlib import Path

import numpy as np


def map_file(path: Path) -> np.ndarray:
    """Returns a file's bytes as ``uint8[size]``, mapped and read-only; the file is closed again.

    Python's own maps keep the file open for as long as they live.

    Raises:
        OSError: The file cannot be opened or mapped, or is empty.
    """
    if os.name != "posix":
        return np.memmap(path, np.uint8, mode="r")
    import mmap

    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        place = _function("mmap")(None, size, mmap.PROT_READ, mmap.MAP_SHARED, file.fileno(), 0)
    if place is None or place == ctypes.c_void_p(-1).value:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), str(path))
    buffer = (ctypes.c_uint8 * size).from_address(place)
    # Every array that is cut from this one holds the buffer; it goes with the last of them.
    weakref.finalize(buffer, _function("munmap"), place, size).atexit = False
    mapped = np.frombuffer(memoryview(buffer), np.uint8)
    mapped.flags.writeable = False
    return mapped


@functools.cache
def _function(name: str):  # type: ignore[no-untyped-def]
    found = ctypes.CDLL(None, use_errno=True)[name]
    if name == "mmap":
        found.restype = ctypes.c_void_p
        found.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long)
    else:
        found.argtypes = (ctypes.c_void_p, ctypes.c_size_t)
    return found
