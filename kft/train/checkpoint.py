"""Checkpoints: named arrays in safetensors, the rest as JSON, published by a checksummed manifest.

An array file is named by its content, so a checkpoint refers to what an earlier one wrote; the manifest is written
last, so a checkpoint is there whole or not at all, and the one before stays valid until then.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from kft.errors import RunError
from kft.records.storage import Storage

Arrays = dict[str, np.ndarray]
OUT_OF_FOLD = "out_of_fold"
"""The group of arrays that the best checkpoint of what has learned from valid has, a blend or a refit: answers that saw
nothing of the rows' own labels."""
NAMES = ("best", "last", "probe")
"""What checkpoints there are; ``last-1`` is the one before ``last``."""
ARRAYS = re.compile(r"[0-9a-f]{24}\.safetensors")
MANIFEST = re.compile(rf"({'|'.join(NAMES)})(?:-([1-9]\d*))?\.json")
TEMPORARY = re.compile(rf"\.?(?:{ARRAYS.pattern}|{MANIFEST.pattern})(?:\.tmp|\.\d+\.tmp)+")
"""The files that are kft's own: no other is ever removed."""


def storage_of(folder: str | Path) -> Storage:
    """Returns the folder of checkpoints, which may lie behind a URL."""
    return Storage(str(folder), "check train.checkpoints.folder and the credentials")


@dataclass(frozen=True)
class Checkpoint:
    """What is kept of a run at one moment.

    Attributes:
        weights: Arrays by variable path.
        state: The rest, as JSON holds it.
        more: Other groups of arrays, by the group's name.
        digest: sha256 of the manifest, which holds the hashes of all arrays; empty before it is written.
    """

    weights: Arrays
    state: dict[str, Any]
    more: Mapping[str, Arrays] = field(default_factory=dict)
    digest: str = ""


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


@dataclass
class CheckpointWriter:
    """Writes checkpoints to one folder, in a thread and in order, while training goes on.

    Example:
        >>> import tempfile
        >>> folder = tempfile.mkdtemp()
        >>> with CheckpointWriter(folder) as writer:
        ...     writer.save("best", Checkpoint({"w": np.zeros(2, np.float32)}, {"epoch": 3}))
        >>> load_checkpoint(folder, "best").state
        {'epoch': 3}
    """

    folder: str | Path
    _whole: set[str] = field(default_factory=set)  # array files that this process has written or checked
    _pending: list[Future[None]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._storage = storage_of(self.folder)
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="kft-checkpoints")

    def save(self, name: str, checkpoint: Checkpoint, keep: int = 1) -> None:
        """Queues a checkpoint; its arrays must not change any more.

        Args:
            name: ``best``, ``last`` or ``probe``.
            checkpoint: What to keep.
            keep: How many of this name stay: ``NAME-1`` is the one before, ``NAME-2`` the one before that.

        Raises:
            StorageError: One of those queued before could not be written; the last one that was stays as it is.
        """
        while len(self._pending) > 2:  # each holds a copy of the weights
            self._pending.pop(0).result()
        self._pending.append(self._pool.submit(self._write, name, checkpoint, keep))

    def wait(self) -> None:
        """Returns once everything queued is on the disk.

        Raises:
            StorageError: Something could not be written.
        """
        while self._pending:
            self._pending.pop(0).result()

    def __enter__(self) -> CheckpointWriter:
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        try:
            if error is None:
                self.wait()
        finally:
            self._pool.shutdown(wait=True)

    def _write(self, name: str, checkpoint: Checkpoint, keep: int) -> None:
        from safetensors.numpy import save

        arrays = {}
        for group, values in {"weights": checkpoint.weights, **checkpoint.more}.items():
            content = save(values)
            digest = hashlib.sha256(content).hexdigest()
            file = f"{digest[:24]}.safetensors"
            if file not in self._whole:  # one of an earlier process may be damaged
                self._storage.write(file, content)
                self._whole.add(file)
            arrays[group] = {"file": file, "sha256": digest}
        body = {"arrays": arrays, "state": checkpoint.state}
        manifest = json.dumps({"checksum": _checksum(body), **body}, indent=1) + "\n"
        # All of it is on the disk before an older one is touched: whatever ends the process, a whole one is there.
        newest = _aged(name, 0)
        self._storage.write(f"{newest}.tmp", manifest.encode())
        self._push_back(name, keep)
        self._storage.rename(f"{newest}.tmp", newest)
        self._remove_unused(name, keep)

    def _push_back(self, name: str, keep: int) -> None:
        """Ages those of a name by one, up to the first place that is free or holds a damaged one."""
        places = range(keep - 1)
        free = next((age for age in places if not self._is_whole(_aged(name, age))), len(places))
        for age in reversed(range(free)):
            self._storage.rename(_aged(name, age), _aged(name, age + 1))

    def _is_whole(self, file: str) -> bool:
        try:
            found = _read_manifest(self._storage, file)
            for entry in found[0]["arrays"].values() if found else ():
                if entry["file"] not in self._whole:
                    _read_arrays(self._storage, entry)
                    self._whole.add(entry["file"])
        except RunError:
            return False
        return found is not None

    def _remove_unused(self, name: str, keep: int) -> None:
        """Removes this name's older ones, and array files that no manifest names; keeps those if one is unreadable."""
        manifests = {file: found for file in self._storage.names() if (found := MANIFEST.fullmatch(file))}
        for file, found in list(manifests.items()):
            if found[1] == name and int(found[2] or 0) >= keep:
                self._storage.remove(file)
                del manifests[file]
        for file in _unused(self._storage, manifests):
            self._storage.remove(file)
            self._whole.discard(file)


