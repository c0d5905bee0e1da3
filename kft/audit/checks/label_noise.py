"""Labels that are probably wrong: the probe that did not see a row is sure of another class.

Ranked by the odds of the most probable class against the given one. Eight ways to choose the rows were compared on data
with planted errors (docs/log.md): this one, which hangs on each row alone, found more of them at a higher precision
than the counts of confident learning (Northcutt et al., 2021), and flagged fewer rows of clean data.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from kft.audit.check import Check
from kft.audit.texts import counted, listed
from kft.audit.view import AuditView
from kft.records.estimate import percent
from kft.records.findings import Finding, Severity

NAME = "label-noise"
ODDS = 2.0, 5.0
"""Another class has to be this many times as probable as the given one: the second number, and the first at the least
where so many labels are wrong that the probe is never that sure."""
SURE_PERCENT = 90
HARD = (
    "Go through the rows in this order, the first hundred first, and mend the labels that are wrong: kft data apply "
    "takes the mended list; where people themselves disagree, say so in the labelling guide or join the classes."
)
SOFT = (
    "Go through the rows in this order, the first hundred first, and mend the votes or shares that are wrong in the "
    "data themselves: of soft labels, kft data apply can only drop rows."
)
FEW, MANY = 0.02, 0.3
"""Shares of the rows: below the first it is a note, above the second an error."""


def label_odds(probabilities: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Returns ``float64[n]``: how many times as probable as the given class the most probable one is; 1 is the least.

    Of a soft label, the given probability is that of a judgement drawn from it: where people disagree, less is wrong.

    Args:
        probabilities: ``float[n, classes]``, out of fold.
        targets: ``int[n]``, or shares ``float[n, classes]``.

    Example:
        >>> label_odds(np.array([[0.9, 0.1], [0.9, 0.1]]), np.array([0, 1])).round(1).tolist()
        [1.0, 9.0]
        >>> label_odds(np.array([[0.9, 0.1]]), np.array([[0.5, 0.5]])).round(1).tolist()
        [1.8]
    """
    if targets.ndim == 2:
        given = (probabilities * targets).sum(axis=1)
    else:
        given = probabilities[np.arange(len(targets)), targets]
    return probabilities.max(axis=1) / np.maximum(given, 1e-12)


def odds_wanted(probabilities: np.ndarray, targets: np.ndarray) -> float:
    """Returns the odds from which a label is suspect: 3/4 of what the probe reaches where it agrees, within ``ODDS``.

    Where a share e of the labels of two classes is flipped, a probe can be no surer than (1 - e) / e.

    Example:
        >>> odds_wanted(np.array([[0.99, 0.01]]), np.array([0])), odds_wanted(np.array([[0.6, 0.4]]), np.array([0]))
        (5.0, 2.0)
    """
    agrees = probabilities.argmax(axis=1) == targets
    if not agrees.any():
        return ODDS[1]
    second, first = np.partition(probabilities[agrees], -2, axis=1)[:, -2:].T
    reached = float(np.percentile(first / np.maximum(second, 1e-12), SURE_PERCENT))
    return float(np.clip(0.75 * reached, *ODDS))


def find_label_noise(view: AuditView) -> Iterable[Finding]:
    """Finds rows of train and valid whose label the out-of-fold probabilities contradict, the most suspect first."""
    if view.out_of_fold is None:
        return
    known, targets = view.known, view.targets
    assert targets is not None
    odds = label_odds(view.out_of_fold, targets if view.shares is None else view.shares)
    wanted = odds_wanted(view.out_of_fold, targets)
    right = view.out_of_fold.argmax(axis=1) == targets
    unseen = ~np.isin(targets, targets[right])  # of a class that it never gets right it knows nothing
    rows = np.flatnonzero((odds >= wanted) & ~right & ~unseen)
    if not len(rows):
        return
    rows = rows[np.argsort(-odds[rows], kind="stable")]
    labels = np.array(view.split.labels, dtype=object)
    given, suggested = labels[targets[rows]], labels[view.out_of_fold[rows].argmax(axis=1)]
    share, agreed = len(rows) / len(known), float(right.mean())
    severity: Severity = "error" if share > MANY else "warning" if share >= FEW else "note"
    first = f"{str(known.ids[rows[0]])!r} says {given[0]!r} and is probably {suggested[0]!r}"
    yield Finding(
        check=NAME,
        severity=severity,
        message=counted(
            len(rows),
            len(known),
            "labels of train and valid",
            f"are contradicted by a probe that did not see them: {first}."
            + _not_judged(labels[np.unique(targets[unseen])].tolist()),
        ),
        advice=f"Many of these may be right: the probe agrees with {percent(agreed)} of all labels. "
        + (HARD if view.shares is None else SOFT),
        score=share,
        rows=tuple(map(str, known.ids[rows])),
        details={
            "given": given.tolist(),
            "suggested": suggested.tolist(),
            "odds": np.minimum(odds[rows], 1e6).round(1).tolist(),
            "threshold": round(wanted, 2),
        },
    )


def _not_judged(names: list[str]) -> str:
    return f" Not judged: {listed(names)}, which the probe never gets right." if names else ""


CHECK = Check(
    NAME, "labels that a probe which did not see them contradicts", find_label_noise, needs_features=True, rank=160
)
