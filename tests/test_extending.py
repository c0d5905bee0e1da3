"""docs/extending.md: its code runs as it stands, and does what the page says."""

import re
from pathlib import Path

import pytest

import kft
from kft.metrics.classification import METRICS
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
    yield
    del METRICS["top_3"]


def test_the_page_runs(restored, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    found: dict = {}
    for number, code in enumerate(re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)):
        exec(compile(code, f"docs/extending.md, block {number}", "exec"), found)
    (printed,) = re.findall(r"```text\n(.*?)```", PAGE, re.DOTALL)
    assert printed in capsys.readouterr().out
    assert [row.block for row in found["table"].rows if row.trainable] == ["block_04", "head"]
    metrics = found["result"].evaluation.metrics
    assert list(metrics) == ["mae", "rmse", "pearson_r", "r2"]  # those of the kind that it replaces parts of
    assert metrics["pearson_r"].value > 0.4  # no correlation at all is what answering the mean has
    assert -4 <= found["answer"].value <= 4
    assert kft.load_recipe(
        {
            "task": "text-classification",
            "data": {"train": "a.csv"},
            "train": {"best": "valid_top_3"},
            "evaluate": {"gates": {"top_3": ">= 0.9"}},
        }
    )
    every_other_command_knows_the_task(found["recipe"], found["reviews"][:600])


def every_other_command_knows_the_task(recipe, rows):
    assert kft.check(recipe, data=rows, output="audit", quiet=True).n["train"] > 400
    assert "The numbers to be answered" in Path("audit/audit.html").read_text(encoding="utf-8")
    again = kft.evaluate("rating", data=rows.tail(100), quiet=True)
    assert set(again.metrics) == {"mae", "rmse", "pearson_r", "r2"}
    kft.report("rating", data=rows, quiet=True)
    assert "a rating from -4 to 4" in Path("rating/report.html").read_text(encoding="utf-8")
    assert "pipeline_tag: text-classification" in Path("rating/card.md").read_text(encoding="utf-8")
    kft.build_data(recipe, "built", data=rows, quiet=True)
    built = kft.load_recipe(Path("built") / "recipe.yaml").spec
    assert (built.task, built.train.best) == ("text-rating", "valid_mae")
