"""Intervals around numbers: the promise holds over many draws, in each bin, and among what is not withheld."""

from dataclasses import replace

import numpy as np
import pytest

from kft.answer.decide import Decisions
from kft.answer.fitted import CalibrationData, FittedDecisions, fit_numbers, is_fitted, read_fitted, write_fitted
from kft.answer.interval import fewest_errors, fit_interval
from kft.evaluate.certainty import judge_interval
from kft.recipe.evaluation import EvaluateSpec, IntervalSpec
from kft.records.run_folder import RunFolder

DRAWS = 200


def drawn(n, rng):
    """Answers, and right numbers that lie the farther from them the larger they are."""
    answers = rng.uniform(0, 4, n)
    return answers, answers + rng.standard_t(4, n) * (0.2 + answers)


def held(n):
    return np.arange(n) % 2 == 0


@pytest.mark.parametrize("n", [25, 480])
def test_over_200_draws_the_promise_is_kept_and_little_more(n):
    rng = np.random.default_rng(0)
    new, truth = drawn(4000, rng)
    asked = IntervalSpec(coverage=0.9)
    covered, plain = [], []
    for _ in range(DRAWS):
        answers, targets = drawn(n, rng)
        rule = fit_interval(asked, answers, targets, drawn(n, rng)[0])
        low, high = rule.bounds(new).T
        covered.append(((truth >= low) & (truth <= high)).mean())
        plain.append((np.abs(truth - new) <= np.quantile(np.abs(targets - answers), 0.9)).mean())
    error = np.std(covered) / np.sqrt(DRAWS)
    bins = len(rule.edges) + 1
    assert 0.9 - 2 * error <= np.mean(covered) <= 0.9 + bins / (n + bins) + 2 * error
    assert bins == (1 if n == 25 else 8)
    if n == 25:  # the share of the calibration examples themselves would promise too much
        assert np.mean(plain) < 0.9 - 2 * error


def test_each_bin_keeps_it_and_what_is_left_where_wide_ones_are_withheld():
    rng = np.random.default_rng(1)
    new, truth = drawn(8000, rng)
    asked = IntervalSpec(coverage=0.8, widest=4.0)
    ends, kept, alike = [], [], []
    for _ in range(DRAWS):
        answers, targets = drawn(480, rng)
        rule = fit_interval(asked, answers, targets, drawn(480, rng)[0])
        low, high = rule.bounds(new).T
        within, given = (truth >= low) & (truth <= high), ~rule.withholds(new)
        ends.append([within[new < 0.4].mean(), within[new > 3.6].mean()])
        kept.append(within[given].mean())
        alike.append((np.abs(truth - new) <= np.quantile(np.abs(targets - answers), 0.8))[new > 3.6].mean())
        assert 0 < given.mean() < 0.8 and new[given].mean() < new[~given].mean()
    assert np.mean(ends, axis=0).min() > 0.79 and np.mean(kept) > 0.79
    assert np.mean(alike) < 0.7  # one reach for all leaves the largest out


def grouped(groups, rng):
    """Right numbers of rows in groups, of many rows where all are near to the answer, which is always 0."""
    sizes = rng.integers(1, 12, groups)
    spread = rng.exponential(1, groups) / np.sqrt(sizes)
    return np.repeat(np.arange(groups), sizes), rng.normal(0, 1, sizes.sum()) * np.repeat(spread, sizes)


def test_it_is_kept_for_a_row_of_a_new_group_though_rows_of_a_group_are_alike():
    rng = np.random.default_rng(4)
    asked, kept, by_rows = IntervalSpec(coverage=0.9), [], []
    new, truth = grouped(4000, rng)
    weight = 1 / np.bincount(new)[new] / 4000  # of a random row of a random group
    for _ in range(DRAWS):
        codes, targets = grouped(60, rng)
        zeros = np.zeros(len(codes))
        reaches = [fit_interval(asked, zeros, targets, zeros, groups).reaches[0] for groups in (codes, None)]
        kept.append(weight[np.abs(truth) <= reaches[0]].sum())
        by_rows.append(weight[np.abs(truth) <= reaches[1]].sum())
    error = np.std(kept) / np.sqrt(DRAWS)
    assert 0.9 - 2 * error <= np.mean(kept) <= 0.9 + 1 / 61 + 2 * error
    assert np.mean(by_rows) < 0.88  # where each row counts alike, large groups decide


