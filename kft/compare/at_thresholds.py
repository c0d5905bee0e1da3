"""Approaches of several labels, each label said from a probability of its own on."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from kft.answer.label_thresholds import choose_thresholds
from kft.compare.saved import FittedApproach
from kft.compare.setting import Setting
from kft.compare.verdict import BASELINE
from kft.recipe.evaluation import LabelThresholdsSpec


def at_thresholds(setting: Setting, fitted: FittedApproach) -> FittedApproach:
    """Returns an approach whose answers are cut by the thresholds that the recipe asks for; see ``Decisions.given``.

    Those for test are chosen on all answers to examples that it did not learn from. The same answers are judged, too,
    and by thresholds that other folds chose: else who has few of them would look best.

    Args:
        setting: What every approach is given.
        fitted: Before that; what it said of train stands at one half, and is left out.
    """
    asked, judged = setting.spec.evaluate.label_thresholds, setting.judged
    if asked.by == "half" or fitted.name == BASELINE:
        return fitted
    crossed = fitted.known is not None
    truth = setting.judged_truth if crossed else setting.truth(setting.split.valid)
    raw = fitted.known if fitted.known is not None else fitted.valid
    thresholds = choose_thresholds(asked, truth, raw)
    assert thresholds is not None
    moved = cut_by_others(asked, truth, raw, judged.fold_of if crossed else judged.fold_of[judged.valid])
    return replace(
        fitted,
        valid=moved[judged.valid] if crossed else moved,
        known=moved if crossed else None,
        test=thresholds.centred(fitted.test),
        train=None,
        chosen={**fitted.chosen, "label_thresholds": thresholds.described},
    )


def cut_by_others(asked: LabelThresholdsSpec, truth: np.ndarray, raw: np.ndarray, fold_of: np.ndarray) -> np.ndarray:
    """Returns answers ``float[n, labels]``, those of each fold cut by thresholds that the other folds chose."""
    moved = np.array(raw, np.float64)
    for fold in np.unique(fold_of):
        inside = fold_of == fold
        thresholds = choose_thresholds(asked, truth[~inside], raw[~inside]) if not inside.all() else None
        if thresholds is not None:
            moved[inside] = thresholds.centred(raw[inside])
    return moved
