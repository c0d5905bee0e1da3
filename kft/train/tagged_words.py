"""The words of a tagged split as views take them, and back to the tokens of its texts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from kft.features.views.view import Goal, Lesson, Shapes, ViewInput
from kft.feed.batches import Ragged
from kft.feed.source import Source
from kft.tasks.word_shapes import WORD_FEATURES
from kft.train.job import Labelled

MOST_WORDS = 300_000
"""Words of train that are learned from, whole texts: more of them add little, and their vectors fill the memory."""
CHUNK_TEXTS = 256


def words_of(part: Labelled, features: Source | None, text: np.ndarray, goal: Goal, most: int | None = None) -> Lesson:
    """Returns the words of a split, those of all texts end to end.

    Args:
        part: The split; its targets are 0 where a token is no word's first.
        features: Of every token; None where words have their shapes alone.
        text: ``int[texts]``: what belongs together has the same number.
        goal: What is answered.
        most: Where a split has more words, texts drawn at random that have so many.
    """
    rows = _drawn(np.array([(tags > 0).sum() for tags in part.targets]), most)
    firsts = [part.targets[row] for row in rows]
    tags = Ragged.from_rows(firsts)
    seen = shapes_of(part.source, rows, firsts, text)
    if features is not None:
        (column,) = (features.columns[name] for name in features.columns if name not in part.source.columns)
        vectors = [np.asarray(column.row(row), np.float32)[part.targets[row] > 0] for row in rows]
        seen = replace(seen, vectors=np.concatenate(vectors))
    return Lesson(seen, tags.values[tags.values > 0] - 1, goal)


def shapes_of(source: Source, rows: np.ndarray, firsts: Sequence[np.ndarray], text: np.ndarray) -> ViewInput:
    """Returns how the words of some texts are written, without vectors.

    Args:
        source: The texts, as they were read.
        rows: ``int[m]``: which of them.
        firsts: Of each, ``int[tokens]``: above 0 at the first token of a word.
        text: ``int[texts]``: the number that the words of a text get.
    """
    edges, shapes = Ragged.from_rows(list(firsts)), []
    for start in range(0, len(rows), CHUNK_TEXTS):
        chunk = np.arange(start, min(start + CHUNK_TEXTS, len(rows)))
        edge = int(edges.lengths[chunk].max())
        shapes.append(source.columns[WORD_FEATURES].take(rows[chunk], edge)[edges.pad(chunk, edge)[0] > 0])
    counts = [int((first > 0).sum()) for first in firsts]
    places = np.concatenate(shapes)
    return ViewInput(np.zeros((len(places), 0), np.float32), None, Shapes(places, np.repeat(text[rows], counts)))


def _drawn(counts: np.ndarray, most: int | None) -> np.ndarray:
    """Returns ``int[texts]``: all of them, or a draw of at most so many words, one text at least."""
    if most is None or counts.sum() <= most:
        return np.arange(len(counts))
    order = np.random.default_rng(0).permutation(len(counts))
    return np.sort(order[: max(1, int((np.cumsum(counts[order]) <= most).sum()))])


def to_tokens(outputs: np.ndarray, targets: Sequence[np.ndarray]) -> Ragged:
    """Returns ``float32[tokens, units]`` of each text: a word's outputs at its first token, zeros at others."""
    tags = Ragged.from_rows(list(targets))
    values = np.zeros((len(tags.values), outputs.shape[1]), np.float32)
    values[tags.values > 0] = outputs
    return Ragged(values, tags.offsets)
