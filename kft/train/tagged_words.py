"""The words of a tagged split as views take them, and back to the tokens of its texts."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from kft.features.views.view import Goal, Lesson, Seen, Shapes
from kft.feed.batches import Ragged
from kft.feed.source import Source
from kft.tasks.word_shapes import WORD_FEATURES
from kft.train.job import Labelled

MOST_WORDS = 300_000
"""Words of train that are learned from, whole texts: more of them add little, and their vectors fill the memory."""
CHUNK_TEXTS = 256


def words_of(part: Labelled, features: Source, text: np.ndarray, goal: Goal, most: int | None = None) -> Lesson:
    """Returns the words of a split, those of all texts end to end.

    Args:
        part: The split; its targets are 0 where a token is no word's first.
        features: Of every token.
        text: ``int[texts]``: what belongs together has the same number.
        goal: What is answered.
        most: Where a split has more words, texts drawn at random that have so many.
    """
    (column,) = (features.columns[name] for name in features.columns if name not in part.source.columns)
    rows = _drawn(np.array([(tags > 0).sum() for tags in part.targets]), most)
    tags = Ragged.from_rows([part.targets[row] for row in rows])
    vectors = [np.asarray(column.row(row), np.float32)[part.targets[row] > 0] for row in rows]
    shapes = []
    for start in range(0, len(rows), CHUNK_TEXTS):
        chunk = np.arange(start, min(start + CHUNK_TEXTS, len(rows)))
        edge = int(tags.lengths[chunk].max())
        shapes.append(part.source.columns[WORD_FEATURES].take(rows[chunk], edge)[tags.pad(chunk, edge)[0] > 0])
    counts = [len(values) for values in vectors]
    seen = Seen(np.concatenate(vectors), None, Shapes(np.concatenate(shapes), np.repeat(text[rows], counts)))
    return Lesson(seen, tags.values[tags.values > 0] - 1, goal)


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
