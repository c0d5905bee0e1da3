"""Labels that differ by case, space or Unicode form alone."""

from kft.audit.checks.label_spelling import find_spellings
from kft.tasks.classes import CLASSES
from kft.tasks.labels import LABELS
from kft.tasks.spans import SPANS, Span

IDS = [f"a:{row}" for row in range(9)]


def test_each_spelling_is_named_with_its_code_points():
    labels = ["Billing"] * 3 + ["billing", "bill\u00a0ing", "caf\u00e9", "caf\u00e9", "CAFE\u0301", "refund"]
    (found,) = find_spellings(IDS, labels, CLASSES.labels)
    assert found.severity == "warning" and found.rows == ("a:3", "a:4", "a:7")
    assert found.details["suggested"] == ["Billing", "Billing", "caf\u00e9"]
    assert "U+0042" in found.message and "U+0062" in found.message and "(3 and 1 rows)" in found.message
    assert "kft data apply" in found.advice


def test_plain_labels_are_fine():
    assert list(find_spellings(IDS[:3], ["C", "C++", "C#"], CLASSES.labels)) == []


def test_of_several_labels_a_row_keeps_the_others():
    (found,) = find_spellings(IDS[:3], [("a", "b"), ("A", "b"), ("a",)], LABELS.labels)
    assert found.rows == ("a:1",) and found.details["suggested"] == ['["a", "b"]']


def test_kinds_of_spans_are_mended_in_the_data():
    labels = [(Span(0, 1, "PER"), Span(2, 3, "PER")), (Span(0, 1, "per"),)]
    (found,) = find_spellings(IDS[:2], labels, SPANS.labels)
    assert found.details == {"spellings": [["PER", "per"]]} and found.advice == "Give each one spelling in the data."
