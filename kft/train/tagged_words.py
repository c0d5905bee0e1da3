"""The words of a tagged split as views take them, and back to the tokens of its texts."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from kft.features.views.view import Goal, Lesson, Seen, Shapes
from kft.features.words import WordVectors
from kft.feed.batches import Ragged
from kft.feed.source import Source
from kft.tasks.word_shapes import WORD_FEATURES
from kft.train.job import Labelled


def words_of(part: Labelled, features: Source, text: np.ndarray, goal: Goal) -> Lesson:
    """Returns the words of a split, those of all texts end to end.

    Args:
        part: The split; its targets are 0 where a token is no word's first.
        features: Of every token.
        text: ``int[texts]``: what belongs together has the same number.
        goal: What is answered.
    """
    (column,) = (features.columns[name] for name in features.columns if name not in part.source.columns)
    words = WordVectors(column, part.targets)
    vectors = np.concatenate([values for _, values in words.chunks()])
    places = part.source.columns[WORD_FEATURES]
    shapes = [places.row(at)[tags > 0] for at, tags in enumerate(part.targets)]
    counts = [len(rows) for rows in shapes]
    return Lesson(Seen(vectors, None, Shapes(np.concatenate(shapes), np.repeat(text, counts))), words.targets, goal)


def to_tokens(outputs: np.ndarray, targets: Sequence[np.ndarray]) -> Ragged:
    """Returns ``float32[tokens, units]`` of each text: a word's outputs at its first token, zeros at others."""
    tags = Ragged.from_rows(list(targets))
    values = np.zeros((len(tags.values), outputs.shape[1]), np.float32)
    values[tags.values > 0] = outputs
    return Ragged(values, tags.offsets)
