"""Languages and licence as a folder's README.md states them; whatever stands there, it is read or passed over."""

import pytest

from kft.model.card import Card, read_card


@pytest.mark.parametrize(
    ("text", "card"),
    [
        ("---\nlanguage: en\nlicense: apache-2.0\n---\n# Model", Card("en", "apache-2.0")),
        ("---\nlanguage:\n- de\n- fr\nlicense: other\nlicense_name: gemma\n---\n", Card("de, fr", "gemma")),
        ("---\nlanguage: [a, b, c, d]\n---\n", Card("4 languages", "")),
        ("---\nlicense: mit\n", Card()),  # without an end
        ("---\n- license\n---\n", Card()),
        ("---\nlicense: {a: [1\n---\n", Card()),
        ("---\nlicense: 3\nlanguage: {en: 1}\n---\n", Card()),
        ("# Model\n", Card()),
        ("", Card()),
    ],
)
def test_what_is_stated_is_read_and_nothing_else(text, card, tmp_path):
    (tmp_path / "README.md").write_text(text)
    assert read_card(tmp_path) == card


def test_a_folder_without_a_card_states_nothing(tmp_path):
    assert read_card(tmp_path) == Card()
