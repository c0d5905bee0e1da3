"""A finished run as a teacher: what it answers to another run's texts or images, computed once and kept.

Its probabilities are taken calibrated: a model that was tuned on few rows is too sure of itself, most of all on those
rows, and answers near 0 and 1 say no more than a label does. At calibrated probabilities the cross-entropy has its
minimum where the student is as sure as the teacher may rightly be. ``temperature`` softens them further, or
sharpens them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import numpy as np

from kft.answer.fitted import FittedDecisions, checkpoint_hash, read_fitted
from kft.answer.load import load_artifact, load_head
from kft.answer.teachable import Teacher
from kft.data.clean import clean_input
from kft.data.examples import content
from kft.errors import UsageError
from kft.features.cache import features_root
from kft.features.vectors import as_array
from kft.feed.shards import ABOUT, ELSEWHERE, ShardIndex, locked, write_shard
from kft.records.files import write_json
from kft.replicas import process_count

if TYPE_CHECKING:
    from kft.train.progress import Progress

PROBABILITIES = "probabilities"
SHARD_ROWS = 2048
"""A kill loses no more than a shard of answers."""


def ask(teacher: Teacher, inputs: Sequence[Any], progress: Progress) -> np.ndarray:
    """Returns ``float32[n, classes]``: the teacher's probabilities before calibration, in the order of its own labels.

    What it answered once it is not asked again: its answers lie in the feature cache, under the hash of its weights
    and, row by row, of the text or image.

    Args:
        teacher: Who answers.
        inputs: Texts, pairs of texts or paths of images.
        progress: Told how the work goes on.

    Raises:
        StorageError: The answers cannot be written.
        RunError: The teacher's folder is damaged.
    """
    return _kept(teacher, [clean_input(given, teacher.run.recipe.spec.data) for given in inputs], progress)


def own_temperature(teacher: Teacher) -> float:
    """Returns what the teacher was calibrated by; 1 where it was not."""
    folder = teacher.run.folder
    fitted = read_fitted(folder, checkpoint_hash(folder)) or FittedDecisions()
    return fitted.given.temperature.value


def _kept(teacher: Teacher, inputs: Sequence[Any], progress: Progress) -> np.ndarray:
    folder = features_root() / f"teacher-{teacher.weights[:24]}"
    keys = _keys(inputs)
    index = ShardIndex(folder)
    missing = index.missing(keys)
    if len(missing) and process_count() > 1:
        raise UsageError(  # the one that holds the store's lock would wait for the others to compute with it
            "several workers cannot ask a teacher",
            where=f"train.teacher: {teacher.named}",
            received=f"{len(missing):,} of {len(inputs):,} rows not answered before, and {process_count()} workers",
            expected="answers in a cache that all workers share",
            next_step="kft train with --devices one, stopped once it has answered; or KFT_CACHE on a shared disk",
        )
    if not len(missing):
        progress.note(f"teacher    {teacher.named}: {len(inputs):,} answers are stored already")
    else:
        with locked(folder, lambda: progress.note("teacher    another process asks it; waiting for it"), ELSEWHERE):
            index = ShardIndex(folder)  # with what another process has written meanwhile
            missing = index.missing(keys)
            about = {"model": teacher.named, "phase": "teacher", "boundary": [PROBABILITIES]}
            write_json(folder / ABOUT, about, elsewhere=ELSEWHERE)
            known = len(inputs) - len(missing)
            progress.note(
                f"teacher    {teacher.named} answers {len(missing):,} rows"
                + (f"; {known:,} are stored already" if known else "")
            )
            _compute(teacher, [inputs[row] for row in missing], keys[missing], progress)
        index = ShardIndex(folder)
    with suppress(OSError):  # when it was last used: `kft cache prune` starts with the oldest
        (folder / ABOUT).touch()
    column = index.columns(keys, {PROBABILITIES: (np.dtype(np.float32), False)})[PROBABILITIES]
    return as_array(column, len(keys))


def _compute(teacher: Teacher, inputs: Sequence[Any], keys: np.ndarray, progress: Progress) -> None:
    folder = features_root() / f"teacher-{teacher.weights[:24]}"
    artifact = load_head(teacher.run) if teacher.seen else load_artifact(teacher.run)
    with progress.task("teacher", len(inputs)) as tick:
        for start in range(0, len(inputs), SHARD_ROWS):
            part = slice(start, start + SHARD_ROWS)
            answers = np.asarray(artifact.answers(inputs[part]), np.float32)
            write_shard(folder, keys[part], {PROBABILITIES: answers}, ELSEWHERE)
            tick(len(answers))


def _keys(inputs: Sequence[Any]) -> np.ndarray:
    """Returns ``uint8[n, 16]``: a hash of what each input is."""
    hashes = [hashlib.blake2b(content(given).encode(), digest_size=16).digest() for given in inputs]
    return np.frombuffer(b"".join(hashes), np.uint8).reshape(len(hashes), 16)
