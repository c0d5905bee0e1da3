"""From findings to a table that a person edits."""

from kft.audit.corrections import propose
from kft.records.findings import Finding


def finding(check, rows, **details):
    return Finding(check, "warning", f"{check}.", "Look.", 0.1, rows, details)


def test_each_check_proposes_what_it_can_be_sure_of():
    found = propose(
        [
            finding("label-noise", ("a:1", "a:2"), suggested=["x", "y"], odds=[400.0, 3.0]),
            finding("duplicates", ("a:3", "a:4"), similarity=[1.0, 0.93], copy_of=["a:9", "a:9"]),
            finding("conflicting-labels", ("a:5",), other_label=["x"], other=["a:0"]),
            finding("lengths", ("a:6",), kind="empty"),
            finding("lengths", ("a:7",), kind="cut"),
            finding("personal-data", ("a:8",), kind="email"),
        ]
    )
    assert [(row.id, row.action, row.label) for row in found] == [
        ("a:1", "keep", "x"),
        ("a:2", "keep", "y"),
        ("a:3", "drop", ""),
        ("a:4", "keep", ""),
        ("a:5", "keep", "x"),
        ("a:0", "keep", ""),
        ("a:6", "drop", ""),
    ]


def test_a_row_that_two_checks_name_has_one_line():
    noise = finding("label-noise", ("a:1",), suggested=["x"], odds=[400.0])
    copies = finding("duplicates", ("a:1",), similarity=[1.0], copy_of=["a:0"])
    for order in ([noise, copies], [copies, noise]):
        (row,) = propose(order)
        assert row.action == "drop" and row.label == "" and set(row.check.split(", ")) == {"duplicates", "label-noise"}
    weak = finding("label-noise", ("a:1",), suggested=["x"], odds=[3.0])
    (row,) = propose([finding("language", ("a:1",)), weak])
    assert (row.action, row.label) == ("keep", "x")


def test_of_copies_with_different_labels_none_is_dropped():
    copies = finding("duplicates", ("a:2",), similarity=[1.0], copy_of=["a:1"])
    conflict = finding("conflicting-labels", ("a:2",), other=["a:1"], other_label=["right"])
    for order in ([copies, conflict], [conflict, copies]):
        found = {row.id: row.action for row in propose(order)}
        assert found == {"a:1": "keep", "a:2": "keep"}


def test_one_spelling_is_proposed_for_each_row_whatever_else_is_found():
    spelling = finding("label-spelling", ("a:2", "a:3"), suggested=["Billing", "Billing"])
    copies = finding("duplicates", ("a:2",), similarity=[1.0], copy_of=["a:1"])
    conflict = finding("conflicting-labels", ("a:2",), other=["a:1"], other_label=["right"])
    noise = finding("label-noise", ("a:3",), suggested=["x"], odds=[400.0])
    for order in ([spelling, copies, conflict, noise], [noise, conflict, copies, spelling]):
        found = {row.id: (row.action, row.label) for row in propose(order)}
        assert found == {"a:1": ("keep", ""), "a:2": ("relabel", "Billing"), "a:3": ("relabel", "Billing")}
    assert propose([finding("label-spelling", ("a:1",), spellings=[["PER", "per"]])]) == []
