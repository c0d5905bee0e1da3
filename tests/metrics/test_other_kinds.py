"""Metrics of numbers, sets of labels and spans: against scikit-learn and by hand."""

import numpy as np
import pytest
from sklearn import metrics as theirs

from kft.errors import UsageError
from kft.metrics.intervals import estimate_all, paired_difference
from kft.metrics.multi_label import METRICS as LABELS
from kft.metrics.regression import METRICS as NUMBERS
from kft.metrics.tagging import METRICS as SPANS
from kft.metrics.tagging import WORD_LOSS, Span
from kft.records.estimate import Estimate
from kft.tasks.decode import log_softmax
from kft.tasks.registry import TASKS

rng = np.random.default_rng(0)


def test_numbers_agree_with_scikit_learn():
    targets = rng.normal(1000, 3, 200)
    answers = targets + rng.normal(0, 2, 200)
    ours = {name: metric.value(targets, answers) for name, metric in NUMBERS.items()}
    assert ours["mae"] == pytest.approx(theirs.mean_absolute_error(targets, answers))
    assert ours["rmse"] == pytest.approx(theirs.mean_squared_error(targets, answers) ** 0.5)
    assert ours["r2"] == pytest.approx(theirs.r2_score(targets, answers))
    assert ours["pearson_r"] == pytest.approx(np.corrcoef(targets, answers)[0, 1])


def test_a_constant_answer_has_no_correlation():
    targets = rng.normal(size=50)
    assert NUMBERS["pearson_r"].value(targets, np.full(50, targets.mean())) == 0
    assert NUMBERS["r2"].value(targets, np.full(50, targets.mean())) == pytest.approx(0)


def test_sets_of_labels_agree_with_scikit_learn():
    targets = (rng.random((300, 6)) < [0.5, 0.3, 0.1, 0.05, 0.2, 0.0]).astype(float)
    answers = np.clip(0.6 * targets + rng.random((300, 6)) * 0.6, 0, 1).round(2)  # with ties
    said, there = answers >= 0.5, targets[:, :5]
    ours = {name: metric.value(targets, answers) for name, metric in LABELS.items()}
    assert ours["micro_f1"] == pytest.approx(theirs.f1_score(targets, said, average="micro"))
    # The label that never occurs does not count.
    assert ours["macro_f1"] == pytest.approx(theirs.f1_score(there, said[:, :5], average="macro"))
    assert ours["average_precision"] == pytest.approx(
        theirs.average_precision_score(there, answers[:, :5], average="macro")
    )


def test_a_resample_of_average_precision_is_that_of_the_rows_drawn():
    targets = (rng.random((40, 3)) < 0.4).astype(float)
    answers = rng.random((40, 3))
    drawn = rng.integers(0, 40, 40)
    metric = LABELS["average_precision"]
    weights = np.bincount(drawn, minlength=40)[None].astype(float)
    by_weight = metric.by_group(targets, answers, np.arange(40))(weights)[0]
    assert by_weight == pytest.approx(metric.value(targets[drawn], answers[drawn]))


def spans(*rows):
    found = np.empty(len(rows), object)
    for place, row in enumerate(rows):
        found[place] = tuple(Span(*span) for span in row)
    return found


def test_spans_by_hand():
    truth = spans([(0, 4, "a"), (5, 9, "b")], [], [(0, 2, "a")])
    said = spans([(0, 4, "a"), (5, 8, "b")], [(1, 2, "a")], [(0, 2, "b")])
    values = {name: metric.value(truth, said) for name, metric in SPANS.items()}
    assert values == {
        "entity_precision": pytest.approx(1 / 4),
        "entity_recall": pytest.approx(1 / 3),
        "entity_f1": pytest.approx(2 / 7),
    }


def words(*rows):
    found = np.empty(len(rows), object)
    for place, row in enumerate(rows):
        found[place] = np.array(row)
    return found


def test_the_loss_of_words_by_hand():
    sure, unsure = [np.log([0.8, 0.2])], [np.log([0.5, 0.5])] * 3
    truth = words([0], [0, 1, 1], np.empty(0, int))
    said = words(sure, unsure, np.empty((0, 2)))
    assert WORD_LOSS.value(truth, said) == pytest.approx((-np.log(0.8) - 3 * np.log(0.5)) / 4)
    with pytest.raises(UsageError, match="do not fit"):
        WORD_LOSS.value(truth[:2], words(sure, sure))


