"""What is fitted for a blend keeps its word, though it has learned from valid: 200 resamples of a known world."""

import numpy as np
import pytest

from kft.answer.decide import Temperature
from kft.answer.fitted import CalibrationData, fit_answers
from kft.features.views.blend import Folding, fit_blend
from kft.features.views.view import Goal, Lesson, ViewInput
from kft.recipe.evaluation import EvaluateSpec
from kft.tasks.decode import softmax

CLASSES, WIDTH, TRAIN, VALID, TRUTH = 4, 10, 120, 240, 4000
ERROR, CONFIDENCE = 0.1, 0.9


def world(rng, rows):
    """Classes that overlap, so that some answers have to be wrong."""
    targets = rng.integers(0, CLASSES, rows)
    centres = 2.2 * np.eye(CLASSES, WIDTH)
    return ViewInput((centres[targets] + rng.normal(size=(rows, WIDTH))).astype(np.float32)), targets


def one_resample(seed):
    """Returns whether the promise is broken, the gap of confidence and accuracy, and whether anything was promised."""
    rng = np.random.default_rng(seed)
    seen, targets = world(rng, TRAIN + VALID)
    held = np.zeros(VALID, bool)
    held[rng.permutation(VALID)[: VALID // 2]] = True
    known = np.flatnonzero(np.append(np.ones(TRAIN, bool), ~held))
    lesson = Lesson(seen.take(known), targets[known], Goal("softmax", CLASSES))
    found = fit_blend(lesson, Folding(lesson.targets, seed=seed))
    out_of_fold = softmax(found.out_of_fold)
    answers = softmax(found.blend.outputs(seen.take(np.arange(TRAIN, TRAIN + VALID))))
    answers[~held] = out_of_fold[TRAIN:]  # as kft/api/scoring.py does: what it learned from counts out of fold
    valid = CalibrationData(targets[TRAIN:], answers, None, held, None, more=(targets[:TRAIN], out_of_fold[:TRAIN]))
    spec = EvaluateSpec.model_validate({"abstain_at": {"error": ERROR, "confidence": CONFIDENCE}})
    fitted = fit_answers(spec, valid, [str(label) for label in range(CLASSES)], seed)
    assert fitted.given.temperature != Temperature()
    new, right = world(rng, TRUTH)
    given = fitted.given.temperature.apply(softmax(found.blend.outputs(new)))
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


def test_answers_of_rows_that_were_learned_from_would_break_it():
    """Why answers out of fold are needed: the blend is far surer of what it has seen."""
    rng = np.random.default_rng(0)
    seen, targets = world(rng, TRAIN)
    lesson = Lesson(seen, targets, Goal("softmax", CLASSES))
    found = fit_blend(lesson, Folding(targets))
    honest, flattered = (
        lesson.goal.losses(each, targets).mean() for each in (found.out_of_fold, found.blend.outputs(seen))
    )
    new, right = world(rng, TRUTH)
    truth = lesson.goal.losses(found.blend.outputs(new), right).mean()
    assert flattered < 0.85 * truth
    assert abs(honest - truth) < 0.25 * truth
