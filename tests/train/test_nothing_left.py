"""What is perfect by the metric that chooses is not trained further: said, kept in the history, and resumed as such."""

import csv
import json

import numpy as np
import pytest

import kft
from tests import tiny


@pytest.fixture(scope="module")
def run(tiny_folder, tmp_path_factory):
    folder = tmp_path_factory.mktemp("perfect")
    path = tiny.recipe(folder, tiny_folder, best="valid_accuracy", phases=[tiny.PROBE, tiny.TOP])
    words = [" ".join(np.random.default_rng(row).permutation((tiny.GOOD, tiny.BAD)[row % 2])) for row in range(120)]
    with (folder / "reviews.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("text", "label"), *((text, row % 2) for row, text in enumerate(words))])
    return path, folder, kft.train(path, run=folder / "run")


def test_nothing_dearer_runs_when_the_probe_is_perfect(run):
    _, _, result = run
    assert result.phases[0].metrics["valid_accuracy"] == 1
    assert [phase.name for phase in result.phases] == ["probe"] and result.best_phase == "probe"
    events = [json.loads(line) for line in (result.run / "history.jsonl").read_text().splitlines()]
    assert {event["phase"] for event in events} == {"probe"}


def test_it_is_said_and_a_person_can_have_all_phases(run, capfd):
    path, folder, _ = run
    result = kft.train(path, run=folder / "again")
    said = " ".join(capfd.readouterr().err.split())
    assert "top not run: valid_accuracy of probe is perfect, nothing is left to gain" in said
    assert "train.early_stopping: null runs all phases" in said
    assert result.best_phase == "probe"
    result = kft.train(path, run=folder / "all", overrides=["train.early_stopping=null"], quiet=True)
    assert [phase.name for phase in result.phases] == ["probe", "top"]
    # By the loss there is always something left to gain.
    result = kft.train(path, run=folder / "loss", overrides=["train.best=valid_loss"], quiet=True)
    assert [phase.name for phase in result.phases] == ["probe", "top"]


def test_such_a_run_resumes_as_done(run):
    path, folder, result = run
    again = kft.train(path, run=folder / "run", resume=True, quiet=True)
    assert again.evaluation.metrics == result.evaluation.metrics
    assert [phase.name for phase in again.phases] == ["probe"]
    kft.report(folder / "run")
