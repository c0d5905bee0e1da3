"""findings.json: what the checks of the data found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal, get_args

from kft.records.fields import absent, rounded
from kft.records.receipt import Counts

Severity = Literal["error", "warning", "note"]
SEVERITIES: tuple[Severity, ...] = get_args(Severity)
"""From what makes the result worthless, through what lowers it, to what is good to know."""
AUDITS = Path("audits")
"""Where audits go by default, each in a folder of its own: those before and after a mend can be compared."""
FINDINGS = "findings.json"


@dataclass(frozen=True)
class Finding:
    """One thing that was found.

    Attributes:
        check: Name of the check, such as ``label-noise``.
        severity: ``error`` where a figure measured on these data would be wrong or training cannot work; ``warning``
            where the result suffers; ``note`` where it is good to know.
        message: One sentence with the figures.
        advice: What to do: a change to the data, a recipe key, a command.
        score: How bad it is, from 0 to 1; what it measures (a share of the rows, say) is the check's own.
        rows: Ids of the examples concerned, the most suspect first; empty where it concerns the data as a whole.
        details: Numbers and names that a report shows: plain JSON. A list that runs along ``rows`` has the key of
            what it holds, such as ``{"suggested": [...]}``.

    Example:
        >>> Finding("lengths", "note", "2 of 100 texts are cut.", "raise model.max_tokens", 0.02, ("a", "b")).n
        2
    """

    KEYS: ClassVar = ("check", "severity", "score", "n", "message", "advice", "rows", "details")

    check: str
    severity: Severity
    message: str
    advice: str
    score: float = rounded(4)
    rows: tuple[str, ...] = ()
    details: Mapping[str, Any] = field(default_factory=dict)

    @property
    def n(self) -> int:
        """How many rows are concerned; one may be listed with each of its copies."""
        return len(set(self.rows))


@dataclass(frozen=True)
class Findings:
    """What was looked at, and all that was found, the worst first.

    Attributes:
        split_hash: As in the receipt.
        data_hash: Likewise.
        n: Rows of each split.
        counts: How many findings there are of each severity.
        findings: Each of them.
        features: Whether the backbone ran over the data, for the checks that compare by meaning; the quick ones of
            ``kft train`` do without.
    """

    split_hash: str
    data_hash: str
    n: Counts
    counts: Mapping[str, int]
    findings: tuple[Finding, ...]
    features: bool = absent(False)
