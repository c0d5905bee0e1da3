"""The feature store: what ``front`` computes for an example is computed once, kept on disk, and reused.

Every epoch, phase and run that cuts the same weights at the same place finds it there.
A store is one folder, named after everything that decides its numbers: the weights and layers below the
boundary, versions, type. Inside, an example is found by a hash of its own content, so a changed row costs one row.
"""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from kft.errors import StorageError
from kft.features.boundary import SplitModel
from kft.features.inference import Inference, Tick, has_token_axis, make_inference, run_in_batches
from kft.features.int8 import in_int8, int8_inference
from kft.features.overlay import lay_over
from kft.feed.batches import Ragged
from kft.feed.shards import ABOUT, ShardIndex, locked, write_shard
from kft.feed.source import Column, DenseColumn, Source
from kft.model.graph import nodes_in_order
from kft.model.real_tokens import on_real_tokens
from kft.records.files import storage_errors, write_json

ELSEWHERE = "kft cache prune, another KFT_CACHE, or --set features.store=off"
ARITHMETIC = 3
"""Counts up when the same weights give other bits, so that no store mixes both."""
BATCH_SIZE = 32
"""Rows of a batch that computes features."""
SHARD_ROWS = 64 * BATCH_SIZE
SHARD_BYTES = 64 * 2**20
"""A shard ends at whichever comes first: memory stays flat, and a kill loses no more than one shard."""
WITHOUT_EFFECT = ("trainable", "dropout", "kernel_initializer", "bias_initializer", "embeddings_initializer")
"""Settings of a layer that change nothing in a trained one that only infers."""


NONE: Mapping[str, np.ndarray] = {}


@dataclass(frozen=True)
class FeatureProgress:
    """Who follows how features are computed.

    Attributes:
        tick: Called with the number of examples finished.
        note: Told in words what is stored, and that another process is at work on the same store.
    """

    tick: Tick = lambda count: None
    note: Callable[[str], None] = lambda line: None


NOBODY = FeatureProgress()
PASS = "pass"
"""In the file ABOUT: what the largest pass took, of a batch at least: of a few short texts, the tracing is all."""
WAITING = "features   another process computes them; waiting for it"


@dataclass(frozen=True)
class PassCost:
    """What computing features took, tracing included.

    Attributes:
        tokens: Of the examples that were computed; of images, how many there were.
        seconds: Wall time.
        cpu_seconds: Of the process, all threads.
    """

    tokens: int
    seconds: float
    cpu_seconds: float

    def scaled(self, tokens: int) -> PassCost:
        """Returns what so many tokens take at the same speed."""
        share = tokens / max(self.tokens, 1)
        return PassCost(tokens, self.seconds * share, self.cpu_seconds * share)


@contextmanager
def timed(tokens: int, keep: Callable[[PassCost], None]) -> Iterator[None]:
    """Hands over what the body took, once it is through.

    Args:
        tokens: That it computes.
        keep: Called with the cost.
    """
    wall, cpu = time.perf_counter(), time.process_time()
    yield
    keep(PassCost(tokens, time.perf_counter() - wall, time.process_time() - cpu))


@dataclass(frozen=True)
class Front:
    """The part of a split model that computes what a store keeps.

    Attributes:
        inference: From the model's inputs to the computed boundary tensors.
        tensors: The boundary tensors that are computed, by name; the others are inputs, merely passed on.
        inputs: Those of the model's inputs that they are computed from, in order: two models with the same front share
            a store, whatever else the one of them reads.
        names: All boundary tensors, in the order in which ``back`` takes them.
        fingerprint: Of everything that decides the numbers.
    """

    inference: Inference
    tensors: Mapping[str, keras.KerasTensor]
    inputs: tuple[str, ...]
    names: tuple[str, ...]
    fingerprint: str


