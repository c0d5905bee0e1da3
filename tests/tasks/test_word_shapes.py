"""Features of words: what an uncased tokenizer throws away is in them, and nothing of another text."""

import numpy as np
import pytest

from kft.tasks.word_shapes import BUCKETS, FEATURES, word_features
from kft.tasks.words import word_places

TEXTS = ["See NULL, or dirfd_max.", "", "The key (see key(3)) is /proc/self.", "cafe\u0301 \u65e5\u672c 7", "\u200b"]


def features(*texts):
    return word_features(texts, [word_places(text) for text in texts])


def test_each_word_has_its_features_and_other_tokens_have_none():
    places = np.array([[0, 0, 0], [0, 2, 1], [2, 5, 0], [6, 7, 1], [0, 0, 0]], np.int32)
    (found,) = word_features(["dirfd !"], [places])
    assert found.shape == (5, FEATURES) and found.dtype == np.int32
    assert [bool(row.any()) for row in found] == [False, True, False, True, False]
    assert found[[1, 3]].min() > 0 and found.max() < BUCKETS


def test_a_text_says_the_same_alone_and_among_others():
    together = features(*TEXTS)
    for text, rows in zip(TEXTS, together, strict=True):
        np.testing.assert_array_equal(rows, features(text)[0])
    assert [len(rows) for rows in together] == [8, 0, 15, 4, 1]


def test_pieces_of_a_tokenizer_make_no_difference():
    whole = np.array([[0, 5, 1], [6, 9, 1]], np.int32)
    cut = np.array([[0, 0, 0], [0, 3, 1], [3, 5, 0], [6, 9, 1], [0, 0, 0]], np.int32)
    (first,), (second,) = word_features(["dirfd two"], [whole]), word_features(["dirfd two"], [cut])
    np.testing.assert_array_equal(first, second[[1, 3]])


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("is null here", "is NULL here"),  # case
        ("is x1 here", "is xa here"),  # digits
        ("is open now", "is open() now"),  # what stands behind it
        ("is map now", "is map_x now"),  # its name
        ("the key is", "two key is"),  # a neighbour
        ("see key or cat", "see key or key"),  # whether it comes again
    ],
)
def test_words_that_a_tokenizer_may_read_alike_differ(one, other):
    first, second = features(one)[0][1], features(other)[0][1]
    assert (first != second).any()


def test_words_that_underscores_join_know_their_name():
    rows = features("get MAX_LEN now")[0]
    apart = features("get MAX LEN now")[0]
    assert len(rows) == 5 and len(apart) == 4
    # Both parts of the name share what is said of the whole of it, but for which of them begins it.
    assert (rows[1] == rows[3]).sum() > (apart[1] == apart[2]).sum()


def test_the_numbers_are_the_same_in_every_process():
    (found,) = features("See NULL")
    assert found[1, :4].tolist() == EXPECTED


EXPECTED = [83734, 246764, 167886, 220397]
"""A table that was learned is useless where a feature lies elsewhere: these may never change."""
