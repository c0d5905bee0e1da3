"""Labels that several columns make: shares, counts of votes, annotators' votes; what can be two things is refused."""

import json

import numpy as np
import pandas as pd
import pytest

from kft.data.examples import Examples
from kft.data.likely_columns import find_soft_columns
from kft.data.shares import Shares
from kft.errors import DataError, RecipeError
from kft.recipe.schema import DataSpec
from kft.split.data_split import data_hash, load_split
from kft.tasks.judgements import Judgements
from kft.tasks.recipes import load_recipe
from kft.tasks.registry import TASKS

TASK = TASKS.get("text-classification")
N = 40
TEXTS = [f"text number {row} of many" for row in range(N)]


def split_of(columns, label, *, task=TASK, **data):
    frame = pd.DataFrame({"text": TEXTS, **columns}, dtype=object)
    spec = DataSpec(train="train", label=label, text="text", valid="25%", test="25%", **data)
    return load_split(spec, task=task, base=None, locate=None, frames={"train": frame})


def rows_of(split):
    """Returns the shares of each text, by the number in it."""
    found = {}
    for part in (split.train, split.valid, split.test):
        values = part.shares.of(split.labels)
        for text, label, row, votes in zip(part.inputs, part.labels, values.tolist(), part.shares.votes, strict=True):
            found[int(text.split()[2])] = (label, [round(value, 4) for value in row], int(votes))
    return found


def test_shares_a_class():
    good = ["0.7", 0.5, 1] + [0.1] * (N - 3)
    split = split_of({"good": good, "bad": ["0.3", 0.5, 0] + [0.9] * (N - 3)}, ["good", "bad"])
    found = rows_of(split)
    assert split.labels == ("bad", "good") and split.columns.holds == "shares"
    assert found[0] == ("good", [0.3, 0.7], 0) and found[2] == ("good", [0.0, 1.0], 0) and found[5][0] == "bad"
    assert "'good', 'bad': read as shares, a column a class" in split.notes
    assert any("1 of 40 labels are ties" in note and "data.split_seed" in note for note in split.notes)


def test_percentages_and_rounded_shares():
    split = split_of({"good": [66.7] * 20 + [10] * 20, "bad": [33.3] * 20 + [90] * 20}, ["good", "bad"])
    assert rows_of(split)[0] == ("good", [0.333, 0.667], 0)
    split = split_of({"a": [0.33] * N, "b": [0.33, *[0.66] * (N - 1)], "c": [0.33, *[0] * (N - 1)]}, ["a", "b", "c"])
    assert rows_of(split)[0][1] == [0.3333] * 3
    assert any("the shares of 40 rows of train do not quite add up to 1" in note for note in split.notes)


def test_counts_of_votes():
    split = split_of({"good": [2, 0] * 20, "bad": ["1", "3"] * 20, "never": 0}, ["good", "bad", "never"])
    assert rows_of(split)[0] == ("good", [0.3333, 0.6667], 3) and split.labels == ("bad", "good")
    assert "no row of train has a share of 'never'" in split.notes
    assert split.train.shares.counts.sum(axis=1).tolist() == [3] * len(split.train)


def test_votes_of_annotators():
    columns = {"one": ["good\u200b", "bad"] * 20, "two": ["good", None] * 20, "three": ["odd", ""] * 20}
    split = split_of(columns, ["one", "two", "three"])
    found = rows_of(split)
    assert split.labels == ("bad", "good", "odd") and split.columns.holds == "votes"
    assert found[0] == ("good", [0.0, 0.6667, 0.3333], 3) and found[1] == ("bad", [1.0, 0.0, 0.0], 1)
    assert "votes of train: 2 a row, of 3 annotators" in split.notes
    assert any("labels are read and answered in one spelling" in note for note in split.notes)
    assert any(note.startswith("'odd': of no training row the largest share") for note in split.notes)


def test_annotators_who_rate():
    columns = {"one": [1, 5] * 20, "two": [2, 5] * 20, "three": [5, 4] * 20}
    with pytest.raises(
        DataError, match="whole numbers, which can be votes for each class or each annotator's"
    ) as caught:
        split_of(columns, list(columns))
    assert "data.label_columns_hold=votes (a column an annotator)" in str(caught.value)
    assert "one '1', two '2', three '5'" in str(caught.value)
    split = split_of(columns, list(columns), label_columns_hold="votes")
    assert split.labels == ("1", "2", "4", "5") and rows_of(split)[1] == ("5", [0, 0, 0.3333, 0.6667], 3)
    bins = {"edges": [3.5], "labels": ["low", "high"]}
    split = split_of(columns, list(columns), label_columns_hold="votes", bins=bins)
    assert rows_of(split)[0] == ("low", [0.3333, 0.6667], 3) and rows_of(split)[1] == ("high", [1.0, 0.0], 3)
    split = split_of(columns, list(columns), label_columns_hold="shares")
    assert split.labels == ("one", "three", "two") and rows_of(split)[0] == ("three", [0.125, 0.625, 0.25], 8)


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"one": [1, 0] * 20, "two": [1, 0] * 20}, "yes and no, and some rows have more than one yes"),
        ({"one": ["yes", "no"] * 20, "two": ["yes", "no"] * 20}, "yes and no, and some rows have more than one yes"),
        ({"one": [0.5, "odd"] * 20, "two": [0.5, "odd"] * 20}, "numbers and words"),
        ({"one": [2, 0] * 20, "two": [1, 1] * 20}, "whole numbers"),  # of two votes or three, or ratings
        ({"one": [2, -1] * 20, "two": [1, 4] * 20}, "whole numbers"),
    ],
)
def test_what_can_be_two_things_is_refused_by_name(columns, said):
    with pytest.raises(DataError, match=said) as caught:
        split_of(columns, ["one", "two"])
    assert "label_columns_hold" in caught.value.next_step and "a row with one" in caught.value.received