def test_the_loss_of_words_tells_models_apart_text_by_text():
    random = np.random.default_rng(0)
    truth = words(*(random.integers(0, 3, 8) for _ in range(60)))
    logits = [random.normal(size=(8, 3)) + np.eye(3)[tags] for tags in truth]
    better = [each + 0.5 * np.eye(3)[tags] for each, tags in zip(logits, truth, strict=True)]
    first, second = (words(*map(log_softmax, each)) for each in (better, logits))
    gain = paired_difference(WORD_LOSS, truth, first, second, groups=np.arange(60) // 2, resamples=200)
    assert gain.low < gain.value < gain.high < 0, "less is better"
    one, other = words(*map(log_softmax, logits)), words(*map(log_softmax, logits[::-1]))
    assert paired_difference(WORD_LOSS, truth[:5], one[:5], other[:5], resamples=200).high > 0


@pytest.mark.parametrize(
    ("metrics", "truth", "answers"),
    [
        (NUMBERS, rng.normal(size=60), rng.normal(size=60)),
        (LABELS, (rng.random((60, 4)) < 0.4).astype(float), rng.random((60, 4))),
        (SPANS, spans(*[[(0, 4, "a")]] * 60), spans(*[[(0, 4, "a")], [(0, 3, "a")]] * 30)),
    ],
)
def test_every_metric_has_an_interval_that_holds_it_and_pairs(metrics, truth, answers):
    groups = np.arange(60) // 3
    found = estimate_all(truth, answers, groups=groups, resamples=200, metrics=metrics)
    assert list(found) == list(metrics)
    for name, estimate in found.items():
        assert estimate.low <= estimate.value <= estimate.high, name
    same = paired_difference(next(iter(metrics.values())), truth, answers, answers, resamples=50)
    assert (same.value, same.low, same.high) == (0, 0, 0)


@pytest.mark.parametrize(
    ("metric", "truth", "answers", "problem"),
    [
        (NUMBERS["mae"], np.zeros(3), np.zeros(2), "do not fit"),
        (NUMBERS["mae"], np.zeros(2), np.array([0, np.nan]), "not finite"),
        (LABELS["micro_f1"], np.zeros((2, 2)), np.full((2, 2), 1.5), "out of range"),
        (LABELS["micro_f1"], np.full((2, 2), 0.5), np.zeros((2, 2)), "out of range"),
        (SPANS["entity_f1"], spans([]), spans([], []), "do not fit"),
    ],
)
def test_what_is_no_answer_is_refused(metric, truth, answers, problem):
    with pytest.raises(UsageError, match=problem):
        metric.value(truth, answers)


def test_average_precision_has_no_end_below_nothing():
    random = np.random.default_rng(0)
    targets = (random.random((60, 25)) < 0.05).astype(int)
    answers = np.full(targets.shape, 0.05)
    found = estimate_all(targets, answers, metrics=LABELS)["average_precision"]
    assert 0 <= found.low <= found.value <= found.high <= 1


@pytest.mark.parametrize("unit", [1e-12, 1e-7, 1.0, 1e9])
def test_the_unit_of_numbers_plays_no_part_in_their_correlation(unit):
    targets = rng.normal(size=50)
    answers = targets + rng.normal(size=50)
    for name, wanted in (
        ("pearson_r", np.corrcoef(targets, answers)[0, 1]),
        ("r2", 1 - ((answers - targets) ** 2).sum() / ((targets - targets.mean()) ** 2).sum()),
    ):
        assert NUMBERS[name].value(targets * unit, answers * unit) == pytest.approx(wanted), name
        assert NUMBERS[name].value(np.full(50, 0.1 * unit), answers) == 0, "of numbers that are all the same"


def test_metrics_that_say_nothing_of_such_targets_are_told():
    numbers, labels, spans = (
        TASKS.get(name).kind.judging.undefined for name in ("text-regression", "text-multi-label", "token-tagging")
    )
    assert numbers(np.array([5.0, 5.0])).startswith("all targets are 5: correlation and R\u00b2 are not defined")
    assert labels(np.zeros((2, 3))).startswith("no row has a label: recall, F1 and average precision are not defined")
    assert spans([(), ()]).startswith("no text has a span: recall, F1")
    assert not any((numbers(np.array([5.0, 6.0])), labels(np.eye(2)), spans([(), ((0, 1, "A"),)])))


def test_errors_of_small_numbers_are_not_shown_as_none():
    assert str(Estimate(1.234e-7, 1e-7, 2e-7)) == "1.23e-07 [1e-07, 2e-07]"
    assert (
        str(Estimate(0.0, 0.0, 0.0)) == "0.000 [0.000, 0.000]"
        and str(Estimate(0.0, 0.0, 0.01)) == "0.000 [0.000, 0.010]"
    )
