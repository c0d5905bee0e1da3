"""Booleans are the same two labels in every kind of file, within one recipe and from train to another file's test."""

import json

import pandas as pd
import pytest

import kft
from kft.api import reading
from kft.data.examples import Columns
from kft.data.inputs import load_labelled
from kft.data.parts import SourceTable
from kft.errors import DataError
from kft.recipe.schema import DataSpec
from kft.tasks.registry import TASKS

TASK = TASKS.get("text-classification")
FRAME = pd.DataFrame(
    {
        "text": [f"it is {'lovely' if row % 2 else 'broken'} {row}" for row in range(60)],
        "label": [row % 2 == 1 for row in range(60)],
    }
)
WRITERS = {
    "csv": lambda frame, path: frame.to_csv(path, index=False),
    "upper.csv": lambda frame, path: frame.assign(label=frame.label.astype(str).str.upper()).to_csv(path, index=False),
    "parquet": lambda frame, path: frame.to_parquet(path),
    "jsonl": lambda frame, path: frame.to_json(path, orient="records", lines=True),
}


@pytest.fixture
def files(tmp_path, kft_cli):
    for name, write in WRITERS.items():
        write(FRAME.assign(text=FRAME.text + f" {name}"), tmp_path / f"rows.{name}")
    return tmp_path


def test_all_files_together_have_two_classes(files, kft_cli):
    data = {"train": [f"rows.{name}" for name in WRITERS]}
    (files / "mixed.yaml").write_text(json.dumps({"task": TASK.name, "data": data}))
    code, out, err = kft_cli("check", "mixed.yaml", "--no-features", "--json")
    assert code in (0, 1), err  # 1: so few, so like rows are near-copies
    findings = json.loads(out)["findings"]
    assert any("labels are read and answered in one spelling" in each["message"].lower() for each in findings)
    _, split = reading.load("mixed.yaml", (), None)
    assert split.labels == ("false", "true")
    with_frame = reading.load({"task": TASK.name, "data": {"train": "x"}}, (), {"train": FRAME})[1]
    assert with_frame.labels == ("false", "true")


@pytest.mark.parametrize("test", WRITERS)
def test_a_test_of_another_format_has_the_labels_of_train(files, test):
    for name in ("parquet", "jsonl", "csv"):
        if name != test:
            _, split = reading.load(
                {
                    "task": TASK.name,
                    "data": {"train": str(files / f"rows.{name}"), "test": str(files / f"rows.{test}")},
                },
                (),
                None,
            )
            assert split.labels == ("false", "true") and len(split.test) == 60
    path = files / f"rows.{test}"
    examples, _, _ = load_labelled(
        [SourceTable(path, path)], DataSpec(train="a"), TASK, columns=Columns("text", "label"), labels=("false", "true")
    )
    assert sorted(set(examples.labels)) == ["false", "true"]


def test_labels_that_differ_by_more_are_refused_with_code_points(files):
    FRAME.assign(label=["caf\u00e9 A" if label else "x" for label in FRAME.label]).to_csv(files / "a.csv", index=False)
    FRAME.assign(label=["caf\u00e9 a" if label else "x" for label in FRAME.label]).to_csv(files / "b.csv", index=False)
    said = "known in another spelling: 'caf\u00e9 A' has U[+]0041, 'caf\u00e9 a' has U[+]0061"
    with pytest.raises(DataError, match=said):
        reading.load(
            {"task": TASK.name, "data": {"train": str(files / "a.csv"), "test": str(files / "b.csv")}}, (), None
        )
    with pytest.raises(DataError, match=said):
        path = files / "b.csv"
        load_labelled(
            [SourceTable(path, path)],
            DataSpec(train="a"),
            TASK,
            columns=Columns("text", "label"),
            labels=("caf\u00e9 A", "x"),
        )


def test_a_check_and_data_apply_leave_one_spelling(files, kft_cli):
    names = ["Billing", "billing ", "Billing\u00a0", "bil\u00adling", "Bill\u00a0ing", "refund", "Refund"]
    labels = ["Billing"] * 20 + ["refund"] * 20 + [names[row % 7] for row in range(20)]
    FRAME.assign(label=labels).to_csv(files / "spelled.csv", index=False)
    (files / "r.yaml").write_text("task: text-classification\ndata: {train: spelled.csv}\n")
    code, out, err = kft_cli("check", "r.yaml", "--no-features", "-o", "audit", "--json")
    assert code in (0, 1), err  # 1: so few, so like rows are near-copies
    (found,) = [each for each in json.loads(out)["findings"] if each["check"] == "label-spelling"]
    assert found["severity"] == "warning" and "U+00A0" in found["message"] and "kft data apply" in found["advice"]
    code, out, err = kft_cli("data", "apply", "r.yaml", "audit/corrections.csv", "-o", "new.csv")
    assert code == 0, err
    _, split = reading.load("r.yaml", ["data.train=new.csv"], None)
    assert split.labels == ("Billing", "refund")
    assert set(pd.read_csv("new.csv").label) == {"Billing", "refund"}  # also "Billing " has gone
    code, out, _ = kft_cli("check", "r.yaml", "--no-features", "-o", "again", "--set", "data.train=new.csv", "--json")
    assert code in (0, 1) and not [each for each in json.loads(out)["findings"] if each["check"] == "label-spelling"]


def test_what_only_looks_wrong_is_left_alone_and_counted(files, kft_cli):
    rows = pd.DataFrame(
        {"id": ["rows.csv:1", "rows.csv:2", "rows.csv:3"], "action": ["keep", "keep", "drop"],
         "label": ["true", "true", ""], "check": ["label-noise", "label-noise", "duplicates"]}
    )  # fmt: skip
    rows.to_csv("fix.csv", index=False)
    (files / "r.yaml").write_text("task: text-classification\ndata: {train: rows.csv}\n")
    code, out, _ = kft_cli("data", "apply", "r.yaml", "fix.csv", "-o", "new.csv")
    assert code == 0 and "2 suggestions of label-noise were not taken" in " ".join(out.split())
    assert pd.read_csv("new.csv").label[:2].tolist() == FRAME.label[:2].tolist()
    code, out, _ = kft_cli("data", "apply", "r.yaml", "fix.csv", "-o", "all.csv", "--accept", "label-noise")
    assert code == 0 and pd.read_csv("all.csv").label[:2].tolist() == [True, True]
    assert kft.apply_corrections("r.yaml", "fix.csv", "b.csv", accept=["label-noise"]).relabelled == 2
