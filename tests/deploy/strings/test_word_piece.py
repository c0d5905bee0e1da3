"""WordPiece in a graph: ids equal those of the `tokenizers` package, to the letter, on texts of all kinds."""

import random

import pytest
import tokenizers

from kft.deploy.strings.spelling import NotInGraph, around, read_spelling, read_words
from tests.deploy.strings.vocabulary import SPECIALS, WORDS, made

HARD = (
    "\u00c4rger \u00fcber caf\u00e9 \u0130stanbul \u01c5 \u00df \u1e9e \ufb01 \u212b STRASSE straße",
    "[CLS] is the [MASK]x[SEP][PAD][UNK] [mask] [MASK ] [ MASK]",
    "[MA\U0010ffffSK] \U0010fffd\U0010fffc\U0010fffb\U0010fffa\U0010fff9\U0010fff8 \ufffd",
    "\x00\x01\ufffd\u200b\u200d x\x7f\x85\ufeff",
    "a" * 100 + " " + "the" * 33 + "t " + "the" * 34 + " " + "\u00e9" * 101,
    "\u4e2d\u6587great \U0001f600\u200d\U0001f469 \ud55c\uad6d\uc5b4 \u0e44\u0e17\u0e22 \u0928\u092e\u0938\u094d\u0924",
    "don't\u2014stop\u2026 \u00abx\u00bb ^x$y+z=~|`<> \u20ac5 \u00a35",
    "\u0391\u03a3 \u039f\u0394\u039f\u03a3 \u03c2",
    "\U0001d16d\U0001d165 x\u0301\u0323y \u302e\u302f e\u0301\u0302",
    "\u2028\u2029\x85\xa0\u3000x\ty\rz\n \u1680\u2003",
    "unaffable unaffables thegreat ## ##s #s",
)


def texts():
    """Over 700 texts: the hard ones, and characters and tokens drawn at random."""
    rng, found = random.Random(0), [*HARD, "x"]
    near = [*range(1, 0x600), *range(0x1E00, 0x2100), *range(0x3000, 0x3100), 0x4E2D, 0xAC00, 0x1F600, 0x10FFFF, 0xFFFD]
    far = [point for point in range(0x110000) if not 0xD800 <= point < 0xE000]
    for points in (near, far):
        found += ["".join(map(chr, rng.choices(points, k=rng.randint(1, 30)))) for _ in range(200)]
    parts = [*(word.removeprefix("##") for word in (*WORDS, *SPECIALS)), " ", "-", "\u0301", "\u00e9", "T", "#"]
    return found + ["".join(rng.choices(parts, k=rng.randint(1, 12))) for _ in range(300)]


@pytest.mark.parametrize(
    "settings",
    [
        {},
        pytest.param({"lowercase": False}, marks=pytest.mark.slow),
        pytest.param({"lowercase": True, "strip_accents": False}, marks=pytest.mark.slow),
        pytest.param({"lowercase": False, "strip_accents": True}, marks=pytest.mark.slow),
        pytest.param({"handle_chinese_chars": False}, marks=pytest.mark.slow),
    ],
    ids=str,
)
def test_ids_are_those_of_the_package(settings, tmp_path):
    import tensorflow as tf

    from kft.deploy.strings.word_piece import WordPiece

    tokenizer, asked = made(tmp_path, **settings), texts()
    pieces = WordPiece(read_spelling(tokenizer), read_words(tokenizer))
    found = tf.function(pieces.ids, input_signature=[tf.TensorSpec([None], tf.string)])(tf.constant(asked)).to_list()
    wanted = [each.ids for each in tokenizer.encode_batch(asked, add_special_tokens=False)]
    for text, one, other in zip(asked, wanted, found, strict=True):
        assert one == other, ascii(text)
    assert len(asked) > 700 and sum(map(len, wanted)) > 2500
    assert pieces.ids(tf.constant(["", "\x01"])).to_list() == [[], []]
    assert pieces.ids(tf.constant([], tf.string)).to_list() == []
    with pytest.raises(tf.errors.InvalidArgumentError):
        pieces.ids(tf.constant([b"caf\xe9"]))


def changed(tmp_path, change):
    import json

    values = json.loads(made(tmp_path).to_str())
    change(values)
    return tokenizers.Tokenizer.from_str(json.dumps(values))


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda values: values.update(normalizer={"type": "NFC"}), "no WordPiece of BERT's but WordPiece behind NFC"),
        (lambda values: values.update(pre_tokenizer={"type": "Whitespace"}), "no WordPiece of BERT's"),
        (lambda values: values["normalizer"].update(clean_text=False), "keeps control characters"),
        (lambda values: values["added_tokens"][0].update(lstrip=True), r"takes '\[PAD\]' whole, with lstrip"),
        (lambda values: values["added_tokens"][0].update(normalized=True), "whole, with normalized"),
        (lambda values: values["added_tokens"][0].update(content="the"), "takes 'the' whole"),
        (lambda values: values["added_tokens"][0].update(content="P]["), "special tokens overlap"),
    ],
)
def test_what_a_graph_would_do_otherwise_is_refused(change, why, tmp_path):
    with pytest.raises(NotInGraph, match=why):
        read_words(changed(tmp_path, change))


def test_what_stands_around_texts(tmp_path):
    tokenizer = made(tmp_path)
    single, pair = around(tokenizer, pairs=False), around(tokenizer, pairs=True)
    assert single.runs == (((2, 0),), ((3, 0),)) and single.types == (0,)
    assert pair.runs == (((2, 0),), ((3, 0),), ((3, 1),)) and pair.types == (0, 1)
