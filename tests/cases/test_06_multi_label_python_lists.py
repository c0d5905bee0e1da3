"""Lists of labels that pandas wrote into a csv are lists, for every command."""

import json

import numpy as np
import pandas as pd
import pytest

from kft.api import reading

LISTS = [["praise"], ["blame"], ["praise", "blame"], [], ["praise"], ["blame"]] * 10
TEXTS = [f"the camera is {'lovely' if 'praise' in names else 'broken'} {row}" for row, names in enumerate(LISTS)]
WRITTEN = {
    "lists": str,
    "arrays": lambda names: str(np.array(names, dtype=object)),
    "tuples": lambda names: str(tuple(names)),
    "sets": lambda names: str(set(names)) if names else "",
    "repr": lambda names: repr(np.array(names, dtype=object)),
}


@pytest.mark.parametrize("how", WRITTEN)
def test_the_labels_are_those_of_the_same_lists_in_jsonl(tmp_path, kft_cli, how):
    pd.DataFrame({"text": TEXTS, "labels": [WRITTEN[how](names) for names in LISTS]}).to_csv("lists.csv", index=False)
    rows = [{"text": text, "labels": names} for text, names in zip(TEXTS, LISTS, strict=True)]
    (tmp_path / "lists.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    labels = {}
    for name in ("lists.csv", "lists.jsonl"):
        code, out, err = kft_cli("init", name, "-o", f"{name}.yaml", "--task", "text-multi-label", "--json")
        assert code == 0, err
        labels[name] = json.loads(out)["labels"]
    assert labels["lists.csv"] == labels["lists.jsonl"] == {"praise": 30, "blame": 30}
    _, split = reading.load("lists.csv.yaml", (), None)
    assert split.labels == ("blame", "praise")
    code, _, err = kft_cli("init", "lists.csv", "-o", "one.yaml", "--task", "text-classification")
    assert code == 0 and "label is a list" in _ + err  # one name is a class; rows with two are left out, and said


def test_a_list_that_was_cut_short_is_refused_by_name(tmp_path, kft_cli):
    cells = ["['praise' 'blame' ... 'other']", *map(str, LISTS)]
    pd.DataFrame({"text": ["long", *TEXTS], "labels": cells}).to_csv("cut.csv", index=False)
    (tmp_path / "r.yaml").write_text("task: text-multi-label\ndata: {train: cut.csv, label: labels}\n")
    code, _, err = kft_cli("train", "r.yaml")
    assert code == 2 and "cut.csv:1" in err and "label looks like a list and cannot be read as one" in err


def test_vectors_are_refused_by_name(tmp_path, kft_cli):
    cells = [[int("praise" in names), int("blame" in names), 0] for names in LISTS]
    pd.DataFrame({"text": TEXTS, "labels": cells}).to_csv("vectors.csv", index=False)
    for command in (["init", "vectors.csv", "-o", "r.yaml", "--task", "text-multi-label"],):
        code, _, err = kft_cli(*command)
        assert code == 2 and "vectors of 0 and 1" in err and "data.label: [COLUMN, COLUMN]" in err
