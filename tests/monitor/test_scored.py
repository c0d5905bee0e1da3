"""Tables of answers, read in batches."""

import json

import numpy as np
import pytest

from kft.errors import DataError
from kft.monitor.scored import CSV_BLOCK_BYTES, ScoredSpec, read_scored


def test_rows_without_an_answer_keep_their_places(tmp_path):
    rows = [
        {"label": name, "confidence": 1.0, "abstain": False, "probabilities": {"a": 1.0, "b": 0.0}} for name in "aa"
    ]
    path = tmp_path / "answers.jsonl"
    path.write_text("\n".join([json.dumps(rows[0]), "null", json.dumps(rows[1]), "null", ""]))
    (chunk,) = read_scored(path, ScoredSpec(("a", "b")))
    assert chunk.seen.values["unusable"].tolist() == [0, 1, 0, 1]
    (late,) = read_scored(path, ScoredSpec(("a", "b")), skip=2)
    assert late.seen.values["unusable"].tolist() == [0, 1]
    assert np.isnan(late.seen.values["confidence"][1])


def test_a_csv_row_that_is_longer_than_a_block_is_refused_and_none_is_lost_before(tmp_path):
    path = tmp_path / "answers.csv"
    head, row = "label,confidence,abstain,probabilities,text\n", 'a,1.0,false,"{""a"": 1.0, ""b"": 0.0}",'
    lengths = [10, CSV_BLOCK_BYTES // 2, 10, CSV_BLOCK_BYTES // 2, 10]
    path.write_text(head + "".join(f"{row}{'x' * length}\n" for length in lengths))
    spec = ScoredSpec(("a", "b"))
    assert sum(len(chunk.seen) for chunk in read_scored(path, spec)) == 5
    path.write_text(f"{head}{row}x\n{row}{'x' * 2 * CSV_BLOCK_BYTES}\n{row}x\n")
    with pytest.raises(DataError, match="the table of answers cannot be read"):
        list(read_scored(path, spec))
