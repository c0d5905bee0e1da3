"""What is seen of rows that a model answers: numbers of each, its answer and its vector; never the row itself.

There is one way from a row to what is seen of it, for the test rows at export and for rows in production. It takes
nothing that production does not have.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from kft.monitor.gauges.answers import FORMS, measure_vectors
from kft.monitor.gauges.gauge import Values
from kft.monitor.gauges.images import measure_images
from kft.monitor.gauges.texts import TokenizerLimits, measure_texts
from kft.monitor.known import NOTHING, KnownRows

WITHIN = 1000
"""Rows before a row among which copies of it are looked for."""
NO_ROWS = np.zeros(0, np.uint64)


@dataclass(frozen=True)
class Lens:
    """What does not change from row to row.

    Attributes:
        form: Of the labels: ``class``, ``set``, ``number`` or ``spans``.
        withholds: Whether answers are ever withheld.
        spelling: Of the tokenizer; None where images are read.
        known: What is known of the valid split.
    """

    form: str
    withholds: bool = False
    spelling: TokenizerLimits | None = None
    known: KnownRows = NOTHING


@dataclass(frozen=True)
class ProductionRows:
    """What production has of some rows.

    Attributes:
        contents: What tells a row from another: a text, or the bytes of an image.
        answers: As they are given.
        outputs: Of the graph, ``[rows, ...]`` by name; for spans ``confidence`` as the mean of each row's words.
        texts: As they were decoded; empty for images.
        tokens: Ids of each text, as the model is given them.
        pixels: ``uint8[height, width, 3]`` of each image, as the model is given it; empty for texts.
        sizes: ``int64[rows, 2]``: width and height of each image as stored.
    """

    contents: Sequence[str | bytes]
    answers: Sequence[Mapping[str, Any]]
    outputs: Mapping[str, np.ndarray]
    texts: Sequence[str] = ()
    tokens: Sequence[np.ndarray] = ()
    pixels: Sequence[np.ndarray] = ()
    sizes: np.ndarray | None = None


@dataclass(frozen=True, eq=False)
class Seen:
    """What is seen of some rows; each array has one entry a row.

    Attributes:
        values: ``float64[rows]`` by the name of a gauge; NaN where it does not apply to a row.
        keys: ``uint64[rows]``: a hash of what the row holds, by which copies are told.
        probabilities: ``float32[rows, classes]``; None where answers have none.
        label: ``int32[rows]``: the place of the answered class; None where it is not one class of many.
        confidence: ``float32[rows]``; None for numbers.
        abstain: ``bool[rows]``: whether the answer is withheld; None where it is not one class of many.
        vectors: ``float32[rows, width]``; None for spans.
    """

    values: Mapping[str, np.ndarray]
    keys: np.ndarray
    probabilities: np.ndarray | None = None
    label: np.ndarray | None = None
    confidence: np.ndarray | None = None
    abstain: np.ndarray | None = None
    vectors: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.keys)

    def take(self, places: np.ndarray) -> Seen:
        """Returns some of the rows, in the order of ``places``."""
        rest = {name: None if (found := getattr(self, name)) is None else found[places] for name in ANSWERED}
        return Seen({name: each[places] for name, each in self.values.items()}, self.keys[places], **rest)

    @classmethod
    def join(cls, parts: Sequence[Seen]) -> Seen:
        """Returns the rows of several, one after the other; a gauge that a part does not have is NaN there.

        What some parts have and others have not, such as vectors, is None.
        """
        names = dict.fromkeys(name for part in parts for name in part.values)
        values = {
            name: np.concatenate([part.values.get(name, np.full(len(part), np.nan)) for part in parts])
            for name in names
        }
        rest: dict[str, np.ndarray | None] = {}
        for name in ANSWERED:
            several = [getattr(part, name) for part in parts]
            rest[name] = None if not parts or any(each is None for each in several) else np.concatenate(several)
        return cls(values, np.concatenate([NO_ROWS, *(part.keys for part in parts)]), **rest)


ANSWERED = tuple(each.name for each in fields(Seen) if each.name not in ("values", "keys"))
"""What of ``Seen`` a task may do without."""


def see_rows(rows: ProductionRows, lens: Lens, before: np.ndarray = NO_ROWS) -> Seen:
    """Returns what is seen of rows.

    Args:
        rows: What production has of them.
        lens: What does not change from row to row.
        before: Keys of the rows before them, of which the last 1,000 count.
    """
    outputs, vectors = rows.outputs, rows.outputs.get("vectors")
    values: Values = {}
    if lens.spelling is not None:
        values |= measure_texts(rows.texts, rows.tokens, lens.spelling, lens.known)
        outputs = {**outputs, "characters": values["characters"]}
    if rows.sizes is not None:
        values |= measure_images(rows.pixels, rows.sizes)
    values |= FORMS[lens.form](outputs, rows.answers, lens.withholds)
    if vectors is not None:
        values |= measure_vectors(vectors, lens.known)
    keys = keys_of(rows.contents)
    values["copy"] = copies(keys, before)
    values["unusable"] = np.zeros(len(keys))
    one_class = lens.form == "class"
    return Seen(
        values={name: np.asarray(each, np.float64) for name, each in values.items()},
        keys=keys,
        probabilities=_as(outputs.get("probabilities"), np.float32),
        label=_as(outputs["label"], np.int32) if one_class else None,
        confidence=_as(outputs.get("confidence"), np.float32),
        abstain=_as(outputs["abstain"], np.bool_) if one_class else None,
        vectors=_as(vectors, np.float32),
    )


def keys_of(contents: Sequence[str | bytes]) -> np.ndarray:
    """Returns a hash of each row's content, ``uint64[rows]``."""
    whole = (each if isinstance(each, bytes) else each.encode("utf-8", "surrogatepass") for each in contents)
    found = b"".join(hashlib.blake2b(each, digest_size=8).digest() for each in whole)
    return np.frombuffer(found, "<u8").astype(np.uint64)


def copies(keys: np.ndarray, before: np.ndarray = NO_ROWS) -> np.ndarray:
    """Returns 1.0 where one of the 1,000 rows before a row has the same key, else 0.0.

    Example:
        >>> copies(np.array([1, 2, 1], np.uint64), np.array([2], np.uint64)).tolist()
        [0.0, 1.0, 1.0]
    """
    before = before[-WITHIN:]
    every = np.concatenate([before, keys])
    order = np.argsort(every, kind="stable")
    gap = np.full(len(every), WITHIN + 1)
    same = every[order[1:]] == every[order[:-1]]
    gap[order[1:][same]] = (order[1:] - order[:-1])[same]
    return (gap[len(before) :] <= WITHIN).astype(np.float64)


def _as(values: np.ndarray | None, kind: Any) -> np.ndarray | None:
    return None if values is None else np.asarray(values).astype(kind)
