"""What is fitted on valid, all together: the promise holds among what is not flagged; files say what was fitted."""

import numpy as np
import pytest

from kft.answer.decide import Decisions
from kft.answer.fitted import CalibrationData, FittedDecisions, fit_answers, read_fitted, write_fitted
from kft.recipe.evaluation import EvaluateSpec
from kft.records.rules import CostRule, PrecisionRule, Promise
from kft.records.run_folder import RunFolder

ASKED = EvaluateSpec.model_validate({"calibrate": "none", "abstain_at": {"error": 0.05}, "out_of_scope": {"keep": 0.9}})


def drawn(n, rng):
    """Vectors around one direction, and answers that are .02 less often right than they say."""
    vectors = np.stack([np.ones(n), rng.normal(0, 0.3, n)], axis=1)
    confidence = rng.beta(6, 0.5, n) / 2 + 0.5
    right = rng.random(n) < confidence - 0.02
    return right.astype(int), np.stack([1 - confidence, confidence], axis=1), vectors


def fit(n, rng, known):
    targets, answers, vectors = drawn(n, rng)
    valid = CalibrationData(targets, answers, None, np.arange(n) % 2 == 0, None, vectors, known)
    return fit_answers(ASKED, valid, ("no", "yes"), seed=0).given


def test_the_promise_holds_among_what_does_not_look_foreign():
    rng = np.random.default_rng(0)
    known = drawn(50, rng)[2]
    targets, answers, vectors = drawn(8000, rng)
    broken = promised = 0
    for _ in range(100):
        fitted = fit(1200, rng, known)
        withheld = fitted.abstains(answers, vectors)
        if fitted.rule.threshold is not None:
            promised += 1
            assert (~withheld).mean() < 0.95
            broken += (targets[~withheld] == 0).mean() > 0.05
    assert promised >= 40 and broken <= 5  # answering all that is not flagged would break it: 5.02 %


def test_what_is_foreign_is_withheld_however_sure_the_answer():
    fitted = fit(1200, np.random.default_rng(1), drawn(200, np.random.default_rng(2))[2])
    sure, far = np.array([[0.0, 1.0]]), np.array([[-1.0, 0.0]])
    assert fitted.abstains(sure, far).all() and fitted.foreign(sure, far).all()
    assert not fitted.abstains(sure, np.array([[1.0, 0.0]])).any()
    assert not fitted.abstains(sure).any()  # without vectors nothing can be told


@pytest.mark.parametrize(
    "rule",
    [
        None,
        CostRule(10, 1),
        PrecisionRule(0.9, "yes", 1, 0.8, 10, 8, 8),
        PrecisionRule(0.9, "yes", 1, None, 10, 0, 0),
        Promise(0.05, 0.95, 0.7, 100, 80, 1),
    ],
)
def test_files_bring_back_what_was_fitted(tmp_path, rule):
    scope = fit(1200, np.random.default_rng(3), drawn(50, np.random.default_rng(4))[2]).scope
    written = FittedDecisions(Decisions(rule=rule, scope=scope))
    write_fitted(RunFolder(tmp_path), written, "hash")
    found = read_fitted(RunFolder(tmp_path), "hash")
    assert found == written
    np.testing.assert_array_equal(found.given.scope.known, scope.known)


def test_files_of_a_run_without_either_are_read_as_before(tmp_path):
    write_fitted(RunFolder(tmp_path), FittedDecisions(), "hash")
    assert read_fitted(RunFolder(tmp_path), "hash") == FittedDecisions() and not RunFolder(tmp_path).scope.exists()


def test_what_was_fitted_for_another_checkpoint_is_not_taken(tmp_path):
    write_fitted(RunFolder(tmp_path), FittedDecisions(), "hash")
    assert read_fitted(RunFolder(tmp_path), "another") is None
