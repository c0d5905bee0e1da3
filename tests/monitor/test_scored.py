"""Tables of answers, read in batches."""

import json

import numpy as np

from kft.monitor.scored import ScoredSpec, read_scored


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
