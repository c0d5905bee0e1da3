"""An interval around each number, with a promise of how often the right number lies in it: split conformal prediction.

Reach is the conformal quantile of absolute errors on examples that decided nothing else, the ``ceil((n + 1) *
coverage)``-th from below (Vovk et al., 2005; Lei et al., 2018, theorem 2.2). For a new example, drawn as these were,
the right number lies within it with a chance of at least ``coverage``, whatever the model is, and of at most ``1 / (n
+ 1)`` more where errors do not tie. Errors are rarely alike everywhere, so answers are parted by their size into bins,
each with its own quantile: then the promise holds in each of them, and so also among the answers that are left where
wide ones are withheld (Mondrian conformal prediction; Vovk et al., 2005, section 4.5).
"""

from __future__ import annotations

from math import ceil

import numpy as np

from kft.recipe.evaluation import IntervalSpec
from kft.records.estimate import percent
from kft.records.rules import IntervalRule

IN_A_BIN = 60
"""Calibration examples of a bin, about, at least."""
MOST_BINS = 8


def fewest_errors(coverage: float) -> int:
    """Returns how many calibration examples it takes to promise anything.

    Example:
        >>> fewest_errors(0.9), fewest_errors(0.95), fewest_errors(0.99)
        (9, 19, 99)
    """
    found = max(1, int(coverage / (1 - coverage)) - 1)  # rounding may have brought the quotient down, or up
    while ceil(round((found + 1) * coverage, 9)) > found:
        found += 1
    return found


def fit_interval(
    asked: IntervalSpec, answers: np.ndarray, targets: np.ndarray, others: np.ndarray, unit: str = "rows"
) -> IntervalRule:
    """Fits how far from each answer the right number may lie.

    Args:
        asked: What the recipe asks for.
        answers: ``float[n]``, of calibration examples, which stand each for itself.
        targets: ``float[n]``: what is right.
        others: ``float[m]``: answers to examples that are not calibrated on; they say where bins begin.
        unit: What a calibration example stands for, in words: rows or groups.

    Example:
        >>> answers = np.linspace(0, 1, 99)
        >>> rule = fit_interval(IntervalSpec(coverage=0.9), answers, answers + 0.01 * np.arange(99), answers)
        >>> rule.edges, [round(reach, 2) for reach in rule.reaches], rule.n
        ((), [0.89], 99)
    """
    least, n = fewest_errors(asked.coverage), len(answers)
    if n < least:
        why = (
            f"a coverage of {percent(asked.coverage)} cannot be promised from {n:,} {unit}, half of valid: it takes at "
            f"least {least:,}, so at least {2 * least:,} {unit} in valid"
        )
        return IntervalRule(asked.coverage, asked.widest, (), (), n, why)
    errors = np.abs(targets - answers)
    bins = min(MOST_BINS, n // max(IN_A_BIN, 2 * least))
    edges = (
        np.unique(np.quantile(others, np.linspace(0, 1, bins + 1)[1:-1])) if bins > 1 and len(others) else others[:0]
    )
    bin_of = np.searchsorted(edges, answers, side="right")
    if np.bincount(bin_of, minlength=len(edges) + 1).min() < least:
        edges, bin_of = edges[:0], np.zeros(n, int)
    reaches = [_quantile(errors[bin_of == place], asked.coverage) for place in range(len(edges) + 1)]
    return IntervalRule(asked.coverage, asked.widest, tuple(edges.tolist()), tuple(reaches), n)


def _quantile(errors: np.ndarray, coverage: float) -> float:
    return float(np.sort(errors)[ceil(round((len(errors) + 1) * coverage, 9)) - 1])
