"""Rows of valid and test that were learned from, or chosen by, under another id: copies and near-copies."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from kft.audit.check import Check
from kft.audit.texts import counted, kinds_of_copies
from kft.audit.view import AuditView
from kft.records.findings import Finding, Severity
from kft.split.assign import SPLITS
from kft.split.near import Pairs, each_pair

SHARE_ERROR = 0.025
"""Of a split's rows. Questions that people ask in the same words reach .019 in the test split of BANKING77."""


def check_leakage(view: AuditView) -> Iterable[Finding]:
    """Compares valid with train, and test with both."""
    labels = view.all.labels
    written = None if labels is None else [view.task.kind.labels.written(label) for label in labels]
    yield from find_leaks(view.all.ids, view.split_of, view.copies.pairs, written)


def find_leaks(
    ids: np.ndarray, split_of: np.ndarray, copies: Pairs, labels: Sequence[str] | None = None
) -> Iterable[Finding]:
    """Finds rows that have a copy or near-copy in an earlier split.

    Args:
        ids: ``str[n]``.
        split_of: ``str[n]``: ``train``, ``valid`` or ``test``.
        copies: Its pairs, from ``find_copies``.
        labels: As text; None where rows have none.

    Example:
        >>> from kft.split.near_text import near_texts
        >>> copies = near_texts(["Where is my card?", "Hello", "where is my card"])
        >>> (leak,) = find_leaks(np.array(["a", "b", "c"]), np.array(["train", "train", "test"]), copies)
        >>> leak.severity, leak.rows, leak.details["copy_of"]
        ('error', ('c',), ['a'])
    """
    place = np.array([SPLITS.index(name) for name in split_of], np.int64)
    across = place[copies.first] != place[copies.second]
    best: dict[int, tuple[float, int]] = {}
    for one, other, alike in each_pair(Pairs(*(column[across] for column in copies))):
        early, late = sorted((one, other), key=lambda row: place[row])
        if alike > best.get(late, (0.0, 0))[0]:
            best[late] = alike, early
    same = copies.similarity == 1
    for one, other, _ in each_pair(Pairs(*(column[same] for column in copies))) if best else ():
        if one in best:  # equal texts are paired with the first of them alone
            best.setdefault(other, best[one])
    for name in SPLITS[1:]:
        rows = sorted((row for row in best if split_of[row] == name), key=lambda row: (-best[row][0], row))
        if rows:
            yield _finding(name, rows, best, ids, int((split_of == name).sum()), labels)


def _finding(
    name: str,
    rows: Sequence[int],
    best: Mapping[int, tuple[float, int]],
    ids: np.ndarray,
    size: int,
    labels: Sequence[str] | None,
) -> Finding:
    share = len(rows) / size
    exact = sum(best[row][0] == 1 for row in rows)
    severity: Severity = "error" if share >= SHARE_ERROR else "warning"
    details: dict[str, Any] = {
        "split": name,
        "copy_of": [str(ids[best[row][1]]) for row in rows],
        "similarity": [round(best[row][0], 3) for row in rows],
    }
    if labels is not None:
        details["label"] = [labels[row] for row in rows]
        details["label_of_copy"] = [labels[best[row][1]] for row in rows]
    others = "train" if name == "valid" else "train or valid"
    return Finding(
        "leakage",
        severity,
        counted(
            len(rows),
            size,
            f"rows of {name}",
            f"are {kinds_of_copies(exact, len(rows) - exact)} of {'rows' if len(rows) > 1 else 'a row'} of {others}.",
        ),
        f"Take them out of {name}, or out of {others}; or let kft make the split (data.{name}: 15%), which keeps "
        "copies on one side.",
        share,
        tuple(str(ids[row]) for row in rows),
        details,
    )


CHECK = Check(
    "leakage",
    "rows of valid and test that have a copy in an earlier split",
    check_leakage,
    quick=False,
    rank=40,
    reads_copies=True,
)
