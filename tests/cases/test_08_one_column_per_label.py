"""Tables with one column for each label: found and drafted, trained on, and corrected."""

import json

import pandas as pd
import pytest

from kft.api import reading
from tests import tiny

ROWS = 120
PRAISE = [row % 2 for row in range(ROWS)]
BLAME = [int(row % 3 == 0) for row in range(ROWS)]


@pytest.fixture
def columns(tmp_path, kft_cli):
    texts = [
        f"it is {'lovely' * praise} {'broken' * blame} {row}"
        for row, (praise, blame) in enumerate(zip(PRAISE, BLAME, strict=True))
    ]
    frame = pd.DataFrame(
        {"id": range(1000, 1000 + ROWS), "comment_text": texts, "praise": PRAISE, "blame": BLAME, "threat": 0}
    )
    frame.to_csv("columns.csv", index=False)
    return frame


@pytest.mark.parametrize("task", [[], ["--task", "text-multi-label"]])
def test_init_names_them_all(tmp_path, kft_cli, columns, task):
    code, out, err = kft_cli("init", "columns.csv", "-o", "r.yaml", "--json", *task)
    found = json.loads(out)
    assert code == 0 and found["label"] == ["praise", "blame", "threat"], err
    assert found["labels"] == {"praise": 60, "blame": 40} and found["task"] == "text-multi-label"
    assert any("columns of yes and no" in line for line in found["warnings"])
    assert any("no row of columns.csv has the label 'threat'" in line for line in found["warnings"])
    assert 'label: ["praise", "blame", "threat"]' in (tmp_path / "r.yaml").read_text()
    _, split = reading.load("r.yaml", (), None)
    assert split.labels == ("blame", "praise")


def test_for_one_class_a_text_it_says_what_they_look_like(tmp_path, kft_cli, columns):
    code, out, _ = kft_cli("init", "columns.csv", "-o", "r.yaml", "--json", "--task", "text-classification")
    assert code == 0
    said = " ".join(json.loads(out)["warnings"])
    assert (
        "'praise', 'blame' and 'threat' are columns of yes and no: kft init columns.csv --task text-multi-label" in said
    )


def test_where_each_row_has_one_they_are_classes(tmp_path, kft_cli, columns):
    columns.assign(blame=1 - columns.praise).drop(columns="threat").to_csv("hot.csv", index=False)
    code, out, _ = kft_cli("init", "hot.csv", "-o", "r.yaml", "--json")
    found = json.loads(out)
    assert code == 0 and found["task"] == "text-classification" and found["labels"] == {"praise": 60, "blame": 60}


def test_one_of_them_alone_is_refused(tmp_path, kft_cli, columns):
    (tmp_path / "r.yaml").write_text(
        "task: text-multi-label\ndata: {train: columns.csv, text: comment_text, label: praise}\n"
    )
    code, _, err = kft_cli("check", "r.yaml", "--no-features")
    assert code == 2 and "the cells say yes and no, not which label" in err


def test_something_else_than_yes_and_no_is_named(tmp_path, kft_cli, columns):
    columns.assign(blame=[-1, 0.4, *BLAME[2:]]).to_csv("columns.csv", index=False)
    (tmp_path / "r.yaml").write_text("task: text-multi-label\ndata: {train: columns.csv, label: [praise, blame]}\n")
    code, _, err = kft_cli("check", "r.yaml", "--no-features")
    findings = json.loads((next((tmp_path / "audits").iterdir()) / "findings.json").read_text())["findings"]
    assert code in (0, 1), err
    assert any("a label's column says neither yes nor no" in str(each["details"]) for each in findings)


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
def test_corrections_go_into_the_columns(tmp_path, kft_cli, columns, suffix):
    if suffix == "jsonl":
        columns.to_json("columns.jsonl", orient="records", lines=True)
    elif suffix == "parquet":
        columns.to_parquet("columns.parquet")
    (tmp_path / "r.yaml").write_text(
        f"task: text-multi-label\ndata: {{train: columns.{suffix}, label: [praise, blame]}}\n"
    )
    (tmp_path / "fix.csv").write_text(
        f'id,action,label\ncolumns.{suffix}:1,relabel,"[""praise""]"\ncolumns.{suffix}:2,drop,\n'
    )
    code, _, err = kft_cli("data", "apply", "r.yaml", "fix.csv", "-o", f"new.{suffix}")
    assert code == 0, err
    _, split = reading.load("r.yaml", [f"data.train=new.{suffix}"], None)
    read = {
        name: label
        for part in (split.train, split.valid, split.test)
        for name, label in zip(part.ids, part.labels, strict=True)
    }
    assert len(read) == ROWS - 1 and read[f"new.{suffix}:1"] == ("praise",) and read[f"new.{suffix}:2"] == ()


@pytest.mark.slow
def test_a_run_is_evaluated_on_another_file_of_such_columns(tmp_path, kft_cli, columns):
    backbone = tiny.write_backbone(tmp_path / "bert")
    columns.to_parquet("test.parquet")
    recipe = {
        "task": "text-multi-label",
        "data": {"train": "columns.csv", "text": "comment_text", "label": ["praise", "blame"]},
        "model": {"backbone": str(backbone)},
        "train": {"phases": [{"name": "probe", "unfreeze": "none", "solver": "lbfgs"}]},
    }
    (tmp_path / "r.yaml").write_text(json.dumps(recipe))
    assert kft_cli("train", "r.yaml", "--run", "run")[0] == 0
    code, _, err = kft_cli("evaluate", "run", "--data", "test.parquet", "--json")
    assert code == 0, err
