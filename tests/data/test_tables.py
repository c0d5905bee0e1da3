"""Columns and examples: guesses, rejected rows, ids, groups, bins."""

import numpy as np
import pandas as pd
import pytest

from kft.data.columns import guess_columns
from kft.data.examples import Columns, NamedColumns, RejectedRow
from kft.data.tables import Rows, refuse_rejected, to_examples
from kft.errors import DataError
from kft.recipe.schema import DataSpec
from kft.tasks.registry import TASKS

COLUMNS = Columns("text", "label")


TASK = TASKS.get("text-classification")


def examples_of(frame, columns=COLUMNS, **spec):
    rows = Rows("a.csv", pd.DataFrame(frame))
    return to_examples(rows, DataSpec(train="a.csv", **spec), task=TASK, columns=columns)


def columns_of(frame, where="", besides=(), **named):
    return guess_columns(pd.DataFrame(frame), NamedColumns(**named), where=where, besides=besides, task=TASK)


def refused(call, *args, **options):
    with pytest.raises(DataError) as caught:
        call(*args, **options)
    error = caught.value
    assert all((error.where, error.received, error.expected, error.next_step)), str(error)
    return error


LONG, SHORT, NUMBERS = ["It broke again.", "It works."] * 2, ["a", "b"] * 2, list("1234")


@pytest.mark.parametrize(
    ("frame", "text", "label"),
    [
        ({"id": NUMBERS, "Body": LONG, "Queue": SHORT}, "Body", "Queue"),
        ({"label": SHORT, "text": SHORT, "category": SHORT}, "text", "label"),
        ({"rating": LONG, "x": SHORT}, "x", "rating"),
        ({"x": NUMBERS, "y": SHORT, "z": LONG}, "z", "y"),
    ],
)
def test_columns_are_guessed_by_name_then_by_what_they_hold(frame, text, label):
    assert columns_of(frame) == Columns(text, label, ("text", "label"))


def test_ids_are_never_guessed_and_named_columns_are_no_guess():
    frame = pd.DataFrame({"k": ["long customer name"] * 4, "x": ["ab"] * 4, "y": list("stst")})
    assert columns_of(frame, besides=["k"]) == Columns("x", "y", ("text", "label"))
    assert columns_of(frame, text="k", label="y") == Columns("k", "y", ())


def test_a_missing_column_has_a_hint_and_a_next_step():
    frame = pd.DataFrame({"body": ["a"], "label": ["b"]})
    error = refused(columns_of, frame, text="bdy", where="a.csv")
    assert error.problem == "no column 'bdy'; did you mean 'body'?"
    assert (error.where, error.received) == ("a.csv", "columns body, label")
    assert error.next_step == "set data.text in the recipe or --set data.text=body"
    assert "data.label=COLUMN" in refused(columns_of, frame, label="zzz", where="a").next_step


def test_what_cannot_be_guessed_is_asked_for():
    different = pd.DataFrame({"x": ["long text", "longer text"], "y": ["1", "2"]})
    error = refused(columns_of, different, where="a.csv")
    assert "looks like the label" in error.problem and error.received == "columns x, y"
    numbers = pd.DataFrame({"x": [1, 2], "y": [1, 1]})
    assert "looks like the text" in refused(columns_of, numbers, where="a.csv").problem
    assert "one column" in refused(columns_of, pd.DataFrame({"x": ["a"]}), where="a").problem
    assert "same column" in refused(columns_of, different, text="x", label="x", where="a").problem


def test_rows_that_cannot_be_used_are_named_with_a_reason():
    frame = {
        "text": ["fine", " \n", "ok", None, ["a"], "\ud83d", 5, np.float32("nan"), b"x", pd.NaT],
        "label": [" good ", "x", "", "x", "x", "x", 1, "x", "x", "x"],
    }
    examples, rejected = examples_of(frame)
    assert (examples.inputs, examples.labels.tolist()) == (["fine", "5"], ["good", "1"])
    assert examples.ids.tolist() == ["a.csv:1", "a.csv:7"]
    assert rejected[0] == RejectedRow("a.csv:2", "a.csv", 2, "empty text")
    assert [row.reason for row in rejected[1:]] == [
        "missing label",
        "empty text",
        "text is not text: a list",
        "text holds half a surrogate pair, which is not a character",
        "empty text",
        "text is not text: a bytes",
        "empty text",
    ]


def test_bins_turn_ratings_into_labels():
    bins = {"edges": (-0.25, 0.25), "labels": ("negative", "neutral", "positive")}
    ratings = ["-4", "-0.25", "0.2", "0.25", "1e0", "nan", "inf", "good", "1_0"]
    examples, rejected = examples_of({"text": ["t"] * 9, "label": ratings}, bins=bins)
    assert examples.labels.tolist() == ["negative", "neutral", "neutral", "positive", "positive"]
    reasons = [f"rating is not a finite number: {rating!r}" for rating in ratings[5:]]
    assert [row.reason for row in rejected] == reasons


def test_ids_come_from_the_column_and_must_be_unique():
    frame = {"text": list("abcd"), "label": list("xxyy"), "key": ["1", "2", "2", ""]}
    error = refused(examples_of, frame, id="key")
    assert (error.where, error.received) == ("a.csv, column 'key'", "1 empty, first in row 4, 2 (2 times)")
    assert "leave data.id out" in error.next_step
    frame["key"] = [7, 8, 9, 10]
    assert examples_of(frame, id="key")[0].ids.tolist() == ["7", "8", "9", "10"]
    frame["key"] = ["1", "2", "3\ttrain\n4", "5"]
    assert "cannot be printed" in refused(examples_of, frame, id="key").problem
    assert "did you mean 'key'?" in refused(examples_of, frame, id="keys").problem


def test_groups_come_from_a_column_or_a_pattern():
    frame = {"text": list("abc"), "label": list("xxy"), "key": ["12_1", "12_2", "3_1"]}
    group = {"column": "key", "pattern": r"^(\d+)_"}
    assert examples_of(frame, group=group)[0].groups.tolist() == ["12", "12", "3"]
    assert examples_of(frame, group="key")[0].groups.tolist() == frame["key"]
    frame["key"][1] = "twelve"
    error = refused(examples_of, frame, group=group)
    assert error.problem == "1 of 3 rows do not match the pattern"
    assert (error.where, error.received) == ("a.csv, column 'key', row 2", "'twelve'")
    frame["key"][1] = None
    assert refused(examples_of, frame, group="key").problem == "1 of 3 rows lack a group"
    assert "data.group" in refused(examples_of, frame, group="kex").next_step


def test_rejected_rows_stop_unless_the_recipe_skips_them():
    rows = [RejectedRow(f"a.csv:{row}", "a.csv", row, "empty text") for row in range(1, 6)]
    rows.append(RejectedRow("k9", "a.csv", 9, "rating is not a finite number: 'x'"))
    rows.append(RejectedRow("k8", "a.csv", 8, "rating is not a finite number: 'y'"))
    error = refused(refuse_rejected, rows, DataSpec(train="a.csv"))
    assert error.problem == "7 rows cannot be used: empty text (5), rating is not a finite number (2)"
    assert error.where == "a.csv:1, a.csv:2, a.csv:3, a.csv:4, a.csv:5 ..."
    assert "--set data.unusable_rows=skip" in error.next_step
    single = refused(refuse_rejected, rows[-1:], DataSpec(train="a.csv"))
    assert single.problem.startswith("1 row cannot") and single.where == "k8 (a.csv:8)"
    refuse_rejected(rows, DataSpec(train="a.csv", unusable_rows="skip"))
    refuse_rejected([], DataSpec(train="a.csv"))
