"""Thresholds within a comparison: what is judged is cut by thresholds that it had no part in."""

import numpy as np

from kft.answer.label_thresholds import choose_thresholds
from kft.compare.at_thresholds import cut_by_others
from kft.recipe.evaluation import LabelThresholdsSpec

F1 = LabelThresholdsSpec(by="f1")


def test_each_fold_is_cut_by_what_the_others_chose():
    rng = np.random.default_rng(0)
    truth = (rng.random((300, 2)) < 0.3).astype(np.float32)
    raw = np.clip(0.3 * truth + rng.uniform(0, 0.4, truth.shape), 0, 1)
    folds = np.arange(300) % 3
    moved = cut_by_others(F1, truth, raw, folds)
    for fold in range(3):
        thresholds = choose_thresholds(F1, truth[folds != fold], raw[folds != fold])
        np.testing.assert_array_equal(moved[folds == fold], thresholds.centred(raw[folds == fold]))


def test_labels_that_say_nothing_do_not_look_better_for_having_thresholds():
    """Chosen and judged on the same 60 rows, 8 labels of pure noise would gain some points."""
    rng = np.random.default_rng(1)
    gains = []
    for _ in range(20):
        truth = (rng.random((60, 8)) < 0.4).astype(np.float32)
        raw = rng.random((60, 8))
        whole = choose_thresholds(F1, truth, raw)
        honest = (cut_by_others(F1, truth, raw, np.arange(60) % 5) >= 0.5) == truth
        gains.append((whole.said(raw) == truth).mean() - honest.mean())
    assert np.mean(gains) > 0


def test_one_fold_alone_stays_at_one_half():
    raw = np.array([[0.2, 0.8]])
    np.testing.assert_array_equal(cut_by_others(F1, np.array([[1.0, 0.0]]), raw, np.zeros(1, int)), raw)