def test_too_few_promise_nothing_and_say_how_many_it_takes():
    assert [fewest_errors(coverage) for coverage in (0.5, 0.8, 0.9, 0.95, 0.99)] == [1, 4, 9, 19, 99]
    rng = np.random.default_rng(2)
    answers, targets = drawn(18, rng)
    twice = np.repeat(np.arange(18), 2)
    rule = fit_interval(IntervalSpec(coverage=0.95, widest=1.0), answers[twice], targets[twice], answers, twice)
    assert rule.reaches == () and not rule.withholds(answers).any()
    assert rule.why == (
        "a coverage of 95 % cannot be promised from 18 groups, half of valid: it takes at least 19, so at least 38 "
        "groups in valid"
    )
    assert fit_interval(IntervalSpec(coverage=0.95), *drawn(19, rng), answers).reaches
    assert fit_interval(IntervalSpec(coverage=0.5), np.ones(200), np.ones(200), np.ones(200)).reaches[0] == 0


def test_only_what_was_set_aside_decides_and_one_of_each_group_and_nothing_foreign(tmp_path):
    rng = np.random.default_rng(3)
    answers, targets = drawn(400, rng)
    asked = EvaluateSpec.model_validate({"interval": {"coverage": 0.9}, "out_of_scope": {"keep": 0.9}})
    vectors = np.stack([np.ones(400), rng.normal(0, 0.3, 400)], axis=1)
    valid = CalibrationData(targets, answers, None, held(400), None, vectors, vectors[:50])
    fitted = fit_numbers(asked, valid, (), seed=0)
    rule, scope = fitted.given.interval, fitted.given.scope
    flagged = scope.flags(vectors, None)
    assert rule.n == (held(400) & ~flagged).sum() and 0 < flagged.sum() < 80
    otherwise = np.where(held(400) & ~flagged, targets, 1e9)
    assert fit_numbers(asked, replace(valid, targets=otherwise), (), seed=0).given.interval == rule
    groups = np.repeat(np.arange(100), 4).astype(str)
    alone = fit_numbers(EvaluateSpec(interval=asked.interval), replace(valid, groups=groups), (), seed=0)
    assert alone.given.interval.n == 100 and alone.given.scope is None  # two rows of each group were set aside
    write_fitted(RunFolder(tmp_path), fitted, "hash")
    assert read_fitted(RunFolder(tmp_path), "hash") == fitted != FittedDecisions()
    assert is_fitted("number", EvaluateSpec(interval=asked.interval)) and not is_fitted("number", EvaluateSpec())


def test_what_is_measured_of_it():
    rule = fit_interval(IntervalSpec(coverage=0.5, widest=2.5), np.zeros(9), np.arange(9.0) / 4, np.zeros(9))
    assert rule.reaches == (1.0,)
    truth, answers = np.array([0.5, 0.0, 3.0, 9.0]), np.array([0.0, 1.0, 1.0, 0.0])
    found = judge_interval(rule, truth, answers, np.array([False, False, False, True]), None)
    assert found.covered.value == pytest.approx(2 / 3) and found.width.value == 2 and found.answered.value == 0.75
    assert found.said.startswith("0.667 [") and ", promised 0.5; width 2.000 [" in found.said
    nothing = judge_interval(replace(rule, widest=1.0), truth, answers, np.ones(4, bool), None)
    assert nothing.answered.value == 0 and nothing.width.value == 0
    assert Decisions(interval=replace(rule, widest=1.0)).abstains(answers).all()
    assert not Decisions(interval=rule).abstains(answers).any()
