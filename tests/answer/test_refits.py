"""What is fitted for a model that was trained again on train and valid keeps its word: resamples of a known world."""

import numpy as np
import pytest

from kft.answer.decide import Temperature
from kft.answer.fitted import CalibrationData, fit_answers
from kft.features.probe import ProbeRows, solve_at, solve_probe
from kft.recipe.evaluation import EvaluateSpec
from kft.tasks.decode import softmax

CLASSES, WIDTH, TRAIN, VALID, TRUTH = 4, 10, 400, 240, 4000
ERROR, CONFIDENCE = 0.1, 0.9


def world(rng, rows):
    """Classes that overlap, so that some answers have to be wrong."""
    targets = rng.integers(0, CLASSES, rows)
    centres = 2.2 * np.eye(CLASSES, WIDTH)
    return (centres[targets] + rng.normal(size=(rows, WIDTH))).astype(np.float32), targets


def one_resample(seed):
    """Returns whether the promise is broken, the gap of confidence and accuracy, and whether anything was promised."""
    rng = np.random.default_rng(seed)
    vectors, targets = world(rng, TRAIN + VALID)
    held = np.zeros(VALID, bool)
    held[rng.permutation(VALID)[: VALID // 2]] = True
    train, chosen = np.arange(TRAIN), TRAIN + np.flatnonzero(~held)
    first = solve_probe(ProbeRows(vectors[train], targets[train]), ProbeRows(vectors[chosen], targets[chosen]), CLASSES)
    both = np.append(train, chosen)
    kernel, bias = solve_at(ProbeRows(vectors[both], targets[both]), CLASSES, first.strength)
    valid = vectors[TRAIN:]
    answers = softmax(valid @ kernel + bias)
    before = softmax(valid @ first.kernel + first.bias)
    answers[~held] = before[~held]  # as kft/api/scoring.py does: of what it learned from, what was said before counts
    spec = EvaluateSpec.model_validate({"abstain_at": {"error": ERROR, "confidence": CONFIDENCE}})
    judged = CalibrationData(targets[TRAIN:], answers, None, held, None)
    fitted = fit_answers(spec, judged, [str(label) for label in range(CLASSES)], seed)
    assert fitted.given.temperature != Temperature()
    new, right = world(rng, TRUTH)
    given = fitted.given.temperature.apply(softmax(new @ kernel + bias))
    wrong, sure = given.argmax(axis=1) != right, given.max(axis=1)
    rule = fitted.given.rule
    if rule is None or rule.threshold is None:
        return False, sure.mean() - (~wrong).mean(), False
    answered = ~fitted.given.abstains(given)
    return wrong[answered].mean() > ERROR, sure.mean() - (~wrong).mean(), True


@pytest.mark.slow
def test_the_promise_is_broken_no_more_often_than_it_says_and_confidence_is_honest():
    broken, gaps, promised = zip(*(one_resample(seed) for seed in range(200)), strict=True)
    assert np.mean(promised) > 0.5
    # 200 draws of a promise that is broken in 10 % of all cases exceed 15 % about once in a hundred.
    assert np.mean(broken) <= 0.15
    assert abs(np.mean(gaps)) < 0.02  # how sure it is, against how often it is right


def test_a_strength_that_was_chosen_gives_the_same_head_again():
    vectors, targets = world(np.random.default_rng(0), 200)
    rows = ProbeRows(vectors, targets)
    found = solve_probe(rows, ProbeRows(*world(np.random.default_rng(1), 100)), CLASSES)
    kernel, bias = solve_at(rows, CLASSES, found.strength)
    np.testing.assert_allclose(vectors @ kernel + bias, vectors @ found.kernel + found.bias, atol=0.02)
