"""What is said of how texts are read."""

from dataclasses import replace

import pytest

from kft.compare.token_facts import flags_of, misread
from kft.records.choose import TokenFacts

GOOD = TokenFacts(128, 512, 16.0, 0.0, 0.0, 0.0, 1.1, 1.0, 1.0)


@pytest.mark.parametrize(
    ("change", "said", "is_misread"),
    [
        ({"related": 0.52}, "the vocabulary is not that of the weights: only 52.0 % of its words", True),
        ({"reached": 0.61}, "no text reaches 39.0 % of the words in its vocabulary", True),
        ({"unknown": 0.011}, "1.1 % of the tokens are unknown to its vocabulary", False),
        ({"pieces": 2.34}, "words fall into 2.3 pieces each", False),
        ({"lost": 0.3}, "30.0 % of all text lies behind the first 128 tokens, never read; it takes up to 512", False),
        ({"lost": 0.3, "limit": 128}, "never read; it takes no more", False),
        ({"lost": 0.3, "limit": 32768}, "it takes up to 8,192, by model.max_tokens", False),
    ],
)
def test_each_fault_is_said_in_words(change, said, is_misread):
    facts = replace(GOOD, **change)
    (flag,) = flags_of(facts)
    assert said in flag
    assert misread(facts) == is_misread


@pytest.mark.parametrize(
    "facts", [GOOD, replace(GOOD, unknown=None, related=None, reached=None), replace(GOOD, lost=0.09, pieces=1.9)]
)
def test_what_is_in_order_is_not_mentioned(facts):
    assert not list(flags_of(facts)) and not misread(facts)
