"""Words as tagging counts them: by Unicode, whatever a tokenizer makes of them; in plain English as they ever were."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers

from kft.metrics.tagging import Span
from kft.tasks.decode import find_spans
from kft.tasks.spans import SPANS, lost_spans
from kft.tasks.task import AnswerSpace
from kft.tasks.words import mark_words, word_numbers, word_places

ONE_WORD = {
    "Hindi": "दिल्ली",
    "Hindi, conjunct": "हिन्दी",
    "decomposed": "cafe\u0301s",
    "soft hyphen": "Lind\u00adqvist",
    "ZWNJ": "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",
    "ZWJ": "Lind\u200dqvist",
    "word joiner": "Lind\u2060qvist",
    "Hebrew with points": "שָלוֹם",
    "Arabic with vowels": "مُحَمَّد",
    "Tamil": "தமிழ்",
    "Hangul": "서울",
    "Hangul jamo": "한글",
    "family": "👨\u200d👩\u200d👧",
    "flag": "🇩🇪",
    "accented": "Göteborg",
}


@pytest.mark.parametrize("name", ONE_WORD)
def test_marks_and_joiners_cut_no_word(name):
    text = f"so {ONE_WORD[name]} left"
    (start, end) = (3, 3 + len(ONE_WORD[name]))
    assert (start, end) in [(place[0], place[1]) for place in word_places(text).tolist()]
    assert len(set(word_numbers(text).tolist())) == 5  # three words and the spaces between them


@pytest.mark.parametrize(
    ("text", "parts"), [("日本語", 3), ("กรุงเทพ", 6), ("บ้าน", 3), ("O\u2019Brien-Smith", 5), ("a_b", 3), ("3.14", 3)]
)
def test_scripts_without_spaces_and_marks_between_letters_part_words(text, parts):
    assert len(word_places(text)) == parts


@given(st.text(st.characters(max_codepoint=127)))
def test_plain_text_is_parted_as_ever(text):
    numbers = word_numbers(text)
    for place in range(1, len(text)):
        goes_on = text[place - 1].isalnum() and text[place].isalnum()
        assert (numbers[place] == numbers[place - 1]) == goes_on


@given(st.text())
def test_words_lie_in_order_and_no_mark_begins_one_behind_a_letter(text):
    numbers, places = word_numbers(text), word_places(text)
    assert len(numbers) == len(text) and (np.diff(numbers) >= 0).all() and (np.diff(numbers) <= 1).all()
    assert (places[:, 0] <= places[:, 1]).all() and (places[1:, 0] >= places[:-1, 1]).all()


def tokenizers():
    """Three tokenizers that cut words in their own ways: pieces of words, bytes, and pieces with accents taken off."""
    pieces = Tokenizer(
        models.WordPiece({"[UNK]": 0, "a": 1, **{f"##{c}": 2 + n for n, c in enumerate("abcdefgh")}}, unk_token="[UNK]")
    )
    pieces.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    letters = {c: n for n, c in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
    single = Tokenizer(models.BPE(letters, []))
    single.pre_tokenizer, single.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    every = {"[UNK]": 0}
    for text in ONE_WORD.values():
        for c in normalizers.NFD().normalize_str(text.lower()):
            every.setdefault(c, len(every))
            every.setdefault(f"##{c}", len(every))
    bare = Tokenizer(models.WordPiece(every, unk_token="[UNK]"))
    bare.normalizer = normalizers.BertNormalizer(strip_accents=True, lowercase=True)
    bare.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    return {"pieces": pieces, "bytes": single, "bare": bare}


MADE = tokenizers()


@pytest.mark.parametrize("name", ONE_WORD)
@pytest.mark.parametrize("kind", MADE)
def test_a_span_over_such_a_word_comes_back_whole(kind, name):
    text = f"a {ONE_WORD[name]} a"
    span = Span(2, 2 + len(ONE_WORD[name]), "PER")
    offsets = mark_words(np.array(MADE[kind].encode(text).offsets, np.int32).reshape(-1, 2), text)
    space = AnswerSpace(("PER",))
    (tags,) = SPANS.learning.targets([(span,)], space, [offsets])
    (said,) = SPANS.judging.answers([8.0 * np.eye(3)[np.maximum(tags - 1, 0)]], space, [offsets])
    assert [each[:3] for each in said] == [tuple(span)] and not lost_spans([(span,)], space, [offsets])


def test_spans_that_do_not_come_back_are_counted():
    text = "Maries friend Ada met Bob"
    spans = (Span(0, 5, "PER"), Span(14, 17, "PER"), Span(22, 25, "PER"))
    places = word_places(text)
    space = AnswerSpace(("PER",))
    assert lost_spans([spans], space, [places]) == [(0, spans[0])]
    assert lost_spans([spans], space, [places[:-1]]) == [(0, spans[0]), (0, spans[2])], "behind the cut"
    halves = (Span(0, 3, "A"), Span(3, 6, "B"))
    assert lost_spans([halves], AnswerSpace(("A", "B")), [places]) == [(0, halves[0]), (0, halves[1])]


def test_a_text_of_invisible_characters_has_no_words():
    assert find_spans(np.zeros((2, 3)), ("PER",), mark_words(np.array([[0, 1], [1, 2]]), "\u200e\u200f")) == ()
