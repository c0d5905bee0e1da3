"""What is perfect by the metric that chooses is not trained further: said, kept in the history, and resumed as such."""

import contextlib
import csv
import io

import numpy as np
import pytest

import kft
from tests import tiny
from tests.ended import events_of


@pytest.fixture(scope="module")
def run(tiny_folder, tmp_path_factory):
    folder = tmp_path_factory.mktemp("perfect")
    path = tiny.recipe(folder, tiny_folder, best="valid_accuracy", phases=[tiny.PROBE, tiny.TOP])
    words = [" ".join(np.random.default_rng(row).permutation((tiny.GOOD, tiny.BAD)[row % 2])) for row in range(120)]
    with (folder / "reviews.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("text", "label"), *((text, row % 2) for row, text in enumerate(words))])
    said = io.StringIO()
    with contextlib.redirect_stderr(said):
        result = kft.train(path, run=folder / "run")
    return path, folder, result, said.getvalue()


def test_nothing_dearer_runs_when_the_probe_is_perfect_and_it_is_said(run):
    _, _, result, text = run
    said = " ".join(text.split())
    assert "top not run: valid_accuracy of probe is perfect, nothing is left to gain" in said
    assert "train.early_stopping: null runs all phases" in said
    assert result.phases[0].metrics["valid_accuracy"] == 1
    assert [phase.name for phase in result.phases] == ["probe"] and result.best_phase == "probe"
    events = events_of(result.run)
    assert {event["phase"] for event in events} == {"probe"}


@pytest.mark.parametrize(
    "setting",
    ["train.early_stopping=null", pytest.param("train.best=valid_loss", marks=pytest.mark.slow)],
    ids=["all phases are asked for", "by the loss there is always something left to gain"],
)
@pytest.mark.slow
def test_a_person_can_have_all_phases(run, setting):
    path, folder, *_ = run
    result = kft.train(path, run=folder / setting, overrides=[setting], quiet=True)
    assert [phase.name for phase in result.phases] == ["probe", "top"]


def test_such_a_run_resumes_as_done(run):
    path, folder, result, _ = run
    again = kft.train(path, run=folder / "run", resume=True, quiet=True)
    assert again.evaluation.metrics == result.evaluation.metrics
    assert [phase.name for phase in again.phases] == ["probe"]
    kft.report(folder / "run")
