"""Rows that wait for a label: what is written comes back labelled, by a spreadsheet, Label Studio or Argilla."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from kft.data.inputs import read_inputs
from kft.data.labelling import INCLUSION, Waiting, write_waiting
from kft.data.reading import read_table
from kft.errors import UsageError
from kft.recipe.schema import DataSpec
from kft.split.data_split import load_split
from kft.tasks.registry import TASKS
from tests import tiny

ODD = (
    "=SUM(A1:A9) is great",
    "+49 30 is awful",
    '@home, the "phone"\nis great',
    "-5 %, awful; =1+1",
    "<b>great</b> & more",
)


def waiting(rows=100, form="class"):
    texts, labels = tiny.texts_and_labels(rows, seed=4)
    texts[: len(ODD)] = ODD[:rows]
    chance = np.random.default_rng(0).uniform(0.01, 1, rows)
    answer = {"label": "positive", "confidence": 0.75, "abstain": False, "probabilities": {"positive": 0.75}}
    table = pd.DataFrame({"text": texts, "shop": [f"s{row // 2}" for row in range(rows)], "label": [""] * rows})
    names = ("negative", "positive")
    return Waiting(
        table, "text", "label", [answer] * rows, chance, ["unsure"] * rows, names, form, "tickets 1a2b"
    ), labels


def label_table(path: Path, labels) -> None:
    frame = pd.read_csv(path, dtype=str, keep_default_na=False)
    frame.assign(label=labels).to_csv(path, index=False)


def label_lines(path: Path, labels) -> None:
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    path.write_text("".join(json.dumps(row | {"label": name}) + "\n" for row, name in zip(rows, labels, strict=True)))


def label_studio(path: Path, labels) -> None:
    """What the tool's export has beside the tasks it was given."""
    tasks = json.loads(path.read_text())
    for number, (task, name) in enumerate(zip(tasks, labels, strict=True), 1):
        value = {"from_name": "label", "to_name": "text", "type": "choices", "value": {"choices": [name]}}
        task |= {"id": number, "annotations": [{"result": [value], "was_cancelled": False}] if name else []}
    path.write_text(json.dumps(tasks))


def label_argilla(path: Path, labels) -> None:
    records = json.loads(path.read_text())
    for record, name in zip(records, labels, strict=True):
        record["responses"] = {"label": [{"value": name, "status": "submitted"}]} if name else {}
    path.write_text(json.dumps(records))


LABELLERS = [
    ("table", "queue.csv", label_table),
    ("table", "queue.jsonl", label_lines),
    ("label-studio", "queue.json", label_studio),
    ("argilla", "queue.json", label_argilla),
]


@pytest.mark.parametrize(("tool", "name", "fill"), LABELLERS)
def test_labelled_it_comes_back_as_it_was_with_its_chances(tmp_path, tool, name, fill):
    given, labels = waiting()
    labels = [*labels[:-3], "", "", ""]
    path = tmp_path / name
    assert path in write_waiting(path, given, tool)
    task = TASKS.get("text-classification")
    before = read_inputs(path, task, DataSpec(train="old.csv"), column="text", unusable="keep")
    assert before.inputs == [str(text) for text in given.table["text"]]
    fill(path, labels)
    after = read_inputs(path, task, DataSpec(train="old.csv"), column="text", unusable="keep")
    assert after.inputs == before.inputs
    assert [float(cell) for cell in after.table[INCLUSION]] == given.chance.tolist()
    assert after.table["shop"].tolist() == given.table["shop"].tolist()
    # And into the next run.
    tiny.write_table(tmp_path / "old.csv", 120, seed=1)
    spec = DataSpec(train="old.csv", added=(name,))
    split = load_split(spec, task=task, base=tmp_path, locate=lambda source, base: base / source)
    added, said = split.added[0], dict(zip(before.inputs, labels, strict=True))
    kept = [
        (text, label)
        for part in ("train", "valid", "test")
        for text, label, row in zip(split.part(part).inputs, split.part(part).labels, split.part(part).ids, strict=True)
        if row in added.places[part]
    ]
    assert len(kept) > 80 and all(said[text] == label for text, label in kept)
    assert {text for text, _ in kept} & set(ODD)
    assert len(kept) + added.copies + added.of_test + added.contradictory <= 97


