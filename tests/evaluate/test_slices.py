"""Slices: a planted weak one is named and a fair one is not, singly and by group; many looks are corrected."""

import numpy as np
import pytest

from kft.evaluate.slices import badness, cut, holm, judge_slices, weakness, worst_of
from kft.metrics.tagging import Span
from kft.records.document import as_document
from kft.tasks.registry import TASKS

CLASSES, LABELS, NUMBERS, SPANS = (
    TASKS.get(name).kind.judging.slice_metrics
    for name in ("text-classification", "text-multi-label", "text-regression", "token-tagging")
)


def judged(weak_share=0.2, n=900, groups=None, seed=0, smallest=20, regions=("north", "south", "east")):
    """A model that is wrong in .1 of all cases, and in the region `north` in a share of its own."""
    rng = np.random.default_rng(seed)
    region = rng.choice(regions, n) if groups is None else np.array(regions)[groups % len(regions)]
    chance = np.where(region == "north", weak_share, 0.1)
    wrong = rng.random(n) < chance if groups is None else (rng.random(groups.max() + 1) < 0.1)[groups]
    confidence = rng.uniform(0.5, 1, n)
    answers = np.stack([confidence, 1 - confidence], axis=1)
    texts = [" ".join(["word"] * length) for length in rng.integers(1, 30, n)]
    cuts = cut({"region": region}, texts, confidence)
    return judge_slices(CLASSES, wrong.astype(np.int64), answers, cuts, smallest=smallest, groups=groups)


def of_labels(rng, chance):
    """Four labels, each there in a third of the rows; an answer is the other one with a chance of the row's own."""
    truth = (rng.random((len(chance), 4)) < 1 / 3).astype(np.float32)
    return truth, np.abs(truth - (rng.random(truth.shape) < chance[:, None])) * 0.8 + 0.1


def of_numbers(rng, chance):
    """Errors with a long tail, as large as the chance."""
    truth = rng.normal(0, 1, len(chance))
    return truth, truth + rng.laplace(0, chance)


def of_spans(rng, chance):
    """Up to five spans a text, each missed with the chance."""
    truth, said = [], []
    for each in chance:
        spans = [Span(3 * place, 3 * place + 2, "name") for place in range(rng.integers(0, 6))]
        truth.append(tuple(spans))
        said.append(tuple((*span, 0.9) for span in spans if rng.random() > each))
    return truth, said


OTHERS = {"labels": (LABELS, of_labels), "numbers": (NUMBERS, of_numbers), "spans": (SPANS, of_spans)}


def judged_of(form, weak, n=600, seed=0, groups=None):
    """As ``judged``, of another form of answers; rows of one group share region and chance."""
    metrics, make = OTHERS[form]
    rng = np.random.default_rng(seed)
    region = rng.choice(("north", "south", "east"), n)
    chance = np.where(region == "north", weak, 0.1)
    if groups is not None:
        region = np.array(("north", "south", "east"))[groups % 3]
        chance = rng.choice((0.02, 0.5), groups.max() + 1)[groups]
    truth, answers = make(rng, chance)
    texts = [" ".join(["word"] * length) for length in rng.integers(1, 30, n)]
    return judge_slices(metrics, truth, answers, cut({"region": region}, texts, None), smallest=20, groups=groups)


@pytest.mark.parametrize("form", OTHERS)
def test_a_weak_slice_is_named_by_the_metric_of_the_task(form):
    slices = judged_of(form, 0.3)
    assert [(part.by, part.value) for part in slices if part.weak] == [("region", "north")]
    assert {part.by for part in slices} == {"region", "length"}
    metric = next(iter(OTHERS[form][0].values()))
    by_region = {part.value: part.metrics[metric.name] for part in slices if part.by == "region"}
    assert by_region["north"].low < by_region["north"].value < by_region["north"].high
    worst = worst_of(slices, metric, by_region["south"].value)
    assert worst == by_region["north"].value


@pytest.mark.parametrize("form", OTHERS)
def test_slices_of_every_form_that_are_alike_are_seldom_named(form):
    named = sum(any(part.weak for part in judged_of(form, 0.1, n=150, seed=seed)) for seed in range(20))
    assert named <= 3


def test_a_slice_of_many_labels_is_not_weak_for_having_more_to_find():
    """Rows of the one half have one span, of the other ten; all are found with the same chance."""
    rng = np.random.default_rng(0)
    many = np.arange(400) % 2 == 0
    truth = [tuple(Span(3 * place, 3 * place + 2, "a") for place in range(10 if wide else 1)) for wide in many]
    said = [tuple((*span, 0.9) for span in spans if rng.random() > 0.3) for spans in truth]
    bad = badness(SPANS["entity_f1"], truth, said)
    assert weakness(bad, many) > 0.05 and weakness(bad, ~many) > 0.05


