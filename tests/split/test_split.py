"""The split: shares, classes, groups, hashes, and every reason to refuse."""

import hashlib
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kft.data.examples import Examples
from kft.errors import DataError, UsageError
from kft.recipe.schema import DataSpec
from kft.recipe.sources import DATAFRAME
from kft.split.assign import split_alike, split_by_time
from kft.split.data_split import SPLITS, data_hash, load_split, split_hash, split_rows
from kft.split.near import groups_of
from kft.split.similar import similar_groups
from kft.split.together import find_copies
from kft.tasks.registry import TASKS

PAIRS = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 40)), min_size=1, max_size=200)
WORDS = [f"{a}{b}" for a in ("tin", "rod", "hut") for b in ("der", "pole", "wick", "fast")]
MARKS = ["........v.vt.t...t...t..v........vtv", "vv....vvvv..............tttt......tt"]


def locate(source: str, base: Path) -> Path:
    return base / source


def table(folder, name, rows):
    path = folder / name
    path.parent.mkdir(exist_ok=True, parents=True)
    pd.DataFrame(rows, columns=["text", "label", "key"][: len(rows[0])]).to_csv(path, index=False)


def rows_of(count, labels=("a", "b"), start=0):
    return [(f"text {start + i}", labels[i % len(labels)], f"{start + i}_0") for i in range(count)]


def load(folder, frames=None, similar=None, **spec):
    return load_split(
        DataSpec(**{"train": "train.csv", **spec}),
        task=TASKS.get("text-classification"),
        base=folder,
        locate=locate,
        frames=frames,
        similar=similar,
    )


def refused(folder, frames=None, **spec):
    with pytest.raises(DataError) as caught:
        load(folder, frames, **spec)
    error = caught.value
    assert all((error.where, error.received, error.expected, error.next_step)), str(error)
    return error


def split(labels, groups=None, valid=0.15, test=0.15, seed=0):
    return split_rows(labels, groups, valid_fraction=valid, test_fraction=test, seed=seed)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.integers(0, 5), min_size=1, max_size=150),
    st.sampled_from([0.0, 0.1, 0.15, 0.3]),
    st.sampled_from([0.0, 0.1, 0.24]),
    st.integers(0, 99),
)
def test_rows_alone_keep_their_shares_in_all_and_in_each_class(classes, valid, test, seed):
    labels = np.array([f"c{i}" for i in classes], dtype=object)
    found = split(labels, None, valid, test, seed)
    np.testing.assert_array_equal(found, split(labels, None, valid, test, seed))
    sizes = Counter(labels)
    several = sum(count for count in sizes.values() if count > 1)
    # Only where more than half is held out can a small class lose all its rows, and gets one back to learn from.
    slack = 1.01 if valid + test <= 0.5 else 1.01 + len(sizes)
    assert abs((found == "valid").sum() - valid * several) <= slack
    assert abs((found == "test").sum() - test * several) <= slack
    for label, size in sizes.items():
        own = Counter(found[labels == label])
        assert own["train"] >= 1
        assert abs(own["valid"] - valid * size) < 2.1 and abs(own["test"] - test * size) < 2.1


@settings(max_examples=40, deadline=None)
@given(PAIRS, st.integers(0, 99))
def test_groups_never_cross_and_no_class_is_untaught(pairs, seed):
    labels = np.array([f"label {label}" for label, _ in pairs], dtype=object)
    groups = np.array([f"group {group}" for _, group in pairs], dtype=object)
    found = split(labels, groups, seed=seed)
    np.testing.assert_array_equal(found, split(labels, groups, seed=seed))
    assert all(len(set(found[groups == group])) == 1 for group in set(groups))
    assert set(labels[found == "train"]) == set(labels)
    largest = max(Counter(groups).values())
    for name in ("valid", "test"):
        assert (found == name).sum() <= 0.15 * len(labels) + largest + 1


