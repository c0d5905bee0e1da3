"""What is measured of texts."""

import numpy as np
import pytest

from kft.monitor.gauges.texts import SCRIPTS, TokenizerLimits, measure_texts
from kft.monitor.known import CELLS, NOTHING, KnownRows, count_tokens

PLAIN = TokenizerLimits(max_tokens=8)


def measured(*texts, spelling=PLAIN, known=NOTHING, tokens=None):
    ids = [np.arange(len(text.split())) for text in texts] if tokens is None else [np.array(row) for row in tokens]
    return measure_texts(texts, ids, spelling, known)


def test_characters_are_counted():
    found = measured("Ab 1!", "caf\u00e9", "...", "\u0416\u0436 a", "\U0001f600 \U00020000")
    assert found["characters"].tolist() == [5, 4, 3, 4, 3]
    assert found["digits"].tolist() == [0.2, 0, 0, 0, 0]
    assert found["punctuation"].tolist() == [0.2, 0, 1, 0, 1 / 3]
    np.testing.assert_equal(found["capitals"], [0.5, 0, np.nan, 1 / 3, 0])
    np.testing.assert_equal(found["beyond_ascii"], [0, 0.25, np.nan, 2 / 3, 1])
    scripts = [SCRIPTS[int(code)] if code == code else "" for code in found["script"]]
    assert scripts == ["latin", "latin", "", "cyrillic", "han"]


@pytest.mark.parametrize(
    ("text", "script"),
    [
        ("\u03b1\u03b2", "greek"),
        ("\u05d0\u05d1", "hebrew"),
        ("\u0627\u0644", "arabic"),
        ("\u0939\u093f\u0928", "devanagari"),
        ("\u0e44\u0e17", "thai"),
        ("\ud55c\uad6d", "hangul"),
        ("\u3072\u3089\u304c\u306a\u65e5", "kana"),
        ("\u4e2d\u6587 ab", "latin"),
        ("\u1e9e\u01c6", "latin"),
        ("\u10d0", "georgian"),
        ("\u1780", "other"),
    ],
)
def test_the_script_of_most_letters(text, script):
    assert SCRIPTS[int(measured(text)["script"][0])] == script


RIGHT = (
    *("caf\u00e9, na\u00efve", "Stra\u00dfe \u2013 \u201cquoted\u201d", "\u00c2ge d\u2019or", "prix: 5 \u20ac"),
    *("\u4e2d\u6587", "\u041f\u0440\u0438\u0432\u0435\u0442", "Z\u00fcrich \u0107"),
)


@pytest.mark.parametrize("text", RIGHT)
def test_text_that_was_read_wrongly_is_told(text):
    assert measured(text)["garbled"].tolist() == [0]
    beyond = sum(len(each.encode()) > 1 for each in text)
    for encoding in ("latin-1", "cp1252"):
        wrong = text.encode().decode(encoding, "replace")
        assert measured(wrong)["garbled"][0] * len(wrong) >= beyond - 1e-9
    assert measured(f"{text}\ufffd")["garbled"][0] == pytest.approx(1 / (len(text) + 1))
    assert measured(f"{text}\x00\x1b")["garbled"][0] == pytest.approx(2 / (len(text) + 2))


def test_neighbours_do_not_make_a_row_garbled():
    assert measured("\u00c3", "\u00a9")["garbled"].tolist() == [0, 0]


def test_tokens_are_counted_and_cut_ones_are_told():
    found = measured("one two", "a b c d e f g h")
    assert found["tokens"].tolist() == [2, 8] and found["cut"].tolist() == [0, 1]
    np.testing.assert_equal(found["characters_a_token"], [3.5, np.nan])


def test_what_the_tokenizer_does_not_know_and_what_it_adds():
    spelling = TokenizerLimits(16, unknown=1, special=(0, 2))
    found = measured("x", "y", "z", spelling=spelling, tokens=[[0, 1, 5, 2], [0, 5, 5, 2], [0, 2]])
    np.testing.assert_equal(found["unknown_tokens"], [0.5, 0, np.nan])
    assert "unknown_tokens" not in measured("x") and "first_share" not in found


def test_surprise_is_that_of_the_valid_split():
    counts, hashed = count_tokens([np.array([0, 3, 3, 4]), np.array([0, 3])], 10, special=(0,))
    assert not hashed and counts.tolist() == [0, 0, 0, 3, 1, 0, 0, 0, 0, 0]
    known = KnownRows(2, counts)
    spelling = TokenizerLimits(16, special=(0,))
    found = measured("a", "b", "c", spelling=spelling, known=known, tokens=[[0, 3], [0, 3, 9], [0]])
    common, never = -np.log(4 / 14), -np.log(1 / 14)
    assert found["surprise"][:2] == pytest.approx([common, (common + never) / 2]) and np.isnan(found["surprise"][2])
    np.testing.assert_equal(found["new_tokens"], [0, 0.5, np.nan])
    beyond = measured("a", known=known, tokens=[[10_000]])  # of a tokenizer with holes
    assert beyond["new_tokens"].tolist() == [1]


def test_a_large_vocabulary_is_hashed():
    rng = np.random.default_rng(0)
    rows = [rng.integers(0, 250_000, 50) for _ in range(100)]
    counts, hashed = count_tokens(rows, 250_000, special=())
    assert hashed and len(counts) == CELLS and counts.sum() == 5000 and (counts > 0).sum() > 4000
    found = measured("a", "b", known=KnownRows(100, counts, hashed), tokens=[rows[0], rng.integers(0, 250_000, 50)])
    assert found["new_tokens"][0] == 0 < 0.5 < found["new_tokens"][1]


def test_a_pair_is_told_from_one_that_was_swapped():
    pairs = TokenizerLimits(16, pairs=True)
    assert measured("ab\tcdef", "abcd\tef", spelling=pairs)["first_share"].tolist() == [2 / 6, 4 / 6]


def test_a_row_is_measured_alike_in_any_block():
    rng = np.random.default_rng(1)
    texts = ["".join(map(chr, rng.integers(32, 0x3000, rng.integers(1, 40)))) for _ in range(50)]
    counts, _ = count_tokens([np.arange(30)], 60, ())
    rows = [rng.integers(0, 60, rng.integers(1, 12)) for _ in texts]
    spelling, known = TokenizerLimits(8, unknown=1, special=(0,), pairs=True), KnownRows(1, counts)
    whole = measure_texts(texts, rows, spelling, known)
    for place, (text, row) in enumerate(zip(texts, rows, strict=True)):
        alone = measure_texts([text], [row], spelling, known)
        assert alone.keys() == whole.keys()
        for name, values in alone.items():
            np.testing.assert_array_equal(values, whole[name][place : place + 1], err_msg=name)


def test_no_rows():
    assert {len(values) for values in measure_texts([], [], PLAIN, NOTHING).values()} == {0}