def spare_files(storage: Storage, name: str) -> tuple[str, ...]:
    """Returns the files in a folder of checkpoints that those of one name alone need, their manifests first.

    None where another manifest cannot be read. Removed in this order, what is left is whole at any moment.

    Args:
        storage: The folder.
        name: ``last``.
    """
    files = storage.names()
    own = _newest_first(files, name)
    others = [file for file in files if MANIFEST.fullmatch(file) and file not in own]
    return (*own, *_unused(storage, others)) if own else ()


def _unused(storage: Storage, manifests: Iterable[str]) -> list[str]:
    """Returns kft's own files that no manifest names, half-written ones among them; none where one is unreadable."""
    used = set()
    for file in manifests:
        try:
            manifest = json.loads(storage.read(file) or b"")
            used |= {entry["file"] for entry in manifest["arrays"].values()}
        except (ValueError, KeyError, TypeError, AttributeError):
            return []
    names = storage.names()
    return [file for file in names if (ARRAYS.fullmatch(file) and file not in used) or TEMPORARY.fullmatch(file)]


def load_checkpoint(folder: str | Path, name: str) -> Checkpoint:
    """Reads a checkpoint and checks every checksum.

    Raises:
        RunError: There is none, or it is damaged.
    """
    found = _load(storage_of(folder), f"{name}.json")
    if found is None:
        raise _missing(folder, name)
    return found


def load_facts(folder: str | Path, name: str) -> tuple[dict[str, Any], str]:
    """Returns a checkpoint's state and the sha256 of its manifest; no arrays are read.

    Raises:
        RunError: There is none, or the manifest is damaged.
    """
    found = _read_manifest(storage_of(folder), f"{name}.json")
    if found is None:
        raise _missing(folder, name)
    body, digest = found
    return body["state"], digest


def load_newest(folder: str | Path, name: str, report: Callable[[str], None]) -> Checkpoint | None:
    """Reads the newest checkpoint of a name that is whole; None when there is none.

    Args:
        folder: Where the checkpoints lie.
        name: ``last``; then ``last-1`` and so on, the ones before.
        report: Takes one line for each that is damaged.

    Raises:
        RunError: There are some, and every one is damaged.
        StorageError: Whether there are some cannot be told: the folder does not answer.
    """
    storage = storage_of(folder)
    present = _newest_first(storage.names(), name)
    damaged: list[RunError] = []
    for file in present:
        try:
            found = _load(storage, file)
        except RunError as error:
            damaged.append(error)
            report(f"damaged    {error.where}: {error.received}; the one before is used")
        else:
            if found is not None:
                return found
    if damaged:
        raise damaged[0]
    return None


def _newest_first(names: Sequence[str], name: str) -> list[str]:
    found = [match for file in names if (match := MANIFEST.fullmatch(file)) and match[1] == name]
    return [match[0] for match in sorted(found, key=lambda match: int(match[2] or 0))]


def _aged(name: str, age: int) -> str:
    return f"{name}-{age}.json" if age else f"{name}.json"


def _load(storage: Storage, file: str) -> Checkpoint | None:
    from safetensors.numpy import load

    found = _read_manifest(storage, file)
    if found is None:
        return None
    body, digest = found
    groups = {group: load(_read_arrays(storage, entry)) for group, entry in body["arrays"].items()}
    return Checkpoint(groups.pop("weights"), body["state"], groups, digest)


def _missing(folder: str | Path, name: str) -> RunError:
    return RunError(
        f"the run has no {name} checkpoint",
        where=str(folder),
        expected=f"{name}.json, which training writes after its first phase or epoch",
        next_step="kft train RECIPE",
    )


def _read_manifest(storage: Storage, file: str) -> tuple[dict[str, Any], str] | None:
    """Returns what the manifest says, and its sha256."""
    content = storage.read(file)
    if content is None:
        return None
    try:
        manifest = json.loads(content)
        body = {"arrays": manifest["arrays"], "state": manifest["state"]}
        whole = manifest["checksum"] == _checksum(body)
    except (ValueError, KeyError, TypeError):
        whole = False
    if not whole:
        raise _damaged(storage.where(file), "its checksum does not fit")
    return body, hashlib.sha256(content).hexdigest()


def _read_arrays(storage: Storage, entry: Mapping[str, str]) -> bytes:
    arrays = storage.read(entry["file"])
    digest = hashlib.sha256(arrays or b"").hexdigest()
    if arrays is None or digest != entry["sha256"]:
        received = "no such file" if arrays is None else f"sha256 {digest}"
        raise _damaged(storage.where(entry["file"]), received, f"sha256 {entry['sha256']}")
    return arrays


def _damaged(where: str, received: str, expected: str = "the file as it was written") -> RunError:
    return RunError(
        "the checkpoint is damaged",
        where=where,
        received=received,
        expected=expected,
        next_step="restore the file from a copy, or train again",
    )


def _checksum(body: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()
