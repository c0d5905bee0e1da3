"""Words of a split as views take them: each with its own vector, features and tag, whole texts alone."""

import numpy as np

from kft.features.views.view import Goal
from kft.feed.batches import Ragged
from kft.feed.source import Source
from kft.tasks.word_shapes import WORD_FEATURES
from kft.train import tagged_words
from kft.train.job import Labelled

TAGS = [np.array([0, 1, 0, 2, 0]), np.array([0, 3, 0]), np.array([0, 1, 1, 1, 0, 0])]


def split() -> tuple[Labelled, Source]:
    """Every token's number is its vector and, in hundreds, its feature."""
    lengths = np.array([len(tags) for tags in TAGS])
    numbers = Ragged(np.arange(lengths.sum(), dtype=np.float32)[:, None], np.append(0, np.cumsum(lengths)))
    shapes = Ragged((100 * numbers.values).astype(np.int32), numbers.offsets)
    part = Labelled(Source({"token_ids": numbers, WORD_FEATURES: shapes}, lengths, (8,)), TAGS, None)
    return part, Source({"block": numbers}, lengths, (8,))


def test_words_come_in_order_with_what_is_theirs(monkeypatch):
    part, features = split()
    for chunk in (1, 2, 256):
        monkeypatch.setattr(tagged_words, "CHUNK_TEXTS", chunk)
        found = tagged_words.words_of(part, features, np.array([7, 7, 9]), Goal("softmax", 3))
        assert found.seen.vectors[:, 0].tolist() == [1, 3, 6, 9, 10, 11]
        assert found.seen.shapes is not None
        assert found.seen.shapes.places[:, 0].tolist() == [100, 300, 600, 900, 1000, 1100]
        assert found.seen.shapes.text.tolist() == [7, 7, 7, 9, 9, 9]
        assert found.targets.tolist() == [0, 1, 2, 0, 0, 0]
    back = tagged_words.to_tokens(np.eye(6, dtype=np.float32), TAGS)
    assert back.row(1)[1].tolist() == [0, 0, 1, 0, 0, 0] and not back.row(1)[[0, 2]].any()


def test_of_too_many_words_whole_texts_are_drawn():
    part, features = split()
    for most in range(1, 7):
        found = tagged_words.words_of(part, features, np.arange(3), Goal("softmax", 3), most)
        assert found.seen.shapes is not None
        kept = {text: int((found.seen.shapes.text == text).sum()) for text in found.seen.shapes.text}
        assert all(count == (TAGS[text] > 0).sum() for text, count in kept.items())
        assert len(found) <= most or len(kept) == 1
