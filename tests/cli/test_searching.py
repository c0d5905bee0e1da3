"""`kft index` and `kft search`, as a person types them."""

import json

import pytest

from kft.cli.main import run
from tests.search.made import rows, write_model


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_model(tmp_path / "model")
    (tmp_path / "docs").mkdir()
    for name, text in zip(*rows(8), strict=True):
        (tmp_path / "docs" / f"{name}.md").write_text(text)
    lines = [f"number{row},d{row}.md" for row in range(8)]
    (tmp_path / "queries.csv").write_text("\n".join(["query,document", *lines]) + "\n")
    return tmp_path


def test_from_a_folder_to_answers(folder, capsys):
    assert run(["index", "model", "docs", "-o", "found", "--queries", "queries.csv"]) == 0
    said = capsys.readouterr().err
    assert "8 documents, 8 passages" in said and "chosen by 4 queries" in said and "cannot be promised" in said
    assert run(["search", "found", "number5", "-k", "2"]) == 0
    assert "d5.md [0:" in capsys.readouterr().out.splitlines()[0]
    assert run(["search", "found", "number5", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["abstain"] is None and found["results"][0]["document"] == "d5.md"
    assert run(["search", "found", "--evaluate", "queries.csv"]) == 0
    said = capsys.readouterr().out
    assert "recall@1" in said and "hybrid - bm25" in said and "8 of these queries chose the weight" in said
    assert run(["search", "found", "--duplicates"]) == 0
    capsys.readouterr()
    (folder / "docs" / "d0.md").write_text("The refund.")
    assert run(["index", "model", "docs", "-o", "found", "--update", "--json"]) == 0
    done = json.loads(capsys.readouterr().out)
    assert (done["changed"], done["computed"], done["about"]["folder"]) == (1, 1, "000002")


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (["search", "found"], "one thing at a time"),
        (["search", "found", "a", "--duplicates"], "one thing at a time"),
        (["search", "nowhere", "a"], "no index here"),
        (["index", "model", "nowhere.csv", "-o", "found"], "the file cannot be read"),
    ],
)
def test_what_is_refused(folder, capsys, command, message):
    assert run(command) == 2
    assert message in capsys.readouterr().err
