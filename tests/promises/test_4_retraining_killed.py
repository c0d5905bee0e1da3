"""A retraining that is killed leaves the champion as it was, or has put the challenger in its place; and goes on."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

import kft
from kft.deploy.proof import prove
from kft.train.checkpoint import load_facts
from tests import forked
from tests.deploy.made import write_artifact
from tests.retrain import made

KILLS = 20


@pytest.fixture(scope="module")
def story(tiny_folder, tmp_path_factory):
    """A champion on a shelf, and new rows; each test works on a copy of what changes."""
    folder = tmp_path_factory.mktemp("retraining")
    recipe = kft.load_recipe(made.recipe(folder, tiny_folder), base=folder)
    run = kft.train(recipe, run=folder / "run", quiet=True).run
    made.new_rows(160).to_csv(folder / "new.csv", index=False)
    (folder / "sound").mkdir()
    artifact = write_artifact(folder / "champion", checkpoint=load_facts(run / "checkpoints", "best")[1])
    kft.promote(artifact, "tickets", shelf=folder / "sound" / "shelf")
    return folder


def retrain(story: Path, place: Path, at: int):
    command = ["retrain", story / "run", "--with", story / "new.csv", "--run", place / "next", "--tolerance", "0.2"]
    command += ["--promote", f"{place}/shelf/tickets", "--quiet"]
    return forked.run("tests.killed_at", at, place, *command, cwd=story)


def ended(place: Path) -> tuple[dict, bytes, bytes]:
    (stand,) = kft.versions("tickets", shelf=place / "shelf")
    run = place / "next" / "backbone"
    found = json.loads((run / "retrain.json").read_text())
    return stand.standing.aliases, (run / "checkpoints" / "best.json").read_bytes(), found["new"]


@pytest.mark.slow
def test_killed_at_twenty_moments(story, tmp_path):
    whole = Path(shutil.copytree(story / "sound", tmp_path / "whole"))
    first = retrain(story, whole, 0)
    assert first.returncode == 0, first.stderr
    changes = int(first.stderr.splitlines()[-1])
    assert changes > 100
    rng = np.random.default_rng(0)
    # Half of them anywhere, half in the last part: where the artifact is written and the alias moves.
    moments = [*rng.integers(1, changes, KILLS // 2), *rng.integers(int(changes * 0.75), changes, KILLS - KILLS // 2)]
    promoted = 0
    for number, moment in enumerate(map(int, moments)):
        place = Path(shutil.copytree(story / "sound", tmp_path / f"{number}"))
        killed = retrain(story, place, moment)
        assert killed.returncode == -9, killed.stderr
        (stand,) = kft.versions("tickets", shelf=place / "shelf")
        champion = stand.standing.aliases["champion"]
        assert champion in (1, 2) and not prove(place / "shelf" / "tickets" / str(champion)).problems
        promoted += champion == 2
        done = retrain(story, place, 0)
        assert done.returncode == 0, done.stderr
        assert ended(place) == ended(whole)
        (stand,) = kft.versions("tickets", shelf=place / "shelf")
        assert len(stand.standing.versions) == 2 and not stand.missing
        shutil.rmtree(place)
    assert promoted < KILLS
