"""Offsets that count UTF-16 units are found by the spans' own words, read so, and said."""

from tests import tagged
from tests.tagged import json_lines, places, sentences, truth, words

MADE = sentences(40)


def rows(own):
    for number, sentence in enumerate(MADE):
        lead = "😀🎉 " if number % 2 else ""
        text = lead + " ".join(words(sentence))
        units = 2 * len("😀🎉") + 1 if lead else 0
        spans = [{"start": start + units, "end": end + units, "label": kind} for start, end, kind in places(sentence)]
        for span, (start, end, _) in zip(spans, places(sentence), strict=True):
            span |= {"text": text[start + len(lead) : end + len(lead)]} if own else {}
        yield {"text": text, "spans": spans}


def test_each_span_is_the_words_that_it_carries(tmp_path, kft_cli):
    (tmp_path / "own.jsonl").write_text(json_lines(rows(own=True)), encoding="utf-8")
    (tmp_path / "bare.jsonl").write_text(json_lines(rows(own=False)), encoding="utf-8")
    for name in ("own.jsonl", "bare.jsonl"):
        assert [said for _, said in tagged.read_back(tmp_path / name)] == [truth(each) for each in MADE]
        code, out, err = kft_cli("init", name, "-o", f"{name}.yaml")
        assert code == 0, err
        assert "the offsets of spans count UTF-16 units" in " ".join(out.split())


def test_spans_of_no_unit_are_refused_with_their_words(tmp_path, kft_cli):
    wrong = [{**row, "spans": [{**span, "text": "Nobody"} for span in row["spans"]]} for row in rows(own=True)]
    (tmp_path / "wrong.jsonl").write_text(json_lines(wrong), encoding="utf-8")
    (tmp_path / "r.yaml").write_text("task: token-tagging\ndata: {train: wrong.jsonl}\n")
    code, _, err = kft_cli("train", "r.yaml")
    assert code == 2 and "a span is not the words it says it is, 'Nobody'" in err
