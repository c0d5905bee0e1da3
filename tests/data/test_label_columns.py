"""One column for each label."""

import numpy as np
import pandas as pd
import pytest

from kft.data.label_columns import find_label_columns, join_columns, written_marks
from kft.errors import DataError, RecipeError
from kft.tasks.cells import Unreadable
from kft.tasks.recipes import load_recipe


@pytest.mark.parametrize(
    ("yes", "no"),
    [("1", "0"), (1, 0), (1.0, 0.0), (True, False), (np.True_, np.False_), ("TRUE", "false"), ("Yes", "no"), ("y", "n"),
     ("x", ""), ("X", None), ("✓", "✗"), ("1", "")],
)  # fmt: skip
def test_whatever_says_yes_and_no_is_read(yes, no):
    frame = pd.DataFrame({"text": ["one", "two", "three"], "b": [yes, no, no], "a": [yes, yes, no]}, dtype=object)
    assert find_label_columns(frame) == ("b", "a")
    assert join_columns(frame, ["b", "a"], "made", "a.csv")["made"].tolist() == [["b", "a"], ["a"], []]
    assert written_marks(frame, ["b", "a"], ["a"]) == {"b": no, "a": yes}


@pytest.mark.parametrize("cell", ["maybe", -1, 0.4, 2, "nan?", ["a"], b"1"])
def test_something_else_makes_the_row_unusable(cell):
    frame = pd.DataFrame({"a": ["1", cell, "0"], "b": ["0", "1", "1"]}, dtype=object)
    found = join_columns(frame, ["a", "b"], "made", "a.csv")["made"].tolist()
    assert isinstance(found[1], Unreadable) and "'a'" in found[1].reason and found[0::2] == [["a"], ["b"]]


def test_empty_beside_no_is_not_known():
    frame = pd.DataFrame({"a": ["1", "", "0"], "b": ["0", "1", "1"]})
    assert isinstance(join_columns(frame, ["a", "b"], "made", "a.csv")["made"].iloc[1], Unreadable)


def test_a_usual_label_column_comes_before_marks():
    frame = pd.DataFrame({"text": ["a", "b"], "label": ["x1", "y1"], "seen": ["0", "1"], "new": ["1", "0"]})
    assert find_label_columns(frame) == ()


def test_a_missing_column_is_named():
    with pytest.raises(DataError, match="no column 'blam'; did you mean 'blame'"):
        join_columns(pd.DataFrame({"blame": ["1"]}), ["blam", "blame"], "made", "a.csv")


@pytest.mark.parametrize(
    ("task", "label", "said"),
    [
        ("text-multi-label", ["a"], "two or more different"),
        ("text-multi-label", ["a", "a"], "two or more different"),
        ("text-multi-label", {"a": 1}, "the name of a column"),
        ("text-regression", ["a", "b"], "only for text-classification"),
        ("token-tagging", ["a", "b"], "a list of columns is only for"),
    ],
)
def test_a_recipe_is_refused_in_words(task, label, said):
    with pytest.raises(RecipeError, match=said):
        load_recipe({"task": task, "data": {"train": "a.csv", "label": label}})


def test_a_column_is_one_for_a_label_where_some_rows_were_not_judged():
    frame = pd.DataFrame({"text": ["a", "b", "c"], "a": ["1", "-1", "0"], "b": [0.0, -1.0, 1.0], "n": [0, 1, 2]})
    assert find_label_columns(frame) == ("a", "b")
