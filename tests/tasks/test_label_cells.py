"""Lists of labels as programs print them; what says yes and no without a name is refused."""

import numpy as np
import pandas as pd
import pytest

from kft.errors import DataError
from kft.recipe.schema import DataSpec
from kft.tasks.classes import CLASSES
from kft.tasks.labels import LABELS
from kft.tasks.task import LabelColumn

SPEC = DataSpec(train="a.csv")


def read(*cells, kind=LABELS):
    """Returns each row's label, or the reason why it has none."""
    settled = kind.labels.settle(LabelColumn(cells, [""] * len(cells), "a.csv, column 'labels'"), SPEC)
    return [problem or label for label, problem in (kind.labels.parse(cell, "", settled) for cell in cells)]


@pytest.mark.parametrize(
    "cell",
    [
        "['a', 'b']", '["a", "b"]', "['a' 'b']", "['a'\n 'b']", "('a', 'b')", "{'b', 'a'}", "array(['a', 'b'])",
        "array(['a', 'b'], dtype=object)", "array(['a', 'b'],\n      dtype='<U1')", "np.array(['a', 'b'])",
        "[np.str_('a'), np.str_('b')]", "frozenset({'a', 'b'})", "Index(['a', 'b'], dtype='object')",
        "list(['a', 'b'])",
        "'a', 'b'", '"a"|"b"', ["b", "a"], ("a", "b"), {"a", "b"}, np.array(["a", "b"]), pd.Series(["a", "b"]),
        '{"a": 1, "b": true, "c": 0}', {"a": "yes", "b": 1.0, "c": None}, "a, b", "['a', 'b', 'a ']",
    ],
)  # fmt: skip
def test_a_list_is_read_however_it_was_printed(cell):
    separator = DataSpec(train="a.csv", label_separator="|" if isinstance(cell, str) and "|" in cell else ",")
    assert LABELS.labels.parse(cell, "", separator) == (("a", "b"), "")


@pytest.mark.parametrize(
    "cell", ["[]", "()", "set()", "array([], dtype=object)", "frozenset()", "{}", "", None, [], "['']"]
)
def test_an_empty_list_is_no_label(cell):
    assert LABELS.labels.parse(cell, "", SPEC) == ((), "")


@pytest.mark.parametrize(
    "cell",
    ["['a', 'b'", "['a' ... 'b']", "[a, b]", "[a]", "(a, b)", "{a, b}", "['a' 'b', 'c']", "array(['a'",
     "[['a'], ['b']]", "{'a': 'what'}", {"a": "what"}, [["a"]], [{"a": 1}], b"a", "array([f(), 'a'])"],
)  # fmt: skip
def test_what_looks_like_a_list_and_is_none_is_refused(cell):
    label, problem = LABELS.labels.parse(cell, "", SPEC)
    assert label == () and problem.startswith("label ")


def test_names_with_brackets_quotes_and_marks_stay():
    assert read("[urgent] billing", "it's", "C++;(none)") == [("[urgent] billing",), ("it's",), ("(none)", "C++")]


@pytest.mark.parametrize(
    ("cells", "problem"),
    [
        ([[0, 1, 1], [1, 0, 0]], "vectors"), ([[True, False], [True, True]], "vectors"),
        (["[0 1 1]", "[1 0 1]"], "vectors"),
        (["[0. 1. 1.]", "[1. 0. 1.]"], "vectors"), (["0 1 1", "1 0 0"], "vectors"), (["0,1,1", "1,0,0"], "vectors"),
        (["011", "100"], "vectors"), ([np.array([0, 0]), np.array([1, 0])], "vectors"),
        (["0", "1"], "yes and no"),
        ([1, 0, 1], "yes and no"), ([True, False], "yes and no"), (["yes", "no", ""], "yes and no"),
        (["x", ""], "yes and no"), ([1.0, 0.0], "yes and no"),
    ],
)  # fmt: skip
def test_vectors_and_single_marks_are_refused(cells, problem):
    with pytest.raises(DataError, match=problem) as caught:
        read(*cells)
    assert "data.label: [COLUMN, COLUMN]" in caught.value.next_step and caught.value.received


def test_numbers_can_be_names():
    assert read("0|3", "1", "0|1") == [("0", "3"), ("1",), ("0", "1")]
    assert read([0], [1], [0, 1]) == [("0",), ("1",), ("0", "1")]
    assert read([1.0, True], ["2"]) == [("1", "true"), ("2",)]


def test_a_class_is_no_list():
    found = read(
        "['a', 'b']", ["a", "b"], "('a', 'b')", "['a']", ("a",), "[UNK]", "a, b", "[]", "['a'", {"a": 3}, kind=CLASSES
    )
    assert [each for each in found if not each.startswith("label ")] == ["a", "a", "[UNK]", "a, b"]


def test_booleans_and_numbers_are_one_class_each():
    assert read(True, "TRUE", 1.0, "1", "1.0", None, kind=CLASSES) == ["true", "true", "1", "1", "1", "missing label"]
    notes = CLASSES.labels.notes(LabelColumn(["TRUE", "cafe\u0301", "ok"], [""] * 3, "a"), SPEC)
    assert notes == (
        "labels are read and answered in one spelling: 'TRUE' as 'true' (1); "
        "'cafe\u0301' has U+0065 U+0301, 'caf\u00e9' has U+00E9 (1)",
    )


@pytest.mark.parametrize("cell", [["['"], ["['a', 'b']"], "[\"['a', 'b']\"]", ["array(['a'])"]])
def test_a_list_that_holds_a_printed_one_is_refused(cell):
    label, problem = LABELS.labels.parse(cell, "", SPEC)
    assert not label and "a list that holds a printed one" in problem
