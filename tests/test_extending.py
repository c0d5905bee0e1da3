"""docs/extending.md: its code runs as it stands, and does what the page says."""

import re
from pathlib import Path

import pytest

from kft.model.blocks import FAMILIES
from kft.model.heads import HEADS
from kft.tasks.registry import TASKS

PAGE = (Path(__file__).parents[1] / "docs" / "extending.md").read_text(encoding="utf-8")


@pytest.fixture
def restored(monkeypatch):
    """What the page registers is gone again afterwards."""
    monkeypatch.setattr("kft.model.blocks.FAMILIES", list(FAMILIES))
    monkeypatch.setattr(HEADS, "_entries", dict(HEADS._entries))
    monkeypatch.setattr(TASKS, "_entries", dict(TASKS._entries))


def test_the_page_runs(restored, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    found: dict = {}
    for number, code in enumerate(re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)):
        exec(compile(code, f"docs/extending.md, block {number}", "exec"), found)
    (printed,) = re.findall(r"```text\n(.*?)```", PAGE, re.DOTALL)
    assert printed in capsys.readouterr().out
    assert [row.block for row in found["table"].rows if row.trainable] == ["block_04", "head"]
    metrics = found["result"].evaluation.metrics
    assert (
        tuple(metrics)
        == tuple(TASKS.get("text-rating").kind.judging.metrics)
        == tuple(TASKS.get("text-regression").kind.judging.metrics)
    )
    assert metrics["pearson_r"].value > 0.4  # no correlation at all is what answering the mean has
    assert -4 <= found["answer"].value <= 4