def test_shares_hold_for_many_groups():
    rng = np.random.default_rng(0)
    groups = rng.integers(0, 300, 3700).astype(str)
    labels = rng.choice(["negative", "neutral", "positive"], 3700, p=[0.35, 0.13, 0.52])
    found = split(labels, groups, 0.12, 0.24)
    for label in (labels == "negative", labels == "neutral", labels == "positive"):
        assert abs((found[label] == "valid").mean() - 0.12) < 0.01
        assert abs((found[label] == "test").mean() - 0.24) < 0.01


@pytest.mark.parametrize("alone", [True, False])
@pytest.mark.parametrize(("classes", "each"), [(77, 10), (100, 2), (77, 130)])
def test_many_small_classes_do_not_swell_valid_and_test(classes, each, alone):
    """BANKING77 has 77 classes; rounding each class up would take twice the share."""
    labels = np.repeat([f"c{i:03d}" for i in range(classes)], each)
    found = Counter(split(labels, None if alone else np.arange(len(labels)).astype(str)))
    for name in ("valid", "test"):
        assert abs(found[name] / len(labels) - 0.15) < 0.01


def test_odd_shares_and_sizes():
    assert split(np.array(["a"])).tolist() == ["train"]
    assert split(np.array([])).tolist() == []
    assert Counter(split(np.array(["a", "b"] * 10), valid=0.0, test=0.0)) == {"train": 20}
    few = np.array(["a", "b"] * 2)
    assert set(few[split(few, valid=0.5, test=0.45) == "train"]) == {"a", "b"}
    seeds = {tuple(split(np.array(["a", "b"] * 20), seed=seed)) for seed in range(5)}
    assert len(seeds) == 5


