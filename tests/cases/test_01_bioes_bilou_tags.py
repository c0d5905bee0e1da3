"""Tags of BIOES and BILOU are the same spans as those of IOB2: PER and LOC alone, a name of two words as one span."""

import json

import pytest

from tests import tagged
from tests.tagged import json_lines, sentences, truth, words

MADE = sentences(40)


@pytest.mark.parametrize("scheme", ["BIES", "BILU", "BIIB", "BMEW"])
def test_the_kinds_are_those_of_the_names(tmp_path, kft_cli, scheme):
    letter = dict(zip("BIES", scheme, strict=True))
    rows = [{"tokens": words(s), "ner_tags": tagged.tags(s, lambda mark, kind: f"{letter[mark]}-{kind}")} for s in MADE]
    (tmp_path / "rows.jsonl").write_text(json_lines(rows))
    code, out, err = kft_cli("init", "rows.jsonl", "-o", "r.yaml", "--json", "--task", "token-tagging")
    assert code == 0, err
    look = json.loads(out)
    assert look["labels"] == {"PER": 40, "LOC": 40}
    assert any(note.startswith("the tags are read as ") for note in look["warnings"])
    assert [said for _, said in tagged.read_back(tmp_path / "rows.jsonl")] == [truth(each) for each in MADE]
