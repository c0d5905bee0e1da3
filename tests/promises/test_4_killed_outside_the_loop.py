"""Killed anywhere else: while features are stored, fitted, evaluated, compared, reported, built, pruned.

The same command again ends as one that was never killed, and nothing half-written is read.
"""

import csv
import json
import os
import shutil
import signal
import subprocess

import pytest

from kft.records.document import SCHEMA_VERSION
from tests import forked, tiny

CHANGING = {"at", "created", "seconds", "versions", "reported"}


@pytest.fixture(scope="module")
def sound(tiny_folder, tmp_path_factory):
    """A recipe, a finished run of it, and a warm cache: what each command begins with."""
    folder = tmp_path_factory.mktemp("sound")
    path = tiny.recipe(folder, tiny_folder, rows=80, phases=[tiny.PROBE])
    values = json.loads(path.read_text()) | {"evaluate": {"abstain_at": {"error": 0.3}, "out_of_scope": {"keep": 0.9}}}
    path.write_text(json.dumps(values))
    tiny.write_backbone(folder / "own", seed=1)
    done = go(folder, 0, "train", "recipe.yaml", "--run", "run", "--quiet")
    assert done.returncode == 0, done.stderr
    return folder


def go(folder, at, *command):
    return forked.run("tests.killed_at", at, folder, *command, cwd=folder, env={"KFT_CACHE": str(folder / "cache")})


def plain(value):
    """What a document says, times and costs aside."""
    if isinstance(value, dict):
        return {key: plain(each) for key, each in value.items() if key not in CHANGING and "second" not in key}
    return [plain(each) for each in value] if isinstance(value, list) else value


def read(path):
    assert json.loads(path.read_text()).get("schema_version", SCHEMA_VERSION) == SCHEMA_VERSION
    return plain(json.loads(path.read_text()))


def rows(path):
    with path.open(newline="") as file:
        return list(csv.reader(file))


def figures(folder):
    run = folder / "run"
    return [
        read(run / "metrics.json"),
        read(run / "calibration.json"),
        rows(run / "predictions.csv"),
        rows(run / "per_class.csv"),
    ]


STORIES = {
    # name: what is taken away first, the command, the command that goes on, and what it comes to
    "train": (("run", "cache"), ("train", "recipe.yaml", "--run", "run", "--quiet"), ("--resume",), figures),
    "evaluate": (("run/calibration.json", "run/scope.safetensors"), ("evaluate", "run", "--quiet"), (), figures),
    "report": (
        (),
        ("report", "run", "--quiet"),
        (),
        lambda folder: read(folder / "run" / "mistakes.json"),
    ),
    "compare": (
        (),
        ("compare", "recipe.yaml", "--approaches", "majority,linear,probe", "--run", "compared", "--quiet"),
        ("--resume",),
        lambda folder: [
            {"name": each["name"], "metrics": each["metrics"]}
            for each in read(folder / "compared" / "compare.json")["approaches"]
        ],
    ),
    "choose": (
        ("cache",),
        ("choose", "recipe.yaml", "--backbones", "own,own@random", "--quiet"),
        (),
        lambda folder: [
            {key: found[key] for key in ("metrics", "paired", "tokens", "verdict") if key in found}
            for document in [read(max((folder / "runs").iterdir()) / "choose.json")]
            for found in (*document["backbones"], document)
        ],
    ),
    "build": (
        (),
        ("data", "build", "recipe.yaml", "built", "--quiet"),
        (),
        lambda folder: sorted(
            (path.name, path.stat().st_size)
            for path in (folder / "built").rglob("*")
            if path.is_file() and path.suffix != ".json"
        ),
    ),
    "prune": (
        (),
        ("cache", "prune"),
        (),
        lambda folder: [path.name for path in (folder / "cache" / "features").iterdir()],
    ),
}


def meet(sound, folder, name, at):
    """Kills a command at its change number ``at``, and runs it again; returns what it came to."""
    gone, command, again, comes_to = STORIES[name]
    shutil.copytree(sound, folder)
    for each in gone:
        path = folder / each
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    done = go(folder, at, *command)
    if at:
        assert done.returncode in (-signal.SIGKILL, 0), (
            done.stderr
        )  # a few changes fewer than the first time are no fault
        if done.returncode:
            if name == "compare" and (folder / "compared" / "compare.json").is_file():  # all there is has been written
                return comes_to(folder), at
            begun = not again or (folder / command[command.index("--run") + 1]).exists()
            done = go(folder, 0, *command, *(again if begun else ()))
    assert done.returncode == 0, (at, done.stderr)
    left = [str(path) for path in folder.rglob(".*.tmp") if str(os.getpid()) not in path.name]
    assert not left or name in ("build", "choose", "report"), left
    return comes_to(folder), int(done.stderr.strip().splitlines()[-1])


@pytest.mark.parametrize(
    ("name", "kills"), [("evaluate", 2), *(pytest.param(name, 5, marks=pytest.mark.slow) for name in STORIES)]
)
def test_the_same_command_again_ends_as_one_that_was_never_killed(sound, tmp_path, name, kills):
    known, changes = meet(sound, tmp_path / "whole", name, 0)
    assert changes > 3
    for number in range(kills):
        at = 1 + number * (changes - 1) // (kills - 1)
        assert meet(sound, tmp_path / str(at), name, at)[0] == known, f"killed at change {at} of {changes}"


@pytest.mark.slow
@pytest.mark.parametrize("limit", ["size", "nr_inodes"])
def test_a_disk_that_fills_up_is_told_and_once_there_is_room_all_goes_on(sound, tmp_path, limit):
    disk = tmp_path / "disk"
    disk.mkdir()
    sizes = [f"{kilobytes}k" for kilobytes in (4, 8, 12, 16, 20, 28, 36, 48, 64, 96)]
    # So small a disk has no room for a store: features are computed anew, whose last bits hang on the processor.
    whole = tmp_path / "whole"
    unstored = ("train", sound / "recipe.yaml", "--run", whole / "run", "--quiet", "--set", "features.store=off")
    assert forked.run("tests.killed_at", 0, whole, *unstored, cwd=sound).returncode == 0
    known = figures(whole)
    told = 0
    for value in sizes if limit == "size" else (3, 5, 8, 12, 16, 20, 25, 30, 36, 44):
        if subprocess.run(["mount", "-t", "tmpfs", "-o", f"{limit}={value}", "tmpfs", disk], check=False).returncode:
            pytest.skip("this user cannot mount a small disk")
        try:
            command = ("train", sound / "recipe.yaml", "--run", disk / "run", "--quiet")
            environ = {"KFT_CACHE": str(disk / "cache")}
            done = forked.run("tests.killed_at", 0, disk, *command, cwd=sound, env=environ)
            if done.returncode:
                told += 1
                assert done.returncode == 3, done.stderr
                assert any(
                    word in done.stderr for word in ("the disk is full", "as many files as it can", "do not fit")
                )
                assert "memory" not in done.stderr and "Traceback" not in done.stderr
                subprocess.run(["mount", "-o", "remount,size=64m,nr_inodes=10000", disk], check=True)
                again = ("--resume",) if (disk / "run").exists() else ()
                done = forked.run("tests.killed_at", 0, disk, *command, *again, cwd=sound, env=environ)
            assert done.returncode == 0, done.stderr
            assert figures(disk) == known, value
        finally:
            subprocess.run(["umount", disk], check=True)
    assert told >= 5
