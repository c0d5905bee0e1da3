"""Abstention: the promise holds over resamples where a plug-in threshold breaks it; too few rows are told."""

import numpy as np
import pytest

from kft.answer.selective import certify, fewest_answers, propose_thresholds
from kft.evaluate.certainty import judge_selection, risk_coverage
from kft.recipe.evaluation import AbstainSpec
from kft.records.document import as_document
from kft.records.metrics import RiskPoint

ASKED = AbstainSpec(error=0.05)


def drawn(n, rng):
    """A model that is right in .87 of all cases, its confidence a point or two too high."""
    confidence = rng.beta(6, 0.9, n)
    return confidence, rng.random(n) < np.minimum(1, confidence + 0.1 * confidence**8) - 0.01


def error_above(threshold, confidence, right):
    return (~right[confidence >= threshold]).mean()


def plug_in(confidence, right):
    """The loosest threshold at which the calibration examples themselves keep the promise."""
    order = np.argsort(-confidence)
    errors = np.cumsum(~right[order]) / np.arange(1, len(order) + 1)
    return confidence[order][np.flatnonzero(errors <= ASKED.error)[-1]]


def test_the_promise_is_kept_where_a_plug_in_threshold_breaks_it():
    rng = np.random.default_rng(0)
    truth = drawn(200_000, rng)
    broken = broken_by_plug_in = promised = 0
    for _ in range(200):
        chosen, calibrated = drawn(600, rng), drawn(600, rng)
        found = certify(*calibrated, propose_thresholds(*chosen, 600, ASKED), ASKED)
        if found.threshold is not None:
            promised += 1
            broken += error_above(found.threshold, *truth) > ASKED.error
        broken_by_plug_in += error_above(plug_in(*calibrated), *truth) > ASKED.error
    assert broken <= 10  # 5 % of 200
    assert promised >= 150
    assert broken_by_plug_in >= 80


def test_the_test_is_the_exact_binomial_one():
    right = np.ones(59, bool)
    assert certify(np.full(59, 0.9), right, np.array([0.5]), ASKED).threshold == 0.5
    assert certify(np.full(58, 0.9), right[:58], np.array([0.5]), ASKED).threshold is None
    right = np.arange(93) > 0  # one mistake takes 93 answers
    assert certify(np.full(93, 0.9), right, np.array([0.5]), ASKED).threshold == 0.5
    assert certify(np.full(92, 0.9), right[:92], np.array([0.5]), ASKED).threshold is None


def test_the_sequence_ends_at_the_first_threshold_that_fails():
    confidence = np.concatenate([np.full(100, 0.9), np.full(20, 0.7), np.full(2000, 0.5)])
    right = np.concatenate([np.ones(100, bool), np.zeros(20, bool), np.ones(2000, bool)])
    found = certify(confidence, right, np.array([0.8, 0.6, 0.0]), ASKED)
    assert (found.threshold, found.answered, found.errors) == (0.8, 100, 0)  # although 0.0 would pass


def test_with_too_few_rows_it_says_how_many_it_takes():
    found = certify(np.full(40, 0.9), np.ones(40, bool), np.array([0.0]), ASKED)
    assert found.threshold is None
    assert "cannot be promised from 40 rows, half of valid" in found.why
    assert "at least 59 answers without a mistake, so at least 118 rows in valid" in found.why
    by_group = certify(np.full(40, 0.9), np.ones(40, bool), np.array([0.0]), ASKED, unit="groups")
    assert "from 40 groups, half of valid" in by_group.why and "118 groups in valid" in by_group.why
    assert fewest_answers(AbstainSpec(error=0.05, confidence=0.9)) == 45


def test_where_none_reaches_the_strictest_threshold_it_says_so():
    found = certify(np.full(80, 0.5), np.ones(80, bool), np.array([0.9, 0.0]), ASKED)
    assert found.threshold is None and "none of 80 rows set aside reaches the strictest threshold" in found.why


def test_one_mistake_of_a_few_is_no_rate_to_reckon_with():
    sure = np.arange(80) < 7
    found = certify(np.where(sure, 0.95, 0.5), np.arange(80) > 0, np.array([0.9]), ASKED)
    assert found.why.endswith(
        "7 of 80 rows set aside reach the strictest threshold, and it takes at least 59 without a mistake, so at least "
        "about 1,349 rows in valid"
    )


def test_where_more_rows_would_do_it_says_about_how_many():
    right = np.arange(80) >= 2  # 2.5 % wrong: fine, and not proved
    found = certify(np.full(80, 0.9), right, np.array([0.0]), ASKED)
    assert found.threshold is None and "of the 80 surest of 80 rows set aside, 2 are wrong" in found.why
    wanted = int(found.why.split("about ")[1].split()[0].replace(",", ""))
    assert 160 < wanted < 1000
    n = wanted // 2
    assert certify(np.full(n, 0.9), np.arange(n) >= int(0.025 * n), np.array([0.0]), ASKED).threshold == 0.0


def test_where_no_number_of_rows_would_do_it_says_so():
    right = np.arange(400) >= 100
    found = certify(np.full(400, 0.9), right, np.array([0.0]), ASKED)
    assert found.threshold is None and "more rows would not change that" in found.why


def test_thresholds_run_from_strict_to_loose_and_end_with_answering_all():
    confidence, right = drawn(500, np.random.default_rng(1))
    thresholds = propose_thresholds(confidence, right, 500, ASKED)
    assert (np.diff(thresholds) <= 0).all() and thresholds[-1] == 0
    assert (confidence >= thresholds[0]).mean() * 500 >= 59


def test_what_abstention_comes_to():
    probabilities = np.array([[0.9, 0.1], [0.8, 0.2], [0.4, 0.6], [0.55, 0.45]])
    targets = np.array([0, 0, 0, 0])
    promise = certify(np.full(100, 0.9), np.ones(100, bool), np.array([0.58]), ASKED)
    result = judge_selection(targets, probabilities, promise, promise.withholds(probabilities), groups=None)
    assert result.coverage.value == 0.75 and result.error.value == pytest.approx(1 / 3)
    curve = [(point.coverage, point.error) for point in result.risk_coverage]
    assert curve == [(0.25, 0.0), (0.5, 0.0), (0.75, pytest.approx(1 / 3)), (1.0, 0.25)]
    assert result.aurc.value == pytest.approx((0 + 0 + 1 / 3 + 1 / 4) / 4)
    all_answered = judge_selection(targets, probabilities, None, np.zeros(4, bool), groups=None)
    assert all_answered.coverage.value == 1 and all_answered.error.value == 0.25
    assert as_document(all_answered)["promise"] is None


def test_the_curve_of_many_examples_is_short_and_ends_with_all():
    confidence, right = drawn(3000, np.random.default_rng(2))
    curve = risk_coverage(confidence, right)
    assert len(curve) == 50 and curve[-1] == RiskPoint(1.0, pytest.approx((~right).mean()))
