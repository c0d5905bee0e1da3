"""Promises 4 and 5 where the loss compares the rows of a batch: queries and documents, and graded pairs."""

import json
import random
import sys

import numpy as np
import pytest

from kft.train.checkpoint import load_checkpoint
from tests import embedded, forked, graded
from tests.ended import events_of, require_same_end, run_until

pytestmark = pytest.mark.slow
STEPS = [
    {"name": "map", "unfreeze": "none", "epochs": 2, "lr": 1e-3},
    {"name": "lora", "unfreeze": {"lora": {"rank": 2}}, "epochs": 2, "lr": 1e-3},
    {"name": "all", "unfreeze": "all", "epochs": 2, "lr": 1e-4},
]


MADE = {"pairs": (embedded.recipe, {"pairs": {"hard_negatives": 1, "widths": [8, 32]}}), "graded": (graded.recipe, {})}


def write(folder, backbone, phases, *, dropout, learns):
    make, own = MADE[learns]
    path = make(folder, backbone, phases=phases, early_stopping=None, checkpoints={"every": "2 steps"}, **own)
    values = json.loads(path.read_text())
    values["model"]["dropout"] = dropout
    path.write_text(json.dumps(values))
    return path


def train(recipe, name, *more):
    """Trains in a process of its own, with a feature store of its own; returns the run folder."""
    run = recipe.parent / name
    environment = {"KFT_CACHE": str(recipe.parent / f"cache-{name}")}
    done = forked.run("kft.cli.main", "train", recipe, "--run", run, *more, env=environment)
    assert done.returncode == 0, done.stderr
    return run


@pytest.fixture(scope="module", params=MADE)
def still(request, tmp_path_factory, tiny_folder):
    """Without dropout, of which each replica draws its own; and without a solved map.

    Its solver ends early on a loss that is not convex, and magnifies the last bits in which stored vectors differ where
    a processor multiplies fewer rows in another way (docs/running_anywhere.md).
    """
    return write(tmp_path_factory.mktemp("replicas"), tiny_folder, STEPS, dropout=0, learns=request.param)


@pytest.fixture(scope="module")
def alone(still):
    return train(still, "one")


def require_alike(first, second):
    one, two = (load_checkpoint(run / "checkpoints", "last").more for run in (first, second))
    for phase in STEPS:
        for name, array in one[f"best/{phase['name']}"].items():
            # A softmax does not see the bias of the keys: its gradient is 0 but for rounding, which AdamW blows up.
            atol = 1e-5 if name.endswith("key/bias") else 1e-6
            other = two[f"best/{phase['name']}"][name]
            np.testing.assert_allclose(other, array, atol=atol, err_msg=f"{phase['name']} {name}")
    lines = [events_of(run) for run in (first, second)]
    for mine, other in zip(*lines, strict=True):
        for key in {"loss", "first_of_batch", "mae", "valid_loss", "valid_mrr", "valid_spearman_r"} & set(mine):
            assert other[key] == pytest.approx(mine[key], rel=1e-6, abs=1e-6), f"{key} of {mine}"


def test_two_replicas_end_as_one_device(still, alone):
    require_alike(alone, train(still, "two", "--devices", "cpu:2"))


def test_two_processes_end_as_one_device(still, alone):
    run = still.parent / "workers"
    start = (
        "kft.cli.main",
        "workers",
        "2",
        "--logs",
        still.parent / "logs",
        "--",
        sys.executable,
        "-m",
        "kft.cli.main",
        "train",
        still,
    )
    environment = {"KFT_CACHE": str(still.parent / "cache-workers")}
    done = forked.run(*start, "--run", run, "--devices", "multi-worker", env=environment)
    said = "".join(path.read_text() for path in (still.parent / "logs").glob("*.log"))
    assert done.returncode == 0, done.stderr + said[-3000:]
    require_alike(alone, run)


@pytest.mark.parametrize("learns", MADE)
def test_killed_and_resumed_it_ends_as_never_killed_to_the_bit(tmp_path, tiny_folder, learns):
    recipe = write(tmp_path, tiny_folder, [embedded.HEAD, *STEPS], dropout=0.1, learns=learns)
    assert run_until(recipe, "whole") == 0
    generator, codes = random.Random(0), []
    while 0 not in codes and len(codes) < 4:
        codes.append(run_until(recipe, "killed", step=generator.randint(1, 12)))
    if 0 not in codes:
        assert run_until(recipe, "killed") == 0
    assert codes.count(-9) >= 2, codes
    require_same_end(tmp_path / "whole", tmp_path / "killed")
