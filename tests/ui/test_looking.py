"""The first look: columns, rows, what could be learnt; and every wrong file in plain words with the next step."""

import pytest

WRONG = {
    "binary.csv": (b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 4, "the file is not text", "save or export it as csv"),
    "bytes.csv": (b"text,label\n\x81\x8d\x8f,a\n", "the file is not UTF-8", "save it as csv in UTF-8"),
    "one.csv": (
        b"text,label\n" + b"a text that is fine,same\n" * 9,
        "one class only",
        "choose the label under “Columns”",
    ),
    "column.csv": (b"text\nfine\nbad\n", "one column is not enough", "check the separator"),
    "numbers.csv": (b"a,b\n1,2\n3,4\n", "no column looks like the label", "choose the label under “Columns”"),
    "empty.csv": (b"", "no rows", ""),
}


def test_columns_rows_and_labels_are_shown(page):
    found = page.post("/look", json={"name": "tickets.csv"}).json()
    assert found["columns"] == ["message", "queue"] and found["rows"][0] == ["message number 0", "bad"]
    look = found["look"]
    assert (look["text"], look["label"], look["rows"], look["task"]) == ("message", "queue", 40, "text-classification")
    assert [each[:2] for each in look["largest"]] == [["bad", 20], ["good", 20]]
    assert ["label", "column 'queue', 2 classes, smallest 20 rows"] in look["summary"]
    assert found["error"] is None


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_file_is_told_with_the_next_step(folder, page, name):
    content, problem, step = WRONG[name]
    (folder / name).write_bytes(content)
    found = page.post("/look", json={"name": name}).json()
    assert found["look"] is None
    assert problem in found["error"]["problem"] and step in found["error"].get("next_step", "")
    assert "--label" not in found["error"].get("next_step", "")  # a person who does not type has no options
    assert page.post("/recipe", json={"name": name}).status_code == 422
    assert not list(folder.glob("*.yaml"))


def test_a_table_without_a_header_is_read_and_said(folder, page):
    (folder / "bare.csv").write_bytes((folder / "tickets.csv").read_bytes().partition(b"\n")[2])
    look = page.post("/look", json={"name": "bare.csv"}).json()["look"]
    assert look["rows"] == 40 and any("its first line looks like a row" in each for each in look["warnings"])


def test_a_missing_column_is_told_with_those_there_are(page):
    found = page.post("/look", json={"name": "tickets.csv", "label": "colour"}).json()["error"]
    assert "colour" in str(found) and "queue" in str(found)


def test_another_task_is_refused_by_name(page):
    assert (
        "text-magic"
        in page.post("/look", json={"name": "tickets.csv", "task": "text-magic"}).json()["error"]["received"]
    )


def test_the_recipe_is_that_of_kft_init_and_overwrites_none(folder, page):
    from kft.tasks.recipes import load_recipe

    assert page.post("/recipe", json={"name": "tickets.csv"}).json() == {"recipe": "tickets.yaml"}
    assert page.post("/recipe", json={"name": "tickets.csv"}).json() == {"recipe": "tickets-2.yaml"}
    data = load_recipe(folder / "tickets.yaml").spec.data
    assert (data.text, data.label) == ("message", "queue")


def test_a_name_with_marks_of_patterns_is_one_file(folder, page):
    (folder / "data[1] (neu).csv").write_bytes((folder / "tickets.csv").read_bytes())
    assert page.post("/look", json={"name": "data[1] (neu).csv"}).json()["look"]["rows"] == 40
    assert page.post("/recipe", json={"name": "data[1] (neu).csv"}).json() == {"recipe": "data-1-neu.yaml"}
