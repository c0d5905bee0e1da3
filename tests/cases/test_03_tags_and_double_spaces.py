"""Tags of words are laid on the words, however many spaces stand between them and before them."""

import csv

import pytest

from tests import tagged
from tests.tagged import iob2, sentences, truth, words

MADE = sentences(40)


@pytest.mark.parametrize(("gap", "lead"), [(" ", ""), ("  ", ""), (" ", " "), ("\u00a0 ", "\t")])
def test_the_spans_are_the_names(tmp_path, gap, lead):
    with (tmp_path / "rows.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "tags"])
        writer.writerows([lead + gap.join(words(each)), " ".join(tagged.tags(each, iob2))] for each in MADE)
    assert tagged.read_back(tmp_path / "rows.csv") == [(lead + gap.join(words(s)), truth(s)) for s in MADE]
