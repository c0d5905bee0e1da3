"""Promises 4 and 5 for hidden tokens: what an epoch hides is drawn again after a kill, and alike on replicas."""

import json

import numpy as np
import pytest

import kft
from kft.cli.main import run as kft_run
from kft.errors import UsageError
from kft.train.checkpoint import load_checkpoint
from tests import tiny
from tests.ended import require_same_end, run_until

pytestmark = pytest.mark.slow
HEAD = {"name": "head", "unfreeze": "none", "epochs": 1, "lr": 1e-2}
LORA = {"name": "lora", "unfreeze": {"lora": {"rank": 2}}, "epochs": 2, "lr": 5e-3}
TOP = {"name": "top", "unfreeze": "top-1", "epochs": 1, "lr": 5e-3, "start": "head"}


def write(folder, dropout):
    tiny.write_table(folder / "rows.csv", 80)
    values = {
        "task": "masked-lm",
        "data": {"train": "rows.csv", "texts": "text", "valid": "20%", "test": "20%"},
        "model": {"backbone": str(tiny.write_backbone(folder / "backbone")), "max_tokens": 32, "dropout": dropout},
        "train": {"batch_size": 8, "phases": [HEAD, LORA, TOP], "checkpoints": {"every": "2 steps"}},
        "evaluate": {"retain": "none"},
    }
    path = folder / "recipe.yaml"
    path.write_text(json.dumps(values))
    return path


def test_killed_and_resumed_it_ends_as_never_killed_to_the_bit(tmp_path, capsys):
    recipe = write(tmp_path, dropout=0.1)
    assert run_until(recipe, "whole", cache="whole-cache") == 0
    codes = [run_until(recipe, "killed", step=step) for step in (3, 6, 5, 0)]
    assert codes == [-9, -9, -9, 0]
    require_same_end(tmp_path / "whole", tmp_path / "killed")
    answers = (tmp_path / "killed" / "predictions.csv").read_text(encoding="utf-8")
    assert "the battery" not in answers and " hidden," in answers
    _chained(tmp_path)
    assert kft_run(["predict", str(tmp_path / "whole"), "the phone"]) != 0
    assert "kft predict does nothing for masked-lm" in capsys.readouterr().err


def _chained(folder):
    """A probe on what was learned answers otherwise than one on the pretrained weights."""
    classes = {
        "task": "text-classification",
        "data": {"train": str(folder / "rows.csv"), "text": "text", "label": "label"},
        "model": {"backbone": str(folder / "backbone"), "max_tokens": 32},
        "train": {"phases": [tiny.PROBE]},
        "evaluate": {"retain": "none"},
    }
    started = {**classes, "model": {**classes["model"], "start_from": str(folder / "whole")}}
    runs = [
        kft.train(recipe, run=folder / name, quiet=True).run for recipe, name in ((classes, "off"), (started, "on"))
    ]
    off, on = (kft.predict(run, ["the phone is great"])[0].probabilities for run in runs)
    assert off != on


def test_two_replicas_end_as_one_device(tmp_path):
    recipe = write(tmp_path, dropout=0)  # each replica draws its own masks of dropout
    assert run_until(recipe, "one") == run_until(recipe, "two", cache="two-cache", devices="cpu:2") == 0
    one, two = (load_checkpoint(tmp_path / name / "checkpoints", "last").more for name in ("one", "two"))
    for phase in (HEAD, LORA, TOP):
        for name, array in one[f"best/{phase['name']}"].items():
            # A softmax does not see the bias of the keys: its gradient is 0 but for rounding, which AdamW blows up.
            atol = 1e-3 if name.endswith("key/bias") else 1e-5
            other = two[f"best/{phase['name']}"][name]
            np.testing.assert_allclose(other, array, atol=atol, err_msg=f"{phase['name']} {name}")


@pytest.mark.parametrize("command", ["plan", "check"])
def test_what_looks_ahead_knows_the_task(tmp_path, command):
    getattr(kft, command)(write(tmp_path, 0.0), quiet=True)


def test_commands_that_do_not_apply_say_so(tmp_path):
    recipe = write(tmp_path, 0.0)
    for command, more in ((kft.compare, {}), (kft.choose, {"backbones": ["minilm-l6"]})):
        with pytest.raises(UsageError, match="does nothing for masked-lm"):
            command(recipe, **more)