@pytest.mark.slow
def test_influences_that_come_in_groups_are_not_taken_for_a_weak_slice():
    groups = np.repeat(np.arange(40), 15)
    found = [judged_of("numbers", 0.1, groups=groups, seed=seed) for seed in range(20)]
    assert sum(any(part.weak for part in slices if part.by == "region") for slices in found) <= 3


def test_the_badness_of_a_row_adds_up_to_nothing_and_of_right_or_wrong_is_counted():
    truth, said = of_labels(np.random.default_rng(1), np.full(50, 0.2))
    bad = badness(LABELS["micro_f1"], truth, said)
    assert bad.sum() == pytest.approx(0, abs=1e-9) and bad[((said > 0.5) != truth).any(axis=1)].mean() > 0
    wrong = badness(CLASSES["accuracy"], np.array([0, 1]), np.array([[0.9, 0.1], [0.8, 0.2]]))
    assert wrong.tolist() == [False, True]


def test_a_planted_weak_slice_is_named():
    weak = [part for part in judged(0.3) if part.weak]
    assert [(part.by, part.value) for part in weak] == [("region", "north")]
    assert weak[0].metrics["accuracy"].high < 0.8
    assert as_document(weak[0])["weak"] is True


def test_slices_that_are_alike_are_seldom_named():
    named = sum(any(part.weak for part in judged(0.1, n=300, seed=seed)) for seed in range(40))
    assert named <= 5


def test_errors_that_come_in_groups_are_not_taken_for_a_weak_slice():
    """60 groups of 15 that are right or wrong together: by single rows chance would look impossible."""
    groups = np.repeat(np.arange(60), 15)
    by_group = sum(any(p.weak for p in judged(groups=groups, seed=seed) if p.by == "region") for seed in range(40))
    assert by_group <= 5
    wrong = (np.arange(60) % 3 == 0)[groups] & (groups < 15)
    rows = groups % 3 == 0
    assert weakness(wrong, rows) < 1e-10 < weakness(wrong, rows, groups)


def test_terciles_of_length_and_confidence_are_cut_and_confidence_is_not_judged():
    slices = judged(0.1)
    by = [part.by for part in slices]
    assert by == ["region"] * 3 + ["length"] * 3 + ["confidence"] * 3
    lengths = [part for part in slices if part.by == "length"]
    assert lengths[0].value.startswith("up to ") and lengths[2].value.startswith("from ")
    assert lengths[0].value.endswith(" words")
    assert sum(part.n for part in lengths) == 900
    assert all(part.p_value is None and not part.weak for part in slices if part.by == "confidence")


def test_small_slices_are_left_out_and_what_all_share_is_no_slice():
    slices = judged(0.1, n=60, smallest=25)
    assert all(part.n >= 25 for part in slices)
    same = list(cut({"region": np.array(["north"] * 40)}, ["two words"] * 40, np.full(40, 0.9)))
    assert [(part.by, part.value) for part in same] == [("region", "north")]
    assert judge_slices(CLASSES, np.zeros(40, int), np.tile([0.9, 0.1], (40, 1)), iter(same), smallest=2) == ()


def test_a_column_of_many_numbers_is_cut_into_thirds_and_one_of_few_by_value():
    ages, stars = np.arange(90).astype(str), np.array(["1", "2"] * 45)
    cuts = list(cut({"age": ages, "stars": stars}, [], np.full(90, 0.9)))
    assert [part.value for part in cuts] == ["up to 29", "30 to 59", "from 60", "1", "2"]


def test_holm_by_hand():
    assert holm([0.04, 0.001, 0.03, 0.5]) == pytest.approx([0.09, 0.004, 0.09, 0.5])
    assert holm([]) == []


def test_the_worst_slice_is_never_better_than_the_whole():
    slices = judged(0.3)
    worst = min(part.metrics["accuracy"].value for part in slices if part.by != "confidence")
    assert worst_of(slices, CLASSES["accuracy"], 0.83) == worst < 0.8
    assert worst_of((), CLASSES["accuracy"], 0.83) == 0.83
    assert worst_of(slices, CLASSES["log_loss"], 0.0) == max(
        part.metrics["log_loss"].value for part in slices if part.by != "confidence"
    )


def test_a_hopeless_slice_of_numbers_is_named_among_many():
    rng = np.random.default_rng(0)
    bad = np.where(np.arange(1000) < 50, 5.0, 0.01) + rng.normal(0, 0.01, 1000)
    chances = [weakness(bad, np.arange(1000) < 50), *[0.5] * 120]
    assert holm(chances)[0] < 0.001
