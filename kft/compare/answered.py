"""What an approach says of labelled examples that it has not learned from, calibrated."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kft.answer.calibration import fit_temperature
from kft.answer.decide import UNCHANGED, Temperature
from kft.compare.setting import Setting
from kft.compare.solution import Solution
from kft.compare.verdict import BASELINE


@dataclass(frozen=True, eq=False)
class HeldOutAnswers:
    """What an approach says of labelled examples that it did not learn from.

    Attributes:
        temperature: Fitted on these.
        valid: Calibrated answers to valid.
        known: Calibrated answers to ``Setting.judged.rows``; None where valid's alone are honest.
    """

    temperature: Temperature
    valid: np.ndarray
    known: np.ndarray | None


def answer_labelled(setting: Setting, name: str, solution: Solution) -> HeldOutAnswers:
    """Returns an approach's honest answers, calibrated: out of fold where it has them, else of valid."""
    valid, crossed = setting.split.valid, solution.out_of_fold is not None
    raw = solution.of_valid if solution.out_of_fold is None else solution.out_of_fold
    if raw is None:
        raw = solution.answers(setting, valid)
    temperature = UNCHANGED
    one_class = setting.task.kind.one_class
    if one_class and setting.spec.evaluate.calibrate == "temperature" and name != BASELINE:
        temperature = fit_temperature(setting.judged_truth if crossed else setting.truth(valid), raw)
    found = temperature.apply(raw)
    return HeldOutAnswers(temperature, found[setting.judged.valid] if crossed else found, found if crossed else None)
