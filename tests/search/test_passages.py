"""Passages: borders, overlap, nothing lost, and what cannot be cut so."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kft.errors import UsageError
from kft.records.index import Cutting
from kft.search.passages import cut, plan_cutting


def spans(text):
    return np.array([match.span() for match in re.finditer(r"\w+|[^\w\s]", text)], np.int64).reshape(-1, 2)


def parts(text, size, overlap=0):
    return [text[start:stop] for start, stop in cut(text, spans(text), Cutting(size, overlap))]


def test_a_short_text_is_one_passage_without_the_space_around_it():
    assert parts("  A short text.\n", 10) == ["A short text."]


def test_a_paragraph_is_a_stronger_border_than_a_sentence_and_that_than_a_line():
    assert parts("one two three.\n\nFour. five six seven", 7) == ["one two three.", "Four. five six seven"]
    assert parts("one two three. four\nfive six", 6) == ["one two three.", "four\nfive six"]
    assert parts("one two three\nfour five six", 5) == ["one two three", "four five six"]


def test_the_next_passage_begins_with_a_sentence_of_the_overlap():
    text = "One two three. Four five six. Seven eight nine. Ten."
    assert parts(text, 8, 4) == [
        "One two three. Four five six.",
        "Four five six. Seven eight nine.",
        "Seven eight nine. Ten.",
    ]


def test_a_text_without_any_space_is_cut_all_the_same():
    text = "。" * 3 + "x"
    offsets = np.array([[place, place + 1] for place in range(len(text))])
    assert "".join(text[a:b] for a, b in cut(text, offsets, Cutting(2, 0))) == text


@given(st.text(alphabet="ab .\n!", min_size=1, max_size=200), st.integers(2, 12), st.integers(0, 5))
def test_nothing_is_lost_and_no_passage_is_too_long(text, size, overlap):
    overlap = min(overlap, (size - 1) // 2)
    found = cut(text, spans(text), Cutting(size, overlap)) if text.strip() else []
    covered = {place for start, stop in found for place in range(start, stop)}
    assert {place for place, sign in enumerate(text) if not sign.isspace()} <= covered
    assert all(len(spans(text[start:stop])) <= size for start, stop in found)
    assert [start for start, _ in found] == sorted({start for start, _ in found})


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ((200, None), "passages of this length cannot be used"),
        ((0, None), "passages of this length cannot be used"),
        ((20, 10), "passages cannot overlap by so much"),
        ((20, -1), "passages cannot overlap by so much"),
    ],
)
def test_what_cannot_be_cut_so(asked, message):
    with pytest.raises(UsageError, match=message):
        plan_cutting(126, *asked)
