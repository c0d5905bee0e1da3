"""Documents: read as they were written, and refused by file and key where they are damaged."""

import json
from pathlib import Path

import pytest

from kft.errors import RunError
from kft.records.calibration import Calibration
from kft.records.compare import ApproachResult, Comparison, Cost, Risk, Verdict
from kft.records.document import as_document, document_text, read_document, read_if_there, write_document
from kft.records.edge_cases import EdgeCaseResult
from kft.records.estimate import Estimate
from kft.records.findings import Findings
from kft.records.forgetting import ForgettingResult
from kft.records.metrics import EvaluateResult
from kft.records.mistakes import Mistakes
from kft.records.receipt import Receipt, Resumption
from tests.records import made

BEFORE = Path(__file__).parent / "run_before_the_house" / "run"
KINDS = {
    "receipt": Receipt,
    "metrics": EvaluateResult,
    "calibration": Calibration,
    "forgetting": ForgettingResult,
    "edge_cases": EdgeCaseResult,
    "mistakes": Mistakes,
    "findings": Findings,
}


@pytest.mark.parametrize("name", KINDS)
def test_one_of_before_is_read_and_written_with_the_version_alone_added(name, tmp_path):
    before = BEFORE / f"{name}.json"
    found = read_document(KINDS[name], before)
    written = tmp_path / f"{name}.json"
    write_document(written, found)
    old, new = before.read_text(encoding="utf-8"), written.read_text(encoding="utf-8")
    assert new == old.replace("{\n", '{\n  "schema_version": 1,\n', 1)
    assert read_document(KINDS[name], written) == found
    assert as_document(found) == json.loads(old)


def test_a_comparison_and_a_receipt_that_was_resumed_are_read_as_they_were_written(tmp_path):
    value = Estimate(0.9, 0.8, 1.0)
    tried = ApproachResult(
        "linear",
        *({"accuracy": value}, {"accuracy": value}, {"valid": value, "test": value}),
        Cost(1.0, 1.5, 0.0, 900.0, 40, 320, 320),
        Risk(None, None, 0.02, 0.3, None, "no backbone", None),
        {"strength": 3.0},
    )
    skipped = ApproachResult("scratch", skipped="too few rows")
    receipt = made.receipt(
        resumed=(Resumption("2026-11-25", 10, "CPU:0"), Resumption("2026-11-26", 20, "GPU:0", {"a": "1"}))
    )
    for record in (Comparison("b" * 64, 40, (tried, skipped), Verdict("linear", "enough")), receipt):
        write_document(tmp_path / "document.json", record)
        assert read_document(type(record), tmp_path / "document.json") == record
    values = json.loads(document_text(receipt))
    assert next(iter(values)) == "schema_version" and list(values)[-1] == "resumed"
    assert [list(each) for each in values["resumed"]] == [
        ["at", "steps_done", "devices"],
        ["at", "steps_done", "devices", "versions"],
    ]


def damaged(folder, change):
    """The error of reading a receipt in which something was changed."""
    values = json.loads(document_text(made.RECEIPT))
    change(values)
    (folder / "receipt.json").write_text(json.dumps(values), encoding="utf-8")
    with pytest.raises(RunError) as caught:
        read_document(Receipt, folder / "receipt.json")
    assert caught.value.exit_code == 2
    return str(caught.value).replace(str(folder), "RUN")


MEND = "  next:     kft evaluate RUN if training was cut short, else train again"


def test_what_is_damaged_is_named_by_file_and_key(tmp_path):
    assert damaged(tmp_path, lambda values: values.pop("split_hash")).splitlines() == [
        "receipt.json is damaged",
        "  where:    RUN/receipt.json, split_hash",
        "  received: no such key",
        "  expected: a value",
        MEND,
    ]
    assert damaged(tmp_path, lambda values: values["n"].update(valid="many")).splitlines() == [
        "receipt.json is damaged",
        "  where:    RUN/receipt.json, n.valid",
        '  received: "many"',
        "  expected: a valid integer",
        MEND,
    ]


def test_a_document_of_a_newer_kft_is_refused_and_says_so(tmp_path):
    assert damaged(tmp_path, lambda values: values.update(schema_version=2)).splitlines() == [
        "receipt.json was written by a newer kft",
        "  where:    RUN/receipt.json, schema_version",
        "  received: 2",
        "  expected: at most 1",
        "  next:     install the kft that wrote it, or a newer one; versions in receipt.json names it",
    ]


def test_a_version_that_is_no_number_is_damage(tmp_path):
    assert damaged(tmp_path, lambda values: values.update(schema_version="2")).splitlines()[:4] == [
        "receipt.json is damaged",
        "  where:    RUN/receipt.json, schema_version",
        '  received: "2"',
        "  expected: a valid integer",
    ]


def test_a_file_that_is_cut_short_or_is_not_there(tmp_path):
    path = tmp_path / "receipt.json"
    assert read_if_there(Receipt, path) is None
    with pytest.raises(RunError) as missing:
        read_document(Receipt, path)
    assert str(missing.value).replace(str(tmp_path), "RUN").splitlines() == [
        "the run folder has no receipt.json",
        "  where:    RUN",
        "  received: no such file",
        "  expected: the folder of a finished run",
        MEND,
    ]
    path.write_text(document_text(made.RECEIPT)[:40])
    with pytest.raises(RunError) as cut:
        read_if_there(Receipt, path)
    assert str(cut.value).replace(str(tmp_path), "RUN").splitlines() == [
        "receipt.json cannot be read: Unterminated string starting at: line 3 column 14 (char 38)",
        "  where:    RUN",
        "  received: Unterminated string starting at: line 3 column 14 (char 38)",
        "  expected: the folder of a finished run",
        MEND,
    ]


def test_keys_that_this_kft_does_not_know_are_passed_over(tmp_path):
    values = json.loads(document_text(made.RECEIPT)) | {"new": 1}
    (tmp_path / "receipt.json").write_text(json.dumps(values))
    assert read_document(Receipt, tmp_path / "receipt.json") == made.RECEIPT
