"""Promises 4 and 5 for a language model: adapters, then the top block on what the frozen rest computed once."""

import json

import numpy as np
import pytest

from kft.train.checkpoint import load_checkpoint
from tests import decoder, forked

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


def run_until(recipe, name, *more):
    """Trains in a process of its own, with a feature store of its own; returns how it ended."""
    environment = {"KFT_CACHE": str(recipe.parent / f"cache-{name}")}
    done = forked.run("tests.killable", recipe, recipe.parent / name, *more, env=environment)
    assert done.returncode in (0, -9), done.stderr
    return done.returncode


def outcome(run):
    last, best = (json.loads((run / "checkpoints" / f"{name}.json").read_text()) for name in ("last", "best"))
    events = [json.loads(line) for line in (run / "history.jsonl").read_text().splitlines()]
    return {
        "weights": {name: entry["sha256"] for name, entry in last["arrays"].items()},
        "best": best,
        "history": [{key: value for key, value in event.items() if key != "seconds"} for event in events],
        "metrics": json.loads((run / "metrics.json").read_text()),
        "answers": (run / "predictions.csv").read_text(encoding="utf-8"),
    }


@pytest.mark.parametrize("quantize", ["none", "int8"])
def test_killed_and_resumed_it_ends_as_never_killed_to_the_bit(tmp_path, quantize):
    recipe = write(tmp_path, dropout=0.1, quantize=quantize)
    assert run_until(recipe, "whole") == 0
    codes = [run_until(recipe, "killed", "--step", step) for step in (3, 2, 4)]
    codes.append(run_until(recipe, "killed"))
    assert codes == [-9, -9, -9, 0]
    expected, found = (outcome(tmp_path / name) for name in ("whole", "killed"))
    for key, value in expected.items():
        assert found[key] == value, f"{key} differs"


def test_two_replicas_end_as_one_device(tmp_path):
    recipe = write(tmp_path, dropout=0)  # each replica draws its own masks
    assert run_until(recipe, "one") == run_until(recipe, "two", "--devices", "cpu:2") == 0
    one, two = (load_checkpoint(tmp_path / name / "checkpoints", "last").more for name in ("one", "two"))
    for phase in PHASES:
        for name, array in one[f"best/{phase['name']}"].items():
            # A softmax does not see the bias of the keys: its gradient is 0 but for rounding, which AdamW blows up.
            atol = 1e-5 if name.endswith("key/bias") else 1e-6
            other = two[f"best/{phase['name']}"][name]
            np.testing.assert_allclose(other, array, atol=atol, err_msg=f"{phase['name']} {name}")
    lines = [
        [json.loads(line) for line in (tmp_path / name / "history.jsonl").read_text().splitlines()]
        for name in ("one", "two")
    ]
    for mine, other in zip(*lines, strict=True):
        for key in {"loss", "token_accuracy", "valid_loss", "valid_perplexity"} & set(mine):
            assert other[key] == pytest.approx(mine[key], rel=1e-5, abs=1e-6), f"{key} of {mine}"