def test_the_key_says_what_yes_and_no_are():
    columns = {"one": ["yes", "no"] * 20, "two": ["yes", "yes"] * 20}
    split = split_of(columns, ["one", "two"], label_columns_hold="votes")
    assert split.labels == ("no", "yes") and rows_of(split)[0] == ("yes", [0.0, 1.0], 2)
    split = split_of({"one": [1, 0] * 20, "two": [1, 1] * 20}, ["one", "two"], label_columns_hold="shares")
    assert rows_of(split)[0][1:] == ([0.5, 0.5], 2)


def test_one_yes_a_row_is_a_class_as_ever():
    split = split_of({"one": [1, 0] * 20, "two": [0, 1] * 20}, ["one", "two"])
    assert split.train.shares is None and split.columns.holds == "marks" and split.labels == ("one", "two")


@pytest.mark.parametrize(
    ("good", "bad", "reason"),
    [
        (-0.5, 1.5, "a share is negative: 'good' holds -0.5"),
        ("nan", 0.5, "a share is no number: 'good' holds 'nan'"),
        ("inf", 0.5, "a share is no number: 'good' holds 'inf'"),
        ("some", 0.5, "a share is no number: 'good' holds 'some'"),
        (0, 0, "missing label: no class has a share"),
        ("", None, "missing label: all shares are empty"),
        (0.5, 0.3, "shares add up to neither 1 nor whole counts: 0.8"),
        (2, 1, "shares add up to neither 1 nor whole counts: 3"),
        (0.5, "", "a share is empty where others say 0: 'bad'"),
        ([0.5], 0.5, "a share is no number"),
    ],
)
def test_shares_that_are_none_make_a_row_unusable(good, bad, reason):
    columns = {"good": [good, *[0.25, 0] * 19, 1], "bad": [bad, *[0.75, 1] * 19, 0]}
    with pytest.raises(DataError, match="1 row cannot be used") as caught:
        split_of(columns, ["good", "bad"], label_columns_hold="shares")
    assert reason in str(caught.value)
    split = split_of(columns, ["good", "bad"], label_columns_hold="shares", unusable_rows="skip")
    assert len(rows_of(split)) == N - 1 and [row.row for row in split.rejected] == [1]


def test_empty_shares_are_0_where_nothing_says_0():
    split = split_of({"good": [1, "", *[0.5] * 38], "bad": ["", 1, *[0.5] * 38]}, ["good", "bad"])
    assert rows_of(split)[1] == ("bad", [1.0, 0.0], 0)


def test_nobody_voted():
    with pytest.raises(DataError, match="missing label"):
        split_of({"one": ["a", "b", *["a", None] * 19], "two": ["b", "b", *["b", ""] * 19]}, ["one", "two"])


def test_ties_are_drawn_by_the_seed_and_not_by_the_order():
    columns = {"a": [0.5] * N, "b": [0.5] * N}
    first, again = (rows_of(split_of(columns, ["a", "b"])) for _ in range(2))
    turned = rows_of(split_of(columns, ["b", "a"]))
    other = rows_of(split_of(columns, ["a", "b"], split_seed=1))
    labels = [first[row][0] for row in range(N)]
    assert first == again and labels == [turned[row][0] for row in range(N)]
    assert labels != [other[row][0] for row in range(N)] and 10 < labels.count("a") < 30


def test_the_hash_of_the_data_sees_shares_and_votes():
    votes = np.array([4], np.int32)

    def hashed(value, votes=votes, classes=("x", "y")):
        shares = Shares(classes, np.array([[value, 1 - value]], np.float32), votes)
        return data_hash([Examples(np.array(["a:1"]), ["fine"], np.array(["x"]), None, shares=shares)])

    plain = data_hash([Examples(np.array(["a:1"]), ["fine"], np.array(["x"]), None)])
    turned = Shares(("y", "x"), np.array([[0.25, 0.75]], np.float32), votes)
    assert len({hashed(0.75), hashed(0.5), hashed(0.75, votes * 2), hashed(0.75, classes=("x", "z")), plain}) == 5
    same = data_hash([Examples(np.array(["a:1"]), ["fine"], np.array(["x"]), None, shares=turned)])
    assert same == hashed(0.75)


