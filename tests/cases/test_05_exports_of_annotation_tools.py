"""What tools export is read: each form in tests/data/test_forms.py, here through commands; also `kft data apply`."""

import json

from tests import tagged
from tests.tagged import iob2, json_lines, places, sentences, truth, words

MADE = sentences(30)


def test_a_triple_is_one_span_and_no_three_tags(tmp_path, kft_cli):
    rows = [{"text": "Ada", "label": [[0, 3, "PER"]]}, {"text": "Ada left", "label": [[0, 3, "PER"], [4, 8, "ACT"]]}]
    (tmp_path / "one.jsonl").write_text(json_lines(rows * 6))
    code, out, err = kft_cli("init", "one.jsonl", "-o", "r.yaml", "--json")
    assert code == 0, err
    assert json.loads(out)["labels"] == {"PER": 12, "ACT": 6} and json.loads(out)["task"] == "token-tagging"


def test_corrections_of_another_form_are_written_as_rows_of_their_own(tmp_path, kft_cli):
    lines = ["\n".join(map("\t".join, zip(words(s), tagged.tags(s, iob2), strict=True))) for s in MADE]
    (tmp_path / "words.conll").write_text("\n\n".join(lines) + "\n")
    (tmp_path / "r.yaml").write_text("task: token-tagging\ndata: {train: words.conll}\n")
    (tmp_path / "fix.csv").write_text("id,action\nwords.conll:2,drop\n")
    code, _, err = kft_cli("data", "apply", "r.yaml", "fix.csv", "-o", "mended.csv")
    assert code == 2 and "a name that ends in .jsonl" in err
    code, _, err = kft_cli("data", "apply", "r.yaml", "fix.csv", "-o", "mended.jsonl")
    assert code == 0, err
    assert [said for _, said in tagged.read_back(tmp_path / "mended.jsonl")] == [
        truth(each) for place, each in enumerate(MADE) if place != 1
    ]


def test_spans_of_a_tool_are_no_labels_of_a_text(tmp_path, kft_cli):
    texts = [(" ".join(words(each)), places(each)) for each in MADE]
    rows = [{"text": text, "label": [{"start": s, "end": e, "labels": [k]} for s, e, k in p]} for text, p in texts]
    (tmp_path / "min.jsonl").write_text(json_lines(rows))
    code, out, _ = kft_cli("init", "min.jsonl", "-o", "r.yaml", "--json")
    assert code == 0 and json.loads(out)["task"] == "token-tagging"
    code, _, err = kft_cli("init", "min.jsonl", "-o", "s.yaml", "--task", "text-classification")
    assert code == 2 and "label is" in err