def make_front(split: SplitModel, weights: Mapping[str, np.ndarray] = NONE, precision: str = "float32") -> Front:
    """Prepares the part of ``split.front`` that computes something.

    Args:
        split: A model that was split.
        weights: Other weights than the model's own, by their paths.
        precision: ``int8`` for products of 8 bits: other numbers, so another store.

    Raises:
        ModelError: This machine has no such products, or no package for them.

    Example:
        >>> import kft
        >>> model = kft.build_model(kft.load_backbone("minilm-l6"), classes=5)  # doctest: +SKIP
        >>> kft.freeze(model, "top-2")  # doctest: +SKIP
        >>> list(make_front(kft.split_at_boundary(model)).tensors)  # doctest: +SKIP
        ['transformer_layer_3']
    """
    given = {id(tensor) for tensor in split.front.inputs}
    pairs = zip(split.names, split.front.outputs, strict=True)
    tensors = {name: tensor for name, tensor in pairs if id(tensor) not in given}
    model = keras.Model(split.front.inputs, list(tensors.values()), name="front_computed")
    read = {id(tensor) for node in nodes_in_order(model) for tensor in node.input_tensors}
    used = [tensor for tensor in split.front.inputs if id(tensor) in read]
    if len(used) < len(split.front.inputs):
        model = keras.Model(used, list(tensors.values()), name="front_computed")
    inputs = tuple(tensor.name for tensor in used)
    forward, fingerprint = lay_over(on_real_tokens(model), weights), _fingerprint(model, weights)
    if precision == "int8":
        fingerprint = in_int8(fingerprint)
        return Front(int8_inference(forward, fingerprint, BATCH_SIZE), tensors, inputs, split.names, fingerprint)
    inference = make_inference(forward, BATCH_SIZE, together=False)
    if not any(has_token_axis(tensor) for tensor in used):
        inference = replace(inference, fewest=2)  # an image by itself is convolved in another order
    return Front(inference, tensors, inputs, split.names, fingerprint)


def feature_bytes(front: Front, source: Source, dtype: str | None = None) -> int:
    """Returns how many bytes these examples' features take."""
    return int(_row_bytes(front, source, dtype).sum())


def _row_bytes(front: Front, source: Source, dtype: str | None) -> np.ndarray:
    total = np.zeros(len(source), np.int64)
    for tensor in front.tensors.values():
        width = math.prod(size for size in tensor.shape[1:] if size is not None)
        rows = source.lengths if has_token_axis(tensor) else 1
        total += rows * width * _stored_type(tensor, dtype).itemsize
    return total


def compute_features(front: Front, source: Source, tick: Tick | None = None) -> Source:
    """Computes the features and keeps them in memory alone; for what may not, or cannot, be stored."""
    found = run_in_batches(front.inference, source.select(front.inputs), tick)
    columns = {name: _in_memory(tensor) for name, tensor in zip(front.tensors, found, strict=True)}
    return _as_source(front, source, columns)


def store_features(
    front: Front,
    source: Source,
    root: Path,
    *,
    dtype: str | None = None,
    about: Mapping[str, Any] | None = None,
    watch: FeatureProgress = NOBODY,
) -> Source:
    """Returns a source of boundary tensors for ``back``; only examples that the store lacks are computed.

    Safe to kill, and safe for several processes: one computes, the others wait and find it done. Along a token
    axis the tokens of the example are kept; padding comes back as zeros, which a model that masks padding ignores.

    Args:
        front: From ``make_front``.
        source: The examples, as the model's own inputs.
        root: The folder that holds all stores, ``<cache>/features``.
        dtype: ``float16`` halves the room that floating-point features take; default: the model's own type.
        about: What ``kft cache list`` shows of it.
        watch: Told how the work goes on.

    Raises:
        StorageError: The disk is full or cannot be written; the shards written so far are kept.
    """
    folder = store_folder(front, root, dtype)
    given = source.select(front.inputs)
    keys = given.keys
    index = ShardIndex(folder)
    if index.missing(keys).size:
        with storage_errors(folder, ELSEWHERE):
            folder.mkdir(parents=True, exist_ok=True)
        with locked(folder, lambda: watch.note(WAITING), ELSEWHERE):
            index = ShardIndex(folder)  # with what another process has written meanwhile
            missing = index.missing(keys)
            watch.tick(len(source) - len(missing))
            facts = {**(about or {}), "tensors": _describe(front, dtype)}
            largest = pass_cost(front, root, dtype)
            write_json(folder / ABOUT, facts | ({PASS: vars(largest)} if largest else {}), elsewhere=ELSEWHERE)

            def keep(cost: PassCost) -> None:
                if len(missing) >= BATCH_SIZE and (largest is None or cost.tokens >= largest.tokens):
                    with suppress(StorageError):  # what was computed is there, whether or not its cost is
                        write_json(folder / ABOUT, {**facts, PASS: vars(cost)}, elsewhere=ELSEWHERE)

            with timed(int(source.lengths[missing].sum()), keep):
                for rows in _shards(front, given, keys, missing):
                    found = run_in_batches(front.inference, given, watch.tick, rows=rows)
                    tensors = {name: _cast(tensor, dtype) for name, tensor in zip(front.tensors, found, strict=True)}
                    write_shard(folder, keys[rows], tensors, ELSEWHERE)
            index = ShardIndex(folder)  # in the order in which any later run will find them
    else:
        watch.tick(len(source))
    with suppress(OSError):  # when it was last used: `kft cache prune` starts with the oldest
        (folder / ABOUT).touch()
    described = {name: (np.dtype(tensor.dtype), has_token_axis(tensor)) for name, tensor in front.tensors.items()}
    return _as_source(front, source, index.columns(keys, described))


