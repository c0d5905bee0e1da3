"""An interval around each number, with a promise of how often the right number lies in it: split conformal prediction.

Reach is the conformal quantile of absolute errors on examples that decided nothing else, the ``ceil((n + 1) *
coverage)``-th from below (Vovk et al., 2005; Lei et al., 2018, theorem 2.2). For a new example, drawn as these were,
the right number lies within it with a chance of at least ``coverage``, whatever the model is, and of at most ``1 / (n
+ 1)`` more where errors do not tie. Errors are rarely alike everywhere, so answers are parted by their size into bins,
each with its own quantile: then the promise holds in each of them (Mondrian conformal prediction; Vovk et al., 2005,
section 4.5). Where wide intervals are withheld it does not hold among those that are left: they look narrow by the
same errors.

Rows of one group are alike, so each group counts as one example that its rows share: then the promise is about a random
row of a new group (hierarchical conformal prediction; Lee, Barber and Willett, 2023).
"""

from __future__ import annotations

from math import ceil

import numpy as np

from kft.metrics.proportions import Groups, group_codes
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
    asked: IntervalSpec, answers: np.ndarray, targets: np.ndarray, others: np.ndarray, groups: Groups | None = None
) -> IntervalRule:
    """Fits how far from each answer the right number may lie.

    Args:
        asked: What the recipe asks for.
        answers: ``float[n]``, of calibration examples.
        targets: ``float[n]``: what is right.
        others: ``float[m]``: answers to examples that are not calibrated on; they say where bins begin.
        groups: ``[n]``: which belong together; None where each stands for itself.

    Example:
        >>> answers = np.linspace(0, 1, 99)
        >>> rule = fit_interval(IntervalSpec(coverage=0.9), answers, answers + 0.01 * np.arange(99), answers)
        >>> rule.edges, [round(reach, 2) for reach in rule.reaches], rule.n
        ((), [0.89], 99)
    """
    codes, least = group_codes(groups, len(answers)), fewest_errors(asked.coverage)
    count = len(np.unique(codes))
    if count < least:
        unit = "rows" if groups is None else "groups"
        why = (
            f"a coverage of {percent(asked.coverage)} cannot be promised from {count:,} {unit}, half of valid: it "
            f"takes at least {least:,}, so at least {2 * least:,} {unit} in valid"
        )
        return IntervalRule(asked.coverage, asked.widest, (), (), count, why)
    errors = np.abs(targets - answers)
    bins = min(MOST_BINS, count // max(IN_A_BIN, 2 * least))
    edges = (
        np.unique(np.quantile(others, np.linspace(0, 1, bins + 1)[1:-1])) if bins > 1 and len(others) else others[:0]
    )
    bin_of = np.searchsorted(edges, answers, side="right")
    parts = [bin_of == place for place in range(len(edges) + 1)]
    if min(len(np.unique(codes[part])) for part in parts) < least:
        edges, parts = edges[:0], [np.ones(len(answers), bool)]
    reaches = tuple(_quantile(errors[part], codes[part], asked.coverage) for part in parts)
    return IntervalRule(asked.coverage, asked.widest, tuple(edges.tolist()), reaches, count)


def _quantile(errors: np.ndarray, codes: np.ndarray, coverage: float) -> float:
    """Returns the error that examples and one more, whose error may be any, stay below with this share of weight."""
    _, group_of, sizes = np.unique(codes, return_inverse=True, return_counts=True)
    order = np.argsort(errors, kind="stable")
    below = np.cumsum(1 / sizes[group_of][order]) / (len(sizes) + 1)
    return float(errors[order][np.searchsorted(below, coverage - 1e-9)])
