"""Promise 4 for documents in windows: learned attention over them, and a block below it that trains."""

import json

import pytest

from tests import forked, tiny


def weights_of(recipe, run, cache, step=0):
    """Trains, or goes on, until a kill comes; returns the exit code and the hashes of the last weights."""
    given = (recipe, run, "--step", step, "--signal", "SIGKILL")
    done = forked.run("tests.killable", *given, env={"KFT_CACHE": str(cache)})
    assert done.returncode in (0, -9), done.stderr
    last = json.loads((run / "checkpoints" / "last.json").read_text())
    return done.returncode, {name: entry["sha256"] for name, entry in last["arrays"].items()}


@pytest.mark.slow
def test_a_run_on_windows_that_was_killed_ends_as_one_that_was_not(tiny_folder, tmp_path):
    phases = [{"name": "head", "unfreeze": "none", "epochs": 2, "lr": 1e-2}, {**tiny.TOP, "start": "head"}]
    path = tiny.recipe(tmp_path, tiny_folder, rows=120, phases=phases, checkpoints={"every": "2 steps", "keep": 2})
    values = json.loads(path.read_text())
    windows = {"overlap": 2, "most": 4, "pooling": "attention"}
    values["model"] |= {"max_tokens": 8, "long_text": "windows", "windows": windows}
    values["train"]["gradient_accumulation"] = 2
    path.write_text(json.dumps(values))
    _, expected = weights_of(path, tmp_path / "whole", tmp_path / "cache")
    codes = [weights_of(path, tmp_path / "killed", tmp_path / "cache", step)[0] for step in (3, 6)]
    code, found = weights_of(path, tmp_path / "killed", tmp_path / "cache")
    assert codes == [-9, -9] and code == 0
    assert found == expected
