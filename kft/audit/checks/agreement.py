"""Agreement: how far those agree who judged the same inputs, and where they do not; for soft labels alone."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from kft.audit.check import Check
from kft.audit.texts import counted
from kft.audit.view import AuditView
from kft.metrics.agreement import ALPHA
from kft.metrics.intervals import estimate
from kft.records.findings import Finding, Severity

RELIABLE, TENTATIVE = 0.8, 0.667
"""Krippendorff (2004, Content Analysis, chapter 11): from the first on, data are reliable; below the second, no
conclusion should be drawn from them."""
SPLIT = 0.5
"""No class has more than this share where people disagree."""
ADVICE = (
    "Read these rows: where a rule would settle them, write it into the labelling guide and have them judged again; "
    "where they are unclear in themselves, soft labels say so to the model. No model can be expected to agree with "
    "people more than they do with each other."
)


def check_agreement(view: AuditView) -> Iterable[Finding]:
    """Measures agreement in train and valid by Krippendorff's alpha, and names the inputs with the least of it."""
    found = view.known.shares
    if found is None:
        return
    counts, leading = found.counts, found.values.max(axis=1)
    judged = counts.sum(axis=1) >= 2
    alpha = None
    if judged.sum() >= 2:
        groups = None if view.known.groups is None else view.known.groups[judged]
        alpha = estimate(ALPHA, counts[judged], counts[judged], groups=groups)
    split = np.flatnonzero(leading <= SPLIT)
    split = split[np.argsort(leading[split], kind="stable")]
    severity: Severity = "note"
    said = "Nobody has counted the judgements that the shares are made of, so that agreement is not measured"
    if alpha is not None:
        severity = "warning" if alpha.value < TENTATIVE else "note"
        full = float((leading[judged] >= 1 - 1e-6).mean())
        means = "reliable" if alpha.value >= RELIABLE else "tentative" if alpha.value >= TENTATIVE else "not reliable"
        said = (
            f"Those who judge agree by Krippendorff's alpha {alpha} (1: always, 0: as chance would), which is {means}; "
            f"all agree on {100 * full:.0f} % of {int(judged.sum()):,} inputs"
        )
    which = counted(
        len(split), len(view.known), "labels of train and valid", "have no class with more than half of the share."
    )
    yield Finding(
        check="agreement",
        severity=severity,
        message=f"{said}. {which}",
        advice=ADVICE,
        score=1 - alpha.value if alpha is not None else len(split) / len(view.known),
        rows=tuple(map(str, view.known.ids[split])),
        details={
            "krippendorff_alpha": None if alpha is None else [alpha.value, alpha.low, alpha.high],
            "judged_twice": int(judged.sum()),
            "labels": [_written(row, found.classes) for row in found.values[split]],
        },
    )


def _written(row: np.ndarray, classes: tuple[str, ...]) -> str:
    order = np.argsort(-row, kind="stable")
    return ", ".join(f"{classes[place]} {row[place]:.2f}" for place in order[:3] if row[place] > 0)


CHECK = Check("agreement", "how far annotators agree, and where they do not", check_agreement, rank=165)
