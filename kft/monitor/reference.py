"""reference.safetensors: what rows in production are held against. Made once, at export; no raw text is in it.

The test rows alone say how a gauge lies when nothing has changed. Of the valid split it holds which words occur and
where vectors lie (known.py). It has a bounded size: of many rows, or many classes, a sample drawn by a seed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from kft.errors import RunError
from kft.monitor.edges import Edges, fit_edges
from kft.monitor.gauges.all_gauges import GAUGES
from kft.monitor.known import CELLS, DIRECTIONS, MOST_VECTORS, NOTHING, KnownRows
from kft.monitor.seen import Seen
from kft.monitor.slices import Slices, as_header, from_header
from kft.records.files import write_file
from kft.records.monitored import Moments, moments
from kft.records.shipped import MEND

NAME = "reference.safetensors"
VERSION = 1
"""Raised with every change of a gauge: numbers that were measured otherwise cannot be held against each other."""
MOST_BYTES = 2_000_000
SCORES_BYTES = 600_000
"""Of them, for probabilities; vectors get what is left."""
REST_BYTES = 150_000
"""Of them, for names, shapes, edges, and what is known of each test row beside probabilities: more than they take."""
MOST_ROWS = 5_000
"""Test rows that are looked at."""
CODE_CELLS = 24
"""Cells of a gauge whose values are codes."""


@dataclass(frozen=True, eq=False)
class ReferenceScores:
    """How the artifact scores its test rows, in an order that a seed has drawn.

    Attributes:
        truth: ``int32[n]``: the place of the true class; -1 where it is none that can be answered.
        label: ``int32[n]``: that of the answered class.
        confidence: ``float32[n]``.
        abstain: ``bool[n]``: whether the answer is withheld.
        distance: ``float32[n]``: to the nearest valid vector; NaN where there are none.
        probabilities: ``float16[m, classes]``: of the first ``m <= n`` of these rows, which are a sample of them.
    """

    truth: np.ndarray
    label: np.ndarray
    confidence: np.ndarray
    abstain: np.ndarray
    distance: np.ndarray
    probabilities: np.ndarray

    @cached_property
    def confusion(self) -> np.ndarray:
        """``int64[classes, classes]``: rows by true and by answered class."""
        classes, known = self.probabilities.shape[1], self.truth >= 0
        pairs = self.truth[known].astype(np.int64) * classes + self.label[known]
        return np.bincount(pairs, minlength=classes**2).reshape(classes, classes)


@dataclass(frozen=True, eq=False)
class Reference:
    """What rows in production are held against.

    Attributes:
        task: Its name.
        labels: What can be answered, in the order of probabilities; empty for numbers.
        n_test: Test rows that were looked at.
        edges: Of each gauge, by name, in the order in which people are shown them.
        known: What is known of the valid split.
        moments: Number, mean and standard deviation of the test rows, by gauge.
        scores: Of the test rows; None where an answer is not one class of many.
        vectors: ``float16[<= 500, width]``: a sample of those of the test rows; None where there are none.
        slices: How rows are cut, with what the test rows have of each slice; None in what an earlier kft has made.
    """

    task: str
    labels: tuple[str, ...]
    n_test: int
    edges: Mapping[str, Edges]
    moments: Mapping[str, Moments] = field(default_factory=dict)
    known: KnownRows = NOTHING
    scores: ReferenceScores | None = None
    vectors: np.ndarray | None = None
    slices: Slices | None = None

    @property
    def gauges(self) -> tuple[str, ...]:
        """Names of the gauges that this artifact has."""
        return tuple(self.edges)

    @property
    def n_valid(self) -> int:
        """Rows of the valid split that were counted."""
        return self.known.rows


def make_reference(
    subject: tuple[str, tuple[str, ...]],
    known: KnownRows,
    test: Seen,
    truth: np.ndarray | None,
    seed: int,
    slices: Slices | None = None,
) -> Reference:
    """Returns the reference of an artifact.

    Args:
        subject: Its task and labels.
        known: What is known of the valid split.
        test: What is seen of its test rows.
        truth: ``int32[rows]``: the place of their true class; None where an answer is not one class of many.
        seed: Draws samples, and orders equal values.
        slices: Counted on these test rows.
    """
    task, labels = subject
    fitted = {
        name: fit_edges(test.values[name], seed, CODE_CELLS if gauge.codes else 0)
        for name, gauge in GAUGES.items()
        if name in test.values
    }
    edges = {name: each for name, each in fitted.items() if each is not None}
    order = np.random.default_rng(seed).permutation(len(test))
    scores = vectors = None
    if truth is not None and test.probabilities is not None and len(test):
        assert test.label is not None and test.confidence is not None and test.abstain is not None
        most = SCORES_BYTES // (2 * test.probabilities.shape[1])
        scores = ReferenceScores(
            truth[order].astype(np.int32),
            test.label[order],
            test.confidence[order],
            test.abstain[order],
            test.values.get("distance", np.full(len(test), np.nan))[order].astype(np.float32),
            test.probabilities[order[:most]].astype(np.float16),
        )
    if test.vectors is not None:
        vectors = half(test.vectors[order[: vectors_kept(len(labels), test.vectors.shape[1])]])
    means = {name: moments(test.values[name]) for name in edges}
    return Reference(task, labels, len(test), edges, means, known, scores, vectors, slices)


def vectors_kept(classes: int, width: int) -> int:
    """Returns how many vectors of the valid split are kept, and as many of the test rows.

    Example:
        >>> vectors_kept(2, 768), vectors_kept(77, 768)
        (500, 359)
    """
    scores = min(SCORES_BYTES, 2 * MOST_ROWS * classes)
    left = MOST_BYTES - scores - REST_BYTES - 4 * CELLS - 4 * (DIRECTIONS + 1) * width
    return max(0, min(MOST_VECTORS, left // (2 * 2 * max(1, width))))


def half(vectors: np.ndarray) -> np.ndarray:
    """Returns vectors as float16; what is larger than that can be is the largest that it can be."""
    most = float(np.finfo(np.float16).max)
    return np.clip(vectors, -most, most).astype(np.float16)


def save_reference(path: Path, reference: Reference) -> int:
    """Writes a reference, and returns its size in bytes.

    Raises:
        StorageError: The disk is full or the folder cannot be written.
    """
    records: dict[str, Any] = {f"edges/{name}": edges for name, edges in reference.edges.items()}
    records |= {"known": reference.known, "scores": reference.scores}
    arrays = {
        f"{name}/{part}": getattr(record, part)
        for name, record in records.items()
        for part in PARTS[name.partition("/")[0]]
        if record is not None and getattr(record, part) is not None
    }
    if reference.vectors is not None:
        arrays["vectors"] = reference.vectors
    header = {
        "version": VERSION,
        "task": reference.task,
        "labels": reference.labels,
        "gauges": reference.gauges,
        "n_valid": reference.n_valid,
        "n_test": reference.n_test,
        "moments": {name: vars(each) for name, each in reference.moments.items()},
        "hashed": reference.known.hashed,
        "slices": None if reference.slices is None else as_header(reference.slices),
    }
    content = save({name: np.ascontiguousarray(each) for name, each in arrays.items()}, {"kft": json.dumps(header)})
    assert len(content) <= MOST_BYTES, len(content)
    write_file(path, content)
    return len(content)


PARTS: dict[str, tuple[str, ...]] = {
    "edges": ("values", "ties", "gaps"),
    "known": ("counts", "vectors", "mean", "directions"),
    "scores": ("truth", "label", "confidence", "abstain", "distance", "probabilities"),
}
"""Of the file, by what they belong to."""


def load_reference(path: Path) -> Reference:
    """Reads what ``save_reference`` wrote.

    Raises:
        RunError: It is missing, damaged, or was written by a newer kft.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise RunError(
            "this artifact cannot be watched: it has nothing to hold new rows against",
            where=str(path.parent),
            received=f"no {path.name} in it",
            expected="an artifact that this kft has exported",
            next_step="export the run again",
        ) from None
    except OSError as error:
        raise _damaged(path, error.strerror or str(error)) from None
    try:
        (length,) = np.frombuffer(content[:8], "<u8")
        header = json.loads(json.loads(content[8 : 8 + int(length)])["__metadata__"]["kft"])
        version = header["version"]
        arrays = load(content) if version == VERSION else {}
    except (SafetensorError, ValueError, KeyError, TypeError) as error:
        raise _damaged(path, f"{type(error).__name__}: {error}") from None
    if version != VERSION:
        raise RunError(
            f"{path.name} was written by another kft",
            where=str(path),
            received=f"version {version}",
            expected=f"version {VERSION}",
            next_step="upgrade kft, or export the run again with this one",
        )
    try:
        return _read(header, arrays)
    except (KeyError, TypeError, ValueError) as error:
        raise _damaged(path, f"{type(error).__name__}: {error}") from None


def _read(header: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Reference:
    parts = {
        record: {part: arrays[f"{record}/{part}"] for part in PARTS[record] if f"{record}/{part}" in arrays}
        for record in ("known", "scores")
    }
    edges = {name: Edges(*(arrays[f"edges/{name}/{part}"] for part in PARTS["edges"])) for name in header["gauges"]}
    for name, each in edges.items():
        if not len(each.values) == len(each.ties) == len(each.gaps) - 1:
            raise ValueError(f"the edges of {name} do not belong together")
    return Reference(
        task=header["task"],
        labels=tuple(header["labels"]),
        n_test=header["n_test"],
        edges=edges,
        moments={name: Moments(**each) for name, each in header["moments"].items()},
        known=KnownRows(rows=header["n_valid"], hashed=header["hashed"], **parts["known"]),
        scores=ReferenceScores(**parts["scores"]) if parts["scores"] else None,
        vectors=arrays.get("vectors"),
        slices=from_header(header["slices"]) if header.get("slices") else None,
    )


def _damaged(path: Path, received: str) -> RunError:
    return RunError(f"{path.name} cannot be read", where=str(path), received=received, next_step=MEND)
