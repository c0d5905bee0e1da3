"""Slices: a planted weak one is named and a fair one is not, singly and by group; many looks are corrected."""

import numpy as np
import pytest

from kft.evaluate.slices import cut, holm, judge_slices, weakness, worst_of
from kft.records.document import as_document


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
    return judge_slices(wrong.astype(np.int64), answers, cuts, smallest=smallest, groups=groups)


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
    assert judge_slices(np.zeros(40, int), np.tile([0.9, 0.1], (40, 1)), iter(same), smallest=2) == ()


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
    assert worst_of(slices, "accuracy", 0.83) == worst < 0.8
    assert worst_of((), "accuracy", 0.83) == 0.83
    assert worst_of(slices, "log_loss", 0.0) == max(
        part.metrics["log_loss"].value for part in slices if part.by != "confidence"
    )
