"""Checkpoints: named arrays in safetensors, the rest as JSON, published by a checksummed manifest.

The manifest is written last, so a checkpoint is there whole or not at all, and the one before stays valid
until then.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kft.errors import RunError
from kft.rundir import write_file, write_json

Arrays = dict[str, np.ndarray]


@dataclass(frozen=True)
class Checkpoint:
    """Arrays by name, and the rest."""

    arrays: Arrays
    state: dict[str, Any]


def snapshot(variables: Any, prefix: str = "") -> Arrays:
    """Copies Keras variables to arrays by path.

    Raises:
        RunError: Two variables have the same path, so that neither could be restored.
    """
    arrays: Arrays = {}
    for variable in variables:
        key = prefix + variable.path
        if key in arrays:
            raise RunError("two variables share one path", where=key, expected="unique layer names")
        arrays[key] = np.array(variable.numpy())
    return arrays


def restore(variables: Any, arrays: Mapping[str, np.ndarray], prefix: str = "") -> None:
    """Assigns arrays to Keras variables by path.

    Raises:
        RunError: A variable is missing or has another shape; nothing was assigned then.
    """
    wrong = []
    for variable in variables:
        found = arrays.get(prefix + variable.path)
        if found is None or tuple(found.shape) != tuple(variable.shape):
            shape = None if found is None else tuple(found.shape)
            wrong.append(f"{variable.path}: {shape}, expected {tuple(variable.shape)}")
    if wrong:
        raise RunError(
            "the checkpoint does not fit the model",
            received="; ".join(wrong[:5]),
            expected=f"{len(list(variables))} arrays of this model",
            next_step="train again with this version of kft",
        )
    for variable in variables:
        variable.assign(arrays[prefix + variable.path])


def save_checkpoint(folder: Path, name: str, checkpoint: Checkpoint) -> None:
    """Writes ``NAME.json`` (the manifest) and the arrays it points to; the one before is removed after that.

    Raises:
        StorageError: The disk is full or not writable; the checkpoint before stays as it was.
    """
    from safetensors.numpy import save

    manifest_path = folder / f"{name}.json"
    previous = _read_manifest(manifest_path)
    content = save(checkpoint.arrays)
    digest = hashlib.sha256(content).hexdigest()
    arrays_path = folder / f"{name}-{digest[:12]}.safetensors"
    write_file(arrays_path, content)
    write_json(manifest_path, {"arrays": arrays_path.name, "sha256": digest, "state": checkpoint.state})
    if previous and previous["arrays"] != arrays_path.name:
        with suppress(OSError):  # a leftover file costs space, nothing else
            (folder / previous["arrays"]).unlink()


def load_checkpoint(folder: Path, name: str) -> Checkpoint:
    """Reads a checkpoint and checks its sha256.

    Raises:
        RunError: There is none, or its arrays are missing or damaged.
    """
    from safetensors.numpy import load

    manifest = _read_manifest(folder / f"{name}.json")
    if manifest is None:
        raise RunError(
            f"the run has no {name} checkpoint",
            where=str(folder),
            expected=f"{name}.json, which training writes after its first phase or epoch",
            next_step="kft train RECIPE",
        )
    path = folder / manifest["arrays"]
    content = path.read_bytes() if path.is_file() else b""
    digest = hashlib.sha256(content).hexdigest()
    if digest != manifest["sha256"]:
        raise RunError(
            f"the {name} checkpoint is damaged",
            where=str(path),
            received=f"sha256 {digest}" if content else "no such file",
            expected=f"sha256 {manifest['sha256']}",
            next_step="restore the file from a copy, or train again",
        )
    return Checkpoint(arrays=load(content), state=manifest["state"])


def _read_manifest(path: Path) -> dict[str, Any] | None:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise RunError("the checkpoint's manifest is damaged", where=str(path), received=str(error)) from None
