"""Copies across and within splits, copies with two labels, splits too small: a planted case and a clean one each."""

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from kft.audit import all_checks  # noqa: F401
from kft.audit.check import CHECKS
from kft.audit.checks.conflicts import check_conflicts, find_conflicts
from kft.audit.checks.duplicates import check_duplicates, find_duplicates
from kft.audit.checks.leakage import check_leakage, find_leaks
from kft.audit.checks.size import check_size, half_width, judge_size
from kft.audit.view import AuditView
from kft.recipe.schema import RecipeSpec
from kft.split.data_split import load_split
from kft.split.near import as_pairs
from kft.tasks.registry import TASKS

THINGS = ["kettle", "lantern", "bicycle", "notebook", "umbrella", "hammer", "candle", "mirror"]
DEEDS = ["vanished", "broke", "arrived", "rusted", "melted", "tore"]
DAYS = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday"]
CLEAN = [(f"The {thing} {deed} on {day}.", thing) for thing in THINGS for deed in DEEDS for day in DAYS]


def view(rows, task="text-classification", base=None, **data):
    """Returns what a check looks at, from rows of (input, label) by split."""
    spec = RecipeSpec.model_validate({"task": task, "data": {"train": "dataframe", **data}})
    column = "image" if task.startswith("image") else "text"
    frames = {name: pd.DataFrame(own, columns=[column, "label"]) for name, own in rows.items()}
    split = load_split(spec.data, task=TASKS.get(task), base=base, locate=None, frames=frames)
    return AuditView(split, TASKS.get(task), spec)


def test_the_checks_are_registered():
    assert {"leakage", "duplicates", "conflicting-labels", "split-size"} <= set(CHECKS.names())


def test_clean_data_have_no_copies():
    seen = view({"train": CLEAN})
    for check in (check_leakage, check_duplicates, check_conflicts):
        assert list(check(seen)) == []


def test_copies_of_train_in_test_are_a_leak():
    planted = [(CLEAN[0][0].upper(), "kettle"), ("The  kettle brok on Monday", "lantern")]
    fresh = [(f"Nobody has seen my {thing} since the {number}th.", thing) for thing in THINGS for number in range(4, 9)]
    (found,) = check_leakage(view({"train": CLEAN, "test": fresh + planted}, valid="15%"))
    assert (found.check, found.severity, found.rows) == ("leakage", "error", ("test:41", "test:42"))
    assert found.message == (
        "2 of 42 rows of test (4.8 %) are copies (1 exact, 1 near-copy) of rows of train or valid."
    )
    assert found.details["copy_of"] == ["train:1", "train:6"] and found.details["split"] == "test"
    assert found.details["label"] == ["kettle", "lantern"] and found.details["label_of_copy"] == ["kettle"] * 2
    assert found.details["similarity"][0] == 1 > found.details["similarity"][1]
    assert "data.test: 15%" in found.advice


def test_a_few_leaked_rows_are_a_warning_and_equal_ones_all_count():
    split_of = np.array(["train"] * 100 + ["valid"] * 100 + ["test"] * 200)
    ids = np.array([f"{row}" for row in range(400)])
    # 5 is in train, 210 in test is nearly it and 390 equals 210; 150 in valid equals 300 in test.
    copies = as_pairs([(5, 210, 0.95), (210, 390, 1.0), (150, 300, 1.0)])
    (test,) = find_leaks(ids, split_of, copies)
    assert (test.severity, test.rows, test.details["copy_of"]) == ("warning", ("300", "210", "390"), ["150", "5", "5"])
    valid, test = find_leaks(ids, split_of, as_pairs([(5, 110, 1.0), (5, 210, 1.0)]))
    assert (valid.details["split"], test.details["split"]) == ("valid", "test") and valid.score == 0.01
    assert list(find_leaks(ids, split_of, as_pairs([(1, 2, 1.0), (300, 301, 1.0)]))) == []


