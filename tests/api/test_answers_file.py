"""Files of answers: the input's columns stay beside them, and what is read back is what was there."""

import json

import numpy as np
import pandas as pd
import pytest

from kft.api.answers_file import keep_columns, write_answers
from kft.errors import UsageError
from kft.tasks.classes import Prediction

YES = Prediction("yes", 0.912345678912, False, {"no": 0.087654321088, "yes": 0.912345678912})
TABLE = pd.DataFrame(
    {
        "text": ["a, b", 'say "so"\nthen', "ü"],
        "label": ["no", None, "yes"],
        "input_label": ["x", "y", "z"],
        "many": [[1, 2], np.array(["a"]), {"k": np.float32(0.5)}],
        "n": [np.int64(3), 2.5, np.nan],
    },
    dtype=object,
)


def test_json_lines_keep_the_columns_and_all_digits(tmp_path):
    write_answers(tmp_path / "a.jsonl", TABLE, [YES, None, YES])
    first, second, third = [json.loads(line) for line in (tmp_path / "a.jsonl").read_text().splitlines()]
    assert second is None
    assert first["text"] == "a, b" and first["input_input_label"] == "no" and first["input_label"] == "x"
    assert first["label"] == "yes" and first["confidence"] == YES.confidence
    assert first["many"] == [1, 2] and third["many"] == {"k": 0.5} and first["n"] == 3 and third["n"] is None


def test_a_table_keeps_the_columns_and_numbers_a_person_reads(tmp_path):
    write_answers(tmp_path / "a.csv", TABLE, iter([None, YES, YES]))
    read = pd.read_csv(tmp_path / "a.csv", dtype=str, keep_default_na=False)
    names = ["text", "input_input_label", "input_label", "many", "n", "label", "confidence", "abstain", "probabilities"]
    assert list(read) == names
    assert read["text"].tolist() == TABLE["text"].tolist()
    assert read["label"].tolist() == ["", "yes", "yes"] and read["confidence"].tolist() == ["", "0.912346", "0.912346"]
    assert json.loads(read["probabilities"][1]) == {"no": 0.0876543, "yes": 0.912346}
    assert read["many"].tolist() == ["[1, 2]", '["a"]', '{"k": 0.5}'] and read["n"].tolist() == ["3", "2.5", ""]


def test_a_file_whose_answers_fail_is_not_there(tmp_path):
    def answers():
        yield YES
        raise RuntimeError("no more")

    with pytest.raises(RuntimeError):
        write_answers(tmp_path / "a.csv", TABLE, answers())
    assert not list(tmp_path.iterdir())


def test_a_column_that_is_not_there_is_refused():
    assert list(keep_columns(TABLE, ["n", "text"], "a.csv")) == ["n", "text"]
    with pytest.raises(UsageError, match="no column 'txt' to keep; did you mean 'text'"):
        keep_columns(TABLE, ["txt"], "a.csv")
