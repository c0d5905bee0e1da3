"""Thresholds from costs and from a precision: Chow's rule pays where it should, and what cannot be reached is told."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kft.answer.thresholds import choose_threshold
from kft.evaluate.certainty import judge_rule
from kft.recipe.evaluation import ThresholdSpec
from kft.records.rules import CostRule

LABELS = ("ham", "spam")


def drawn(n, rng):
    """Two classes and calibrated probabilities: what is said with .8 is right in .8 of all cases."""
    spam = rng.beta(0.6, 0.6, n)
    return (rng.random(n) < spam).astype(int), np.stack([1 - spam, spam], axis=1)


def choose(targets, answers, **asked):
    return choose_threshold(ThresholdSpec.model_validate(asked), LABELS, targets, answers, np.zeros(len(targets), bool))


@given(wrong=st.floats(0.1, 1000), share=st.floats(0, 0.999), confidence=st.floats(0.01, 1))
def test_an_answer_is_given_where_its_risk_is_worth_it(wrong, share, confidence):
    rule = CostRule(wrong, share * wrong)
    withheld = bool(rule.withholds(np.array([[confidence, 0.0]]))[0])
    expected = (1 - confidence) * wrong
    if abs(expected - rule.abstain) > 1e-9 * wrong:
        assert withheld is (expected > rule.abstain)


def test_costs_fall_by_abstaining_and_no_other_threshold_is_cheaper():
    targets, answers = drawn(6000, np.random.default_rng(0))
    rule = choose(targets, answers, costs={"wrong": 10, "abstain": 1})
    assert rule.threshold == 0.9
    withheld = rule.withholds(answers)
    found = judge_rule(rule, targets, answers, withheld, None)
    wrong = answers.argmax(axis=1) != targets
    assert found["answering_everything"].value == pytest.approx(10 * wrong.mean())
    assert found["per_example"].value == pytest.approx(10 * (wrong & ~withheld).mean() + withheld.mean())
    assert found["saved"].low > 0 and found["per_example"].high < found["answering_everything"].low
    for other in (0.8, 0.97):
        off = answers.max(axis=1) < other
        assert found["per_example"].value < judge_rule(rule, targets, answers, off, None)["per_example"].value


def test_costs_of_groups_have_wider_intervals():
    targets, answers = drawn(400, np.random.default_rng(1))
    targets, answers = np.repeat(targets, 5), np.repeat(answers, 5, axis=0)
    rule = CostRule(10, 1)
    alone = judge_rule(rule, targets, answers, rule.withholds(answers), None)["per_example"]
    grouped = judge_rule(rule, targets, answers, rule.withholds(answers), np.repeat(np.arange(400), 5))["per_example"]
    assert grouped.high - grouped.low > 1.5 * (alone.high - alone.low)


def test_the_precision_of_one_label_is_reached_and_the_other_is_left_alone():
    rng = np.random.default_rng(2)
    targets, answers = drawn(5000, rng)
    rule = choose(targets, answers, precision=0.95, label="spam")
    new_targets, new = drawn(6000, rng)
    withheld = rule.withholds(new)
    assert not withheld[new.argmax(axis=1) == 0].any() and 0.5 < rule.threshold < 0.9
    found = judge_rule(rule, new_targets, new, withheld, None)
    assert found["reached"].value == pytest.approx(0.95, abs=0.015)
    assert found["reached_answering_everything"].value < 0.9
    assert found["recall"].value < found["recall_answering_everything"].value
    assert rule.right / rule.answered >= 0.95


def test_a_looser_threshold_would_miss_the_precision():
    targets, answers = drawn(2000, np.random.default_rng(3))
    rule = choose(targets, answers, precision=0.95, label="spam")
    looser = (answers[:, 1] >= 0.5) & (answers[:, 1] < rule.threshold)
    for limit in np.unique(answers[looser, 1]):
        given_out = answers[:, 1] >= limit
        assert (targets[given_out] == 1).mean() < 0.95


def test_answers_of_one_confidence_are_given_together():
    answers = np.tile([0.1, 0.9], (4, 1))
    assert choose(np.array([1, 1, 0, 0]), answers, precision=0.9, label="spam").threshold is None
    assert choose(np.array([1, 1, 1, 0]), answers, precision=0.75, label="spam").threshold == 0.9


def test_a_precision_out_of_reach_withholds_nothing_and_says_so():
    answers = np.stack([np.linspace(0.4, 0.1, 8), np.linspace(0.6, 0.9, 8)], axis=1)
    rule = choose(np.zeros(8, int), answers, precision=0.5, label="spam")
    assert rule.threshold is None and not rule.withholds(answers).any()
    assert rule.why == "none of 8 answers 'spam' on valid is sure enough for a precision of 0.5"


def test_a_label_that_is_never_answered_has_no_threshold():
    rule = choose(np.zeros(3, int), np.tile([0.9, 0.1], (3, 1)), precision=0.5, label="spam")
    assert rule.threshold is None and rule.n == 0


def test_what_looks_foreign_does_not_count():
    answers = np.tile([0.1, 0.9], (4, 1))
    foreign = np.array([False, False, True, True])
    spec = ThresholdSpec(precision=0.9, label="spam")
    assert choose_threshold(spec, LABELS, np.array([1, 1, 0, 0]), answers, foreign).threshold == 0.9
