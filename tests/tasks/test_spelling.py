"""One spelling of what differs in form alone; what differs besides is shown by code points."""

import decimal

import numpy as np
import pytest

from kft.tasks.spelling import difference, folded, respelled, spelled


@pytest.mark.parametrize(
    ("cells", "label"),
    [
        ((True, np.True_, "True", "TRUE", "true", " true\u00a0"), "true"),
        ((False, "False", "FALSE", "false"), "false"),
        ((1, 1.0, "1", "1.0", "1.", "1.00", np.float32(1), np.int64(1), decimal.Decimal("1.0")), "1"),
        ((-3, -3.0, "-3.0"), "-3"),
        ((0.5, "0.5", np.float32(0.5)), "0.5"),
        (
            (
                "caf\u00e9",
                "cafe\u0301",
                "\ufeffcaf\u00e9",
                "ca\u200bf\u00e9",
                "caf\u00e9\u200d",
                "\u3000caf\u00ad\u00e9 ",
            ),
            "caf\u00e9",
        ),
        (("", None, np.nan, "\u200b", " \u00a0 "), ""),
    ],
)
def test_what_differs_in_form_alone_is_one_label(cells, label):
    assert {spelled(cell) for cell in cells} == {label}


@pytest.mark.parametrize(
    "label",
    [
        "Billing",
        "v1.0",
        "1.0.1",
        "01",
        "1.5",
        "1,0",
        "a  b",
        "a\u00a0b",
        "None",
        "NA",
        "yes",
        "\u0645\u06cc\u200c\u062e",
        "👩\u200d🔧",
    ],
)
def test_plain_labels_stay_as_they_are(label):
    assert spelled(label) == label


def test_labels_that_differ_by_case_space_or_unicode_form_fold_to_one():
    for alike in (
        ["Billing", "billing", "BILLING", "bil\u200cling"],
        ["e-mail", "e\u2011mail", "E\u2013Mail"],
        ["sign up", "Sign  Up", "sign\u00a0up", "signup"],
        ["Straße", "STRASSE"],
        ["ﬁne", "fine"],
        ["1.5", "1.50"],
    ):
        assert len({folded(label) for label in alike}) == 1, alike
    for different in (["C", "C++"], ["1 2", "12"], ["1.5", "15"], ["a", "\u0430"], ["\u200d", "\u200c"]):
        assert len({folded(label) for label in different}) == len(different), different


def test_a_difference_that_nobody_sees_is_shown():
    assert difference("caf\u00e9 bar", "cafe\u0301 bar") == (
        "'caf\u00e9 bar' has U+00E9, 'cafe\u0301 bar' has U+0065 U+0301"
    )
    assert difference("aa", "aaa") == "'aa' and 'aaa'"
    assert difference("aa", "aa\u00a0a") == "'aa' has nothing there, 'aa\\xa0a' has U+00A0 U+0061"
    assert respelled(["x"], ["Billing"]) == ""