def stored_rows(front: Front, source: Source, root: Path, dtype: str | None = None) -> int:
    """Returns how many of these examples the store holds already."""
    return ShardIndex(store_folder(front, root, dtype)).present(source.select(front.inputs).keys)


def pass_cost(front: Front, root: Path, dtype: str | None = None) -> PassCost | None:
    """Returns what it took, on whichever machine, to compute what the store holds; None where that is not known."""
    known: Any = _about(store_folder(front, root, dtype)).get(PASS)
    try:
        return PassCost(int(known["tokens"]), float(known["seconds"]), float(known["cpu_seconds"]))
    except (KeyError, TypeError, ValueError):
        return None


def _about(folder: Path) -> dict[str, Any]:
    """Returns what stands beside the shards; nothing where it is not there, or damaged."""
    try:
        values = json.loads((folder / ABOUT).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return values if isinstance(values, dict) else {}


def store_folder(front: Front, root: Path, dtype: str | None = None) -> Path:
    """Returns the folder of the store for this front."""
    name = hashlib.blake2b(json.dumps([front.fingerprint, dtype]).encode(), digest_size=12).hexdigest()
    return root / name


def _shards(front: Front, source: Source, keys: np.ndarray, missing: np.ndarray) -> Iterator[np.ndarray]:
    """Cuts the missing examples into shards, by length and then by key: a run that was killed cuts the rest alike."""
    order = missing[np.lexsort((*keys[missing].T[::-1], source.lengths[missing]))]
    sizes = _row_bytes(front, source, None)[order]
    start = 0
    while start < len(order):
        fitting = int((np.cumsum(sizes[start : start + SHARD_ROWS]) <= SHARD_BYTES).sum())
        rest = start + fitting == len(order)  # the last batch alone may be short
        stop = start + (fitting if rest else max(BATCH_SIZE, fitting // BATCH_SIZE * BATCH_SIZE))
        yield order[start:stop]
        start = stop


def _as_source(front: Front, source: Source, computed: Mapping[str, Column]) -> Source:
    return source.with_columns(
        {name: computed[name] if name in computed else source.columns[name] for name in front.names}
    )


def _in_memory(tensor: Ragged | np.ndarray) -> Column:
    return tensor if isinstance(tensor, Ragged) else DenseColumn(tensor)


def _cast(tensor: Ragged | np.ndarray, dtype: str | None) -> Ragged | np.ndarray:
    values = tensor.values if isinstance(tensor, Ragged) else tensor
    if dtype is not None and _is_float(values.dtype):
        values = values.astype(dtype)
    return Ragged(values, tensor.offsets) if isinstance(tensor, Ragged) else values


def _stored_type(tensor: keras.KerasTensor, dtype: str | None) -> np.dtype:
    own = np.dtype(tensor.dtype)
    return np.dtype(dtype) if dtype is not None and _is_float(own) else own


def _is_float(dtype: np.dtype) -> bool:
    return dtype.kind == "f" or dtype.name == "bfloat16"  # to NumPy it is of no kind


def _describe(front: Front, dtype: str | None) -> dict[str, Any]:
    return {
        name: {"shape": list(tensor.shape[1:]), "dtype": str(_stored_type(tensor, dtype))}
        for name, tensor in front.tensors.items()
    }


def _fingerprint(model: keras.Model, weights: Mapping[str, np.ndarray]) -> str:
    """Hashes weights and layers; names that Keras counted up are replaced by the layer's place."""
    places = {layer.name: f"#{place}" for place, layer in enumerate(model.layers)}

    def renamed(value: Any) -> Any:
        if isinstance(value, Mapping):
            return {key: renamed(item) for key, item in value.items() if key not in WITHOUT_EFFECT}
        if isinstance(value, list | tuple):
            return [renamed(item) for item in value]
        return places.get(value, value) if isinstance(value, str) else value

    config = {**model.get_config(), "name": "", "trainable": None}
    versions = [
        ARITHMETIC,
        keras.__version__,
        tf.__version__,
    ]  # of tensorflow-tpu the same: it is no package of that name
    digest = hashlib.blake2b(json.dumps([renamed(config), versions], default=str, sort_keys=True).encode())
    for variable in model.weights:
        digest.update(f"{variable.dtype}{variable.shape}".encode())
        values = weights[variable.path] if variable.path in weights else variable.numpy()
        digest.update(np.ascontiguousarray(values).data)
    return digest.hexdigest()
