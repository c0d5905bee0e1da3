"""What a check of the data finds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

Severity = Literal["error", "warning", "note"]
SEVERITIES: tuple[Severity, ...] = get_args(Severity)
"""From what makes the result worthless, through what lowers it, to what is good to know."""


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
        >>> finding = Finding("lengths", "note", "2 of 100 texts are cut.", "raise model.max_tokens", 0.02, ("a", "b"))
        >>> finding.as_dict()["n"]
        2
    """

    check: str
    severity: Severity
    message: str
    advice: str
    score: float
    rows: tuple[str, ...] = ()
    details: Mapping[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """Returns the form of findings.json."""
        return {
            "check": self.check,
            "severity": self.severity,
            "score": round(float(self.score), 4),
            "n": len(self.rows),
            "message": self.message,
            "advice": self.advice,
            "rows": list(self.rows),
            "details": dict(self.details),
        }
