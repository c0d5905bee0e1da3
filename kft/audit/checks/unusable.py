"""Rows that could not be read: empty texts, missing labels, damaged images."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from kft.audit.check import Check
from kft.audit.texts import counted
from kft.audit.view import AuditView
from kft.data.examples import RejectedRow
from kft.records.findings import Finding

MANY = 0.05
"""Share of the rows from which on what is left may be another data set than was meant."""


def check_unusable(view: AuditView) -> Iterable[Finding]:
    """Lists the rows that were left out."""
    return judge_unusable(view.split.rejected, len(view.all))


def judge_unusable(rejected: Sequence[RejectedRow], usable: int) -> Iterable[Finding]:
    """Judges how many rows cannot be used, and says why.

    Example:
        >>> [finding] = judge_unusable([RejectedRow("a.csv:3", "a.csv", 3, "empty text")], 99)
        >>> finding.severity, finding.message
        ('warning', '1 of 100 rows (1 %) cannot be used: empty text (1).')
    """
    if not rejected:
        return
    total = usable + len(rejected)
    reasons = Counter(row.reason.split(":")[0] for row in rejected)
    shown = ", ".join(f"{reason} ({count:,})" for reason, count in reasons.most_common())
    yield Finding(
        "unusable-rows",
        "error" if len(rejected) / total >= MANY else "warning",
        f"{counted(len(rejected), total, 'rows')} cannot be used: {shown}.",
        "Mend them, or take them out; data.unusable_rows: skip leaves them out of training.",
        len(rejected) / total,
        tuple(row.id for row in rejected),
        {"reasons": [row.reason for row in rejected], "by_reason": dict(reasons)},
    )


CHECK = Check("unusable-rows", "rows that cannot be read", check_unusable, rank=30)
