"""Which updates go together in one call of the device, and how their batches get there while it is at work."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from kft.feed.source import Column, Source, ahead
from kft.replicas import in_any_thread, pad_rows, replica_count, rows_per_replica, to_replicas


@dataclass(frozen=True)
class Execution:
    """How the updates of a phase run.

    Attributes:
        updates: In one call of the device, at most.
        compiled: Whether XLA compiles an update, each padded length by itself.
        lengths: How many padded lengths the batches have where they are compiled.
        whole: Whether the whole call is compiled at fixed shapes, as a TPU does; only to see whether that is possible.
    """

    updates: int = 1
    compiled: bool = False
    lengths: int = 0
    whole: bool = False

    def __str__(self) -> str:
        """What a person is told; nothing where each update is a call of its own, and nothing is compiled.

        Example:
            >>> str(Execution(8, True, 5)), str(Execution())
            ('8 in one call of the device; compiled by XLA, at 5 padded lengths', '')
        """
        said = [f"{self.updates} in one call of the device"] if self.updates > 1 else []
        lengths = f"{self.lengths} padded length{'s' * (self.lengths != 1)}"
        return "; ".join([*said, f"compiled by XLA, at {lengths}"] if self.compiled else said)


class CallBatches(NamedTuple):
    """The batches of one call, behind one another and dealt out to the replicas.

    Attributes:
        tensors: The model's inputs, ``[updates, batch, ...]`` each, padded to the longest batch.
        targets: Likewise.
        mask: ``float32[updates, batch]``: 0 is padding.
        weights: Likewise: what a row counts in the loss.
        lengths: ``int32[updates, tensors and targets]``: how long the second axis of each batch is by itself.
    """

    tensors: tuple[Any, ...]
    targets: Any
    mask: Any
    weights: Any
    lengths: np.ndarray


@dataclass(frozen=True)
class Call:
    """What one call of the device takes.

    Attributes:
        block: The batches; rows of padding alone fill it up.
        updates: How many of them are real.
        rows: Examples in them.
    """

    block: CallBatches
    updates: int
    rows: int


@dataclass(frozen=True)
class Feed:
    """Takes the batches of a phase to the device.

    Attributes:
        train: What a batch is taken from.
        column: What it is compared with.
        weights: ``float32[examples]``: what each counts in the loss.
        batch_size: Of all replicas together.
        parts: A replica's share of a batch is a multiple of it.
        updates: In one call, at most.
    """

    train: Source
    column: Column
    weights: np.ndarray
    batch_size: int
    parts: int
    updates: int

    def calls(self, plan: np.ndarray, first: int, pause: Pause | None) -> Iterator[Call]:
        """Yields what is left of an epoch, call by call; a thread takes the next one to the device meanwhile.

        Args:
            plan: ``int64[steps, batch_size]``.
            first: The step to begin with.
            pause: Where a call has to end.
        """
        rows = pad_rows(plan, replica_count() * rows_per_replica(self.batch_size, self.parts))
        make = in_any_thread(lambda span: self._call(rows[span[0] : span[1]]))
        return ahead(make, spans(first, len(rows), self.updates, pause))

    def _call(self, rows: np.ndarray) -> Call:
        batches = [(*self.train.batch(each), self.column.take(each, self.train.edge(each))) for each in rows]
        arrays, lengths = behind_one_another(batches, self.updates)
        grid = np.pad(rows, ((0, self.updates - len(rows)), (0, 0)), constant_values=-1)
        mask = (grid >= 0).astype(np.float32)
        weights = mask * self.weights[np.maximum(grid, 0)]
        *tensors, targets, mask, weights = to_replicas([*arrays, mask, weights], axis=1)
        return Call(CallBatches(tuple(tensors), targets, mask, weights, lengths), len(rows), int((rows >= 0).sum()))


class Pause(NamedTuple):
    """Where calls have to end, so that a checkpoint is made right there: after ``step``, then each ``every`` steps."""

    step: int
    every: int


def spans(first: int, last: int, size: int, pause: Pause | None = None) -> Iterator[tuple[int, int]]:
    """Cuts steps into calls of at most ``size``, none of which goes beyond a pause.

    Example:
        >>> list(spans(2, 13, 4, Pause(step=5, every=6)))
        [(2, 5), (5, 9), (9, 11), (11, 13)]
    """
    while first < last:
        if pause is not None and pause.step <= first:
            pause = pause._replace(step=pause.step + pause.every)
            continue
        end = min(first + size, last, last if pause is None else pause.step)
        yield first, end
        first = end


def behind_one_another(batches: Sequence[tuple[np.ndarray, ...]], count: int) -> tuple[list[np.ndarray], np.ndarray]:
    """Joins batches, with zeros where one is shorter than another, or missing.

    Args:
        batches: The tensors of each, ``[rows, ...]``; they may differ in their second axis alone.
        count: How many there are to be.

    Returns:
        Each tensor of all of them, ``[count, rows, ...]``, and the second axis of each, ``int32[count, tensors]``:
        zeros where there is none, or one batch alone.

    Example:
        >>> joined, lengths = behind_one_another([(np.ones((1, 2)),), (np.ones((1, 1)),)], 3)
        >>> joined[0].tolist(), lengths.tolist()
        ([[[1.0, 1.0]], [[1.0, 0.0]], [[0.0, 0.0]]], [[2], [1], [0]])
    """
    lengths = np.zeros((count, len(batches[0])), np.int32)
    if count == 1:
        return [tensor[np.newaxis] for tensor in batches[0]], lengths
    joined = []
    for place, tensors in enumerate(zip(*batches, strict=True)):
        longest = max(tensors, key=lambda tensor: tensor.shape[1:2])
        block = np.zeros((count, *longest.shape), longest.dtype)
        for update, tensor in enumerate(tensors):
            if tensor.ndim == 1:
                block[update] = tensor
            else:
                lengths[update, place] = tensor.shape[1]
                block[update, :, : tensor.shape[1]] = tensor
        joined.append(block)
    return joined, lengths
