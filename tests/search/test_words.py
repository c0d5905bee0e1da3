"""BM25: the formula by hand, shares that compare, words that nobody has, and scripts without spaces."""

import math

import pytest

from kft.search.words import index_words, load_words, save_words, split_words


@pytest.fixture
def words(tmp_path):
    save_words(index_words(["a red apple", "a green pear and a plum", "漢字"]), tmp_path)
    return load_words(tmp_path)


def test_a_share_is_the_score_over_the_most_there_can_be(words):
    worth = math.log1p((3 - 1 + 0.5) / (1 + 0.5))
    length = 3 / ((3 + 6 + 2) / 3)
    expected = (1 / (1 + 1.5 * (1 - 0.75 + 0.75 * length))) * worth / worth
    assert words.shares(["apple"])[0] == pytest.approx([expected, 0, 0], rel=1e-5)


def test_a_word_that_no_passage_holds_lowers_every_share(words):
    one, two = words.shares(["APPLE", "apple zebra"])
    assert 0 < two[0] < one[0] <= 1
    assert not words.shares(["zebra", "?!"]).any()


def test_characters_of_scripts_without_spaces_are_words(words):
    assert split_words("漢字 and ﬁne") == ["漢", "字", "and", "fine"]
    assert words.shares(["字"])[0].argmax() == 2


def test_passages_without_any_word(tmp_path):
    save_words(index_words(["...", "!?"]), tmp_path)
    assert load_words(tmp_path).shares(["what"]).tolist() == [[0, 0]]
