"""Metrics against scikit-learn and against examples worked by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as reference

from kft.errors import UsageError
from kft.metrics.by_class import per_class
from kft.metrics.classification import BRIER, METRICS, check_inputs, confusion_matrix
from kft.metrics.reliability import reliability
from kft.tasks.decode import softmax


def random_answers(seed, n, classes):
    rng = np.random.default_rng(seed)
    targets = rng.integers(0, classes, n)
    logits = rng.normal(0, 1.5, (n, classes)) + 1.5 * np.eye(classes)[targets]
    return targets, softmax(logits)


sizes = st.tuples(st.integers(0, 10_000), st.integers(1, 60), st.integers(2, 9))


@given(sizes)
@settings(max_examples=40, deadline=None)
def test_the_values_are_those_of_scikit_learn(size):
    targets, probabilities = random_answers(*size)
    predictions, classes = probabilities.argmax(axis=1), probabilities.shape[1]
    values = {name: metric.value(targets, probabilities) for name, metric in METRICS.items()}
    assert values["accuracy"] == pytest.approx(reference.accuracy_score(targets, predictions))
    occurring = np.unique(targets)
    f1 = reference.f1_score(targets, predictions, labels=occurring, average="macro", zero_division=0)
    assert values["macro_f1"] == pytest.approx(f1)
    loss = reference.log_loss(targets, probabilities, labels=range(classes))
    assert values["log_loss"] == pytest.approx(loss)


@given(sizes)
@settings(max_examples=20, deadline=None)
def test_the_rows_of_classes_are_those_of_scikit_learn(size):
    targets, probabilities = random_answers(*size)
    predictions, classes = probabilities.argmax(axis=1), probabilities.shape[1]
    expected = reference.precision_recall_fscore_support(targets, predictions, labels=range(classes), zero_division=0)
    rows = per_class(targets, probabilities, [f"c{i}" for i in range(classes)])
    assert [row.label for row in rows] == [f"c{i}" for i in range(classes)]
    np.testing.assert_allclose([(r.precision, r.recall, r.f1, r.n) for r in rows], np.transpose(expected))
    matrix = confusion_matrix(targets, predictions, classes)
    np.testing.assert_array_equal(matrix, reference.confusion_matrix(targets, predictions, labels=range(classes)))


def test_the_order_and_the_directions():
    assert list(METRICS) == ["accuracy", "macro_f1", "log_loss", "ece"]
    assert [metric.higher_is_better for metric in METRICS.values()] == [True, True, False, False]
    assert all(metric.name == name for name, metric in METRICS.items())


def test_macro_f1_is_over_the_classes_in_the_targets():
    targets = np.array([0, 0, 1, 1])
    answers = np.eye(4)[[0, 2, 1, 1]]  # class 2 is only predicted, class 3 is nowhere
    assert METRICS["macro_f1"].value(targets, answers) == pytest.approx((2 / 3 + 1) / 2)


def test_log_loss_of_a_certain_mistake_is_finite():
    value = METRICS["log_loss"].value(np.array([0]), np.array([[0.0, 1.0]]))
    assert value == pytest.approx(-np.log(1e-15))
    assert METRICS["log_loss"].value(np.array([1]), np.array([[0.0, 1.0]])) == 0


def test_ece_by_hand():
    # One bin with confidence .9 and accuracy .5, one with confidence .6 and accuracy 1.
    probabilities = np.array([[0.9, 0.1], [0.9, 0.1], [0.4, 0.6], [0.4, 0.6]])
    value = METRICS["ece"].value(np.array([0, 1, 1, 1]), probabilities)
    assert value == pytest.approx(0.5 * 0.4 + 0.5 * 0.4)


def test_ece_is_small_where_confidence_is_honest():
    rng = np.random.default_rng(0)
    probabilities = softmax(rng.normal(0, 2, (20_000, 4)))
    targets = (probabilities.cumsum(axis=1) > rng.random((20_000, 1))).argmax(axis=1)
    assert METRICS["ece"].value(targets, probabilities) < 0.02
    overconfident = softmax(4 * np.log(probabilities))
    assert METRICS["ece"].value(targets, overconfident) > 0.1


@pytest.mark.parametrize("name", METRICS)
def test_each_example_counts_once(name):
    targets, probabilities = random_answers(0, 12, 3)
    metric = METRICS[name]
    statistics = metric.statistics(targets, probabilities)
    assert len(statistics) == 12
    for row in range(12):
        rest = np.arange(12) != row
        without = metric.combine(statistics.sum(axis=0) - statistics[row])
        assert without == pytest.approx(metric.value(targets[rest], probabilities[rest]))
        twice = metric.combine(statistics.sum(axis=0) + statistics[row])
        rows = [*range(12), row]
        assert twice == pytest.approx(metric.value(targets[rows], probabilities[rows]))


def test_each_wrong_answer_costs_its_share():
    targets = np.arange(10) % 2
    for row in range(10):
        answers = np.eye(2)[np.where(np.arange(10) == row, 1 - targets, targets)]
        assert METRICS["accuracy"].value(targets, answers) == pytest.approx(0.9)


def test_combine_works_on_a_stack_of_sums():
    targets, probabilities = random_answers(1, 30, 4)
    weights = np.random.default_rng(0).integers(0, 3, (5, 30))
    for metric in METRICS.values():
        many = metric.combine(weights @ metric.statistics(targets, probabilities))
        repeated = [metric.value(np.repeat(targets, row), np.repeat(probabilities, row, axis=0)) for row in weights]
        np.testing.assert_allclose(many, repeated)


def test_float32_and_int32_are_accepted():
    targets, probabilities = random_answers(2, 50, 3)
    for metric in METRICS.values():
        same = metric.value(targets.astype(np.int32), probabilities.astype(np.float32))
        assert same == pytest.approx(metric.value(targets, probabilities), abs=1e-5)


def test_rows_without_examples_or_answers_are_zero():
    rows = per_class(np.array([0]), np.array([[0.0, 1.0, 0.0]]), ("a", "b", "c"))
    assert [(row.label, row.n, row.precision, row.recall, row.f1) for row in rows] == [
        ("a", 1, 0, 0, 0),
        ("b", 0, 0, 0, 0),
        ("c", 0, 0, 0, 0),
    ]
    assert rows[0].precision_range == (0, 1) and rows[0].recall_range[1] < 1  # of none, nothing is known


def test_rates_of_a_class_have_intervals_that_groups_widen():
    targets, probabilities = np.repeat([0, 1], 20), np.repeat(np.eye(2), 20, axis=0)
    (alone, _), (grouped, _) = (per_class(targets, probabilities, ["a", "b"], g) for g in (None, np.arange(40) // 5))
    for name in ("precision", "recall", "f1"):
        assert getattr(alone, f"{name}_range") == pytest.approx((0.8389, 1), abs=1e-4)
        assert getattr(grouped, f"{name}_range")[0] < 0.6


HALF = np.full((3, 2), 0.5)


@pytest.mark.parametrize(
    ("targets", "probabilities", "words"),
    [
        ([0, 1], HALF, "shapes (2,) and (3, 2)"),
        ([[0], [1], [0]], HALF, "shapes (3, 1) and (3, 2)"),
        ([0, 1, 0], HALF[:, 0], "shapes (3,) and (3,)"),
        ([], HALF[:0], "shapes (0,) and (0, 2)"),
        ([0, 2, 0], HALF, "where:    row 1\n  received: 2\n  expected: 0 to 1"),
        ([0, 1, -1], HALF, "where:    row 2\n  received: -1"),
        ([0.0, 1.0, 0.0], HALF, "targets of type float64"),
        ([0, 1, 0], HALF * 3, "received: [1.5 1.5]"),
        ([0, 1, 0], HALF + np.array([[0, 0], [-1, 1], [0, 0]]), "where:    row 1\n  received: [-0.5  1.5]"),
        ([0, 1, 0], HALF * [[1], [1], [np.nan]], "where:    row 2\n  received: [nan nan]"),
    ],
)
def test_what_does_not_fit_is_refused(targets, probabilities, words):
    with pytest.raises(UsageError) as error:
        METRICS["accuracy"].value(np.array(targets), probabilities)
    assert words in str(error.value)


def test_logits_are_refused_with_the_way_out():
    with pytest.raises(UsageError) as error:
        check_inputs(np.array([0]), np.array([[3.2, -1.0]]))
    assert "these are not probabilities" in str(error.value)
    assert "kft.tasks.decode.softmax" in str(error.value)


def test_one_label_for_each_class():
    with pytest.raises(UsageError) as error:
        per_class(np.array([0, 1, 0]), HALF, ["only"])
    assert "1 labels, 2 columns of probabilities" in str(error.value)


def test_confusion_refuses_what_does_not_fit():
    with pytest.raises(UsageError, match="targets and predictions do not fit"):
        confusion_matrix(np.array([0, 1]), np.array([0]), 2)
    with pytest.raises(UsageError, match="a prediction is not among the classes"):
        confusion_matrix(np.array([0, 1]), np.array([0, 2]), 2)
    assert confusion_matrix(np.array([], int), np.array([], int), 2).tolist() == [[0, 0], [0, 0]]


def test_brier_by_hand():
    probabilities = np.array([[0.7, 0.3], [0.2, 0.8]])
    # (.3^2 + .3^2 + .8^2 + .8^2) / 2
    assert BRIER.value(np.array([0, 0]), probabilities) == pytest.approx(0.73)
    assert BRIER.value(np.array([0, 1]), np.eye(2)) == 0
    assert BRIER.value(np.array([1, 0]), np.eye(2)) == 2


def test_reliability_bins_are_those_of_ece():
    targets, probabilities = random_answers(3, 500, 4)
    bins = reliability(targets, probabilities)
    ece = sum(row.n * abs(row.confidence - row.accuracy) for row in bins) / 500
    assert ece == pytest.approx(METRICS["ece"].value(targets, probabilities))
    assert sum(row.n for row in bins) == 500
    assert all(row.low <= row.confidence <= row.high for row in bins)
