"""Imbalance: a class so large that accuracy says little, or so small that it is neglected."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

import numpy as np

from kft.audit.check import Check
from kft.audit.view import AuditView
from kft.records.estimate import percent
from kft.records.findings import Finding
from kft.split.data_split import labels_of

STRONG, MILD = 10.0, 3.0
"""The largest class against the smallest."""
DOMINANT = 0.8
"""A majority by which accuracy says little: answering it always looks right four times in five."""


def check_imbalance(view: AuditView) -> Iterable[Finding]:
    """Looks at the sizes of classes in train."""
    if view.task.kind.one_class:
        yield from judge_balance(Counter(labels_of(view.split.train)), view.spec.train.class_weight == "balanced")


def judge_balance(rows: Mapping[str, int], weighted: bool = False) -> Iterable[Finding]:
    """Judges the sizes of classes.

    The effective number of classes is exp(entropy of the shares) (Hill, 1973): as many equal classes would be as
    hard to guess.

    Args:
        rows: Of train, by class.
        weighted: Whether the recipe weights classes already.

    Example:
        >>> [finding] = judge_balance({"a": 95, "b": 5})
        >>> finding.severity, finding.details["effective_classes"]
        ('warning', 1.22)
    """
    counts = np.array(list(rows.values()), float)
    shares = counts / counts.sum()
    ratio, majority = counts.max() / counts.min(), float(shares.max())
    if ratio < MILD and majority < DOMINANT:
        return
    names = list(rows)
    largest, smallest = names[int(counts.argmax())], names[int(counts.argmin())]
    strong = ratio >= STRONG or majority >= DOMINANT
    judged = "Judge by macro_f1 (evaluate.gates, train.best: valid_macro_f1)"
    yield Finding(
        "imbalance",
        "warning" if strong and not weighted else "note",
        f"{largest} has {ratio:.3g} times the rows of {smallest} ({int(counts.max()):,} and {int(counts.min()):,}): "
        f"always answering {largest} is right {percent(majority)} of the time.",
        f"{judged}; train.class_weight is balanced already."
        if weighted
        else f"{judged}; try --set train.class_weight=balanced where rare classes matter as much.",
        max(majority, 1 - 1 / ratio) if strong else majority,
        details={
            "ratio": round(float(ratio), 2),
            "majority": largest,
            "majority_share": round(majority, 4),
            "effective_classes": round(float(np.exp(-(shares * np.log(shares)).sum())), 2),
            "classes": len(names),
            "rows_per_class": dict(rows),
        },
    )


CHECK = Check("imbalance", "classes of very different size", check_imbalance, rank=70)
