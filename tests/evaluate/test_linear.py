"""The linear model on words beside a run: fitted without test, shown, and said where it wins."""

import json

import pytest

import kft
from kft.cli.results import print_metrics
from kft.evaluate.linear import why_no_linear
from kft.recipe.schema import RecipeSpec
from kft.records.document import read_document
from kft.records.estimate import Estimate
from kft.records.metrics import EvaluateResult
from kft.records.run_folder import RunFolder
from kft.report.questions import four_questions
from kft.report.record import read_record
from tests import tiny


@pytest.fixture(scope="module")
def run(tiny_folder, tmp_path_factory):
    folder = tmp_path_factory.mktemp("linear")
    path = tiny.recipe(folder, tiny_folder, rows=160, phases=[tiny.PROBE])
    return kft.train(path, run=folder / "run", quiet=True)


def test_it_stands_beside_majority_and_probe(run):
    assert set(run.evaluation.baselines) == {"majority", "probe", "linear"}
    written = json.loads((run.run / "metrics.json").read_text())
    assert written["baselines"]["linear"]["accuracy"]["value"] > 0.8  # the label hangs on one word
    assert written["gain_over_linear"].keys() == {"value", "low", "high"}
    assert written["valid"]["n"] == 32 and written["valid"]["apart"] is False
    assert read_document(EvaluateResult, run.run / "metrics.json").gain_over_linear == run.evaluation.gain_over_linear


def test_evaluating_again_gives_the_same_and_other_data_say_why_not(run, capfd):
    again = kft.evaluate(run.run)
    assert again.baselines == run.evaluation.baselines and again.gain_over_linear == run.evaluation.gain_over_linear
    assert "words and pairs of words, on 88 rows of train" in " ".join(capfd.readouterr().err.split())
    other = kft.evaluate(run.run, data=run.run.parent / "reviews.csv")
    assert "linear" not in other.baselines and other.gain_over_linear is None
    assert "linear none: it is fitted on the run's own rows" in " ".join(capfd.readouterr().err.split())


def result(gain, low, high, better=True):
    one = {"accuracy": Estimate(0.7, 0.6, 0.8)}
    return EvaluateResult(
        "test", 100, one, {"linear": one}, None, {}, gain_over_linear=Estimate(gain, low, high), higher_is_better=better
    )


@pytest.mark.parametrize(
    ("gain", "low", "high", "says"),
    [
        (-0.08, -0.12, -0.03, "is better than this one, by more than chance"),
        (-0.02, -0.06, 0.03, "is ahead of this one, though that may be chance"),
        (0.0, -0.04, 0.04, "does as well"),
        (0.05, -0.01, 0.1, ""),
    ],
)
def test_where_it_wins_that_is_said(gain, low, high, says, capsys):
    found = result(gain, low, high)
    assert found.linear_wins.endswith(says) and bool(found.linear_wins) == bool(says)
    mirrored = result(-gain, -high, -low, better=False)
    assert mirrored.linear_wins == found.linear_wins
    print_metrics(found, "this model")
    printed = " ".join(capsys.readouterr().out.split())
    assert "difference to a linear model on words in accuracy, paired" in printed
    assert not says or says in printed


def test_the_report_weighs_it(run):
    (measurable, *_) = four_questions(read_record(RunFolder(run.run)))
    assert any("a linear model on words" in each.text for each in measurable.evidence)


def test_tasks_without_it_say_why():
    for task, why in (
        ("image-classification", "reads texts alone; kft compare has one on thumbnails"),
        ("text-regression", "one class of many alone, not beside text-regression"),
        ("text-classification", ""),
        ("text-pairs", ""),
    ):
        spec = RecipeSpec.model_validate({"task": task, "data": {"train": "x.csv"}})
        assert why_no_linear(spec).endswith(why) and bool(why_no_linear(spec)) == bool(why)
