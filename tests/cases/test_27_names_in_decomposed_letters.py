"""Words whose letters carry marks are answered to their end, composed or decomposed, in any script (also item 21)."""

import json
import unicodedata

import numpy as np
import pytest

from kft.metrics.tagging import Span
from kft.model.encode import Reader
from kft.model.tokenizers import load_tokenizer
from kft.tasks.registry import TASKS
from kft.tasks.spans import SPANS
from kft.tasks.task import AnswerSpace

NAMES = {
    "composed": "Ren\u00e9",
    "decomposed": "Rene\u0301",
    "umlaut": unicodedata.normalize("NFD", "Br\u00fcnnimann"),
    "soft hyphen": "Lind\u00adqvist",
    "ZWNJ": "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",
    "ZWJ": "Lind\u200dqvist",
    "word joiner": "Lind\u2060qvist",
    "Hindi": "दिल्ली",
    "Hebrew": "\u05e9\u05b8\u05dc\u05d5\u05b9\u05dd",
    "Arabic": "\u0645\u064f\u062d\u064e\u0645\u0651\u064e\u062f",
    "Thai": "บ้าน",
    "apostrophe": "O\u2019Brien-Smith",
}
SPACE = AnswerSpace(("PER",))


@pytest.fixture(scope="module")
def reader(tmp_path_factory):
    """Reads as a BERT without capitals and accents does, each letter a token."""
    folder = tmp_path_factory.mktemp("letters")
    letters = sorted({c for name in ("so left", *NAMES.values()) for c in unicodedata.normalize("NFD", name.lower())})
    pieces = [f"{before}{c}" for c in letters if not c.isspace() for before in ("", "##")]
    (folder / "vocab.txt").write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", *pieces]) + "\n", encoding="utf-8")
    (folder / "tokenizer_config.json").write_text(json.dumps({"do_lower_case": True, "strip_accents": None}))
    return Reader(TASKS.get("token-tagging"), load_tokenizer(folder), 64, None)


@pytest.mark.parametrize("name", NAMES)
def test_an_answer_ends_where_the_name_does(reader, name):
    text = f"so {NAMES[name]} left"
    span = Span(3, 3 + len(NAMES[name]), "PER")
    (offsets,) = reader.read([text]).offsets
    (tags,) = SPANS.learning.targets([(span,)], SPACE, [offsets])
    (said,) = SPANS.judging.answers([8.0 * np.eye(3)[np.maximum(tags - 1, 0)]], SPACE, [offsets])
    assert [each[:3] for each in said] == [tuple(span)]
    if name not in ("Thai", "apostrophe"):
        assert offsets[:, 2].sum() == 3, "it is one word"
