"""Rows that cannot be read: an empty text, a missing label, an image that is none."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from kft.audit.check import CHECKS, Check
from kft.audit.finding import Finding
from kft.audit.view import AuditView
from kft.data.examples import RejectedRow


def find_unusable_rows(rejected: Sequence[RejectedRow], usable: int) -> Iterable[Finding]:
    """Reports the rows that were left out, and why.

    Args:
        rejected: These rows.
        usable: How many others there are.

    Example:
        >>> row = RejectedRow("a.csv:3", "a.csv", 3, "the text is empty")
        >>> [finding.message for finding in find_unusable_rows([row], 9)]
        ['1 of 10 rows cannot be used: the text is empty (1).']
    """
    if not rejected:
        return
    kinds = Counter(row.reason.split(":")[0] for row in rejected)
    listed = ", ".join(f"{kind} ({count:,})" for kind, count in kinds.most_common())
    yield Finding(
        check="unusable-rows",
        severity="warning",
        message=f"{len(rejected):,} of {len(rejected) + usable:,} rows cannot be used: {listed}.",
        advice="mend these rows, or leave them out with --set data.unusable_rows=skip",
        score=len(rejected) / (len(rejected) + usable),
        rows=tuple(row.id for row in rejected),
        details={"reason": [row.reason for row in rejected]},
    )


def _check(view: AuditView) -> Iterable[Finding]:
    return find_unusable_rows(view.split.rejected, len(view.all))


CHECKS.register("unusable-rows", Check("unusable-rows", "rows without a text, an image or a label", _check))
