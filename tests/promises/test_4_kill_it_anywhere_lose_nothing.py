"""Promise 4: a run that was killed and resumed ends as one that was never killed, to the bit on one CPU device."""

import json
import random

import pytest

from tests import tiny
from tests.ended import outcome, require_same_end, run_until

PHASES = [
    tiny.PROBE,
    {
        "name": "contrast",
        "unfreeze": "top-1",
        "epochs": 2,
        "lr": 1e-3,
        "objective": {"name": "contrastive", "names": True},
    },
    {"name": "top", "unfreeze": "top-1", "epochs": 4, "lr": 1e-3},
    {"name": "all", "unfreeze": "all", "epochs": 5, "lr": 2e-3, "start": "probe"},
]


@pytest.fixture(scope="module")
def story(tmp_path_factory, tiny_folder):
    """A recipe with dropout, shuffling, early stopping, a plateau's rate, and the run that nobody kills."""
    folder = tmp_path_factory.mktemp("killed")
    recipe = tiny.recipe(
        folder,
        tiny_folder,
        rows=240,
        phases=PHASES,
        early_stopping={"monitor": "valid_loss", "patience": 2},
        checkpoints={"every": "4 steps", "keep": 2},
        callbacks=[
            {"name": "reduce-lr-on-plateau", "args": {"monitor": "val_loss", "factor": 0.5, "patience": 1}},
            {"name": "csv-logger", "args": {}},
        ],
    )
    assert run_until(recipe, "whole") == 0
    return folder, recipe, outcome(folder / "whole")


def kill_until_done(story, name, kills, seed):
    folder, recipe, _ = story
    generator = random.Random(seed)
    codes = []
    for _ in range(kills):
        codes.append(run_until(recipe, name, step=generator.randint(1, 25)))
        if codes[-1] == 0:
            break
    if codes[-1] != 0:
        assert run_until(recipe, name) == 0
    require_same_end(folder / "whole", folder / name)
    return codes


def test_the_story_has_what_makes_it_hard(story):
    folder, _, expected = story
    ended = {event["phase"]: event["stopped"] for event in expected["history"] if event["event"] == "phase_end"}
    rates = {event["lr"] for event in expected["history"] if event["event"] == "epoch" and "lr" in event}
    assert "early stopping" in ended.values(), ended
    assert len(rates) > 4
    assert not list((folder / "whole").rglob("*.tmp"))


def test_killed_at_three_random_steps(story):
    codes = kill_until_done(story, "three", 3, seed=1)
    assert codes.count(-9) >= 2, codes


def test_sigterm_in_an_epoch_saves_and_exits_143(story):
    folder, recipe, expected = story
    assert run_until(recipe, "term", step=6, signal="SIGTERM") == 143
    last = json.loads((folder / "term" / "checkpoints" / "last.json").read_text())["state"]
    assert (last["steps_done"], last["fit"]["step"]) == (6, 6), "the step at which the signal came"
    assert run_until(recipe, "term") == 0
    assert outcome(folder / "term") == expected


@pytest.mark.slow
def test_killed_at_twenty_random_steps(story):
    seed, kills = 0, 0
    while kills < 20:
        kills += sum(code == -9 for code in kill_until_done(story, f"twenty-{seed}", 20, seed=100 + seed))
        seed += 1
