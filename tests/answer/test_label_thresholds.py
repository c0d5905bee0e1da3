"""Thresholds of several labels: the best by hand, rare labels share one, and what is said is what is measured."""

import numpy as np
import pytest

from kft.answer.decide import Decisions
from kft.answer.fitted import FITS, CalibrationData, FittedDecisions, is_fitted, read_fitted, write_fitted
from kft.answer.label_thresholds import EDGE, FEWEST, choose_thresholds
from kft.evaluate.evaluate import Scored, calibrated, score
from kft.evaluate.files import write_evaluation
from kft.metrics.multi_label import METRICS
from kft.recipe.evaluation import EvaluateSpec, LabelThresholdsSpec
from kft.records.csv_file import read_table
from kft.records.run_folder import RunFolder
from kft.tasks.labels import LABELS
from kft.tasks.recipes import load_recipe
from kft.tasks.task import AnswerSpace

F1 = LabelThresholdsSpec(by="f1")
PRECISE = LabelThresholdsSpec(by="precision", precision=0.8)


def drawn(n=400, shares=(0.5, 0.2, 0.02), seed=0):
    """Labels that a model knows well, but that the rarer they are the less it dares to say."""
    rng = np.random.default_rng(seed)
    truth = (rng.random((n, len(shares))) < shares).astype(np.float32)
    logits = 3 * truth - 1.5 + rng.normal(0, 1, truth.shape) + 2 * np.log(np.array(shares) / (1 - np.array(shares)))
    return truth, 1 / (1 + np.exp(-logits))


def f1_of(truth, said):
    return 2 * (truth * said).sum() / (truth.sum() + said.sum())


def test_no_other_threshold_has_a_better_f1():
    truth, answers = drawn()
    found = choose_thresholds(F1, truth, answers)
    for place in (0, 1):
        own = f1_of(truth[:, place], answers[:, place] >= found.values[place])
        others = [f1_of(truth[:, place], answers[:, place] >= cut) for cut in answers[:, place]]
        assert own == pytest.approx(max(others)) and found.alone[place]
    assert found.n == 400 and not found.why and found.positives == tuple(truth.sum(axis=0))


def test_a_rare_label_takes_what_all_together_chose():
    truth, answers = drawn()
    found = choose_thresholds(F1, truth, answers)
    assert truth[:, 2].sum() < FEWEST and found.alone == (True, True, False)
    assert found.values[2] == found.shared != found.values[0]
    together = [f1_of(truth, answers >= cut) for cut in np.unique(answers)]
    assert f1_of(truth, answers >= found.shared) == pytest.approx(max(together))
    assert "2 of 3 labels" in found.described and found.described.endswith(f"the others at {found.shared:.3f}")


def test_a_precision_is_reached_or_the_shared_threshold_serves():
    truth, answers = drawn()
    found = choose_thresholds(PRECISE, truth, answers)
    for place in (0, 1):
        said = answers[:, place] >= found.values[place]
        assert truth[said, place].mean() >= 0.8 and found.alone[place]
    noise = np.random.default_rng(1).permuted(answers, axis=0)
    found = choose_thresholds(LabelThresholdsSpec(by="precision", precision=0.99), truth, noise)
    assert found.values == (0.5, 0.5, 0.5) and found.why.startswith("no threshold reaches that precision")


def test_equal_probabilities_are_said_together_and_nothing_is_no_reason():
    truth, same = np.array([[1.0], [0.0]] * 30), np.full((60, 1), 0.3)
    assert choose_thresholds(F1, truth, same).values == (0.15,)
    assert choose_thresholds(F1, np.zeros((60, 1)), same).values == (0.5,)
    certain = np.array([[1.0], [0.0]] * 30)
    assert EDGE <= choose_thresholds(F1, truth, certain).values[0] <= 1 - EDGE
    assert choose_thresholds(LabelThresholdsSpec(), truth, same) is None


def test_what_metrics_see_is_exactly_what_is_said():
    truth, answers = drawn()
    found = choose_thresholds(F1, truth, answers)
    cuts = np.array(found.values)
    edges = np.stack([cuts, np.nextafter(cuts, 0), np.nextafter(cuts, 1), np.zeros(3), np.ones(3)])
    for given in (edges, answers, edges.astype(np.float32)):
        centred = found.centred(given)
        assert ((centred >= 0.5) == found.said(given)).all() and centred.min() >= 0 and centred.max() <= 1
    precision = METRICS["average_precision"]
    assert precision.value(truth, found.centred(answers)) == pytest.approx(precision.value(truth, answers), abs=1e-12)


