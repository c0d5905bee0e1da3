"""The same text or photo with different labels: at least one of them is wrong, or nobody can tell."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from kft.audit.check import Check
from kft.audit.texts import counted
from kft.audit.view import AuditView
from kft.records.findings import Finding, Severity
from kft.split.data_split import labels_of
from kft.split.near import Pairs, each_pair
from kft.tasks.spelling import folded

SHARE_WARNED = 0.01
"""Of all rows."""


def check_conflicts(view: AuditView) -> Iterable[Finding]:
    """Compares the labels of copies: what they name, or numbers that lie more than a standard deviation apart."""
    labels, kind = view.all.labels, view.task.kind
    # The same query may be answered by several documents, and the same prompt in other words.
    if labels is None or kind.searches or kind.writes or kind.masks:
        return

    deviation = 0.0 if view.split.labels else float(np.std(list(labels_of(view.split.train))))

    def differ(one: Any, other: Any) -> bool:
        if not view.split.labels:
            return abs(one - other) > deviation
        return {folded(name) for name in kind.labels.names(one)} != {folded(name) for name in kind.labels.names(other)}

    yield from find_conflicts(view.all.ids, labels, view.copies.pairs, differ, kind.labels.written)


def find_conflicts(
    ids: np.ndarray,
    labels: np.ndarray,
    copies: Pairs,
    differ: Callable[[Any, Any], bool],
    written: Callable[[Any], str] = str,
) -> Iterable[Finding]:
    """Finds copies and near-copies whose labels differ.

    Args:
        ids: ``str[n]``.
        labels: ``object[n]``.
        copies: Its pairs, from ``find_copies``.
        differ: Whether two labels cannot both be right.
        written: A label as text.

    Example:
        >>> from kft.split.near import as_pairs
        >>> copies = as_pairs([(0, 1, 1.0), (1, 2, 0.95)])
        >>> (found,) = find_conflicts(np.array(["a", "b", "c"]), np.array(["x", "x", "y"]), copies, lambda a, b: a != b)
        >>> found.rows, found.details["other"], found.details["other_label"]
        (('c',), ['b'], ['x'])
    """
    best: dict[int, tuple[float, int]] = {}
    for one, other, alike in each_pair(copies):
        if differ(labels[one], labels[other]) and alike > best.get(other, (0.0, 0))[0]:
            best[other] = alike, one
    if not best:
        return
    rows = sorted(best, key=lambda row: (-best[row][0], row))
    share = len(rows) / len(ids)
    severity: Severity = "warning" if share >= SHARE_WARNED else "note"
    first = rows[0]
    example = f"{ids[first]} says {written(labels[first])!r}, {ids[best[first][1]]} {written(labels[best[first][1]])!r}"
    yield Finding(
        "conflicting-labels",
        severity,
        counted(len(rows), len(ids), "rows", f"say another label than an earlier copy: {example}."),
        "Read both, and give them one label; where people disagree, say in the labelling guide which is right.",
        share,
        tuple(str(ids[row]) for row in rows),
        {
            "label": [written(labels[row]) for row in rows],
            "other": [str(ids[best[row][1]]) for row in rows],
            "other_label": [written(labels[best[row][1]]) for row in rows],
            "similarity": [round(best[row][0], 3) for row in rows],
        },
    )


CHECK = Check(
    "conflicting-labels",
    "copies and near-copies with different labels",
    check_conflicts,
    quick=False,
    rank=60,
    reads_copies=True,
)
