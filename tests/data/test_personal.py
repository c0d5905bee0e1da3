"""Personal data: found by form and check digits, replaced by placeholders, masked where they are shown."""

from itertools import pairwise

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kft.data.examples import Columns
from kft.data.inputs import as_inputs, read_inputs
from kft.data.personal import find_personal, masked, redact
from kft.data.tables import Rows, to_examples
from kft.errors import RecipeError
from kft.recipe.personal_kinds import PERSONAL_KINDS
from kft.recipe.schema import DataSpec
from kft.tasks.recipes import load_recipe
from kft.tasks.registry import TASKS


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("Write to jane.roe+x@mail.example.co.uk, please.", "Write to [EMAIL], please."),
        ("müller@exämple.de", "[EMAIL]"),
        ("Call (212) 555-2368 or +49 30 1234567.", "Call [PHONE] or [PHONE]."),
        ("0044 20 7946 0958", "[PHONE]"),
        ("My number is 02079460958", "My number is [PHONE]"),
        ("Pay to de89 3704 0044 0532 0130 00 today", "Pay to [IBAN] today"),
        ("4111 1111 1111 1111, 378282246310005", "[CARD], [CARD]"),
        ("SSN 536-90-4399", "SSN [NATIONAL-ID]"),
        ("DNI 12345678Z, CPF 529.982.247-25", "DNI [NATIONAL-ID], CPF [NATIONAL-ID]"),
        ("from 8.8.8.8 and 2001:4860:4860::8888", "from [IP] and [IP]"),
        ("https://bob:secret@host.com/x", "[LOGIN]/x"),
    ],
)
def test_personal_data_are_replaced(text, left):
    assert redact(text, PERSONAL_KINDS) == left


@pytest.mark.parametrize(
    "text",
    [
        "Order 2125552368 of 2020-03-12 12:30 came to 1,000,000.00 or 1.000.000.000",
        "4111 1111 1111 1112",  # the check digit is wrong
        "DE89 3704 0044 0532 0130 01",
        "12345678A",
        "version 1.2.3.4, firmware 10.20.30.40, 192.168.0.1, 300.1.2.3",
        "a@b, @home, me@localhost, 12:30:45, std::vector, 3 - 4 - 5",
        "https://example.com/@jane",
        "The 2019-2020 season: 102-98, 15.3 % of 1999/2000",
    ],
)
def test_what_only_looks_like_personal_data_stays(text):
    assert find_personal(text) == []


def test_only_the_named_kinds_are_replaced():
    text = "jane@example.com, +44 20 7946 0958"
    assert redact(text, ["phone"]) == "jane@example.com, [PHONE]"
    assert redact(text, []) == text


@given(st.text(max_size=60), st.sampled_from(["jane@example.com", "4111 1111 1111 1111", "+44 20 7946 0958"]))
@settings(max_examples=100, deadline=None)
def test_what_was_replaced_stays_replaced_and_spans_part_the_text(noise, datum):
    text = f"{noise} | {datum} | {noise}"
    found = find_personal(text)
    assert all(0 <= a.start < a.end <= b.start for a, b in pairwise(found))
    once = redact(text, PERSONAL_KINDS)
    assert datum not in once and redact(once, PERSONAL_KINDS) == once


def test_what_is_shown_is_masked():
    for text in ("jane@example.com", "4111 1111 1111 1111", "https://bob:secret@host.com", "536-90-4399"):
        for datum in find_personal(text):
            value = text[datum.start : datum.end]
            shown = masked(datum.kind, value)
            assert "***" in shown and len([c for c in shown if c.isalnum()]) < len(value) / 2


def test_a_long_text_without_spaces_is_read_once():
    for text in ("a" * 300_000, "4" * 300_000 + "x", "1234 a@" + "a." * 150_000, "::1" * 100_000, "@" * 300_000):
        assert not list(find_personal(text))  # minutes if a pattern went over it again from every character


def test_training_and_answering_read_the_same():
    spec = DataSpec(train="a.csv", redact=("email", "card"))
    frame = pd.DataFrame({"text": ["I am jane@example.com", 4111111111111111], "label": ["a", "b"]})
    task = TASKS.get("text-classification")
    examples, _ = to_examples(Rows("a.csv", frame), spec, task=task, columns=Columns("text", "label"))
    assert examples.inputs == ["I am [EMAIL]", "[CARD]"]
    assert read_inputs(frame, task, spec, column="text").inputs == examples.inputs
    assert as_inputs(list(frame["text"]), task, spec) == examples.inputs
    pairs = TASKS.get("text-pairs")
    assert as_inputs([("jane@example.com", "who?")], pairs, spec) == [("[EMAIL]", "who?")]


@pytest.mark.parametrize(
    ("task", "text"),
    [
        ("token-tagging", "a placeholder would move the labelled spans"),
        ("image-classification", "only texts are searched for personal data"),
    ],
)
def test_redaction_is_refused_where_it_cannot_be(task, text):
    with pytest.raises(RecipeError, match=text) as caught:
        load_recipe({"task": task, "data": {"train": "a.csv", "redact": ["email"]}})
    assert "data.redact" in str(caught.value)


def test_an_unknown_kind_is_refused():
    with pytest.raises(RecipeError, match=r"data\.redact"):
        load_recipe({"task": "text-classification", "data": {"train": "a.csv", "redact": ["mail"]}})