def test_a_gain_on_others_comes_of_it():
    """Chosen on 400, on 4,000 others: more than one half reaches."""
    thresholds = choose_thresholds(F1, *drawn())
    truth, answers = drawn(4000, seed=1)
    metric = METRICS["micro_f1"]
    assert metric.value(truth, thresholds.centred(answers)) > metric.value(truth, answers) + 0.03


def test_files_bring_them_back_and_only_where_they_are_asked_for(tmp_path):
    truth, answers = drawn()
    asked = EvaluateSpec.model_validate({"label_thresholds": "f1"})
    more = (truth[:100], answers[:100])
    fitted = FITS["set"](
        asked, CalibrationData(truth, answers, None, np.zeros(400, bool), None, more=more), ("a", "b", "c"), 0
    )
    assert fitted.given.labels.n == 500
    write_fitted(RunFolder(tmp_path), fitted, "hash")
    assert read_fitted(RunFolder(tmp_path), "hash") == fitted != FittedDecisions()
    assert is_fitted("set", asked) and not is_fitted("set", EvaluateSpec()) and not is_fitted("documents", asked)
    assert is_fitted("class", EvaluateSpec())


def test_figures_go_by_thresholds_and_people_read_probabilities(tmp_path):
    truth, answers = drawn(60)
    thresholds = choose_thresholds(F1, truth, answers)
    decisions, space = Decisions(labels=thresholds), AnswerSpace(("a", "b", "c"))
    raw = Scored(LABELS, space, [str(row) for row in range(60)], truth, answers)
    given = calibrated(raw, decisions, None)
    result = score(given, split="test", shares=[0.1] * 3, gates={})
    said = answers >= np.array(thresholds.values)
    assert result.metrics["micro_f1"].value == pytest.approx(f1_of(truth, said))
    run = RunFolder(tmp_path)
    write_evaluation(run, result, given, decisions)
    first = read_table(run.predictions)[0]
    named = LABELS.judging.prediction(answers[0], space.cut_by(thresholds), "")
    assert first["prediction"] == LABELS.labels.written(named.labels)
    assert named.probabilities == dict(zip("abc", answers[0], strict=True))
    assert float(first["confidence"]) == pytest.approx(np.where(said[0], answers[0], 1 - answers[0]).prod(), abs=1e-6)


def test_recipes_say_it_in_short_and_other_tasks_refuse_it(tmp_path):
    def spec(value, task="text-multi-label"):
        recipe = {"task": task, "data": {"train": "a.csv"}, "evaluate": {"label_thresholds": value}}
        return load_recipe(recipe, base=tmp_path).spec.evaluate.label_thresholds

    assert spec("f1") == F1 and spec({"precision": 0.8}) == PRECISE and spec("half") == LabelThresholdsSpec()
    assert spec(F1.model_dump(mode="json")) == F1
    for wrong in ("best", {"precision": 2}, {"by": "f1", "precision": 0.5}, {"by": "precision"}):
        with pytest.raises(Exception, match="label_thresholds"):
            spec(wrong)
    with pytest.raises(Exception, match="only for text-multi-label, image-multi-label; the task is"):
        spec("f1", "text-regression")


def test_a_label_that_reaches_the_precision_nowhere_is_not_said_for_what_others_reach():
    rng = np.random.default_rng(0)
    easy = (rng.random(500) < 0.5).astype(np.float32)
    noise = (rng.random(500) < 0.1).astype(np.float32)
    answers = np.stack([np.where(easy > 0, 0.95, 0.05), rng.random(500)], axis=1)
    found = choose_thresholds(PRECISE, np.stack([easy, noise], axis=1), answers)
    assert noise.sum() >= FEWEST and found.alone == (True, False)
    assert not found.said(answers)[:, 1].any() and found.said(answers)[:, 0].sum() == easy.sum()
    assert found.why == "1 of 2 labels reach that precision nowhere: they are said from 0.999999 on"