def test_the_split_never_changes():
    """A later version must find the split of an older run."""
    labels = np.array(list("aabbabcabbac") * 3)
    groups = np.array([str(i // 2) for i in range(36)])
    for mark, known in zip(MARKS, (None, groups), strict=True):
        assert "".join(name[0] if name != "train" else "." for name in split(labels, known)) == mark


def test_the_hashes_are_what_they_say():
    pairs = b"a:1\ttrain\nb:1\ttest\n"
    assert split_hash({"b:1": "test", "a:1": "train"}) == hashlib.sha256(pairs).hexdigest()
    one = Examples(np.array(["i"]), ["tä"], np.array(["l"]), None)
    parts = [b"\0\0\0\0\0\0\0\1i", b"\0\0\0\0\0\0\0\3t\xc3\xa4", b"\0\0\0\0\0\0\0\1l"]
    assert data_hash([one]) == hashlib.sha256(b"".join(parts)).hexdigest()
    bare = Examples(np.array(["i"]), ["tä"], None, None)
    assert data_hash([bare]) != data_hash([one])


def test_one_file_is_split_by_shares(tmp_path):
    table(tmp_path, "train.csv", rows_of(40))
    made = load(tmp_path, valid="20%", test="10%")
    assert [len(made.part(name)) for name in SPLITS] == [28, 8, 4]
    assert made.labels == ("a", "b") and made.columns.guessed == ("text", "label")
    assert sorted(set(made.kind.learning.targets(made.valid.labels, made.space))) == [0, 1]
    assert made.how == "valid 20 % and test 10 % of train.csv, stratified"
    frame = made.frame()
    assert frame.columns.tolist() == ["id", "split", "hash"] and len(frame) == 40
    text = made.train.inputs[0]
    assert frame.hash[0] == hashlib.sha256(text.encode()).hexdigest()[:16]
    assert split_hash(dict(zip(frame.id, frame.split, strict=True))) == made.split_hash
    assert load(tmp_path, valid="20%", test="10%", split_seed=1).split_hash != made.split_hash
    assert load(tmp_path, valid="20%", test="10%", split_seed=1).data_hash == made.data_hash


def test_groups_and_a_test_file(tmp_path):
    table(
        tmp_path,
        "train.csv",
        [(text, label, f"{i // 4}_{i}") for i, (text, label, _) in enumerate(rows_of(80))],
    )
    table(tmp_path, "test.csv", [(text, label, f"x{key}") for text, label, key in rows_of(6)])
    made = load(tmp_path, test="test.csv", group={"column": "key", "pattern": "^(.+?)_"})
    assert made.how == "valid 15 % of train.csv by group (20 groups), stratified, test from test.csv"
    assert not set(made.train.groups) & set(made.valid.groups)
    assert made.test.ids[0] == "test.csv:1"


def test_files_of_one_name_are_told_apart_by_their_folders(tmp_path):
    for start, name in enumerate(SPLITS):
        table(tmp_path, f"{name}/all.csv", rows_of(4, start=start * 10))
    made = load(tmp_path, train="train/all.csv", valid="valid/all.csv", test="test/all.csv")
    assert [made.part(name).ids[0] for name in SPLITS] == [
        "train/all.csv:1",
        "valid/all.csv:1",
        "test/all.csv:1",
    ]
    assert made.how == "valid from valid/all.csv, test from test/all.csv"


def test_dataframes_stand_in_for_files(tmp_path):
    frames = {name: pd.DataFrame(rows_of(8), columns=["text", "label", "key"]) for name in ("train", "test")}
    made = load(tmp_path, frames, train=DATAFRAME, valid="25%")
    assert made.test.ids[0] == "test:1" and set(made.train.ids) < {f"train:{i}" for i in range(1, 9)}
    error = refused(tmp_path, train=DATAFRAME)
    assert "trained on a DataFrame" in error.problem and "data=" in error.next_step
    assert refused(tmp_path, {"valid": frames["test"]}).received == "valid"


def test_rows_left_out_are_listed(tmp_path):
    table(tmp_path, "train.csv", [*rows_of(40), (" ", "a", "x")])
    assert refused(tmp_path).where == "train.csv:41"
    assert [row.row for row in load(tmp_path, unusable_rows="skip").rejected] == [41]


def test_data_that_cannot_be_split_are_refused(tmp_path):
    table(tmp_path, "train.csv", rows_of(40, labels=("a",)))
    error = refused(tmp_path)
    assert "one class only" in error.problem and error.received == "'a'"
    table(tmp_path, "train.csv", rows_of(3))
    error = refused(tmp_path)
    assert error.problem == "the valid split is empty" and error.received == "3 train, 0 valid, 0 test"
    assert error.next_step.endswith("--set data.valid=30%")
    table(tmp_path, "train.csv", rows_of(40))
    error = refused(tmp_path, valid="50%", test="60%")
    assert error.problem == "nothing is left to train on" and error.received == "50% and 60%"
    assert "same file" in refused(tmp_path, test="train.csv").problem


def test_a_label_seen_only_outside_train_is_named_and_counted(tmp_path):
    table(tmp_path, "train.csv", rows_of(40, labels=("refund", "login")))
    table(tmp_path, "test.csv", rows_of(6, labels=("refund", "refnd"), start=90))
    error = refused(tmp_path, test="test.csv")
    assert error.problem == "labels that are in test but never in train"
    assert (error.where, error.received) == ("test.csv", "'refnd' (3); did you mean 'refund'?")
    assert "in valid but" in refused(tmp_path, valid="test.csv").problem


def test_what_stands_in_two_files_is_refused(tmp_path):
    table(tmp_path, "train.csv", rows_of(40))
    table(tmp_path, "test.csv", rows_of(4, start=39))
    group = {"column": "key", "pattern": r"^(\d+)_"}
    for valid in ("15%", "valid.csv"):
        table(tmp_path, "valid.csv", rows_of(4, start=70))
        error = refused(tmp_path, valid=valid, test="test.csv", group=group)
        assert error.problem == "one group is in two splits" and error.received == "39"
    error = refused(tmp_path, test="test.csv", id="key")
    assert error.problem == "one id is in two splits" and error.received == "39_0"
    assert refused(tmp_path, valid="valid.csv", test="15%", label="lable").where == "train.csv"


def test_the_columns_of_train_must_stand_in_the_others(tmp_path):
    table(tmp_path, "train.csv", rows_of(40))
    (tmp_path / "test.csv").write_text("body,label\nx,a\n")
    error = refused(tmp_path, test="test.csv")
    assert error.problem.startswith("no column 'text'") and error.where == "test.csv"


def sentences(days=("Monday", "Tuesday", "Sunday")):
    """Returns rows of which none resembles another; the key counts them."""
    things, deeds = ("kettle", "lantern", "bicycle", "notebook"), ("vanished", "broke", "melted")
    texts = [f"The {thing} {deed} on {day}." for thing in things for deed in deeds for day in days]
    return [(text, "ab"[row % 2], str(row)) for row, text in enumerate(texts)]


def frames_of(rows):
    return {"train": pd.DataFrame(rows, columns=["text", "label", "key"])}


def test_data_without_copies_keep_the_split_they_always_had():
    """A later version must find the split of an older run, whatever it keeps together."""
    made = load(Path(), frames_of(sentences()), train=DATAFRAME)
    assert made.split_hash == "3161318256cae1db6e2f9a08579ecd1e930786e0a4497a90635d99c74d7511c1"
    assert load(Path(), frames_of(sentences()), train=DATAFRAME, keep_together="nothing").split_hash == made.split_hash


def test_copies_stay_on_one_side():
    rows = sentences()
    rows += [(text.upper() + "!", label, "x") for text, label, _ in rows[:12]]
    rows += [(text.replace("The", "Teh"), label, "x") for text, label, _ in rows[:3]]
    torn = 0
    for seed in range(5):
        made = load(Path(), frames_of(rows), train=DATAFRAME, split_seed=seed)
        assert made.how.endswith("stratified, 27 rows in 12 groups of near-copies kept on one side")
        side = {identifier: name for name in SPLITS for identifier in made.part(name).ids}
        assert all(side[f"train:{row + 1}"] == side[f"train:{37 + row}"] for row in range(12))
        assert all(side[f"train:{row + 1}"] == side[f"train:{49 + row}"] for row in range(3))
        assert made.train.groups is None  # a person's own groups alone are kept
        apart = load(Path(), frames_of(rows), train=DATAFRAME, split_seed=seed, keep_together="nothing")
        side = {identifier: name for name in SPLITS for identifier in apart.part(name).ids}
        torn += any(side[f"train:{row + 1}"] != side[f"train:{37 + row}"] for row in range(12))
    assert torn


@pytest.mark.parametrize("test", ["20%", None])
def test_what_selects_is_handed_the_copies_that_the_split_has_found(test):
    """They are searched once: training, which deals out folds by them, has the pairs of train and valid."""
    rows = sentences()
    rows += [(text.upper() + "!", label, "x") for text, label, _ in rows[:12]]
    frames = frames_of(rows)
    if test is None:
        frames |= {"test": pd.DataFrame(rows[:4], columns=["text", "label", "key"])}
    made = load(Path(), frames, train=DATAFRAME, valid="30%", **({"test": test} if test else {}))
    selected = made.without_test()
    inputs = [*made.train.inputs, *made.valid.inputs]
    assert selected.copies is not None and len(selected.copies.first) == len(inputs)
    found = find_copies(inputs)
    assert np.array_equal(groups_of(selected.copies.pairs, len(inputs)), groups_of(found.pairs, len(inputs)))
    held = np.arange(len(made.valid)) % 2 == 0
    fewer = selected.without(held)
    rest = [*fewer.train.inputs, *fewer.valid.inputs]
    assert len(fewer.valid) == (~held).sum() and len(fewer.copies.first) == len(rest)
    assert np.array_equal(groups_of(fewer.copies.pairs, len(rest)), groups_of(find_copies(rest).pairs, len(rest)))
    assert selected.without(np.zeros(len(made.valid), bool)) is selected


def test_where_the_split_has_not_looked_selection_has_no_copies():
    rows = sentences()
    frames = frames_of(rows) | {"valid": pd.DataFrame(rows[:4], columns=["text", "label", "key"])}
    assert load(Path(), frames, train=DATAFRAME).without_test().copies is None
    assert load(Path(), frames_of(rows), train=DATAFRAME, keep_together="nothing").without_test().copies is None


def test_copies_join_groups():
    rows = [(text, label, str(row // 2)) for row, (text, label, _) in enumerate(sentences())]
    rows[5] = (rows[0][0] + "!", *rows[5][1:])  # groups 0 and 2 now hold copies of each other
    made = load(Path(), frames_of(rows), train=DATAFRAME, group="key", valid="30%", test="20%")
    sides = [set(made.part(name).groups) for name in SPLITS]
    assert sum(bool({"0", "2"} & side) for side in sides) == 1 and sum(map(len, sides)) == 18
    assert "by group (18 groups), stratified, 2 rows in 1 group of near-copies" in made.how


def test_a_given_test_file_is_not_touched():
    rows = sentences()
    frames = frames_of(rows) | {"test": pd.DataFrame(rows[:4], columns=["text", "label", "key"])}
    assert load(Path(), frames, train=DATAFRAME).test.inputs == [text for text, _, _ in rows[:4]]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 12), st.integers(0, 30)), min_size=1, max_size=80),
    st.booleans(),
    st.sampled_from([0.1, 0.3]),
    st.sampled_from([0.0, 0.2]),
)
def test_time_order_is_respected(pairs, grouped, valid, test):
    times = np.array([time for time, _ in pairs], np.float64)
    groups = np.array([str(group) for _, group in pairs], dtype=object) if grouped else None
    found = split_by_time(times, groups, valid_fraction=valid, test_fraction=test)
    newest = times
    if groups is not None:
        assert all(len(set(found[groups == group])) == 1 for group in set(groups))
        newest = np.array([times[groups == group].max() for group in groups])
    order = [newest[found == name] for name in SPLITS]
    for early, late in ((0, 1), (1, 2), (0, 2)):
        if order[early].size and order[late].size:
            assert order[early].max() < order[late].min()
    wanted = [name for name, share in zip(SPLITS, (1, valid, test), strict=True) if share]
    if len(set(newest)) >= len(wanted):
        assert set(found) == set(wanted)


def test_shares_hold_by_time():
    found = Counter(split_by_time(np.arange(200.0), None, valid_fraction=0.15, test_fraction=0.1))
    assert found == {"train": 150, "valid": 30, "test": 20}


def test_the_newest_rows_are_test():
    rows = [
        (text, label, f"2024-{1 + row // 6:02d}-{1 + row % 6:02d}") for row, (text, label, _) in enumerate(sentences())
    ]
    made = load(Path(), frames_of(rows[::-1]), train=DATAFRAME, time="key", valid="25%", test="25%")
    assert made.how == (
        "valid 25 % and test 25 % of train, by time in 'key' (train 2024-01-01 to 2024-03-06, valid 2024-04-01 to "
        "2024-05-03, test 2024-05-04 to 2024-06-06)"
    )
    assert made.columns.label == "label" and set(made.test.inputs) == {text for text, _, _ in rows[27:]}
    numbers = [(text, label, row) for row, (text, label, _) in enumerate(rows)]
    assert "test 31 to 35" in load(Path(), frames_of(numbers), train=DATAFRAME, time="key").how


def test_times_that_cannot_be_read_are_named():
    rows = sentences()
    for cells, problem, received in (
        (["2024-05-01"] * 34 + ["soon", ""], "2 of 36 cells are not a time", "'soon', ''"),
        (["01/02/2024"] * 36, "the dates can be read in two ways", "'01/02/2024', which fits %d/%m/%Y and %m/%d/%Y"),
    ):
        given = [(text, label, cell) for (text, label, _), cell in zip(rows, cells, strict=True)]
        error = refused(Path(), frames_of(given), train=DATAFRAME, time="key")
        assert (error.problem, error.received) == (problem, received)
    assert refused(Path(), frames_of(rows), train=DATAFRAME, time="when").problem.startswith("no column 'when'")


@pytest.mark.parametrize("cell", ["31/12/2023", "12/31/2023", "31.12.2023 10:30", "31 Dec 2023", "Dec 31, 2023"])
def test_usual_dates_are_read(cell):
    given = [(text, label, cell) for text, label, _ in sentences()]
    given[0] = (*given[0][:2], cell.replace("31", "30"))
    assert refused(Path(), frames_of(given), train=DATAFRAME, time="key").problem.endswith("split is empty")


@settings(max_examples=60, deadline=None)
@given(PAIRS, st.integers(0, 99))
def test_groups_of_look_alikes_never_cross_and_every_class_is_taught(pairs, seed):
    labels = np.array([f"label {label}" for label, _ in pairs], dtype=object)
    groups = np.array([group for _, group in pairs])
    found = split_alike(labels, groups, valid_fraction=0.2, test_fraction=0.15, seed=seed)
    np.testing.assert_array_equal(found, split_alike(labels, groups, valid_fraction=0.2, test_fraction=0.15, seed=seed))
    assert all(len(set(found[groups == group])) == 1 for group in set(groups))
    assert set(labels[found == "train"]) == set(labels)
    for name, share in (("valid", 0.2), ("test", 0.15)):
        for label, size in Counter(labels).items():
            assert (labels[found == name] == label).sum() <= share * size + 0.5


def series(rng, classes=3, each=8, views=6):
    """Returns vectors of objects that are seen several times, their classes, and the objects."""
    centres = 0.3 * rng.normal(size=(classes, 1, 1, 24)) + rng.normal(size=(classes, each, 1, 24))
    vectors = centres + 0.2 * rng.normal(size=(classes, each, views, 24))
    objects = np.repeat(np.arange(classes * each), views)
    return vectors.reshape(-1, 24), np.array([f"class {thing // each}" for thing in objects], dtype=object), objects


def test_views_of_one_object_are_found():
    vectors, classes, objects = series(np.random.default_rng(0))
    found = similar_groups(vectors, classes)
    assert all(len(set(found[objects == thing])) == 1 for thing in set(objects))
    assert len(set(found)) >= 20  # of 24: some objects of a class look alike
    assert similar_groups(vectors, np.array(["one"] * len(vectors))).tolist() == list(range(len(vectors)))


def test_what_looks_alike_stays_on_one_side():
    vectors, classes, objects = series(np.random.default_rng(0))
    texts = [f"{WORDS[row % 12]} {WORDS[row // 12]} {row}" for row in range(len(vectors))]
    rows = [(text, label, str(thing)) for text, label, thing in zip(texts, classes, objects, strict=True)]
    made = load(
        Path(), frames_of(rows), train=DATAFRAME, valid="25%", similar=lambda given: vectors, keep_together="similar"
    )
    side = {identifier: name for name in SPLITS for identifier in made.part(name).ids}
    for thing in range(24):
        assert len({side[f"train:{row + 1}"] for row in np.flatnonzero(objects == thing)}) == 1
    assert "groups of similar rows kept on one side" in made.how and set(made.valid.labels) == set(classes)
    with pytest.raises(UsageError) as caught:
        load(Path(), frames_of(rows), train=DATAFRAME, keep_together="similar")
    assert caught.value.where == "data.keep_together" and "nothing here says what is similar" in str(caught.value)


def test_a_class_far_from_the_others_is_not_one_group():
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(60, 8)) + 9 * np.repeat(np.eye(3, 8), 20, axis=0)
    classes = np.repeat(np.array(["a", "b", "c"], dtype=object), 20)
    assert len(set(similar_groups(vectors, classes))) == 3
    found = similar_groups(vectors, classes, largest=0.7)
    for name in set(classes):
        assert max(Counter(found[classes == name]).values()) <= 14
    same = np.ones((6, 3))
    assert len(set(similar_groups(same, np.array(list("aaabbb")), largest=0.5))) == 6
