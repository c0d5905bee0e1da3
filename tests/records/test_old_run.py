"""A run folder that kft wrote before its documents had a schema version is read as it was."""

from __future__ import annotations

import csv
import io
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from kft.cli import main as cli_main
from tests import tiny

BEFORE = Path(__file__).parent / "run_before_the_house"
"""Written by ``kft train``; ``FOLDER`` stands for the folder it lay in, and the backbone is ``tests/tiny.py``'s."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run with its data, as if it had been trained here."""
    place = tmp_path_factory.mktemp("old") / "before"
    shutil.copytree(BEFORE, place)
    tiny.write_backbone(place / "backbone")
    for path in place.rglob("*"):
        if path.suffix in (".json", ".yaml", ".jsonl"):
            path.write_text(path.read_text(encoding="utf-8").replace("FOLDER", str(place)), encoding="utf-8")
    return place


def same(found: Any, known: Any) -> None:
    """Asserts that nothing of what was known has changed, numbers to 1e-6: a matrix product differs by machine.

    Intervals are computed otherwise now: they hold the value.
    """
    if isinstance(known, dict):
        for name, value in known.items():
            if name not in ("low", "high") or "value" not in known:
                same(found[name], value)
        if {"low", "value", "high"} <= known.keys():
            assert found["low"] <= found["value"] <= found["high"]
    elif isinstance(known, list):
        assert len(found) == len(known)
        for one, other in zip(found, known, strict=True):
            same(one, other)
    else:
        assert found == (pytest.approx(known, abs=1e-6) if isinstance(known, float) else known)


def test_predict_answers_as_it_did(folder, capsys, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO("the battery is superb\nit was awful\nnothing here\n"))
    assert cli_main.run(["predict", str(folder / "run"), "-", "--json"]) == 0
    same(json.loads(capsys.readouterr().out), json.loads((folder / "predict.json").read_text()))


def test_evaluate_measures_what_it_did(folder, capsys):
    def rows() -> list[dict[str, str]]:
        with (folder / "run" / "predictions.csv").open() as file:
            return list(csv.DictReader(file))

    before = rows()
    assert cli_main.run(["evaluate", str(folder / "run"), "--json"]) == 1  # a check of its suite fails, as it did
    same(json.loads(capsys.readouterr().out), json.loads((folder / "evaluate.json").read_text()))
    assert len(before) == 48
    for name in ("id", "target", "prediction", "abstain"):
        assert [row[name] for row in rows()] == [row[name] for row in before]


def test_report_shows_it(folder, capsys):
    assert cli_main.run(["report", str(folder / "run")]) == 0
    page = (folder / "run" / "report.html").read_text(encoding="utf-8")
    assert "top, epoch 2" in page
    assert "typos" in page
    assert (folder / "run" / "card.md").is_file()
