"""Rows of ids in a graph: cut and put together as kft's own reader does."""

import random

import numpy as np
import pytest

from kft.deploy.runner.reading import TextReader
from kft.deploy.strings.spelling import around, read_spelling, read_words
from kft.model.token_rows import TextTokenizer
from tests.deploy.strings.vocabulary import made


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    return made(tmp_path_factory.mktemp("vocabulary"))


@pytest.fixture(scope="module")
def pieces(tokenizer):
    from kft.deploy.strings.word_piece import WordPiece

    return WordPiece(read_spelling(tokenizer), read_words(tokenizer))


@pytest.mark.parametrize("pairs", [False, True])
@pytest.mark.parametrize("most", [2, 3, 8, 9, 64])
def test_rows_are_those_of_the_reader(pieces, tokenizer, pairs, most):
    import tensorflow as tf

    from kft.deploy.strings.reading import StringReader

    rng = random.Random(most)
    texts = ["the " * count for count in (*range(1, 12), 1, 12, 12, 1)]
    inputs = [(one, rng.choice(texts)) for one in texts * 3] if pairs else texts
    template = around(tokenizer, pairs=pairs)
    reading = StringReader(pieces, template, most, html=False)
    assert reading.names == (("first", "second") if pairs else ("text",))
    sides = list(zip(*inputs, strict=True)) if pairs else [inputs]
    found = reading([tf.constant(side) for side in sides])
    reader = TextReader(TextTokenizer(tokenizer, 2 + pairs), most, pairs, str)
    for place, row in enumerate(reader.read(inputs).rows):
        for name, values in row.items():
            given = found[name].numpy()[place]
            assert given.dtype == np.int32
            np.testing.assert_array_equal(given[: len(values)], values)
            assert not given[len(values) :].any()


def test_what_cannot_be_answered_is_an_error(pieces, tokenizer):
    import tensorflow as tf

    from kft.deploy.strings.reading import StringReader

    reading = StringReader(pieces, around(tokenizer, pairs=False), 8, html=True)
    for empty in ("", " \t\n", "\u2003\x1c", "&nbsp;", "&#32;&amp;#32;"):
        with pytest.raises(tf.errors.InvalidArgumentError, match="a text is empty: there is nothing to answer"):
            reading([tf.constant(["the", empty])])
    with pytest.raises(tf.errors.InvalidArgumentError):
        reading([tf.constant([b"caf\xe9"])])
    assert reading([tf.constant(["\x01"])])["token_ids"].numpy().tolist() == [[2, 3]]