def test_copies_within_train_are_told_apart_from_leaks():
    seen = view({"train": CLEAN + [(text + "!", label) for text, label in CLEAN[:20]]})
    (found,) = (finding for finding in check_duplicates(seen) if finding.details["split"] == "train")
    assert found.severity == "warning" and found.message.endswith("are exact copies of another row.")
    assert list(check_leakage(seen)) == []  # copies were kept on one side of the split
    ids, train = np.array(["a", "b", "c"]), np.array(["train", "train", "test"])
    assert list(find_duplicates(ids, train, as_pairs([(1, 2, 1.0)]))) == []


def test_one_copy_in_many_rows_is_a_note():
    ids = np.array([str(row) for row in range(200)])
    (found,) = find_duplicates(ids, np.array(["train"] * 200), as_pairs([(3, 9, 0.93)]))
    assert (found.severity, found.rows, found.details["copy_of"]) == ("note", ("9",), ["3"])
    assert found.message.startswith("1 of 200 rows of train (0.5 %) is a near-copy of another row")


def test_copies_with_two_labels():
    rows = [*CLEAN, (CLEAN[0][0].lower(), "mirror"), (CLEAN[1][0], CLEAN[1][1])]
    (found,) = check_conflicts(view({"train": rows}))
    assert found.rows == ("train:241",) and found.severity == "note"
    assert found.details == {"label": ["mirror"], "other": ["train:1"], "other_label": ["kettle"], "similarity": [1.0]}
    assert found.message == (
        "1 of 242 rows (0.4 %) says another label than an earlier copy: train:241 says 'mirror', train:1 'kettle'."
    )
    ids, labels = np.array(["a", "b"]), np.array([1.0, 1.2], dtype=object)
    assert not list(find_conflicts(ids, labels, as_pairs([(0, 1, 1.0)]), lambda one, other: abs(one - other) > 1))


def test_numbers_conflict_when_they_lie_far_apart():
    rows = [(text, str(place % 7)) for place, (text, _) in enumerate(CLEAN)]
    rows += [(CLEAN[0][0], "0.5"), (CLEAN[7][0], "6")]
    (found,) = check_conflicts(view({"train": rows}, task="text-regression"))
    assert found.rows == ("train:242",)


def test_images_that_leak(tmp_path):
    rng = np.random.default_rng(0)
    rows = []
    for place in range(24):
        Image.fromarray(rng.integers(0, 256, (9, 9, 3), dtype=np.uint8)).resize((64, 64)).save(
            tmp_path / f"{place}.png"
        )
        rows.append((f"{place}.png", "ab"[place % 2]))
    Image.open(tmp_path / "0.png").resize((48, 48)).save(tmp_path / "0.jpg", quality=60)
    data = {"train": rows[:16], "valid": rows[16:20], "test": [*rows[20:], ("0.jpg", "a")]}
    (found,) = check_leakage(view(data, "image-classification", tmp_path))
    assert found.rows == ("test/0.jpg",) and found.details["copy_of"] == ["train/0.png"]


@pytest.mark.parametrize(("rows", "classes", "severity"), [(9, 2, "error"), (70, 77, "error"), (100, 3, "warning")])
def test_a_split_that_tells_nothing(rows, classes, severity):
    (found,) = judge_size("test", rows, classes)
    assert found.severity == severity and f"{rows} rows" in found.message
    assert found.details["rows_needed"] == max(141, classes)
    assert ("fewer than the 77 classes" in found.message) == (classes == 77)


def test_a_split_that_tells_enough():
    assert list(judge_size("test", 3080, 77)) == []
    assert half_width(0.9, 141) <= 0.05 < half_width(0.9, 140)
    found = list(check_size(view({"train": CLEAN})))
    assert [(finding.details["split"], finding.severity) for finding in found] == [
        ("valid", "warning"),
        ("test", "warning"),
    ]
