"""What differs between kinds of answer: labels in, targets, losses, answers and tables out."""

import numpy as np
import pytest
import tensorflow as tf

from kft.metrics.tagging import Span
from kft.recipe.schema import DataSpec
from kft.tasks.labels import LABELS
from kft.tasks.numbers import NUMBERS, NumberPrediction
from kft.tasks.registry import TASKS
from kft.tasks.spans import IGNORED, OUTSIDE, SPANS
from kft.tasks.task import AnswerSpace, LabelColumn
from kft.tasks.words import mark_words

SPEC = DataSpec(train="a.csv")


def test_a_metric_says_itself_which_way_is_better():
    judging = TASKS.get("text-regression").kind.judging
    assert judging.main.name == "mae"
    assert [judging.sign(monitor) for monitor in judging.monitors] == [-1, -1, -1, 1, 1]  # the loss, mae, rmse, r, r2


def loss_on_the_device(kind, space, targets, outputs):
    objective = kind.learning.objective(space, 0.0)
    assert tf.constant(targets).dtype == objective.target_dtype
    return float(tf.reduce_mean(objective.losses(tf.constant(targets), tf.constant(outputs))))


@pytest.mark.parametrize("name", ["text-classification", "text-multi-label", "text-regression"])
def test_the_loss_of_the_log_is_the_loss_that_is_minimised(name):
    kind, rng = TASKS.get(name).kind, np.random.default_rng(0)
    labels = {
        "class": ["a", "b", "c", "a"],
        "set": [("a",), (), ("a", "b"), ("c",)],
        "number": [1.0, 2.5, -3.0, 4.0],
    }[kind.labels.form]
    space = kind.labels.space(labels)
    outputs = rng.normal(size=(4, kind.learning.units(space))).astype(np.float32)
    targets = kind.learning.targets(labels, space, None)
    assert loss_on_the_device(kind, space, targets, outputs) == pytest.approx(
        kind.learning.loss(targets, outputs, space), rel=1e-5
    )


def test_numbers_come_back_in_their_own_units():
    labels = [10.0, 20.0, 60.0]
    space = NUMBERS.labels.space(labels)
    assert (space.mean, space.std) == (30.0, pytest.approx(np.std(labels)))
    np.testing.assert_allclose(
        NUMBERS.judging.answers(NUMBERS.learning.targets(labels, space, None), space, None), labels, rtol=1e-6
    )
    assert NUMBERS.learning.loss(
        NUMBERS.learning.targets(labels, space, None), np.zeros((3, 1)), space
    ) == pytest.approx(1)
    objective = NUMBERS.learning.objective(space, 0.0)
    off = objective.hits(tf.constant([[0.0]]), tf.constant([[1.0]]))
    assert float(off[0]) == pytest.approx(space.std)  # the training log says mae in the labels' units
    assert NUMBERS.judging.prediction(7.5, space, "") == NumberPrediction(7.5, abstain=False)
    assert NUMBERS.labels.lack(NUMBERS.labels.space([2.0, 2.0])) and not NUMBERS.labels.lack(space)


@pytest.mark.parametrize(
    ("cell", "found"), [("1.5", 1.5), (2, 2.0), ("1_000", "not a finite"), ("nan", "not a finite"), ("", "missing")]
)
def test_numbers_in_cells(cell, found):
    value, problem = NUMBERS.labels.parse(cell, "text", SPEC)
    assert (value == found and not problem) if isinstance(found, float) else found in problem


@pytest.mark.parametrize(
    ("cells", "found"),
    [
        (["billing; refund", "refund", ""], [("billing", "refund"), ("refund",), ()]),
        (["billing, Ltd; refund", "a"], [("billing, Ltd", "refund"), ("a",)]),
        (['["a, b", "c"]', "d,e"], [("a, b", "c"), ("d", "e")]),
        ([["x", "y"], []], [("x", "y"), ()]),
        ([None, float("nan")], [(), ()]),
    ],
)
def test_one_separator_parts_the_labels_of_all_cells(cells, found):
    settled = LABELS.labels.settle(LabelColumn(cells, [""] * len(cells), "a.csv"), SPEC)
    assert [LABELS.labels.parse(cell, "text", settled) for cell in cells] == [(labels, "") for labels in found]


def test_sets_of_labels():
    labels = [("b",), (), ("a", "b")]
    space = LABELS.labels.space(labels)
    assert space.labels == ("a", "b")
    assert LABELS.learning.targets(labels, space, None).tolist() == [[0, 1], [0, 0], [1, 1]]
    answer = LABELS.judging.prediction(np.array([0.9, 0.4]), space, "")
    assert answer.labels == ["a"] and answer.confidence == pytest.approx(0.9 * 0.6)
    assert LABELS.judging.row(np.array([0, 1]), np.array([0.9, 0.4]), space) == ('["b"]', '["a"]', "0.540000")
    assert LABELS.labels.strata(labels).tolist() == ["b", "", "a"]  # the rarest label of each
    assert LABELS.judging.shares(labels, space) == [pytest.approx(1 / 3), pytest.approx(2 / 3)]
    (row, _) = LABELS.judging.by_label(np.array([[1, 0], [1, 1]]), np.array([[0.9, 0.1], [0.2, 0.8]]), space, None)
    assert (row.n, row.precision, row.recall) == (2, 1.0, 0.5)


