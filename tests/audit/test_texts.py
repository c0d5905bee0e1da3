"""Checks of texts: each finds what was planted, and nothing in clean texts."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kft.audit.checks.encoding import judge_encoding
from kft.audit.checks.language import judge_languages
from kft.audit.checks.lengths import judge_cuts, judge_texts
from kft.audit.checks.personal import judge_personal
from kft.records.document import as_document
from tests import tiny

CLEAN = tiny.texts_and_labels(60)[0]


def ids(texts) -> list[str]:
    return [f"a:{place}" for place in range(len(texts))]


def test_clean_texts_have_no_finding():
    for judge in (judge_texts, judge_encoding, judge_languages, judge_personal):
        assert list(judge(ids(CLEAN), CLEAN)) == []


def test_empty_short_and_long_texts():
    texts = [*CLEAN, "<p></p>", "&nbsp;...", "ok", "word " * 3000]
    found = {finding.details["kind"]: finding for finding in judge_texts(ids(texts), texts)}
    assert {kind: finding.rows for kind, finding in found.items()} == {
        "empty": ("a:60", "a:61"),
        "short": ("a:62",),
        "long": ("a:63",),
    }
    assert (found["empty"].severity, found["short"].severity) == ("warning", "note")


def test_cut_texts_come_with_the_share_of_text_that_is_lost():
    tokens = np.array([50] * 90 + [200] * 10)
    (finding,) = judge_cuts(ids(tokens), tokens, 100)
    assert finding.severity == "warning" and finding.rows == tuple(ids(tokens)[90:])
    assert finding.details["share_of_text_lost"] == round(1000 / 6500, 4)
    assert "--set model.max_tokens=256" in finding.advice
    assert list(judge_cuts(ids(tokens), tokens, 256)) == []


def test_no_advice_goes_beyond_what_the_backbone_takes():
    tokens = np.array([50] * 40 + [600] * 40 + [3000] * 20)
    (finding,) = judge_cuts(ids(tokens), tokens, 128, 512)
    assert finding.advice == "--set model.max_tokens=512 reads 40 % of the texts whole."
    assert finding.details["suggested_max_tokens"] == 512
    (finding,) = judge_cuts(ids(tokens), tokens, 512, 512)
    assert (
        finding.advice.startswith("512 tokens are the most that the backbone takes.") and "--set" not in finding.advice
    )


@given(st.lists(st.integers(0, 2000), min_size=1, max_size=50), st.integers(4, 512))
@settings(max_examples=50, deadline=None)
def test_the_suggested_length_loses_no_more_than_the_present_one(tokens, limit):
    for finding in judge_cuts(list(map(str, range(len(tokens)))), np.array(tokens), limit):
        assert 0 < finding.score <= 1
        enough = finding.details["suggested_max_tokens"]
        assert np.mean(np.array(tokens) > enough) <= 0.01 or enough >= np.quantile(tokens, 0.99)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("Das ist schÃ¶n", "mojibake"),
        ("itâ€™s broken", "mojibake"),
        ("caf\ufffd", "replacement"),
        ("fish &amp; chips", "entities"),
        ("it&#039;s", "entities"),
        ("<br/>It broke", "tags"),
        ('<a href="x">here</a>', "tags"),
        ("bell\x07", "control"),
    ],
)
def test_damage_is_named(text, kind):
    (finding,) = judge_encoding(ids([*CLEAN, text]), [*CLEAN, text])
    assert finding.details["kind"] == kind and finding.rows == ("a:60",) and finding.severity == "warning"


@pytest.mark.parametrize(
    "text", ["schön, naïve, “quoted”, 日本語, emoji 👍🏽", "R&D; AT&T", "a < b > c, <3, x<y", "tab\tand\nline"]
)
def test_what_is_right_is_left_alone(text):
    assert list(judge_encoding(ids([*CLEAN, text]), [*CLEAN, text])) == []


def test_entities_name_the_recipe_key():
    (finding,) = judge_encoding(["a"], ["fish &amp; chips"])
    assert "data.html=unescape" in finding.advice


def test_another_language_is_found_and_short_texts_are_not_judged():
    foreign = [
        "Der Akku dieses Telefons war schon nach zwei Tagen leer.",
        "La batterie de ce téléphone est morte après deux jours seulement.",
        "Compré este teléfono hace dos días y la batería ya no funciona.",
    ]
    english = ["The battery of this phone died after only two days of use."] * 57
    texts = [*english, *foreign, "Danke schön!", "12345 67890 " * 5]
    (finding,) = judge_languages(ids(texts), texts)
    assert sorted(finding.rows) == ["a:57", "a:58", "a:59"]
    assert sorted(finding.details["languages"]) == ["de", "es", "fr"]
    assert finding.severity == "note" and finding.details["judged"] == 60


def test_personal_data_are_counted_by_kind_and_masked():
    texts = [*CLEAN, "jane@example.com and joe@example.org", "card 4111 1111 1111 1111"]
    email, card = judge_personal(ids(texts), texts)
    assert (email.rows, email.details["count"], email.details["masked"]) == (("a:60",), 2, ["j***@e***.com"])
    assert card.rows == ("a:61",) and "4111" not in str(as_document(card))
    assert "data.redact: [email, card]" in email.advice


def test_windows_are_advised_where_texts_are_long_and_the_task_reads_them():
    tokens = np.array([40] * 10 + [2000] * 90)
    (finding,) = judge_cuts(ids(tokens), tokens, 128, 512, windows=True)
    assert finding.advice.startswith("--set model.long_text=windows reads all of a text")
    assert "512 tokens would hold 10 % of the texts" in finding.advice
    (other,) = judge_cuts(ids(tokens), tokens, 128, 512)
    assert "long_text" not in other.advice
