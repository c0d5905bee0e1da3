"""What is known of a backbone that was asked for, before it is loaded."""

import pytest

from kft.compare.grounds import BackboneCandidate
from kft.model.card import Card


@pytest.mark.parametrize(
    ("name", "card"),
    [
        ("minilm-l6", Card("English", "Apache-2.0")),
        ("package:minilm-l6", Card("English", "Apache-2.0")),
        ("bert_tiny_en_uncased", Card("English", "Apache-2.0")),  # a preset that the catalog has under another name
        ("efficientnet-lite0", Card("", "Apache-2.0")),
        ("hf://somebody/else", Card("de", "mit")),
    ],
)
def test_languages_and_licence_come_from_the_catalog_or_else_from_the_folder(name, card, tmp_path):
    (tmp_path / "README.md").write_text("---\nlanguage: de\nlicense: mit\n---\n")
    assert BackboneCandidate(name, name, random=False).about(tmp_path) == card
    assert BackboneCandidate(f"{name}@random", name, random=True).about(tmp_path) == Card()
