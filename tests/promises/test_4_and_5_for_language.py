"""Promises 4 and 5 for a language model: adapters, then the top block on what the frozen rest computed once."""

import json

import numpy as np
import pytest

from kft.train.checkpoint import load_checkpoint
from tests import decoder
from tests.ended import events_of, require_same_end, run_until

pytestmark = pytest.mark.slow
PHASES = [{**decoder.LORA, "lr": 1e-3}, {"name": "top", "unfreeze": "top-1", "epochs": 2, "lr": 1e-3, "start": "lora"}]


def write(folder, dropout, quantize="none"):
    # Weights in 8 bits do not train: nothing but adapters stands above them.
    phases = PHASES if quantize == "none" else [PHASES[0], {**PHASES[0], "name": "more", "start": "lora"}]
    path = decoder.recipe(
        folder, decoder.write_backbone(folder / "backbone"), phases=phases, checkpoints={"every": "2 steps"}
    )
    values = json.loads(path.read_text())
    values["model"] |= {"dropout": dropout, "quantize": quantize}
    path.write_text(json.dumps(values))
    return path


@pytest.mark.parametrize("quantize", ["none", "int8"])
def test_killed_and_resumed_it_ends_as_never_killed_to_the_bit(tmp_path, quantize):
    recipe = write(tmp_path, dropout=0.1, quantize=quantize)
    assert run_until(recipe, "whole", cache="whole-cache") == 0
    codes = [run_until(recipe, "killed", step=step) for step in (3, 2, 4, 0)]
    assert codes == [-9, -9, -9, 0]
    require_same_end(tmp_path / "whole", tmp_path / "killed")


def test_two_replicas_end_as_one_device(tmp_path):
    recipe = write(tmp_path, dropout=0)  # each replica draws its own masks
    assert run_until(recipe, "one") == run_until(recipe, "two", cache="two-cache", devices="cpu:2") == 0
    one, two = (load_checkpoint(tmp_path / name / "checkpoints", "last").more for name in ("one", "two"))
    for phase in PHASES:
        for name, array in one[f"best/{phase['name']}"].items():
            # A softmax does not see the bias of the keys: its gradient is 0 but for rounding, which AdamW blows up.
            atol = 1e-5 if name.endswith("key/bias") else 1e-6
            other = two[f"best/{phase['name']}"][name]
            np.testing.assert_allclose(other, array, atol=atol, err_msg=f"{phase['name']} {name}")
    lines = [events_of(tmp_path / name) for name in ("one", "two")]
    for mine, other in zip(*lines, strict=True):
        for key in {"loss", "token_accuracy", "valid_loss", "valid_perplexity"} & set(mine):
            assert other[key] == pytest.approx(mine[key], rel=1e-5, abs=1e-6), f"{key} of {mine}"
