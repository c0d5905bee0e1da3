"""Makes an artifact's reference.safetensors: its own valid and test rows, as the artifact itself sees them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from kft.deploy.runner.model import READ_AT_ONCE, open_model
from kft.deploy.watching import Looked, ModelWatcher, tokenizer_of, watch
from kft.monitor.known import KnownRows, count_tokens, principal
from kft.monitor.reference import NAME, Reference, half, make_reference, save_reference, vectors_kept
from kft.monitor.seen import Seen
from kft.monitor.slices import Slices, fit_slices, with_test
from kft.records.document import as_document
from kft.records.shipped import About

MOST_COUNTED = 20_000
"""Rows of the valid split whose tokens are counted."""
MOST_KNOWN = 1_000
"""Of them, those whose vectors are computed."""


@dataclass(frozen=True)
class Referred:
    """Rows of a test split.

    Attributes:
        inputs: Raw.
        looked: How the artifact has answered the first of them; these are not asked again.
        truth: ``int32[rows]``: the place of each row's class; None where an answer is not one class of many.
        usable: Rows of all splits; 0: no more than ``inputs``.
        unusable: Rows beside these whose input could not be used, and which no split has.
        columns: ``object[rows]`` of each column of ``data.slices``.
        valid_columns: Likewise of the valid split.
    """

    inputs: Sequence[Any]
    looked: Sequence[Looked]
    truth: np.ndarray | None
    usable: int = 0
    unusable: int = 0
    columns: Mapping[str, np.ndarray] = field(default_factory=dict)
    valid_columns: Mapping[str, np.ndarray] = field(default_factory=dict)


def write_reference(folder: Path, about: About, test: Referred, valid: Sequence[Any]) -> tuple[Reference, int]:
    """Writes the reference of an artifact, and returns it and its size in bytes.

    Args:
        folder: The artifact's; all that answers lies there.
        about: Its artifact.json.
        test: Rows of its test split.
        valid: Inputs of its valid split, in an order drawn at random.

    Raises:
        StorageError: The disk is full or the folder cannot be written.
    """
    made = refer(
        watch(open_model(folder, as_document(about))), (about.task, about.labels), test, valid, about.receipt.seed
    )
    return made, save_reference(folder / NAME, made)


def refer(
    watcher: ModelWatcher, subject: tuple[str, tuple[str, ...]], test: Referred, valid: Sequence[Any], seed: int
) -> Reference:
    """Returns what new rows of a model are held against.

    Args:
        watcher: Of the model.
        subject: Its task and labels.
        test: Rows of its test split.
        valid: Inputs of its valid split, in an order drawn at random.
        seed: Draws samples, and orders equal values.
    """
    held = _valid_seen(watcher, valid)
    watcher = replace(watcher, lens=replace(watcher.lens, known=know(watcher, valid, held, len(subject[1]))))
    looked = [*test.looked, *watcher.look(test.inputs[len(test.looked) :])]
    seen = watcher.seen(test.inputs, looked)
    slices = None if held is None else _slices(watcher, held, seen, test, subject[1])
    # No split has rows that cannot be used: how many are usual, all the data say.
    came = np.repeat([0.0, 1.0], [max(test.usable, len(seen)), test.unusable])
    seen = replace(seen, values={**seen.values, "unusable": came})
    return make_reference(subject, watcher.lens.known, seen, test.truth, seed, slices)


def _valid_seen(watcher: ModelWatcher, valid: Sequence[Any]) -> Seen | None:
    return watcher.see(valid[:MOST_KNOWN])[1] if len(valid) else None


def _slices(watcher: ModelWatcher, valid: Seen, seen: Seen, test: Referred, labels: tuple[str, ...]) -> Slices:
    columns = {name: cells[: len(valid)] for name, cells in test.valid_columns.items()}
    return with_test(fit_slices(valid, columns, labels, withholds=watcher.lens.withholds), seen, test.columns)


def know(watcher: ModelWatcher, valid: Sequence[Any], seen: Seen | None, classes: int) -> KnownRows:
    """Returns what is known of a valid split.

    Args:
        watcher: Of the artifact.
        valid: Inputs, in an order drawn at random.
        seen: What is seen of the first of them; None where there are none.
        classes: That the model tells apart.
    """
    if seen is None:
        return KnownRows()
    found: dict[str, Any] = {"rows": len(seen)}
    if seen.vectors is not None:
        mean, directions = principal(seen.vectors)
        kept = half(seen.vectors[: vectors_kept(classes, seen.vectors.shape[1])])
        found |= {"mean": mean, "directions": directions, "vectors": kept if len(kept) else None}
    if watcher.lens.spelling is not None:
        counted = valid[:MOST_COUNTED]
        reader = watcher.model.reader
        parts = (counted[start : start + READ_AT_ONCE] for start in range(0, len(counted), READ_AT_ONCE))
        ids = [row for part in parts for row in reader.read(part).tokens]
        vocabulary = tokenizer_of(watcher.model).get_vocab_size()
        counts, hashed = count_tokens(ids, vocabulary, watcher.lens.spelling.special)
        found |= {"rows": len(counted), "counts": counts, "hashed": hashed}
    return KnownRows(**found)
