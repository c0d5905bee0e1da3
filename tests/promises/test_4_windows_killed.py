"""Promise 4 for documents in windows: learned attention over them, and a block below it that trains."""

import json

import pytest

from tests import tiny
from tests.ended import require_same_end, run_until


@pytest.mark.slow
def test_a_run_on_windows_that_was_killed_ends_as_one_that_was_not(tiny_folder, tmp_path):
    phases = [{"name": "head", "unfreeze": "none", "epochs": 2, "lr": 1e-2}, {**tiny.TOP, "start": "head"}]
    path = tiny.recipe(tmp_path, tiny_folder, rows=120, phases=phases, checkpoints={"every": "2 steps", "keep": 2})
    values = json.loads(path.read_text())
    windows = {"overlap": 2, "most": 4, "pooling": "attention"}
    values["model"] |= {"max_tokens": 8, "long_text": "windows", "windows": windows}
    values["train"]["gradient_accumulation"] = 2
    path.write_text(json.dumps(values))
    assert run_until(path, "whole") == 0
    assert [run_until(path, "killed", step=step) for step in (3, 6, 0)] == [-9, -9, 0]
    require_same_end(tmp_path / "whole", tmp_path / "killed")
