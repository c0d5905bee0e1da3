"""What more labels would bring: each cheap approach out of fold at a quarter, half and all of the rows, carried on."""

from __future__ import annotations

import numpy as np

from kft.audit.forecast import forecast, measure_curve
from kft.compare.setting import Setting
from kft.compare.solution import Relearn
from kft.features.growth import nested
from kft.records.compare import LabelCurve

SHARES = (0.25, 0.5)
FOLDS_USED = 3
"""Three of the five folds say enough, in three fifths of the time."""
FEWEST_ROWS = 2
"""Of each class, at a quarter: fewer say nothing of how a curve goes on."""
FACTOR = 2.0


def why_no_curve(setting: Setting) -> str:
    """Says why no learning curve stands beside the verdict; empty where one does."""
    if not setting.task.kind.one_class:
        return "a learning curve is one of accuracy, for one class of many"
    quarter = SHARES[0] * len(setting.judged.rows) * 0.8 / len(setting.split.labels)
    if quarter < FEWEST_ROWS:
        return f"a quarter of the rows is {quarter:.1f} a class, too few for a learning curve"
    return ""


def label_curve(setting: Setting, relearn: Relearn, whole: np.ndarray) -> LabelCurve:
    """Learns from a quarter and a half of the other folds' rows, with the settings that were chosen on all.

    Args:
        setting: Of one class of many; see ``why_no_curve``.
        relearn: Of the approach.
        whole: Its answers out of fold, by all of the other folds' rows.
    """
    judged, truth = setting.judged, setting.judged_truth
    groups = None if judged.folding.groups is None else judged.folding.groups[judged.rows]
    rng = np.random.default_rng(setting.spec.seed)
    right, held = [], []
    sizes = [0.0] * (len(SHARES) + 1)
    for fold in range(min(FOLDS_USED, int(judged.fold_of.max()) + 1)):
        known, asked = np.flatnonzero(judged.fold_of != fold), np.flatnonzero(judged.fold_of == fold)
        # Nested: a smaller part lies within the larger, each class by its share, groups whole.
        known = known[nested(truth[known], None if groups is None else groups[known], rng)]
        columns = []
        for place, share in enumerate(SHARES):
            some = known[: round(share * len(known))]
            sizes[place] += len(some) / FOLDS_USED
            answers = relearn(judged.rows[np.sort(some)], judged.rows[asked])
            columns.append(answers.argmax(axis=1) == truth[asked])
        sizes[-1] += len(known) / FOLDS_USED
        right.append(np.stack([*columns, whole[asked].argmax(axis=1) == truth[asked]], axis=1))
        held.append(asked)
    rows = np.concatenate(held)
    counts, hits = np.round(sizes).astype(int), np.concatenate(right)
    found = forecast(measure_curve(counts, hits, None if groups is None else groups[rows]), FACTOR)
    return LabelCurve(
        sizes=tuple(counts.tolist()),
        accuracy=tuple(hits.mean(axis=0).tolist()),
        forecast_size=found.size,
        forecast=found.accuracy,
        gain=found.gain,
    )
