"""Gaps between sensitive groups (``data.sensitive``): is one of them served worse, already by a simple model?"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from kft.audit.check import Check
from kft.audit.several_looks import Z95, difference_of_shares, holm, two_sided_p
from kft.audit.view import AuditView
from kft.records.estimate import percent
from kft.records.findings import Finding

FEWEST_ROWS = 10
"""Smaller groups are not compared; the check of slices names them."""
NOTABLE = 0.05


def check_sensitive(view: AuditView) -> Iterable[Finding]:
    """Compares the out-of-fold accuracy of each group with that of all others."""
    if view.out_of_fold is None or view.classes is None:
        return ()
    right = np.asarray(view.split.labels)[view.out_of_fold.argmax(axis=1)] == view.classes
    columns = {name: view.known.columns[name] for name in view.spec.data.sensitive}
    return judge_gaps(columns, right, view.known.groups)


def judge_gaps(columns: Mapping[str, np.ndarray], right: np.ndarray, groups: np.ndarray | None) -> Iterable[Finding]:
    """Judges gaps in accuracy, with intervals, corrected for all the looks together (Holm).

    Args:
        columns: Name to ``str[n]``: the group of each row.
        right: ``bool[n]``: whether a model that did not see the row was right.
        groups: ``str[n]`` of rows that hang together, or None.

    Example:
        >>> right = np.array([True] * 190 + [False] * 10 + [True] * 120 + [False] * 80)
        >>> [finding] = judge_gaps({"gender": np.array(["m"] * 200 + ["f"] * 200)}, right, None)
        >>> finding.details["gaps"][0]["value"]
        'f'
    """
    looks = []
    for column, cells in columns.items():
        cells = cells.astype(str)
        for value in np.unique(cells):
            inside = cells == value
            if FEWEST_ROWS <= inside.sum() <= len(inside) - FEWEST_ROWS:
                gap, error = difference_of_shares(right, inside, groups)
                looks.append((column, str(value), int(inside.sum()), float(right[inside].mean()), gap, error))
    corrected = holm([two_sided_p(gap / error) for *_, gap, error in looks])
    for column in columns:
        found: list[dict[str, Any]] = [
            {
                "value": value,
                "n": n,
                "accuracy": round(accuracy, 4),
                "difference": round(gap, 4),
                "low": round(gap - Z95 * error, 4),
                "high": round(gap + Z95 * error, 4),
                "p": p,
            }
            for (name, value, n, accuracy, gap, error), p in zip(looks, corrected, strict=True)
            if name == column and p < 0.05 and gap <= -NOTABLE
        ]
        found.sort(key=lambda row: row["difference"])
        if found:
            worst = found[0]
            yield Finding(
                "sensitive-gaps",
                "warning",
                f"Where {column} is {worst['value']} ({worst['n']:,} rows), a probe is right in "
                f"{percent(worst['accuracy'])} of them: {worst['difference']:+.3f} "
                f"[{worst['low']:.3f}, {worst['high']:.3f}] against the rest.",
                f"Add labelled rows where {column} is {worst['value']}, and check that those there are labelled as the "
                "others are.",
                min(1.0, -worst["difference"]),
                details={"column": column, "gaps": found},
            )


CHECK = Check(
    "sensitive-gaps", "sensitive groups that are served worse", check_sensitive, needs_features=True, rank=150
)
