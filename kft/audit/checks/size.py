"""Whether valid and test are large enough to tell anything."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from statistics import NormalDist

from kft.audit.check import Check
from kft.audit.view import AuditView
from kft.records.findings import Finding, Severity

EXPECTED = 0.9
"""The accuracy whose interval is told, unless answering the most frequent class reaches more."""
WIDE = 0.05
"""Half an interval from which on a split is too small to tell most approaches apart."""
FEWEST = 10


def half_width(accuracy: float, n: int) -> float:
    """Returns half the width of an accuracy's 95 % interval (Wilson, 1927).

    Args:
        accuracy: From 0 to 1.
        n: Rows it was measured on.

    Example:
        >>> round(half_width(0.9, 40), 3)
        0.095
    """
    z = NormalDist().inv_cdf(0.975)
    return z / (1 + z * z / n) * math.sqrt(accuracy * (1 - accuracy) / n + (z / (2 * n)) ** 2)


def check_size(view: AuditView) -> Iterable[Finding]:
    """Says how well an accuracy would be known on valid and on test."""
    counts = Counter(view.classes.tolist()) if view.classes is not None else Counter()
    majority = max(counts.values(), default=0) / max(1, counts.total())
    for name in ("valid", "test"):
        yield from judge_size(name, len(view.split.part(name)), len(counts), max(EXPECTED, majority))


def judge_size(name: str, rows: int, classes: int, accuracy: float = EXPECTED) -> Iterable[Finding]:
    """Judges one split's size.

    Args:
        name: ``valid`` or ``test``.
        rows: How many it has.
        classes: How many the data have; 0 where an answer is no class.
        accuracy: What may be reached.

    Example:
        >>> [finding.message for finding in judge_size("test", 40, 5)]
        ['test has 40 rows: an accuracy of 0.90 would be known to ±0.10.']
    """
    half = half_width(accuracy, rows)
    fewest = max(FEWEST, classes)
    if rows >= fewest and half <= WIDE:
        return
    severity: Severity = "error" if rows < fewest else "warning"
    needed = next(n for n in range(fewest, 100_000) if half_width(accuracy, n) <= WIDE)
    few = f", fewer than the {classes:,} classes" if rows < classes else ""
    yield Finding(
        "split-size",
        severity,
        f"{name} has {rows:,} rows{few}: an accuracy of {accuracy:.2f} would be known to ±{half:.2f}.",
        f"Label more, or take a larger share (data.{name}): {needed:,} rows bring it to ±{WIDE:.2f}.",
        min(1.0, half / 0.5),
        (),
        {"split": name, "rows": rows, "half_width": round(half, 4), "rows_needed": needed},
    )


CHECK = Check("split-size", "valid or test too small to tell anything", check_size, rank=20)
