from dataclasses import replace

import numpy as np
import pytest

from kft.monitor.estimates.accuracy import Ways, estimate_accuracy
from kft.monitor.estimates.scores import OTHER, UNLABELLED, Scores
from kft.records.document import as_document
from tests.monitor.estimates.drawn import draw


def two(sure, right, foreign=None) -> Scores:
    """Returns rows of two classes, all answered with the first."""
    sure, right = np.asarray(sure, float), np.asarray(right)
    foreign = np.linspace(0.1, 0.2, len(sure)) if foreign is None else foreign
    return Scores(np.stack([sure, 1 - sure], axis=1), np.zeros(len(sure), int), np.where(right, 0, 1), foreign)


def test_average_thresholded_confidence_counts_what_is_surer_than_the_threshold():
    """6 of 10 are right: the threshold lies so that 6 of the reference are above it; of the new rows 3 of 4 are."""
    reference = two(np.arange(0.50, 1.0, 0.05), [False] * 4 + [True] * 6)
    new = two([0.64, 0.71, 0.8, 0.9], [True] * 4)
    values = Ways(reference, new, None).values(np.ones(10), np.ones(4))
    assert values["atc"] == 0.75
    assert Ways(reference, reference, None).values(np.ones(10), np.ones(10))["atc"] == pytest.approx(0.6)


def test_expected_correctness_of_the_reference_is_its_accuracy():
    """The fit is held to the model's own confidence a little: with 2,000 rows by less than half a point."""
    reference = draw(2000, 0, overconfident=2.0)
    values = Ways(reference, reference, None).values(np.ones(2000), np.ones(2000))
    assert values["cbpe"] == pytest.approx(reference.right.mean(), abs=0.005)
    assert reference.confidence.mean() - reference.right.mean() > 0.03


@pytest.mark.parametrize("overconfident", [pytest.param(1.0, marks=pytest.mark.slow), 1.3])
@pytest.mark.parametrize("shares", [(0.3, 0.3, 0.4), (0.7, 0.2, 0.1)])
def test_the_interval_covers_the_truth(shares, overconfident):
    held = []
    for seed in range(10):
        reference = draw(400, seed, overconfident=overconfident)
        new = draw(300, 1000 + seed, shares, overconfident=overconfident)
        found = estimate_accuracy(reference, new)
        held.append(found.low <= new.right.mean() <= found.high)
        assert found.high - found.low < 0.25
    assert sum(held) >= 9


def test_harder_rows_of_the_same_kind_are_estimated_lower():
    reference, hard = draw(2000, 1), draw(4000, 2)
    hard = hard.take(np.argsort(hard.confidence)[:1500])
    found = estimate_accuracy(reference, hard)
    assert found.low <= hard.right.mean() <= found.high
    assert found.value < reference.right.mean() - 0.05


def test_rows_unlike_the_reference_widen_the_interval_and_are_named():
    reference, new = draw(1000, 3), draw(1000, 4)
    like = estimate_accuracy(reference, new)
    far = Scores(new.probabilities, new.label, new.truth, np.where(np.arange(1000) < 200, 2.0, new.foreign))
    unlike = estimate_accuracy(reference, far)
    assert unlike.unlike == pytest.approx(0.2, abs=0.05)
    assert unlike.high - unlike.low > like.high - like.low + 0.08
    assert unlike.assumptions[1].startswith(f"the {100 * unlike.unlike:.1f} % that are unlike it")


def test_what_it_says_is_a_document():
    said = as_document(estimate_accuracy(draw(500, 5), draw(300, 6)))
    assert list(said)[:7] == ["metric", "value", "low", "high", "method", "assumptions", "refused"]
    assert [way["name"] for way in said["ways"]] == ["atc", "cbpe", "cbpe_distance", "cbpe_shares"]


def test_the_truth_of_new_rows_is_not_looked_at():
    reference, new = draw(500, 7), draw(300, 8)
    without = replace(new, truth=None)
    assert estimate_accuracy(reference, new) == estimate_accuracy(reference, without)


