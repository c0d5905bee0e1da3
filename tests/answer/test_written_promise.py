"""A promise about written answers: what is compared, what is right, 200 resamples, and where it is not made."""

from dataclasses import replace

import numpy as np
import pytest

from kft.answer.decide import Decisions
from kft.answer.fitted import CalibrationData, fit_written
from kft.errors import RecipeError
from kft.evaluate.evaluate import FurtherResults, Scored, score, selection_of
from kft.evaluate.files import write_evaluation
from kft.metrics.language import Spoken, confidences, right_answers, spoken
from kft.recipe.evaluation import EvaluateSpec
from kft.records.document import as_document
from kft.records.rules import Promise
from kft.records.run_folder import RunFolder
from kft.tasks.cells import as_objects
from kft.tasks.recipes import load_recipe
from kft.tasks.responses import RESPONSES
from kft.tasks.task import AnswerSpace


def written(n, rng):
    """Answers of a model that is right about as often as it is sure."""
    sure = rng.beta(6, 0.9, n)
    said = [
        Spoken(np.ones(1), np.ones(1), "yes" if yes else "no", confidence=one)
        for one, yes in zip(sure, rng.random(n) < sure, strict=True)
    ]
    return as_objects(["yes"] * n), as_objects(said)


def test_the_promise_holds_in_200_resamples():
    rng, asked, held = np.random.default_rng(0), EvaluateSpec(abstain_at={"error": 0.1}), np.arange(600) % 2 == 0
    truth, world = written(6000, rng)
    sure, right = confidences(world), right_answers("same", truth, world)
    broken = promised = 0
    for draw in range(200):
        drawn = rng.integers(0, len(world), 600)
        rule = fit_written(asked, CalibrationData(truth[drawn], world[drawn], None, held, None), (), draw).given.rule
        if rule.threshold is not None:
            promised += 1
            broken += (~right[sure >= rule.threshold]).mean() > 0.1
    assert promised >= 150 and broken <= 10  # 5 % of 200


def test_what_is_not_answered_anyway_decides_nothing():
    truth, answers = written(600, np.random.default_rng(1))
    wrong = np.array([each.text == "no" for each in answers])
    asked, held = EvaluateSpec(abstain_at={"error": 0.1}), np.arange(600) % 2 == 0
    without = fit_written(asked, CalibrationData(truth, answers, None, held, None, declined=wrong), (), 0).given.rule
    assert without.threshold == 0 and without.errors == 0 and without.n == (held & ~wrong).sum()
    none = fit_written(
        asked, CalibrationData(truth, answers, None, held, None, declined=np.ones(600, bool)), (), 0
    ).given.rule
    assert none.threshold is None and "0 rows, half of valid" in none.why


@pytest.mark.parametrize(
    ("rule", "right"),
    [
        ("same", [True, True, False, False]),
        ("slot_f1 >= 0.8", [True, True, True, False]),
        ("field_accuracy >= 0.5", [True, True, True, True]),
        ("token_f1 >= 1", [True, True, True, False]),
    ],
)
def test_what_counts_as_right(rule, right):
    truth = ['{"a": [1, 2], "b": true}'] * 4
    said = [truth[0] + "\n", '{"b": true, "a": [1, 2]}', '{"a": [2, 1], "b": true}', '{"a": [1, 2], "b": 1, "c": 4}']
    assert right_answers(rule, truth, spoken(said)).tolist() == right


@pytest.mark.parametrize(
    ("task", "evaluate", "text"),
    [
        ("causal-lm", {"abstain_at": {"error": 0.1}, "write": False}, "needs evaluate.write: true: a promise is about"),
        ("causal-lm", {"abstain_at": {"error": 0.1, "right": "token_f1 > 2"}}, 'a rule such as "token_f1 >= 0.8"'),
        ("causal-lm", {"abstain_at": {"error": 0.1, "right": "mae >= 0.2"}}, "of token_f1, slot_f1, field_accuracy"),
        ("causal-lm", {"write": False, "gates": {"selective.error": "<= 0.1"}}, "needs evaluate.write: true"),
        (
            "causal-lm",
            {"retain": "none", "gates": {"forgetting.perplexity_ratio": "<= 1.1"}},
            "nothing is measured with",
        ),
        ("text-classification", {"abstain_at": {"error": 0.1, "right": "chrf >= 0.9"}}, "only for causal-lm"),
    ],
)
def test_what_cannot_be_promised_is_refused_by_name(tmp_path, task, evaluate, text):
    asked = {"task": task, "data": {"train": "rows.jsonl"}, "model": {"backbone": "gemma3-270m"}, "evaluate": evaluate}
    with pytest.raises(RecipeError) as caught:
        load_recipe(asked, base=tmp_path)
    assert text in str(caught.value)


def test_what_is_withheld_stands_in_metrics_and_predictions(tmp_path):
    said = [
        replace(each, confidence=sure)
        for each, sure in zip(spoken(["a", "b", "c", "d"]), (0.9, 0.8, 0.3, 0.7), strict=True)
    ]
    given = Scored(RESPONSES, AnswerSpace(()), list("wxyz"), as_objects(["a", "b", "c", "D"]), as_objects(said),
                   declined=np.array([False, True, False, False]))  # fmt: skip
    decisions = Decisions(rule=Promise(0.1, 0.95, 0.5, 60, 50, 1))
    found = selection_of(given, decisions, "same")
    assert found.coverage.value == 0.5 and found.error.value == 0.5 and found.threshold == 0.5
    assert as_document(found)["right"] == "same" and [each.error for each in found.risk_coverage] == [0, 0, 1 / 3, 0.25]
    result = score(
        given, split="test", shares=[], gates={"selective.error": "<= 0.4"}, beside=FurtherResults(selective=found)
    )
    assert not result.gates["selective.error"].passed and result.selective == found
    write_evaluation(RunFolder(tmp_path), result, given, decisions)
    kept = (tmp_path / "predictions.csv").read_text().splitlines()
    assert kept[1:] == ["w,a,a,0.900000,false", "x,b,b,0.800000,true", "y,c,c,0.300000,true", "z,D,d,0.700000,false"]