def test_a_class_that_only_valid_votes_for_is_refused():
    train = pd.DataFrame({"text": TEXTS, "one": ["a", "b"] * 20, "two": ["a", "b"] * 20})
    valid = pd.DataFrame({"text": ["x", "y"], "one": ["a", "b"], "two": ["a", "c"]})
    spec = DataSpec(train="train", label=["one", "two"])
    with pytest.raises(DataError, match="labels that are in valid but never in train") as caught:
        load_split(spec, task=TASK, base=None, locate=None, frames={"train": train, "valid": valid})
    assert "'c' (1)" in str(caught.value)


@pytest.mark.parametrize("grouped", [False, True])
def test_a_class_that_is_never_first_is_learned(grouped):
    """One vote for it in all: valid or test would else hold it, and train not know it."""
    for seed in range(12):
        columns = {name: ["a", "b"] * 20 for name in ("one", "two", "three")}
        columns["three"] = [*columns["three"][:7], "rare", *columns["three"][8:]]
        groups = {"group": "customer"} if grouped else {}
        columns |= {"customer": [f"c{row // 2}" for row in range(N)]}
        split = split_of(columns, ["one", "two", "three"], split_seed=seed, **groups)
        assert split.labels == ("a", "b", "rare") and split.train.shares.of(split.labels)[:, 2].any()


def test_two_columns_of_one_class_are_refused():
    with pytest.raises(DataError, match="two columns are of one class"):
        split_of({"a": [0.5] * N, "a ": [0.5] * N}, ["a", "a "])


@pytest.mark.parametrize("form", ["csv", "jsonl", "parquet", "json", "tsv"])
def test_every_form_of_file(form, tmp_path):
    frame = pd.DataFrame(
        {"text": TEXTS, "good": [0.75, 0] * 20, "bad": [0.25, 1] * 20, "one": ["p", "q"] * 20, "two": ["p", None] * 20}
    )
    path = tmp_path / f"rows.{form}"
    if form in ("csv", "tsv"):
        frame.to_csv(path, index=False, sep="," if form == "csv" else "\t")
    elif form == "parquet":
        frame.to_parquet(path)
    else:
        frame.to_json(path, orient="records", lines=form == "jsonl")
    for label, expected in ((["good", "bad"], [0.25, 0.75]), (["one", "two"], [1.0, 0.0])):
        spec = DataSpec(train=path.name, label=label, text="text")
        split = load_split(spec, task=TASK, base=tmp_path, locate=lambda source, base: base / source)
        assert rows_of(split)[0][1] == expected


def test_pairs_too():
    frame = pd.DataFrame({"text": TEXTS, "second": "again", "yes": [0.75, 0] * 20, "no": [0.25, 1] * 20})
    spec = DataSpec(train="train", text="text", text_pair="second", label=["yes", "no"])
    task = TASKS.get("text-pairs")
    split = load_split(spec, task=task, base=None, locate=None, frames={"train": frame})
    assert split.labels == ("no", "yes") and split.train.shares is not None


@pytest.mark.parametrize(
    ("task", "data", "said"),
    [
        ("text-multi-label", {"label": ["a", "b"], "label_columns_hold": "votes"}, "votes is only for text-class"),
        ("text-classification", {"label": "a", "label_columns_hold": "votes"}, "names no list of columns"),
        ("text-classification", {"label": ["a", "b"], "label_columns_hold": "vote"}, "marks"),
        (
            "text-classification",
            {"label": ["a", "b"], "bins": {"edges": [3], "labels": ["low", "high"]}},
            "data.label_columns_hold: votes says that annotators gave ratings",
        ),
    ],
)
def test_a_recipe_is_refused_in_words(task, data, said):
    with pytest.raises(RecipeError, match=said):
        load_recipe({"task": task, "data": {"train": "a.csv", **data}})


def test_what_init_finds():
    texts = {"text": ["a", "b", "c"]}
    shares = {"good": [0.5, 0.2, 1], "bad": [0.5, 0.8, 0]}
    assert find_soft_columns(pd.DataFrame(texts | shares)) == ("good", "bad")
    assert find_soft_columns(pd.DataFrame(texts | shares | {"label": ["x", "y", "x"]})) == ()
    assert find_soft_columns(pd.DataFrame(texts | shares | {"price": [3, 4, 5]})) == ()
    votes = {"rater_1": ["x", "y", ""], "rater_2": ["x", "x", "y"], "rater_3": ["y", "y", "x"]}
    assert find_soft_columns(pd.DataFrame(texts | votes | {"price": [3, 4, 5]})) == tuple(votes)
    assert find_soft_columns(pd.DataFrame(texts | {"line1": ["q", "w", "e"], "line2": ["r", "t", "y"]})) == ()


def test_judgements():
    judged = Judgements.of_votes(["b", "a", "b"])
    assert judged.leading == ("b",) and judged.plurality("any") == "b"
    assert json.loads(Shares.of_judgements([judged]).written()[0].rsplit(" ", 1)[0]) == [
        ["a", 0.3333333],
        ["b", 0.6666667],
    ]