TEXT = "Anna Lindqvist lives in Göteborg."
OFFSETS = np.array([[0, 0], [0, 4], [5, 9], [9, 14], [15, 20], [21, 23], [24, 28], [28, 32], [32, 33], [0, 0]])
MARKED = mark_words(OFFSETS, TEXT)
NAMED = (Span(0, 14, "person"), Span(24, 32, "place"))
SPACE = AnswerSpace(("person", "place"))


@pytest.mark.parametrize(
    ("text", "cell"),
    [
        (TEXT, [{"start": 24, "end": 32, "label": "place"}, {"start": 0, "end": 14, "label": "person"}]),
        (TEXT, '[{"start": "0", "end": "14", "label": "person"}, {"start": 24, "end": 32, "label": "place"}]'),
        ("Anna Lindqvist lives in Göteborg", "B-person I-person O O B-place"),
        (["Anna", "Lindqvist", "lives", "in", "Göteborg"], ["B-person", "I-person", "O", "O", "I-place"]),
        (["Anna", "Lindqvist", "lives", "in", "Göteborg"], '["person", "person", "O", "O", "place"]'),
    ],
)
def test_spans_as_objects_and_as_tags_of_words(text, cell):
    assert SPANS.labels.parse(cell, text, SPEC) == (NAMED, "")


@pytest.mark.parametrize(
    ("cell", "problem"),
    [
        ([{"start": 0, "end": 99, "label": "person"}], "beyond the text"),
        ([{"start": 0, "end": 4, "label": "x"}, {"start": 2, "end": 6, "label": "y"}], "overlaps the one before"),
        ([{"start": 0, "label": "x"}], "a span lacks 'end'"),
        ("B-person O", "2 tags for 5 words"),
        ("[{", "not JSON"),
        (7.5, "not a list of spans or tags"),
    ],
)
def test_spans_that_do_not_fit_the_text(cell, problem):
    assert problem in SPANS.labels.parse(cell, TEXT, SPEC)[1]


def test_a_word_is_tagged_once_at_its_first_token():
    (tags,) = SPANS.learning.targets([NAMED], SPACE, [MARKED])
    begin_person, begin_place = 2, 4
    assert tags.tolist() == [
        IGNORED, begin_person, begin_person + 1, IGNORED, OUTSIDE, OUTSIDE, begin_place, IGNORED, OUTSIDE, IGNORED
    ]  # fmt: skip


def logits_for(tags, units=5, sure=4.0):
    return sure * np.eye(units, dtype=np.float32)[np.maximum(tags - 1, 0)]


def test_tags_become_the_spans_that_they_came_from():
    (tags,) = SPANS.learning.targets([NAMED], SPACE, [MARKED])
    (said,) = SPANS.judging.answers([logits_for(tags)], SPACE, [MARKED])
    assert [span[:3] for span in said] == [tuple(span) for span in NAMED]
    assert all(0.9 < span[3] < 1 for span in said)
    answer = SPANS.judging.prediction(said, SPACE, TEXT)
    assert [span.text for span in answer.spans] == ["Anna Lindqvist", "Göteborg"]
    assert answer.spans[0].start == 0


def test_two_spans_of_one_kind_side_by_side_stay_two():
    spans = (Span(0, 4, "person"), Span(5, 14, "person"))
    (tags,) = SPANS.learning.targets([spans], SPACE, [MARKED])
    (said,) = SPANS.judging.answers([logits_for(tags)], SPACE, [MARKED])
    assert [span[:3] for span in said] == [tuple(span) for span in spans]


def test_a_text_counts_once_however_many_words_it_has():
    rng = np.random.default_rng(0)
    targets = np.array([[0, 1, 2, 3, 0], [0, 1, 0, 0, 0]], np.int32)
    outputs = rng.normal(size=(2, 5, 5)).astype(np.float32)
    alone = [SPANS.learning.loss([targets[row]], [outputs[row]], SPACE) for row in (0, 1)]
    assert SPANS.learning.loss(list(targets), list(outputs), SPACE) == pytest.approx(np.mean(alone))
    assert loss_on_the_device(SPANS, SPACE, targets, outputs) == pytest.approx(np.mean(alone), rel=1e-5)


def test_spans_are_right_in_start_end_and_label_or_not_at_all():
    truth = SPANS.judging.truth([NAMED], SPACE)
    said = np.empty(1, object)
    said[0] = ((0, 14, "person", 0.9), (24, 33, "place", 0.9))
    assert SPANS.judging.metrics["entity_f1"].value(truth, said) == pytest.approx(0.5)
    rows = {row.label: row for row in SPANS.judging.by_label(truth, said, SPACE, None)}
    assert rows["person"].f1 == 1 and rows["place"].f1 == 0 and rows["place"].n == 1
