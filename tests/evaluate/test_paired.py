"""Two runs, pair by pair: what was fixed, what broke, and whether that may be chance."""

import csv

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binom

from kft.errors import RunError, UsageError
from kft.evaluate.paired import compare_answers, compare_runs, other_inputs, require_comparable
from kft.records.document import write_document
from kft.records.run_folder import RunFolder
from kft.tasks.registry import TASKS
from tests.records import made

CLASSES = TASKS.get("text-classification")


def a_run(folder, rows, *, split="0" * 64, scored=True):
    """What two runs are compared by, in a folder: the receipt's hash, predictions."""
    folder.mkdir()
    write_document(folder / "receipt.json", made.receipt(split_hash=split))
    if scored:
        with (folder / "predictions.csv").open("w", newline="") as file:
            csv.writer(file).writerows([("id", "target", "prediction", "confidence", "abstain"), *rows])
    return RunFolder(folder)


def rows(predictions, targets="aabb"):
    pairs = enumerate(zip(targets, predictions, strict=True))
    return [(f"row-{n}", target, said, "0.9", "false") for n, (target, said) in pairs]


def write_splits(run, test, train=""):
    """Writes which rows, each a letter, were test and train."""
    rows = [(name, part, name * 4) for part, names in (("test", test), ("train", train)) for name in names]
    pd.DataFrame(rows, columns=["id", "split", "hash"]).to_parquet(run.splits)


def test_runs_that_learned_from_other_rows_are_compared_on_the_same_test(tmp_path):
    ours, theirs = a_run(tmp_path / "one", rows("aaba")), a_run(tmp_path / "two", rows("bbbb"), split="1" * 64)
    write_splits(ours, "abcd", "xy"), write_splits(theirs, "abcd", "xyz")
    require_comparable(ours, theirs, CLASSES)
    assert other_inputs(ours, theirs) == ""


def test_fixed_and_broken_are_named(tmp_path):
    ours, theirs = a_run(tmp_path / "one", rows("aaba")), a_run(tmp_path / "two", rows("bbbb"))
    require_comparable(ours, theirs, CLASSES)
    found = compare_runs(ours, theirs)
    assert found.fixed == ("row-0", "row-1") and found.broke == ("row-3",)
    assert found.difference.value == 0.25
    assert found.p_value == pytest.approx(1.0)
    assert found.run == str(tmp_path / "two") and found.difference.metric == "accuracy"


def test_mcnemar_is_exact():
    right = np.array([True] * 14 + [False] * 3 + [True] * 100)
    others = np.array([False] * 14 + [True] * 3 + [True] * 100)
    found = compare_answers([str(n) for n in range(117)], right, others)
    assert (len(found.fixed), len(found.broke)) == (14, 3)
    assert found.p_value == pytest.approx(2 * binom.cdf(3, 17, 0.5))
    assert 0 < found.difference.low < found.difference.value == pytest.approx(11 / 117)


def test_a_run_against_itself_differs_in_nothing():
    right = np.array([True, False] * 20)
    found = compare_answers([str(n) for n in range(40)], right, right)
    assert (found.fixed, found.broke, found.p_value) == ((), (), 1.0)
    assert found.difference.low == found.difference.high == 0


def test_groups_are_drawn_together(tmp_path):
    labels = "ab" * 60
    ours, theirs = a_run(tmp_path / "one", rows(labels, labels)), a_run(tmp_path / "two", rows("aa" * 60, labels))
    alone = compare_runs(ours, theirs)
    grouped = compare_runs(ours, theirs, {f"row-{n}": n // 12 + 100 * (n % 2) for n in range(120)})
    assert grouped.difference.value == alone.difference.value == 0.5
    assert grouped.difference.high - grouped.difference.low > 2 * (alone.difference.high - alone.difference.low)


def test_written_answers_are_compared_by_their_fields(tmp_path):
    right = ['{"a": 1, "b": 2}'] * 20
    half, none = ['{"a": 1, "b": 3}'] * 19 + [right[0] + "\n"], ["so"] * 20

    def folder(name, said):
        return a_run(tmp_path / name, rows(said, right))

    found = compare_runs(folder("one", half), folder("two", none), written=True)
    assert found.difference.metric == "slot_f1" and found.difference.value == 21 / 40
    assert found.fixed == ("row-19",) and found.broke == ()


def test_what_cannot_be_compared_is_refused(tmp_path):
    ours = a_run(tmp_path / "one", rows("aabb"))
    two = a_run(tmp_path / "two", rows("aabb"), split="1" * 64)
    for tested in ("", "abc", "abcde"):  # no such file: of an earlier kft, or damaged
        if tested:
            write_splits(ours, "abcd"), write_splits(two, tested)
        with pytest.raises(RunError, match="were tested on other rows") as error:
            require_comparable(ours, two, CLASSES)
        assert "data.split_seed" in str(error.value)
    with pytest.raises(RunError, match="has not been evaluated") as error:
        require_comparable(ours, a_run(tmp_path / "three", [], scored=False), CLASSES)
    assert f"kft evaluate {tmp_path / 'three'}" in str(error.value)
    with pytest.raises(UsageError, match="one class of many"):
        require_comparable(ours, ours, TASKS.get("text-regression"))
    with pytest.raises(RunError, match="other examples or other labels") as error:
        compare_runs(ours, a_run(tmp_path / "five", rows("aabb", "aaab")))
    assert "1 ids that differ, such as row-2" in str(error.value)