def test_a_csv_opens_in_a_spreadsheet_without_a_formula(tmp_path):
    given, _ = waiting()
    write_waiting(tmp_path / "queue.csv", given, "table")
    lines = (tmp_path / "queue.csv").read_text().splitlines()
    assert lines[0] == "text,shop,label,answer,confidence,why,inclusion_probability"
    assert lines[1].startswith("'=SUM(A1:A9) is great,s0,,positive,0.75,unsure,0.")
    assert not any(line.startswith(("=", "+", "-", "@")) for line in lines)


def test_label_studio_gets_an_interface_and_predictions(tmp_path):
    given, _ = waiting(4)
    tasks, interface = write_waiting(tmp_path / "queue.json", given, "label-studio")
    assert '<Choices name="label" toName="text" choice="single">' in interface.read_text()
    first = json.loads(tasks.read_text())[0]
    assert first["predictions"][0]["score"] == 0.75 and first["predictions"][0]["model_version"] == "tickets 1a2b"
    assert first["predictions"][0]["result"][0]["value"] == {"choices": ["positive"]}
    assert first["data"]["shop"] == "s0" and first["data"]["why"] == "unsure"


@pytest.mark.parametrize(
    ("form", "answer", "value"),
    [
        ("set", {"labels": ["a", "b"], "confidence": 0.5}, {"choices": ["a", "b"]}),
        ("number", {"value": 3.5}, {"number": 3.5}),
        (
            "spans",
            {"spans": [{"start": 0, "end": 4, "label": "A"}]},
            {"start": 0, "end": 4, "text": "=SUM", "labels": ["A"]},
        ),
    ],
)
def test_every_kind_of_answer_is_a_prediction(tmp_path, form, answer, value):
    given, _ = waiting(4, form)
    given = Waiting(**{**vars(given), "answers": [answer] * 4})
    (tasks, interface) = write_waiting(tmp_path / "queue.json", given, "label-studio")
    assert json.loads(tasks.read_text())[0]["predictions"][0]["result"][0]["value"] == value
    assert interface.read_text().startswith("<View>")
    (records,) = write_waiting(tmp_path / "records.json", given, "argilla")
    assert json.loads(records.read_text())[0]["suggestions"]["label"]["value"] == next(iter(answer.values()))


@pytest.mark.parametrize("ending", [".csv", ".jsonl"])
def test_columns_of_the_data_are_never_taken_for_what_the_model_says(ending, tmp_path):
    answer = {"label": "right", "confidence": 0.75}
    table = pd.DataFrame({"question": ["why?"], "answer": ["because"], "why": ["w"], "confidence": [""]})
    given = Waiting(
        table, "question", "confidence", [answer], np.array([0.5]), ["unsure"], ("right",), "class", "m", pair="answer"
    )
    (path,) = write_waiting(tmp_path / f"queue{ending}", given, "table")
    (row,) = read_table(path).to_dict("records")
    assert (row["question"], row["answer"], row["why"], row["confidence"]) == ("why?", "because", "w", "")
    assert row["model_answer"] == "right" and float(row["model_confidence"]) == 0.75 and row["model_why"] == "unsure"
    again = replace(given, table=read_table(path))  # a later queue replaces its own columns alone
    assert again.own == ("question", "answer", "why") and again.added == given.added


def test_another_ending_is_refused(tmp_path):
    with pytest.raises(UsageError, match=r"for argilla the file is no \.csv"):
        write_waiting(tmp_path / "queue.csv", waiting(4)[0], "argilla")
