import numpy as np
import pytest

from kft.monitor.estimates.labelled import Numbers, estimate_mean_error, estimate_with_labels, not_estimated
from kft.monitor.estimates.powered import powered_mean
from kft.monitor.estimates.scores import UNLABELLED, Scores
from tests.monitor.estimates.drawn import draw


def labelled(scores: Scores, drawn: np.ndarray) -> Scores:
    return Scores(scores.probabilities, scores.label, np.where(drawn, scores.truth, UNLABELLED), scores.foreign)


def uniform(n: int, labels: int, rng: np.random.Generator) -> np.ndarray:
    return np.isin(np.arange(n), rng.permutation(n)[:labels])


def test_with_a_useless_expectation_labels_stand_alone():
    outcome = np.where(np.arange(1000) < 100, np.arange(1000) % 4 != 0, np.nan)
    found = powered_mean(outcome, np.full(1000, 0.9), np.full(1000, 0.1))
    assert found.weight == 0
    assert found.estimate.value == found.alone.value == pytest.approx(0.75)
    assert found.estimate == found.alone


def test_where_every_row_is_labelled_it_is_the_plain_mean_with_about_wilsons_interval():
    outcome = (np.arange(400) % 5 != 0).astype(float)
    found = powered_mean(outcome, outcome * 0.5 + 0.2, np.ones(400))
    assert found.estimate.value == pytest.approx(0.8)
    assert (found.estimate.low, found.estimate.high) == pytest.approx((0.758, 0.836), abs=0.002)
    assert found.more is None  # nothing is left to label


def test_a_perfect_expectation_leaves_what_comes_of_the_rows_themselves():
    rng = np.random.default_rng(0)
    right = (rng.random(2000) < 0.8).astype(float)
    outcome = np.where(uniform(2000, 100, rng), right, np.nan)
    found = powered_mean(outcome, right, np.full(2000, 0.05))
    assert found.estimate.value == pytest.approx(right.mean())
    assert found.estimate.high - found.estimate.low < 0.4 * (found.alone.high - found.alone.low)


def test_all_right_is_no_proof_of_always():
    outcome = np.where(np.arange(500) < 30, 1.0, np.nan)
    found = powered_mean(outcome, np.full(500, 0.99), np.full(500, 30 / 500))
    assert found.estimate.value == pytest.approx(1)
    assert found.estimate.low < 0.9


def test_unequal_chances_leave_no_bias():
    """Unsure rows are drawn more often: the plain mean of what is labelled is far too low, the weighted one is not."""
    rng = np.random.default_rng(1)
    plain, weighted = [], []
    reference = draw(1000, 1)
    for turn in range(60):
        seen = draw(800, 100 + turn)
        doubt = 1 - seen.confidence
        chance = np.minimum(1, 0.05 + 80 * doubt / doubt.sum())
        new = labelled(seen, rng.random(800) < chance)
        plain.append(np.nanmean(new.right) - seen.right.mean())
        weighted.append(estimate_with_labels(reference, new, chance).value - seen.right.mean())
    assert np.mean(plain) < -0.08
    assert abs(np.mean(weighted)) < 3 * np.std(weighted) / 60**0.5


@pytest.mark.parametrize("overconfident", [1.0, 3.0])
def test_fifty_labels_cover_the_truth_and_are_worth_more_than_alone(overconfident):
    """Also where the confidence is far off: expectation is only help, never trusted."""
    rng = np.random.default_rng(2)
    pool, reference = draw(40_000, 3, overconfident=overconfident), draw(800, 4, overconfident=overconfident)
    truth, held, widths = pool.right.mean(), 0, []
    for _ in range(200):
        seen = pool.take(rng.integers(0, len(pool), 500))
        found = estimate_with_labels(reference, labelled(seen, uniform(500, 50, rng)))
        held += found.low <= truth <= found.high
        widths.append((found.high - found.low) / (found.labels_alone.high - found.labels_alone.low))
    assert held >= 0.93 * 200
    assert np.mean(widths) < 0.95


def test_the_labels_it_asks_for_do_halve_the_interval():
    rng = np.random.default_rng(3)
    seen, reference = draw(20_000, 5), draw(1000, 6)
    first = estimate_with_labels(reference, labelled(seen, uniform(20_000, 100, rng)))
    more = estimate_with_labels(reference, labelled(seen, uniform(20_000, 100 + first.more_labels, rng)))
    assert (more.high - more.low) / (first.high - first.low) == pytest.approx(0.5, abs=0.08)


def test_it_asks_for_no_labels_where_the_rows_themselves_are_too_few():
    rng = np.random.default_rng(4)
    seen = draw(100, 7)
    found = estimate_with_labels(draw(1000, 8), labelled(seen, uniform(100, 80, rng)))
    assert found.more_labels is None


def test_a_mean_absolute_error_is_covered():
    rng = np.random.default_rng(5)

    def numbers(n):
        value = rng.normal(0, 1, n)
        return Numbers(value, value + rng.normal(0, 0.3 + 0.6 * np.abs(value)))

    reference, pool = numbers(1000), numbers(40_000)
    held, narrower = 0, []
    for _ in range(200):
        places = rng.integers(0, 40_000, 600)
        truth = np.where(uniform(600, 50, rng), pool.truth[places], np.nan)
        found = estimate_mean_error(reference, Numbers(pool.value[places], truth))
        held += found.low <= pool.error.mean() <= found.high
        narrower.append((found.high - found.low) / (found.labels_alone.high - found.labels_alone.low))
    assert held >= 0.9 * 200
    assert np.mean(narrower) < 0.97


def test_what_is_refused_says_why():
    rng = np.random.default_rng(6)
    seen, reference = draw(200, 9), draw(200, 10)
    few = estimate_with_labels(reference, labelled(seen, uniform(200, 4, rng)))
    assert few.refused == ("4 new rows have a label, 10 are needed",)
    assert few.line == "accuracy not estimated: 4 new rows have a label, 10 are needed"
    some = labelled(seen, np.arange(200) < 20)
    none = estimate_with_labels(reference, some, np.where(np.arange(200) < 3, 0.0, 0.1))
    assert none.refused == (
        "3 rows with a label have an inclusion probability that is not above 0 and at most 1, such as 0: what could "
        "not be drawn stands for nothing",
    )
    short = estimate_with_labels(reference, some, np.full(7, 0.1))
    assert short.refused == ("there are 7 inclusion probabilities for 200 new rows",)
    blind = estimate_mean_error(Numbers(np.ones(9), np.ones(9)), Numbers(np.ones(9)))
    assert blind.refused == (
        "a predicted number says nothing of how sure it is: without labels its error cannot be estimated",
    )
    assert "token-tagging" in not_estimated("token-tagging").line