def test_a_reference_with_a_class_the_model_does_not_know_counts_it_as_wrong():
    reference = draw(1000, 9)
    reference = replace(reference, truth=np.where(np.arange(1000) < 100, OTHER, reference.truth))
    found = estimate_accuracy(reference, draw(500, 10))
    assert found.reference.value == pytest.approx(reference.right.mean())
    assert [way.name for way in found.ways] == ["atc", "cbpe", "cbpe_distance"]


def refusal(reference: Scores, new: Scores) -> str:
    found = estimate_accuracy(reference, new)
    assert (found.value, found.low, found.high) == (None, None, None)
    assert found.line == f"accuracy not estimated: {'; '.join(found.refused)}"
    return found.line.removeprefix("accuracy not estimated: ")


def test_too_few_rows_are_refused():
    assert refusal(draw(99, 0), draw(49, 1)) == (
        "the reference has 99 rows with a known truth, 100 are needed; there are 49 new rows, 50 are needed"
    )
    assert "1 new rows, 50 are needed" in refusal(draw(200, 0), draw(1, 1))
    unknown = replace(draw(200, 0), truth=np.full(200, UNLABELLED))
    assert refusal(unknown, draw(100, 1)) == "the reference has no row with a known truth"


def test_damaged_numbers_are_refused():
    new = draw(100, 1)
    broken = np.array(new.probabilities)
    broken[3, 1] = np.nan
    said = "1 of 100 new rows have probabilities that are no numbers or do not sum to 1"
    assert refusal(draw(200, 0), replace(new, probabilities=broken)) == said
    assert "do not sum to 1" in refusal(draw(200, 0), replace(new, probabilities=np.array(new.probabilities) * 2))
    assert "1 of 100 new rows have a distance that is no number" in refusal(
        draw(200, 0), replace(new, foreign=np.where(np.arange(100) == 5, np.inf, new.foreign))
    )
    narrower = Scores(np.full((100, 2), 0.5), np.zeros(100, int), None, new.foreign)
    assert refusal(draw(200, 0), narrower) == "the new rows have 2 probabilities each, the reference has 3"


def test_a_reference_without_errors_teaches_nothing_of_errors():
    sure = np.full(300, 0.9)
    assert refusal(two(sure, sure > 0), two(sure, sure > 0)) == (
        "the reference has 0 wrong answers, 10 are needed to learn when answers are right"
    )
    one_class = Scores(np.ones((300, 1)), np.zeros(300, int), np.zeros(300, int), np.ones(300))
    assert "0 wrong answers" in refusal(one_class, one_class)


def test_confidence_that_says_nothing_is_refused():
    rng = np.random.default_rng(0)
    reference = two(rng.uniform(0.5, 1, 1000), rng.random(1000) < 0.75)
    assert refusal(reference, reference) == (
        "on the reference, wrong answers are not clearly less sure than right ones: confidence says nothing"
    )


def test_calibration_that_cannot_be_mended_is_refused():
    """The surest answers are the wrong ones: no line through the confidence says so."""
    rng = np.random.default_rng(1)
    sure = rng.uniform(0.5, 1, 2000)
    chance = np.where(sure < 0.75, 0.4, np.where(sure < 0.9, 1.0, 0.6))
    said = refusal(two(sure, rng.random(2000) < chance), two(sure, sure > 0))
    assert said.startswith("calibration does not hold on the reference: confidence, fitted anew, differs")
    far_too_sure = draw(600, 1, overconfident=4.0)
    assert refusal(far_too_sure, draw(300, 2, overconfident=4.0)).startswith("calibration does not hold")


def test_new_rows_that_the_reference_does_not_cover_are_refused():
    reference, new = draw(500, 2), draw(300, 3)
    far = replace(new, foreign=np.where(np.arange(300) < 200, 3.0, new.foreign))
    said = refusal(reference, far)
    assert said.endswith(
        "farther from the training rows than the reference is: it does not cover them (up to 50 % is taken)"
    )
    assert "nobody can tell whether the reference covers them" in refusal(reference, replace(new, foreign=None))
