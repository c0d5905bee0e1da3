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


def answers_csv(path, abstain="false", more=""):
    head = "label,confidence,abstain,probabilities" + (",label" if more else "")
    path.write_text(f'{head}\na,1.0,{abstain},"{{""a"": 1.0, ""b"": 0.0}}"{more}\n')
    return list(read_scored(path, ScoredSpec(("a", "b"))))


def test_a_word_of_a_spreadsheet_for_true_is_refused_not_read_as_false(tmp_path):
    assert answers_csv(tmp_path / "a.csv", "TRUE")[0].seen.abstain.tolist() == [True]
    assert answers_csv(tmp_path / "a.csv", "")[0].seen.abstain.tolist() == [False]
    with pytest.raises(DataError, match="whether an answer was withheld is neither true nor false") as failed:
        answers_csv(tmp_path / "a.csv", "WAHR")
    assert failed.value.received == "abstain 'WAHR'" and failed.value.where == f"{tmp_path / 'a.csv'}, row 1"


def test_two_columns_of_answers_with_one_name_are_refused(tmp_path):
    with pytest.raises(DataError, match="two columns have the same name") as failed:
        answers_csv(tmp_path / "a.csv", more=",b")
    assert failed.value.received == "'label'"
